"""What you can rely on: over all of Unicode the two backends differ only for the reasons listed.

The Python backend is Google's code; the Rust backend is the `tokenizers` library, as `transformers`
uses it. Every character that Unicode has assigned is tried inside a word, uncased and cased, and
every eighth of the 830,000 others.
"""

import time
import unicodedata
from collections.abc import Callable

import pytest

from minibert import BertTokenizer
from minibert.tokenization.fast_encoder import FastNormalizer
from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.rust_encoder import RustEncoder
from minibert.tokenization.wordpiece import WordPiece

# first, last, why the backends differ
LISTED = (
    (0xE000, 0xF8FF, "private use: the library drops it, Google's code keeps it"),
    (0xF0000, 0xFFFFD, "private use, plane 15: the same"),
    (0x100000, 0x10FFFD, "private use, plane 16: the same"),
    (0x2B820, 0x2B91F, "Chinese to Google; a typo in the library's range (0x2B920 for 0x2B820)"),
)
LISTED_COUNT = 6400 + 2 * 65534 + 256
# The library's tables of marks, punctuation and formats are those of Unicode 8, its lower case is
# that of its compiler, and Python's are those of its release. So they differ on characters that are
# young, or were changed since. With Unicode 14 (Python 3.11) these are 559; a thousand
# young ones are a matter of versions, many more would be a fault of ours.
MOST_SKEWED = 2000


def is_skewed(character: str) -> bool:
    """Whether Python knows nothing of a character, or other things than Unicode 3.2 did."""
    old = unicodedata.ucd_3_2_0
    return (
        unicodedata.category(character) == "Cn"
        or unicodedata.category(character) != old.category(character)
        or unicodedata.decomposition(character) != old.decomposition(character)
    )


@pytest.mark.parametrize("cased", [False, True], ids=["uncased", "cased"])
def test_the_backends_differ_only_where_there_is_a_known_reason(cased):
    differing = differing_characters(cased)
    listed = {chr(c) for first, last, _ in LISTED for c in range(first, last + 1)}
    assert len(listed) == LISTED_COUNT
    assert listed <= differing, "the library has changed: shorten the list"
    others = differing - listed
    assert [f"U+{ord(c):04X}" for c in others if not is_skewed(c)] == []
    assert len(others) < MOST_SKEWED


def test_the_rule_for_young_characters_explains_no_old_one():
    """Else the test above could not fail: old letters, marks and signs have no excuse."""
    assert not any(map(is_skewed, "aZé,。“—\u0301\u200d我한กאΑ\u093e\u0941\u0e34ßİ"))
    assert all(map(is_skewed, "\u2e43\u1c89\U00011c41"))


def test_a_capital_sigma_at_the_end_of_a_word_is_lowered_by_its_neighbours_in_python_only():
    """The one difference that depends on more than one character."""
    python, rust = normalizers(cased=False)
    assert python("ΟΔΟΣ") == ["οδος"]
    assert rust("ΟΔΟΣ") == ["οδοσ"]


def differing_characters(cased: bool) -> set[str]:
    both = normalizers(cased)
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    every = [c for c in every if unicodedata.category(c) != "Cn" or ord(c) % 8 == 0]
    assert len(every) > 350_000
    differing = set()
    for start in range(0, len(every), 2000):
        block = every[start : start + 2000]
        # "z" stands between the lines, whatever the characters do to their neighbours.
        text = " z ".join(f"x{character}y" for character in block)
        lines = [" ".join(split_words(text)).split(" z ") for split_words in both]
        differing |= {c for c, one, other in zip(block, *lines, strict=True) if one != other}
    return differing


def normalizers(cased: bool) -> tuple[Callable[[str], list[str]], Callable[[str], list[str]]]:
    """Text -> words, in both backends."""
    options = NormalizeOptions(lower_case=not cased, strip_accents=not cased)
    library = RustEncoder(WordPiece({"[UNK]": 0}), options)._tokenizer

    def rust(text: str) -> list[str]:
        normalized = library.normalizer.normalize_str(text)
        return [word for word, _ in library.pre_tokenizer.pre_tokenize_str(normalized)]

    return FastNormalizer(options).split_words, rust


RUNS = {
    "combining marks": "\u0301\u0316",
    "marks that decompose": "\u0344\u0316",
    "Tibetan vowel signs": "\u0f73\u0f80",
    "spacing marks": "\U0001d165\u302e",
    "Hangul jamo": "\u1100\u1161\u11a8",
    "Hangul syllables": "각",
    "letters with accents": "\u1e69\u0323",
    "capital sigmas": "Σ\u0301",
    "emoji sequences": "\U0001f468\u200d\U0001f469\ufe0f",
    "Thai vowels and tones": "\u0e38\u0e48",
    "Chinese with marks": "我\u0301\u0316",
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_the_time_of_every_kind_of_run_grows_with_its_length_and_ids_are_the_librarys(run):
    ours, library = (
        BertTokenizer.from_pretrained("weights/tiny", backend=backend)
        for backend in ("python", "rust")
    )
    seconds = []
    for length in (8_000, 64_000):  # a square would take 64 times as long
        text = ("a" + run * length)[:length]
        start = time.process_time()
        ids = ours.encode(text, truncation=True, max_length=length)
        seconds.append(time.process_time() - start)
        assert ids == library.encode(text, truncation=True, max_length=length)
    assert seconds[1] < 24 * seconds[0] + 0.1
