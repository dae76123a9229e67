"""Next-sentence prediction: make the sentence pairs (A, B) of an epoch.

In half of the pairs B follows A (`IS_NEXT`); in the other half it is from another document
(`IS_RANDOM`). In a first step B always follows A: sentences are collected until they fill a
sequence; a random number of them become A and the rest B. Then half of the pairs swap their Bs.

`reference/google_pretraining.py` has Google's procedure and explains why this one differs.

Source: Devlin et al. 2018, section 3.1 and appendix A.2. Letters: N pairs.
"""

from array import array
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from minibert.data.corpus.corpus import Array, Corpus
from minibert.tokenization.padding import IGNORE_INDEX

IS_NEXT, IS_RANDOM = 0, 1  # as in Google's code
SPECIAL_TOKENS = 3  # [CLS] A [SEP] B [SEP]


@dataclass(frozen=True)
class SentencePairs:
    """The pairs of an epoch, as slices of the corpus's tokens."""

    bounds: Array  # (N, 4) start of A, end of A, start of B, end of B
    labels: Array  # (N,) IS_NEXT, IS_RANDOM, or -100 for pairs without a label

    @property
    def lengths(self) -> Array:
        """The number of tokens in each pair, special tokens included, (N,)."""
        return self.bounds @ [-1, 1, -1, 1] + SPECIAL_TOKENS

    def spans(self, rows: Array) -> tuple[Array, Array]:
        """Return A, B, A, B, ... of R pairs, (2 R, 2), and the row of each, (2 R,)."""
        return self.bounds[rows].reshape(-1, 2), np.arange(len(rows)).repeat(2)


def make_sentence_pairs(
    corpus: Corpus, *, max_length: int, seed: int, epoch: int, short_seq_prob: float = 0.1
) -> SentencePairs:
    """Return the pairs of an epoch. Each sentence is in one of them.

    A document of one sentence has no next sentence. Such sentences are paired with each other,
    without a label, for masked language modeling only. (If their number is odd, one is left out.)

    Args:
        corpus: at least two documents of two sentences or more.
        max_length: the number of tokens in a sequence, [CLS] and both [SEP] included.
        seed: the same (seed, epoch) gives the same pairs on any machine.
        epoch: from 0.
        short_seq_prob: the probability that the pairs of a document are shorter.
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    max_tokens = max_length - SPECIAL_TOKENS
    bounds = _true_pairs(corpus, max_tokens, short_seq_prob, rng)
    document = np.searchsorted(corpus.sentences[corpus.documents], bounds[:, 0], side="right")
    labels = np.full(len(bounds), IS_NEXT, dtype=np.int8)
    _swap_second(bounds[:, 2:], labels, document, rng)

    is_single = np.diff(corpus.documents)[corpus.chosen] == 1
    single = corpus.documents[corpus.chosen[is_single]]
    single = rng.permutation(corpus.sentences[np.stack([single, single + 1], axis=1)])
    half = len(single) // 2
    bounds = np.concatenate([bounds, np.hstack([single[:half], single[half : 2 * half]])])
    labels = np.append(labels, np.full(half, IGNORE_INDEX, dtype=np.int8))
    _truncate(bounds[:, :2], bounds[:, 2:], max_tokens, rng)
    return SentencePairs(bounds, labels)


def _true_pairs(
    corpus: Corpus, max_tokens: int, short_seq_prob: float, rng: np.random.Generator
) -> Array:
    """Return pairs in which B follows A, (N, 4).

    A and B together are consecutive sentences with `max_tokens` or more tokens, or fewer in a
    document with short pairs and at the end of a document. No last sentence is left over.
    """
    runs = array("q")  # start, end, start, end, ... of each run
    for document in corpus.chosen:
        first, last = corpus.documents[document : document + 2].tolist()
        starts = corpus.sentences[first : last + 1].tolist()
        is_short = rng.random() < short_seq_prob
        target = int(rng.integers(2, max_tokens + 1)) if is_short else max_tokens
        start, count = 0, last - first
        while start + 2 <= count:
            end = min(count, bisect_left(starts, starts[start] + target, lo=start + 2))
            end += end == count - 1
            runs.extend((first + start, first + end))
            start = end
    begin, end = np.asarray(runs).reshape(-1, 2).T
    middle = rng.integers(begin + 1, end)  # A and B have at least one sentence each
    bounds: Array = corpus.sentences[np.stack([begin, middle, middle, end], axis=1)]
    return bounds


def _swap_second(second: Array, labels: Array, document: Array, rng: np.random.Generator) -> None:
    """Make half of the pairs random, in place: each swaps its B with a pair of another document.

    Pairs are visited in order of the length of B, so Bs are about equally long for both labels. A
    pair swaps with a waiting pair of another document, or waits; without a swap it stays IS_NEXT.
    """
    candidates = rng.permutation(np.flatnonzero(rng.random(len(labels)) < 0.5))
    lengths = second[candidates, 1] - second[candidates, 0]
    waiting: list[int] = []
    for pair in candidates[np.argsort(lengths, kind="stable")]:
        if waiting and document[waiting[-1]] != document[pair]:
            swapped = [waiting.pop(), pair]
            second[swapped] = second[swapped[::-1]]
            labels[swapped] = IS_RANDOM
        else:
            waiting.append(pair)


def _truncate(first: Array, second: Array, max_tokens: int, rng: np.random.Generator) -> None:
    """Shorten the longer text of each pair, or B if both are equal, until they fit, in place.

    Each token is removed from the front or from the end, with equal probability.
    """
    length_a, length_b = first[:, 1] - first[:, 0], second[:, 1] - second[:, 0]
    excess = np.maximum(length_a + length_b - max_tokens, 0)
    difference = np.clip(length_a - length_b, -excess, excess)
    from_a = (excess + difference) // 2
    for text, removed in ((first, from_a), (second, excess - from_a)):
        from_front = rng.binomial(removed, 0.5)
        text[:, 0] += from_front
        text[:, 1] -= removed - from_front
