"""Split a text into words: clean, lower-case, strip accents, split at punctuation.

The first half of BERT's tokenizer, in the steps of Google's `BasicTokenizer` (`tokenization.py`).
By default its fast twin runs, `FastNormalizer` in `fast_encoder.py`; tests hold the two equal.

Departures from Hugging Face's `BertNormalizer`; the first two follow Google's code:

- Private-use characters stay in the text.
- U+2B820 to U+2B91F are Chinese (Hugging Face's range has a typo).
- A capital sigma at the end of a word becomes a final sigma, as in Python's `str.lower`.
- The Unicode tables are those of the running Python, which are newer.
"""

import unicodedata
from dataclasses import dataclass

# CJK Unified Ideographs, their extensions and their compatibility forms, as in Google's code.
# Japanese kana and Korean hangul are not included: they are split at spaces like Latin script.
CHINESE_RANGES = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
CHINESE = "".join(f"{chr(first)}-{chr(last)}" for first, last in CHINESE_RANGES)  # for patterns


@dataclass(frozen=True)
class NormalizeOptions:
    """What to change in a text before its words are looked up.

    Attributes:
        lower_case: "The" becomes "the". True for uncased vocabularies.
        strip_accents: "é" becomes "e". Google's code does this whenever it lower-cases.
        space_chinese: make every Chinese character a word. All of Google's BERT models need it.
    """

    lower_case: bool = True
    strip_accents: bool = True
    space_chinese: bool = True


def split_words(text: str, options: NormalizeOptions) -> list[str]:
    """Split a text into words and punctuation marks.

    Example:
        >>> split_words("Élan, 我爱BERT!", NormalizeOptions())
        ['elan', ',', '我', '爱', 'bert', '!']
    """
    text = clean(text)
    if options.space_chinese:
        text = space_chinese(text)
    if options.lower_case:
        text = text.lower()
    if options.strip_accents:
        text = strip_accents(text)
    return split_punctuation(text)


def clean(text: str) -> str:
    """Drop invisible characters and replace every kind of space by " "."""
    kept = [character for character in text if not is_dropped(character)]
    return "".join(" " if is_space(character) else character for character in kept)


def space_chinese(text: str) -> str:
    """Put a space on both sides of every Chinese character."""
    return "".join(f" {character} " if is_chinese(character) else character for character in text)


def strip_accents(text: str) -> str:
    """Decompose letters with accents (Unicode NFD) and drop the accents."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(character for character in decomposed if not is_accent(character))


def split_punctuation(text: str) -> list[str]:
    """Split a text at spaces and punctuation: "don't go" becomes "don", "'", "t", "go"."""
    spaced = [f" {character} " if is_punctuation(character) else character for character in text]
    return "".join(spaced).split()


def is_space(character: str) -> bool:
    """Return whether a character is a tab, a line end or in Unicode's category of spaces."""
    return character in " \t\n\r" or unicodedata.category(character) == "Zs"


def is_dropped(character: str) -> bool:
    """Return whether a character is a control or format character, or U+FFFD."""
    invisible = character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf")
    return invisible and character not in "\t\n\r"


def is_chinese(character: str) -> bool:
    """Return whether a character lies in one of `CHINESE_RANGES`."""
    return any(first <= ord(character) <= last for first, last in CHINESE_RANGES)


def is_accent(character: str) -> bool:
    """Return whether a character is a nonspacing mark, such as the accent of a decomposed "é"."""
    return unicodedata.category(character) == "Mn"


def is_punctuation(character: str) -> bool:
    """Return whether a character is Unicode punctuation or an ASCII symbol such as "$"."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")
