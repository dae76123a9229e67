"""What you can rely on: slices of a corpus become the rows that one would write by hand."""

import numpy as np
import pytest

from minibert.data.pretraining.batches import Frame

CLS, SEP, PAD = 2, 3, 0
NUMBERS = np.arange(10, 20)  # the n-th is n + 10
ROWS = [[(0, 3), (7, 9)], [(3, 5), (5, 6)]]


def fill(frame, width):
    return frame.fill(NUMBERS, width, cls=CLS, sep=SEP, pad=PAD).tolist()


def test_two_pairs_by_hand():
    frame = Frame(ROWS)
    assert frame.lengths.tolist() == [8, 6]
    assert fill(frame, 9) == [
        [CLS, 10, 11, 12, SEP, 17, 18, SEP, PAD],
        [CLS, 13, 14, SEP, 15, SEP, PAD, PAD, PAD],
    ]
    assert frame.mask(9).tolist() == [[1, 1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 0, 0, 0]]
    assert frame.segments(9).tolist() == [
        [0, 0, 0, 0, 0, 1, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 0, 0, 0],
    ]


def test_rows_may_have_any_number_of_pieces():
    frame = Frame([[(2, 3)], [(0, 1), (4, 6), (9, 10)]])
    assert frame.lengths.tolist() == [3, 8]
    assert fill(frame, 8) == [
        [CLS, 12, SEP, PAD, PAD, PAD, PAD, PAD],
        [CLS, 10, SEP, 14, 15, SEP, 19, SEP],
    ]


def test_a_piece_may_be_empty_and_any_piece_may_come_twice():
    frame = Frame([[(4, 4), (1, 3)], [(1, 3), (1, 3)]])
    assert fill(frame, 7) == [
        [CLS, SEP, 11, 12, SEP, PAD, PAD],
        [CLS, 11, 12, SEP, 11, 12, SEP],
    ]


def test_small_numbers_of_the_corpus_become_64_bits():
    frame = Frame(ROWS)
    filled = frame.fill(NUMBERS.astype("<u2"), 8, cls=CLS, sep=SEP, pad=PAD)
    assert filled.dtype == frame.mask(8).dtype == frame.segments(8).dtype == np.int64


@pytest.mark.parametrize("seed", range(5))
def test_many_rows_at_once_are_what_one_row_at_a_time_gives(seed):
    draw = np.random.default_rng(seed)
    numbers = draw.integers(5, 1000, 300)

    def piece():
        start = int(draw.integers(0, 280))
        return start, start + int(draw.integers(1, 20))

    rows = [[piece() for _ in range(draw.integers(1, 5))] for _ in range(40)]
    frame = Frame(rows)
    width = int(frame.lengths.max()) + 3
    filled, mask = frame.fill(numbers, width, cls=CLS, sep=SEP, pad=PAD), frame.mask(width)
    for number, of_row in enumerate(rows):
        row = [CLS]
        for start, stop in of_row:
            row += [*numbers[start:stop], SEP]
        assert filled[number].tolist() == row + [PAD] * (width - len(row))
        assert mask[number].tolist() == [1] * len(row) + [0] * (width - len(row))
        assert frame.lengths[number] == len(row)
