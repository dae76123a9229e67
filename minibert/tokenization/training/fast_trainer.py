"""Raw text -> the same vocabulary, with the merging done by the `tokenizers` library.

The readable twin is `train_vocab.py`, and the two give the same list, piece for piece and in the
same order. Two things make that possible:

- The words are counted by minibert and given to the library, so that its own normalizer, which
  departs from `normalize.py`, has no say.
- The alphabet goes in as "special tokens", which keep their order. Left to itself the library
  numbers "##a", "##b", ... in the order of a hash table and breaks ties by these numbers: on 300 kB
  of English five runs gave five orders and four different sets of 3,000 pieces.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from minibert.tokenization.fast_encoder import PythonEncoder
from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.training.word_counts import (
    SPECIAL_TOKENS,
    check_sizes,
    count_words,
    first_pieces,
    learnable,
)
from minibert.tokenization.training.wordpiece_trainer import check_options
from minibert.tokenization.wordpiece import CONTINUES, WordPiece

_WORDS_AT_ONCE = 10_000


def train_vocabulary_fast(
    texts: Iterable[str],
    *,
    size: int = 8192,
    do_lower_case: bool = True,
    min_frequency: int = 2,
    alphabet_limit: int | None = None,
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    unused: int = 0,
) -> list[str]:
    """Train a vocabulary by frequency.

    Arguments, result and errors are those of `train_vocabulary`. Measured on 107 MB of
    English books and one core: 13 seconds for 30,522 pieces, where the twin needs 24.

    The library counts pairs in 32 bits. Where one pair of letters may come more than two thousand
    million times (some 50 GB of English), use the twin.

    Example:
        >>> train_vocabulary_fast(["low lower lowest"] * 2, size=22)[-3:]
        ['lo', 'low', 'lowe']
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    check_options(min_frequency=min_frequency, score="frequency")
    check_sizes(size=size, alphabet_limit=alphabet_limit, unused=unused)
    options = NormalizeOptions(lower_case=do_lower_case, strip_accents=do_lower_case)
    encoder = PythonEncoder(WordPiece({}), options)
    words = count_words(
        texts, do_lower_case=do_lower_case, split=lambda chunk, _: encoder.words(chunk)
    )
    pieces = first_pieces(
        words,
        size=size,
        alphabet_limit=alphabet_limit,
        special_tokens=special_tokens,
        unused=unused,
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=list(pieces),
        limit_alphabet=0,
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(_repeated(learnable(words, pieces)), trainer)
    vocabulary: dict[str, int] = tokenizer.get_vocab(with_added_tokens=False)
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _repeated(words: Mapping[str, int]) -> Iterator[str]:
    """Every word as often as it was seen: the library takes texts, not counts."""
    for word, count in words.items():
        for done in range(0, count, _WORDS_AT_ONCE):
            yield " ".join([word] * min(_WORDS_AT_ONCE, count - done))
