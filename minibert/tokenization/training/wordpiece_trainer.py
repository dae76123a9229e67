"""Raw text -> a WordPiece vocabulary: which pieces are worth an id?

Every word is spelled in characters, t ##h ##e. Then, again and again, the best pair of neighbours
becomes one piece, until the vocabulary is full: t + ##h -> th, later th + ##e -> the. What is
frequent ends as one piece, what is rare stays spelled. "The best pair" is one of

- "frequency": the pair that is seen most often. This is byte pair encoding (Sennrich et al. 2016)
  with "##" before what continues a word, and it is what `WordPieceTrainer` of the `tokenizers`
  library does, whatever its name says.
- "likelihood": the pair with the greatest count(ab) / (count(a) * count(b)), the usual reading of
  the paper on WordPiece (Schuster & Nakajima 2012, section 3.1: take the unit that raises the
  likelihood of the training data the most). The ratio asks how surprising a pair is, not how often
  it is there, so rare letters that only stand together win over th. It is here to be compared:
  8192 pieces from 5 MB of books cut a word of other books into 2.41 pieces, by frequency 1.11.

Google published the vocabularies of BERT, not the program that made them. Of two pairs with equal
scores the one whose left piece is older (has the smaller id) wins, then the one whose right piece
is. So a vocabulary depends on the counts of the words alone: not on the order of the texts, and not
on chance.

`train_vocab_words.py` makes counted words of texts; `train_vocab_fast.py` leaves the merging to the
`tokenizers` library. Merging works on the different words only, and 107 MB of English books have
88,000 of them: plain Python is done in 24 seconds, of which 13 went into counting.

Left out: sampling from a corpus that is too large to count.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from minibert.errors import MiniBertError
from minibert.files import write_atomic
from minibert.tokenization.training.word_counts import (
    SPECIAL_TOKENS,
    check_sizes,
    count_words,
    first_pieces,
    learnable,
    spell,
)
from minibert.tokenization.wordpiece import CONTINUES

SCORES = ("frequency", "likelihood")

Pair = tuple[str, str]


@dataclass(frozen=True)
class MergeStep:
    """One merge: `left` and `right`, seen `count` times side by side, become the piece `merged`.

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
    """Train a vocabulary; the place of a piece in the list is its id.

    First come the special tokens, then the unused ones, then the alphabet (see `first_pieces`),
    then the merged pieces in the order in which they were found: the first half of a vocabulary is
    the one that half the `size` would have given. It is shorter than `size` where no frequent pair
    is left.

    Args:
        texts: lines, documents or whole books; read once.
        size: how many pieces the vocabulary may have, all of the above included.
        do_lower_case: as in `BertTokenizer`, which must be told the same.
        min_frequency: a pair that is seen less often is not merged.
        alphabet_limit: keep only so many characters, the most frequent ones, and let words with
            another one be [UNK]; None keeps all. For text from the web: 1000, with Chinese 7000.
        special_tokens: the first pieces.
        unused: how many ids to keep free for words of your own, as "[unused0]", "[unused1]", ...
        score: "frequency" or "likelihood", see above.

    Raises:
        MiniBertError: there is no text, `size` does not even hold the alphabet, or an option is
            impossible.

    Example:
        >>> train_vocabulary(["low lower lowest"] * 2, size=22)[-3:]
        ['lo', 'low', 'lowe']
    """
    check_options(min_frequency=min_frequency, score=score)
    check_sizes(size=size, alphabet_limit=alphabet_limit, unused=unused)
    words = count_words(texts, do_lower_case=do_lower_case)
    pieces = first_pieces(
        words,
        size=size,
        alphabet_limit=alphabet_limit,
        special_tokens=special_tokens,
        unused=unused,
    )
    vocabulary = dict.fromkeys(pieces)
    for step in merge_steps(words, pieces, min_frequency=min_frequency, score=score):
        if len(vocabulary) >= size:
            break
        # A merge adds nothing when the caller made the same word a special token.
        vocabulary[step.merged] = None
    return list(vocabulary)


