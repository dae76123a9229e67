"""Slices of a corpus become the rows that one would write by hand."""

import numpy as np
import pytest

from minibert.data.pretraining.batches import collate

CLS, SEP, PAD = 2, 3, 0
NUMBERS = np.arange(10, 20)  # number n is n + 10


def rows_of(spans, row, width, numbers=NUMBERS):
    filled = collate(numbers, np.array(spans), np.array(row), width, cls=CLS, sep=SEP, pad=PAD)
    assert filled.dtype == np.int64
    return filled.tolist()


def test_two_pairs_by_hand():
    assert rows_of([(0, 3), (7, 9), (3, 5), (5, 6)], [0, 0, 1, 1], width=9) == [
        [CLS, 10, 11, 12, SEP, 17, 18, SEP, PAD],
        [CLS, 13, 14, SEP, 15, SEP, PAD, PAD, PAD],
    ]


def test_rows_may_have_any_number_of_spans():
    assert rows_of([(2, 3), (0, 1), (4, 6), (9, 10)], [0, 1, 1, 1], width=8) == [
        [CLS, 12, SEP, PAD, PAD, PAD, PAD, PAD],
        [CLS, 10, SEP, 14, 15, SEP, 19, SEP],
    ]


def test_a_span_may_be_empty_and_may_occur_twice():
    assert rows_of([(4, 4), (1, 3), (1, 3), (1, 3)], [0, 0, 1, 1], width=7) == [
        [CLS, SEP, 11, 12, SEP, PAD, PAD],
        [CLS, 11, 12, SEP, 11, 12, SEP],
    ]


def test_the_two_byte_ids_of_a_corpus_become_64_bits():
    numbers = np.array([65_535, 1], dtype="<u2")
    assert rows_of([(0, 2)], [0], width=4, numbers=numbers) == [[CLS, 65_535, 1, SEP]]


@pytest.mark.parametrize("seed", range(5))
def test_many_rows_at_once_are_what_one_row_at_a_time_gives(seed):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(5, 1000, 300)
    row = np.sort([*range(40), *rng.integers(0, 40, 60)])
    start = rng.integers(0, 280, len(row))
    spans = np.stack([start, start + rng.integers(1, 20, len(row))], axis=1)
    expected = [[CLS] for _ in range(40)]
    for number, (first, stop) in zip(row, spans, strict=True):
        expected[number] += [*numbers[first:stop].tolist(), SEP]
    width = max(map(len, expected)) + 3
    padded = [line + [PAD] * (width - len(line)) for line in expected]
    assert rows_of(spans, row, width, numbers) == padded
