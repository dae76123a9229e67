"""Text -> words: the first half of BERT's tokenizer.

Five steps, each a function below, in the order of Google's `BasicTokenizer` (`tokenization.py`):

1. `clean`: characters that nobody sees go away, every kind of space becomes " ".
2. `space_chinese`: every Chinese character becomes a word of its own.
3. lower case.
4. `strip_accents`: "é" becomes "e".
5. `split_punctuation`: every punctuation mark becomes a word of its own.

Written to be read, one character at a time. `chunks.py` does the same work faster and is tested
to give the same words. Departure from Hugging Face's `BertNormalizer`: characters for private use
stay in the text here, as in Google's code (Hugging Face drops them), U+2B820 to U+2B91F are Chinese
(its range has a typo), a capital sigma at the end of a word becomes the final sigma, as Python's
`str.lower` has it, and Unicode's tables are those of your Python (its own are older).
"""

import unicodedata
from dataclasses import dataclass

# CJK Unified Ideographs, their extensions and their compatibility forms, as Google lists them.
# Japanese kana and Korean hangul are not here: their words are told apart by spaces or left to
# WordPiece.
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


@dataclass(frozen=True)
class NormalizeOptions:
    """What is done to a text before it is looked up.

    Attributes:
        lower_case: "The" becomes "the"; True for uncased vocabularies.
        strip_accents: "é" becomes "e"; Google's code does this exactly when it lowers the case.
        space_chinese: every Chinese character is a word; wrong for Japanese, right for all of
            BERT's models.
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
    words = []
    for word in text.split():
        cased = word.lower() if options.lower_case else word
        plain = strip_accents(cased) if options.strip_accents else cased
        words += split_punctuation(plain)
    return words


def clean(text: str) -> str:
    """Drop invisible characters and turn every kind of space into " "."""
    kept = []
    for character in text:
        if is_dropped(character):
            continue
        kept.append(" " if is_space(character) else character)
    return "".join(kept)


def space_chinese(text: str) -> str:
    """Put a space on both sides of every Chinese character."""
    return "".join(f" {character} " if is_chinese(character) else character for character in text)


def strip_accents(text: str) -> str:
    """Take letters and their marks apart (Unicode's NFD), then drop the marks."""
    parts = unicodedata.normalize("NFD", text)
    return "".join(character for character in parts if not is_mark(character))


def split_punctuation(word: str) -> list[str]:
    """Cut a word at its punctuation: "don't" becomes "don", "'", "t"."""
    spaced = [f" {character} " if is_punctuation(character) else character for character in word]
    return "".join(spaced).split()


def is_space(character: str) -> bool:
    """Tab, line ends (control characters to Unicode), and all that Unicode calls a space."""
    return character in " \t\n\r" or unicodedata.category(character) == "Zs"


def is_dropped(character: str) -> bool:
    """Control and format characters, and U+FFFD, the trace of a broken encoding."""
    if character in "\t\n\r":
        return False
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf")


def is_chinese(character: str) -> bool:
    """Whether the character lies in one of `CHINESE_RANGES`."""
    return any(first <= ord(character) <= last for first, last in CHINESE_RANGES)


def is_mark(character: str) -> bool:
    """Whether the character is drawn over or under the one before it, as an accent is."""
    return unicodedata.category(character) == "Mn"


def is_punctuation(character: str) -> bool:
    """Unicode's punctuation, and every ASCII sign that is no letter and no digit, as "$" is."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")
