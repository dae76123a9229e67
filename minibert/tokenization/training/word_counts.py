"""Raw text -> counted words and the alphabet: all that the trainers of a vocabulary ever see.

The words are those that the tokenizer will look up (`normalize.py`), so Chinese characters and
punctuation arrive as words of one character and are never merged.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from minibert.errors import MiniBertError
from minibert.tokenization.normalize import (
    NormalizeOptions,
    is_chinese,
    is_punctuation,
    split_words,
)
from minibert.tokenization.wordpiece import CONTINUES

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

MOST_PIECES = 2**24  # as many as `BertConfig` takes
# The tokenizer makes [UNK] of longer words, so nothing can be learned from them.
LONGEST_WORD = 200
# BERT ends a word at each of these; about other kinds of space its rules and Python's differ.
_CHUNK = re.compile(r"[^ \t\n\r]+")
# A chunk of Chinese is a whole sentence that never comes again, so they must not all be kept.
_CHUNKS_HELD = 500_000

Split = Callable[[str, NormalizeOptions], list[str]]


def count_words(
    texts: Iterable[str], *, do_lower_case: bool = True, split: Split = split_words
) -> Counter[str]:
    """Count the words of the texts as the tokenizer will see them.

    Args:
        texts: lines, documents or whole books; read once.
        do_lower_case: as in `BertTokenizer`: lower case, and no accents.
        split: text -> words; `train_vocab_fast.py` has a faster one.

    Raises:
        MiniBertError: an item is no text.

    Example:
        >>> count_words(["The cat, the dog: 猫狗猫"]).most_common(2)
        [('the', 2), ('猫', 2)]
    """
    if isinstance(texts, str):
        raise MiniBertError("texts is one str; give a list of texts, or [text] if it is only one.")
    options = NormalizeOptions(lower_case=do_lower_case, strip_accents=do_lower_case)
    words: Counter[str] = Counter()
    # Splitting is slow, and what stands between two spaces comes again and again: count that first.
    chunks: Counter[str] = Counter()

    def move_chunks_to_words() -> None:
        for chunk, count in chunks.items():
            for word in split(chunk, options):
                words[word] += count
        chunks.clear()

    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise MiniBertError(
                f"item {index} of texts is no str but {type(text).__name__}; clean the data first."
            )
        for line in text.split("\n"):
            chunks.update(_CHUNK.findall(line))
            if len(chunks) > _CHUNKS_HELD:
                move_chunks_to_words()
    move_chunks_to_words()
    return words


def spell(word: str) -> list[str]:
    """Spell a word in pieces of one character: "cat" is c ##a ##t."""
    return [word[0], *(CONTINUES + character for character in word[1:])]


def learnable(words: Mapping[str, int], pieces: Iterable[str]) -> dict[str, int]:
    """The words that the pieces can spell; the tokenizer makes [UNK] of all others."""
    known = set(pieces)
    return {
        word: count
        for word, count in words.items()
        if len(word) <= LONGEST_WORD and known.issuperset(spell(word))
    }


def first_pieces(
    words: Mapping[str, int],
    *,
    size: int,
    alphabet_limit: int | None = None,
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    unused: int = 0,
) -> list[str]:
    """The pieces that are there before the first merge: special tokens, unused ones, the alphabet.

    Every character of the alphabet is a piece, "x". One that can stand inside a word, which Chinese
    characters and punctuation never do, is also "##x", seen there or not. So nothing written
    in this alphabet is ever [UNK], not even a word with a known letter in a new place.

    Raises:
        MiniBertError: there are no words, a number is impossible, `size` is too small for these
            pieces, or a special token is there twice or is no single word.

    Example:
        >>> first_pieces({"on": 2, "no": 1, "!": 1}, size=100, special_tokens=["[UNK]"], unused=1)
        ['[UNK]', '[unused0]', '!', 'n', 'o', '##n', '##o']
    """
    if not words:
        raise MiniBertError("there is not one word in these texts; give a corpus with text in it.")
    check_sizes(size=size, alphabet_limit=alphabet_limit, unused=unused)
    reserved = [*special_tokens, *(f"[unused{index}]" for index in range(unused))]
    for token, count in Counter(reserved).items():
        if token.split() != [token] or count > 1:
            raise MiniBertError(
                f"the special token {token!r} is there twice or is not one word; choose another."
            )
    alphabet = _alphabet(words, alphabet_limit)
    inside = [c for c in alphabet if not is_chinese(c) and not is_punctuation(c)]
    pieces = list(dict.fromkeys([*reserved, *alphabet, *(CONTINUES + c for c in inside)]))
    if len(pieces) > size:
        raise MiniBertError(
            f"size={size} is too small: {len(reserved)} special or unused tokens and "
            f"{len(alphabet)} characters make {len(pieces)} pieces before the first merge; "
            f"give a greater size, or an alphabet_limit far below {len(alphabet)}."
        )
    return pieces


def check_sizes(*, size: int, alphabet_limit: int | None, unused: int) -> None:
    """Refuse impossible numbers of pieces before a large corpus is counted."""
    limit = 1 if alphabet_limit is None else alphabet_limit
    ranges = {
        "size": (size, 1, MOST_PIECES),
        "alphabet_limit": (limit, 1, MOST_PIECES),
        "unused": (unused, 0, size),
    }
    for name, (value, least, most) in ranges.items():
        if not least <= value <= most:
            raise MiniBertError(f"{name} is {value}; give {least} to {most:,}.")


def _alphabet(words: Mapping[str, int], limit: int | None) -> list[str]:
    """The most frequent characters (of equal ones the smaller code point), sorted by code point."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            # Half a pair of UTF-16 code units: a Python string may hold it, a UTF-8 file cannot.
            if not "\ud800" <= character <= "\udfff":
                counts[character] += count
    by_count = sorted(counts, key=lambda character: (-counts[character], character))
    return sorted(by_count[:limit])
