"""An epoch of pairs (A, B), planned over a corpus without touching a token.

The fast twin of `sentence_pairs.py`. In a corpus a run of sentences is one slice, so a pair is four
places and a label, and only the lengths of sentences are looked at. What is different from Google:
- A random B always comes from another document, which takes one draw, not up to ten.
- The tokens that do not fit are cut off at once, and not one by one; the ends from which they are
  taken are drawn in the same way.
- Each epoch has pairs of its own; Google's script makes five sets and repeats them.

On one core it plans about 30 million tokens a second, where the readable twin joins lists at half
of that speed: a small gain, but it holds five numbers a pair in memory and no text.
"""

import random
from array import array
from dataclasses import dataclass

import numpy as np

from minibert.data.corpus import Array, Corpus
from minibert.data.sentence_pairs import IS_NEXT, IS_RANDOM, SPECIAL_TOKENS_OF_A_PAIR
from minibert.errors import MiniBertError


@dataclass(frozen=True)
class PairPlan:
    """Which tokens make up which pair.

    Attributes:
        places: (pairs, 4) where in the corpus's tokens A begins and ends, and B begins and ends.
        labels: (pairs,) 0 if B follows A, 1 if B is from another document.
    """

    places: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Array:
        """Tokens of each pair with [CLS] and both [SEP]."""
        first_start, first_end, second_start, second_end = self.places.T
        text: Array = first_end - first_start + second_end - second_start
        return text + SPECIAL_TOKENS_OF_A_PAIR

    def pieces(self, row: int) -> list[tuple[int, int]]:
        """A and B as slices of the corpus's tokens; a [SEP] follows each."""
        first_start, first_end, second_start, second_end = self.places[row].tolist()
        return [(first_start, first_end), (second_start, second_end)]


def plan_pairs(
    corpus: Corpus, *, max_length: int, seed: int, epoch: int, short_probability: float = 0.1
) -> PairPlan:
    """Plan an epoch: each sentence of each document is in a pair, as A or as the B that follows it.

    What makes a pair longer than `max_length` is cut off, which is much only where sentences are.

    Args:
        corpus: at least two documents.
        max_length: tokens of a finished sequence, [CLS] and both [SEP] included.
        seed: the same (seed, epoch) gives the same pairs on any machine.
        epoch: from 0.
        short_probability: how often the pairs of a document are shorter.

    Raises:
        MiniBertError: there are too few documents, no document has two sentences, or `max_length`
            has no room for a pair.
    """
    if len(corpus) < 2:
        raise MiniBertError(
            f"{corpus.folder}: a random next sentence comes from another document, and there is "
            "only one; add text, let chapters be documents, or train without next sentences."
        )
    if max_length < SPECIAL_TOKENS_OF_A_PAIR + 2:
        raise MiniBertError(f"max_length is {max_length}; [CLS] a [SEP] b [SEP] takes at least 5.")
    if corpus.sentence_count == len(corpus):
        raise MiniBertError(
            f"{corpus.folder}: every document is a single sentence, so that none has a next one; "
            "train without next sentences, or say otherwise what a line is when making the corpus."
        )
    rng = random.Random(int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]))
    longest = max_length - SPECIAL_TOKENS_OF_A_PAIR
    places, labels = array("q"), array("b")
    for index in range(len(corpus)):
        short = rng.random() < short_probability
        target = _between(2, longest, rng) if short else longest
        _plan_document(corpus, index, target, longest, rng, places, labels)
    return PairPlan(
        np.frombuffer(places, dtype=np.int64).reshape(-1, 4), np.frombuffer(labels, dtype=np.int8)
    )


def _plan_document(
    corpus: Corpus,
    index: int,
    target: int,
    longest: int,
    rng: random.Random,
    places: "array[int]",
    labels: "array[int]",
) -> None:
    """Append the pairs of one document."""
    starts = _sentence_starts(corpus, index)  # one more than there are sentences: the end
    count = len(starts) - 1
    begin = position = 0  # gathered are the sentences from `begin` to `position`, both included
    while position < count:
        end = position + 1
        if end == count or starts[end] - starts[begin] >= target:
            middle = _between(begin + 1, position, rng) if position > begin else end
            first = starts[begin], starts[middle]
            if middle == end or rng.random() < 0.5:
                labels.append(IS_RANDOM)
                second = _elsewhere(corpus, index, target - (first[1] - first[0]), rng)
                end = middle  # put back what was not used
            else:
                labels.append(IS_NEXT)
                second = starts[middle], starts[end]
            places.extend(_truncated(*first, *second, longest, rng))
            begin = end
        position = end


def _elsewhere(corpus: Corpus, index: int, wanted: int, rng: random.Random) -> tuple[int, int]:
    """A run of about `wanted` tokens that begins at a random sentence of another document."""
    other = _between(0, len(corpus) - 2, rng)
    other += other >= index  # all but `index`, each with the same chance
    document = corpus.chosen[other]
    begin, end = int(corpus.documents[document]), int(corpus.documents[document + 1])
    begin = _between(begin, end - 1, rng)
    start = int(corpus.sentences[begin])
    stop = start
    while stop == start or (begin < end and stop - start < wanted):
        begin += 1
        stop = int(corpus.sentences[begin])
    return start, stop


def _truncated(
    first_start: int,
    first_end: int,
    second_start: int,
    second_end: int,
    longest: int,
    rng: random.Random,
) -> tuple[int, int, int, int]:
    """Shorten the longer one until both fit; each token goes from the front or from the end."""
    first, second = first_end - first_start, second_end - second_start
    excess = first + second - longest
    if excess > 0:
        # One by one from the longer one: the difference goes first, then both lose in turn, and
        # of equal ones Google's code shortens B.
        from_first = min(excess, max(0, first - second))
        from_second = min(excess, max(0, second - first))
        rest = excess - from_first - from_second
        from_first, from_second = from_first + rest // 2, from_second + (rest + 1) // 2
        front = _heads(from_first, rng)
        first_start, first_end = first_start + front, first_end - (from_first - front)
        front = _heads(from_second, rng)
        second_start, second_end = second_start + front, second_end - (from_second - front)
    return first_start, first_end, second_start, second_end


def _heads(tosses: int, rng: random.Random) -> int:
    """How many of so many tosses of a coin show heads."""
    return rng.getrandbits(tosses).bit_count() if tosses else 0


def _between(lowest: int, highest: int, rng: random.Random) -> int:
    """A whole number, both ends included; `randint` does the same and takes five times as long."""
    return lowest + int(rng.random() * (highest - lowest + 1))


def _sentence_starts(corpus: Corpus, index: int) -> list[int]:
    document = corpus.chosen[index]
    begin, end = corpus.documents[document], corpus.documents[document + 1]
    starts: list[int] = corpus.sentences[begin : end + 1].tolist()
    return starts
