"""Learn a vocabulary by merging the best pair of tokens again and again, as in BPE.

This is the readable twin of `_merge_with_library` in `train_vocabulary.py`, which runs by default;
tests hold the two equal.

Every word begins as characters, t ##h ##e. Then the best pair of neighbors becomes one token, until
the vocabulary is full: t + ##h -> th, later th + ##e -> the. Frequent words end as one token, rare
ones as several. The best pair is the one with the highest score:

- "frequency": how often the pair occurs. This is byte pair encoding (Sennrich et al. 2016) with
  "##" before what continues a word, and what `WordPieceTrainer` of the `tokenizers` library does.
- "likelihood": count(ab) / (count(a) * count(b)), the usual reading of the paper on WordPiece
  (Schuster & Nakajima 2012, section 3.1: take the unit that raises the likelihood of the training
  data the most). It rates how surprising a pair is, not how often it occurs, so rare letters that
  only occur together come before th. It is here for comparison: a vocabulary of 8192 tokens from
  5 MB of books splits a word of other books into 2.41 tokens, one by frequency into 1.11.

Google published the vocabularies of BERT, but not the program that made them. Of two pairs with
equal scores, the one whose left token is older (has the smaller id) is merged first, then the one
whose right token is. So a vocabulary depends only on the counts of the words, not on the order of
the texts.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from minibert.tokenization.wordpiece import SUBWORD_PREFIX

MAX_WORD_LENGTH = 200  # the tokenizer makes [UNK] of longer words
TokenPair = tuple[str, str]


@dataclass(frozen=True)
class MergeStep:
    """One merge: `left` and `right`, which occur `count` times side by side, become `merged`.

    Example:
        >>> print(MergeStep("t", "##h", "th", count=1234, score=1234))
        t + ##h -> th (count 1234)
    """

    left: str
    right: str
    merged: str
    count: int
    score: float

    def __str__(self) -> str:
        score = "" if self.score == self.count else f", score {self.score:.3g}"
        return f"{self.left} + {self.right} -> {self.merged} (count {self.count}{score})"


def merge_steps(
    words: Mapping[str, int],
    tokens: Sequence[str],
    *,
    min_frequency: int = 2,
    score: str = "frequency",
) -> Iterator[MergeStep]:
    """Yield merge after merge, the best first, until no pair is frequent enough.

    Args:
        words: word -> count; words that `tokens` cannot spell are left out.
        tokens: the tokens to begin with, in the order of their ids; see `first_tokens`.
        min_frequency: rarer pairs are not merged.
        score: "frequency" or "likelihood".

    Example:
        >>> from minibert.tokenization.training.train_vocabulary import first_tokens
        >>> words = {"the": 3, "then": 3, "that": 3}
        >>> for step in merge_steps(words, first_tokens(words, size=100)):
        ...     print(step)
        t + ##h -> th (count 9)
        th + ##e -> the (count 6)
        ##a + ##t -> ##at (count 3)
        th + ##at -> that (count 3)
        the + ##n -> then (count 3)
    """
    table = _PairTable(learnable_words(words, tokens))
    age = {token: index for index, token in enumerate(tokens)}

    def rated(pair: TokenPair) -> tuple[float, int, int, TokenPair]:
        """Return a pair as the heap sorts it: the best score first, then the oldest tokens."""
        rating: float = table.pair_counts[pair]
        if score == "likelihood":
            rating /= table.token_counts[pair[0]] * table.token_counts[pair[1]]
        return -rating, age[pair[0]], age[pair[1]], pair

    heap = [rated(pair) for pair, count in table.pair_counts.items() if count >= min_frequency]
    heapq.heapify(heap)
    while heap:
        best = heapq.heappop(heap)
        pair = best[-1]
        count = table.pair_counts[pair]
        # The heap holds every score that a pair ever had; only the current one counts.
        if count < min_frequency or best != rated(pair):
            continue
        left, right = pair
        merged = left + right.removeprefix(SUBWORD_PREFIX)
        age.setdefault(merged, len(age))
        changed = table.merge(pair, merged)
        yield MergeStep(left, right, merged, count, -best[0])
        if score == "likelihood":
            # `left` and `right` have become rarer, so all their other pairs have a higher score.
            changed.update(p for p in table.pair_counts if not {left, right}.isdisjoint(p))
        for neighbor in changed:
            if table.pair_counts[neighbor] >= min_frequency:
                heapq.heappush(heap, rated(neighbor))


class _PairTable:
    """The words, split into tokens, and the counts of tokens and pairs after each merge.

    A merge changes few words, and `where` knows which. Counting all words again after each merge
    gives the same, as the tests show, but takes far longer.
    """

    def __init__(self, words: Mapping[str, int]) -> None:
        self.words = words
        self.split = {word: split_characters(word) for word in words}
        self.token_counts: Counter[str] = Counter()
        self.pair_counts: Counter[TokenPair] = Counter()
        self.where: defaultdict[TokenPair, set[str]] = defaultdict(set)
        for word, count in words.items():
            self._count(word, count)

    def merge(self, pair: TokenPair, merged: str) -> set[TokenPair]:
        """Merge a pair in every word, and return the pairs whose counts have changed."""
        changed: set[TokenPair] = set()
        for word in self.where[pair].copy():
            before = self.split[word]
            self._count(word, -self.words[word])
            self.split[word] = after = merge_pair(before, pair, merged)
            self._count(word, self.words[word])
            changed.update(pairwise(before), pairwise(after))
        return changed

    def _count(self, word: str, count: int) -> None:
        """Add a word to the counts `count` times; a negative `count` removes it."""
        for token in self.split[word]:
            self.token_counts[token] += count
        for pair in pairwise(self.split[word]):
            self.pair_counts[pair] += count
            if count > 0:
                self.where[pair].add(word)
            else:
                self.where[pair].discard(word)


def merge_pair(tokens: Sequence[str], pair: TokenPair, merged: str) -> list[str]:
    """Replace `pair` by `merged` wherever it occurs, from left to right.

    Example:
        >>> merge_pair(["b", "##a", "##n", "##a", "##n"], ("##a", "##n"), "##an")
        ['b', '##an', '##an']
    """
    result = []
    index = 0
    while index < len(tokens):
        if tuple(tokens[index : index + 2]) == pair:
            result.append(merged)
            index += 2
        else:
            result.append(tokens[index])
            index += 1
    return result


def split_characters(word: str) -> list[str]:
    """Return the characters of a word as tokens: "cat" is c ##a ##t."""
    return [word[0], *(SUBWORD_PREFIX + character for character in word[1:])]


def learnable_words(words: Mapping[str, int], tokens: Iterable[str]) -> dict[str, int]:
    """Return the words that these tokens can spell; the tokenizer makes [UNK] of all others."""
    known = set(tokens)
    return {
        word: count
        for word, count in words.items()
        if len(word) <= MAX_WORD_LENGTH and known.issuperset(split_characters(word))
    }
