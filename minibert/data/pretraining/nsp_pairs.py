"""An epoch of pairs (A, B), planned over a corpus without touching a token.

The twin of `sentence_pairs.py` for training. In a corpus a run of sentences is one slice, so a pair
is four places and a label, and only the lengths of sentences are looked at. First every pair is a
true one: sentences are gathered until they fill a sequence, and a random number of them is A, the
rest B. Then a coin is tossed for each pair, and those that shall be random exchange their Bs, each
with a pair of another document whose B is as long. That is unlike Google's script on purpose:

- There a true B at the end of a document is shorter than a random one, and what is left over at the
  end is always A of a random pair. So the lengths alone tell the label better than chance does, and
  a model learns that first. After an exchange both labels have the same lengths.
- Each sentence is in one pair an epoch, and none is a random B more often than it is a true one.
- Documents of one sentence, which would only ever be in random pairs, make pairs without a label.
- A random B always comes from another document; Google's script tries ten times.
- The tokens that do not fit are cut off at once, and not one by one; the ends from which they are
  taken are drawn in the same way.
- Each epoch has pairs of its own; Google's script makes five sets and repeats them.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minibert.data.corpus.corpus import Array, Corpus
from minibert.errors import MiniBertError
from minibert.tokenization.padding import IGNORE_INDEX

# Google: `next_sentence_label = 1 if is_random_next else 0`.
IS_NEXT = 0
IS_RANDOM = 1

SPECIAL_TOKENS_OF_A_PAIR = 3  # [CLS] a [SEP] b [SEP]


@dataclass(frozen=True)
class PairPlan:
    """Which tokens make up which pair.

    Attributes:
        places: (pairs, 4) where in the corpus's tokens A begins and ends, and B begins and ends.
        labels: (pairs,) 0 if B follows A, 1 if B is from another document, -100 for no label.
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
    """Plan an epoch: each sentence is in one pair, as part of A or of B.

    What makes a pair longer than `max_length` is cut off. Pairs that find nobody to exchange with
    stay true. They are all of one document; so of many documents, half of the pairs are random.

    A document of one sentence has no next one. Such sentences are paired with each other, for the
    masked words alone (of an odd number one sits the epoch out).

    Args:
        corpus: at least two documents of two sentences.
        max_length: tokens of a finished sequence, [CLS] and both [SEP] included.
        seed: the same (seed, epoch) gives the same pairs on any machine.
        epoch: from 0.
        short_probability: how often the pairs of a document are shorter.

    Raises:
        MiniBertError: fewer than two documents have two sentences, or `max_length` has no room for
            a pair.
    """
    alone = np.diff(corpus.documents)[corpus.chosen] == 1
    if len(alone) - alone.sum() < 2:
        raise MiniBertError(
            f"{corpus.folder}: of the documents {corpus.part} too few have a second sentence "
            f"({len(alone) - alone.sum()} of {len(alone):,}; a random next one comes from another "
            "document, so it takes two); add text, hold out another share, say otherwise what a "
            "line is when making the corpus, or train without next sentences."
        )
    if max_length < SPECIAL_TOKENS_OF_A_PAIR + 2:
        raise MiniBertError(f"max_length is {max_length}; [CLS] a [SEP] b [SEP] takes at least 5.")
    random = np.random.Generator(np.random.PCG64([seed, epoch]))
    longest = max_length - SPECIAL_TOKENS_OF_A_PAIR
    places, document = _true_pairs(corpus, longest, short_probability, random)
    labels = np.full(len(places), IS_NEXT, dtype=np.int8)
    _exchange(places[:, 2:], labels, document, random)

    single = corpus.documents[corpus.chosen[alone]]
    single = random.permutation(corpus.sentences[np.stack([single, single + 1], axis=1)])
    first, second = single[: len(single) // 2 * 2].reshape(2, -1, 2)
    places = np.concatenate([places, np.concatenate([first, second], axis=1)])
    labels = np.append(labels, np.full(len(first), IGNORE_INDEX, dtype=np.int8))
    _truncate(places[:, :2], places[:, 2:], longest, random)
    return PairPlan(places, labels)


def _true_pairs(
    corpus: Corpus, longest: int, short_probability: float, random: np.random.Generator
) -> tuple[Array, Array]:
    """Runs of sentences, cut in two: their places (pairs, 4), and the document of each (pairs,)."""
    gathered = _gather(corpus, longest, short_probability, random)
    runs = np.fromiter(gathered, np.dtype((np.int64, 3)))  # without a Python list of them all
    document, begin, end = runs.T
    middle = random.integers(begin + 1, end)  # A and B have at least one sentence each
    places = corpus.sentences[np.stack([begin, middle, middle, end], axis=1)]
    return places, document.copy()


def _gather(
    corpus: Corpus, longest: int, short_probability: float, random: np.random.Generator
) -> Iterator[tuple[int, int, int]]:
    """Yield the runs of sentences that become pairs: document, first sentence, end.

    A run has `longest` tokens or more (fewer in a document whose pairs shall be short, or at the
    end of one) and at least two sentences. The last sentence of a document is never left alone.
    """
    for index in range(len(corpus)):
        document = corpus.chosen[index]
        begin, end = corpus.documents[document : document + 2].tolist()
        starts: list[int] = corpus.sentences[begin : end + 1].tolist()
        count = len(starts) - 1
        short = random.random() < short_probability
        target = int(random.integers(2, longest + 1)) if short else longest
        run = 0
        while run + 2 <= count:
            stop = min(count, bisect_left(starts, starts[run] + target, lo=run + 2))
            stop += stop == count - 1
            yield index, begin + run, begin + stop
            run = stop


def _exchange(second: Array, labels: Array, document: Array, random: np.random.Generator) -> None:
    """Make half of the pairs random, in place: each swaps its B with one of another document.

    Those whose Bs are equally long are neighbours when sorted, in an order of chance among them. A
    pair that meets a waiting one of another document swaps with it, else it waits, too; so all that
    wait are of one document.
    """
    candidates = random.permutation(np.flatnonzero(random.random(len(labels)) < 0.5))
    lengths = second[candidates, 1] - second[candidates, 0]
    waiting: list[int] = []
    for pair in candidates[np.argsort(lengths, kind="stable")]:
        if waiting and document[waiting[-1]] != document[pair]:
            swapped = [waiting.pop(), pair]
            second[swapped] = second[swapped[::-1]]
            labels[swapped] = IS_RANDOM
        else:
            waiting.append(pair)


def _truncate(first: Array, second: Array, longest: int, random: np.random.Generator) -> None:
    """Shorten the longer one until both fit; each token goes from the front or from the end.

    One by one: the difference goes first, then both lose in turn, and of equal ones Google's code
    shortens B.
    """
    length_of_first, length_of_second = first[:, 1] - first[:, 0], second[:, 1] - second[:, 0]
    excess = np.maximum(length_of_first + length_of_second - longest, 0)
    difference = np.clip(length_of_first - length_of_second, -excess, excess)
    from_first = (excess + difference) // 2
    for run, tokens in ((first, from_first), (second, excess - from_first)):
        front = random.binomial(tokens, 0.5)
        run[:, 0] += front
        run[:, 1] -= tokens - front