def merge_steps(
    words: Mapping[str, int],
    pieces: Sequence[str],
    *,
    min_frequency: int = 2,
    score: str = "frequency",
) -> Iterator[MergeStep]:
    """Find merge after merge, the best first, until no pair is left that is frequent enough.

    Args:
        words: how often each word is seen; those that `pieces` cannot spell are passed over.
        pieces: the pieces to begin with, in the order of their ids; see `first_pieces`.
        min_frequency: a pair that is seen less often is not merged.
        score: "frequency" or "likelihood".

    Raises:
        MiniBertError: an option is impossible.

    Example:
        >>> words = count_words(["the then that"] * 3)
        >>> for step in merge_steps(words, first_pieces(words, size=100)):
        ...     print(step)
        t + ##h -> th (count 9)
        th + ##e -> the (count 6)
        ##a + ##t -> ##at (count 3)
        th + ##at -> that (count 3)
        the + ##n -> then (count 3)
    """
    check_options(min_frequency=min_frequency, score=score)
    table = _PairTable(learnable(words, pieces))
    age = {piece: index for index, piece in enumerate(pieces)}

    def rated(pair: Pair) -> tuple[float, int, int, Pair]:
        """A pair as the heap sorts it: the best score comes first, then the oldest pieces."""
        return -table.score(pair, score), age[pair[0]], age[pair[1]], pair

    heap = [rated(pair) for pair, count in table.pair_counts.items() if count >= min_frequency]
    heapq.heapify(heap)
    while heap:
        best = heapq.heappop(heap)
        pair = best[-1]
        count = table.pair_counts[pair]
        # The heap holds every score that a pair ever had, and only the present one counts.
        if count < min_frequency or best != rated(pair):
            continue
        left, right = pair
        merged = left + right.removeprefix(CONTINUES)
        age.setdefault(merged, len(age))
        changed = table.merge(pair, merged)
        yield MergeStep(left, right, merged, count, -best[0])
        if score == "likelihood":
            # Fewer of `left` and `right` stand alone now, so all their other pairs score higher.
            changed |= table.pairs_with(left, right)
        for neighbours in changed:
            if table.pair_counts[neighbours] >= min_frequency:
                heapq.heappush(heap, rated(neighbours))


class _PairTable:
    """All different words, spelled in pieces, with the counts of pieces and pairs kept up to date.

    To count anew after each merge is just as right, and what the tests compare with. But a merge
    touches few words, and `where` knows which.
    """

    def __init__(self, words: Mapping[str, int]) -> None:
        self.piece_counts: Counter[str] = Counter()
        self.pair_counts: Counter[Pair] = Counter()
        self.where: defaultdict[Pair, set[str]] = defaultdict(set)
        self.words = words
        self.spelled = {word: spell(word) for word in words}
        for word, count in words.items():
            self._count(word, count)

    def score(self, pair: Pair, score: str) -> float:
        count = self.pair_counts[pair]
        if score == "frequency":
            return count
        return count / (self.piece_counts[pair[0]] * self.piece_counts[pair[1]])

    def merge(self, pair: Pair, merged: str) -> set[Pair]:
        """Merge the pair in every word; give the pairs whose counts have changed."""
        changed: set[Pair] = set()
        for word in self.where[pair].copy():
            before = self.spelled[word]
            self._count(word, -self.words[word])
            self.spelled[word] = after = merge_pair(before, pair, merged)
            self._count(word, self.words[word])
            changed.update(pairwise(before), pairwise(after))
        return changed

    def pairs_with(self, *pieces: str) -> set[Pair]:
        return {pair for pair in self.pair_counts if pair[0] in pieces or pair[1] in pieces}

    def _count(self, word: str, count: int) -> None:
        """Add a word's pieces and pairs to the counts; a negative `count` takes them out."""
        for piece in self.spelled[word]:
            self.piece_counts[piece] += count
        for pair in pairwise(self.spelled[word]):
            self.pair_counts[pair] += count
            if count > 0:
                self.where[pair].add(word)
            else:
                self.where[pair].discard(word)


def merge_pair(spelled: Sequence[str], pair: Pair, merged: str) -> list[str]:
    """Put `merged` wherever `pair` stands, from left to right.

    Example:
        >>> merge_pair(["b", "##a", "##n", "##a", "##n"], ("##a", "##n"), "##an")
        ['b', '##an', '##an']
    """
    result = []
    index = 0
    while index < len(spelled):
        if tuple(spelled[index : index + 2]) == pair:
            result.append(merged)
            index += 2
        else:
            result.append(spelled[index])
            index += 1
    return result


def write_vocabulary(path: str | Path, pieces: Sequence[str]) -> None:
    """Write a `vocab.txt`, whole or not at all: one piece a line, in the order of the ids."""
    write_atomic(Path(path), "".join(f"{piece}\n" for piece in pieces))


def check_options(*, min_frequency: int, score: str) -> None:
    """Refuse impossible options before a large corpus is counted."""
    if score not in SCORES:
        raise MiniBertError(f"score={score!r} is unknown; choose one of {', '.join(SCORES)}.")
    if not 1 <= min_frequency < 2**31:
        raise MiniBertError(f"min_frequency is {min_frequency}; give 1 to {2**31 - 1:,}.")
