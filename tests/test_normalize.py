"""What you can rely on: a text is split into the words that Google's `BasicTokenizer` gives.

The small cases can be checked by eye. The last tests hold the readable functions, the fast path
and the path that knows offsets together, on every assigned character and on random mixes.
"""

import random
import re
import unicodedata

import pytest

from minibert.tokenization.fast_encoder import _FALSE_SPACE, _SPACE, PythonEncoder
from minibert.tokenization.normalize import (
    NormalizeOptions,
    clean,
    is_dropped,
    is_punctuation,
    is_space,
    space_chinese,
    split_punctuation,
    split_words,
    strip_accents,
)
from minibert.tokenization.offsets import placed_words
from minibert.tokenization.wordpiece import WordPiece

UNCASED = NormalizeOptions()
CASED = NormalizeOptions(lower_case=False, strip_accents=False)
OTHERS = [
    NormalizeOptions(lower_case=True, strip_accents=False),
    NormalizeOptions(lower_case=False, strip_accents=True),
    NormalizeOptions(space_chinese=False),
]
ALL = [UNCASED, CASED, *OTHERS]

# Everything that has ever surprised a tokenizer, to be mixed at random.
HOSTILE = [
    "the",
    "The",
    "don't",
    "e-mail",
    "U.S.",
    "$5",
    "a^b",
    "naïve",
    "café",
    "İstanbul",
    "ΟΔΟΣ",
    "Σ'",
    "straße",
    "ŒUVRE",
    "ﬁ",
    "½",
    "Å",
    "한국어",
    "我爱",
    "北京2024年",
    "日本語テスト",
    "豈",
    "，。",
    "สวัสดี",
    "😀👍🏽",
    "##ing",
    "[SEP]",
]
HOSTILE += [  # what cannot be seen, or not be told from its neighbours
    *("e\u0301", "\u0301", "a\u0316\u0301b", "\u302e\u302f", "\U0002f800", "\U0002b820"),
    *("x\x00y", "a\u200bb", "\ufffd", "\x0b", "a\x1cb", "\x85", "\u2028", "\u3000", "\xa0"),
    *("", "\t", "\r\n", "\ud800", "\ue000", "\U0010ffff", "\U0002b91f"),
]


def mixes(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        rng.choice(["", " ", "\n"]).join(rng.choices(HOSTILE, k=rng.randint(0, 12)))
        for _ in range(count)
    ]


def test_an_english_sentence_becomes_lower_case_words_and_marks():
    assert split_words("Don't PANIC, café!", UNCASED) == [
        "don",
        "'",
        "t",
        "panic",
        ",",
        "cafe",
        "!",
    ]


def test_a_cased_vocabulary_keeps_capitals_and_accents():
    assert split_words("Don't PANIC, café!", CASED) == ["Don", "'", "t", "PANIC", ",", "café", "!"]


def test_every_chinese_character_is_a_word_and_numbers_stay_whole():
    assert split_words("北京2024年", UNCASED) == ["北", "京", "2024", "年"]
    assert split_words("北京2024年", NormalizeOptions(space_chinese=False)) == ["北京2024年"]


def test_kana_and_hangul_are_not_cut_into_characters():
    assert split_words("テスト 한국", CASED) == ["テスト", "한국"]


def test_invisible_characters_vanish_and_do_not_cut_a_word():
    assert clean("a\x00b\u200bc\ufffdd\x0be\x1cf") == "abcdef"
    assert split_words("a\x1cb \x85 c", UNCASED) == ["ab", "c"]


def test_every_kind_of_space_cuts_a_word():
    assert split_words("a\tb\nc\rd\xa0e\u3000f\u2028g", UNCASED) == list("abcdefg")


def test_accents_go_whether_they_are_composed_or_not():
    assert strip_accents("é") == strip_accents("e\u0301") == "e"
    assert strip_accents("ñandú") == "nandu"


def test_each_step_can_be_seen_alone():
    assert space_chinese("a我b") == "a 我 b"
    assert split_punctuation("(a-b)") == ["(", "a", "-", "b", ")"]


def test_ascii_signs_count_as_punctuation_though_unicode_calls_some_of_them_symbols():
    assert [c for c in map(chr, range(128)) if is_punctuation(c)] == list(
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    )
    assert is_punctuation("，")
    assert not is_punctuation("€")


def test_a_final_capital_sigma_becomes_a_final_sigma():
    """Python's `lower` looks at the neighbours; a letter lowered alone would become σ."""
    assert split_words("ΟΔΟΣ", UNCASED) == ["οδος"]
    assert encoder(UNCASED).words("ΟΔΟΣ") == ["οδος"]
    assert placed(("ΟΔΟΣ"), UNCASED) == ["οδος"]


def test_offset_of_a_word_is_its_place_in_the_original_text():
    text = "\u200bCafé\x00s, e\u0301a"
    words = [text[w[0].place : w[-1].place + 1] for w in placed_words(text, UNCASED)]
    assert words == ["Café\x00s", ",", "e\u0301a"]


def test_the_space_pattern_of_the_fast_path_is_what_counts_as_space():
    every = list(map(chr, range(0x110000)))
    space = [c for c in every if is_space(c) or (c.isspace() and not is_dropped(c))]
    false_space = [c for c in every if c.isspace() and is_dropped(c)]
    assert re.findall(f"[{_SPACE}]", "".join(every)) == sorted(space)
    assert re.findall(f"[{_FALSE_SPACE}]", "".join(every)) == sorted(false_space)


@pytest.mark.parametrize("options", ALL, ids=str)
def test_the_fast_path_gives_the_words_of_the_readable_one_on_hostile_mixes(options):
    fast = encoder(options)
    for text in mixes(3000, seed=1):
        wanted = split_words(text, options)
        assert fast.words(text) == wanted, repr(text)
        assert [w for chunk in fast._chunks(text) for w in fast.words(chunk)] == wanted, repr(text)


@pytest.mark.parametrize("options", ALL, ids=str)
def test_the_path_with_offsets_gives_the_words_of_the_readable_one_on_hostile_mixes(options):
    for text in mixes(1500, seed=2):
        assert placed(text, options) == split_words(text, options), repr(text)


@pytest.mark.parametrize("options", [UNCASED, CASED], ids=["uncased", "cased"])
def test_all_three_paths_agree_on_every_assigned_character(options):
    fast = encoder(options)
    assigned = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Co")]
    for start in range(0, len(assigned), 500):
        text = "\n".join(f"x{c}y" for c in assigned[start : start + 500])
        wanted = split_words(text, options)
        assert fast.words(text) == wanted
        assert placed(text, options) == wanted


def encoder(options: NormalizeOptions) -> PythonEncoder:
    return PythonEncoder(WordPiece({"[UNK]": 0}), options)


def placed(text: str, options: NormalizeOptions) -> list[str]:
    return ["".join(c.character for c in word) for word in placed_words(text, options)]
