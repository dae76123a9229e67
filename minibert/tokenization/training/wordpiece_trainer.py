"""Learn a WordPiece vocabulary: merge the best pair of tokens, again and again.

By default the fast twin runs, `fast_trainer.py`; tests hold the two equal.

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

Left out: sampling from a corpus that is too large to count.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from minibert.errors import MiniBertError
from minibert.tokenization.training.word_counts import (
    learnable_words,
    prepare_training,
    split_characters,
)
from minibert.tokenization.vocab import SPECIAL_TOKENS
from minibert.tokenization.wordpiece import SUBWORD_PREFIX

SCORES = ("frequency", "likelihood")

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


def train_vocabulary(
    texts: Iterable[str],
    *,
    size: int = 8192,
    do_lower_case: bool = True,
    min_frequency: int = 2,
    alphabet_limit: int | None = None,
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    unused: int = 0,
    score: str = "frequency",
) -> list[str]:
    """Return a vocabulary learned from texts; the index of a token is its id.

    The special tokens come first, then the unused ones, the alphabet (see `first_tokens`) and the
    merged tokens in the order in which they were found. So the first half of a vocabulary is the
    one that half the `size` would have given. It is shorter than `size` if no frequent pair is
    left.

    Args:
        texts: lines, documents or whole books; read once.
        size: the largest number of tokens, including all of the above.
        do_lower_case: lower-case the text and strip accents; `BertTokenizer` needs the same value.
        min_frequency: rarer pairs are not merged.
        alphabet_limit: the number of characters to keep, the most frequent ones; words with others
            become [UNK]. None keeps all. For text from the web: 1000, with Chinese 7000.
        special_tokens: the first tokens.
        unused: the number of tokens "[unused0]", "[unused1]", ... to reserve for later words.
        score: "frequency" or "likelihood", see above.

    Raises:
        MiniBertError: There is no text, `size` is too small for the alphabet, or an option is out
            of its range.

    Example:
        >>> train_vocabulary(["low lower lowest"] * 2, size=22)[-3:]
        ['lo', 'low', 'lowe']
    """
    if score not in SCORES:
        raise MiniBertError(f"score={score!r} is unknown; choose one of {', '.join(SCORES)}.")
    words, tokens = prepare_training(
        texts,
        size=size,
        do_lower_case=do_lower_case,
        min_frequency=min_frequency,
        alphabet_limit=alphabet_limit,
        special_tokens=special_tokens,
        unused=unused,
    )
    vocabulary = dict.fromkeys(tokens)
    for step in merge_steps(words, tokens, min_frequency=min_frequency, score=score):
        if len(vocabulary) >= size:
            break
        vocabulary[step.merged] = None  # already there if it is also a special token
    return list(vocabulary)


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
        >>> from minibert.tokenization.training.word_counts import first_tokens
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
