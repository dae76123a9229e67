"""What you can rely on: a text is split into the words that Google's `BasicTokenizer` gives.

The small cases can be checked by eye. The last tests hold the readable functions equal to their
fast twins and to the functions that know offsets, on every assigned character and on random mixes.
"""

import random
import re
import unicodedata

import pytest

from minibert.tokenization.fast_encoder import DROPPED_SPACES, SPACES, FastEncoder, FastNormalizer
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
from minibert.tokenization.offsets import split_words_with_offsets
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


def test_kana_and_hangul_are_not_split_into_characters():
    assert split_words("テスト 한국", CASED) == ["テスト", "한국"]


def test_invisible_characters_vanish_and_do_not_split_a_word():
    assert clean("a\x00b\u200bc\ufffdd\x0be\x1cf") == "abcdef"
    assert split_words("a\x1cb \x85 c", UNCASED) == ["ab", "c"]


def test_every_kind_of_space_splits_a_word():
    assert split_words("a\tb\nc\rd\xa0e\u3000f\u2028g", UNCASED) == list("abcdefg")


def test_accents_go_whether_they_are_composed_or_not():
    assert strip_accents("é") == strip_accents("e\u0301") == "e"
    assert strip_accents("ñandú") == "nandu"


def test_each_step_works_alone():
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
    assert FastNormalizer(UNCASED).split_words("ΟΔΟΣ") == ["οδος"]
    assert words_with_offsets("ΟΔΟΣ", UNCASED) == ["οδος"]


def test_offsets_of_a_word_point_into_the_original_text():
    text = "\u200bCafé\x00s, e\u0301a"
    words = [text[word[0][1] : word[-1][1] + 1] for word in split_words_with_offsets(text, UNCASED)]
    assert words == ["Café\x00s", ",", "e\u0301a"]


def test_the_patterns_of_the_fast_encoder_hold_what_counts_as_space():
    every = list(map(chr, range(0x110000)))
    space = [c for c in every if is_space(c) or (c.isspace() and not is_dropped(c))]
    false_space = [c for c in every if c.isspace() and is_dropped(c)]
    assert re.findall(f"[{SPACES}]", "".join(every)) == sorted(space)
    assert re.findall(f"[{DROPPED_SPACES}]", "".join(every)) == sorted(false_space)


@pytest.mark.parametrize("options", ALL, ids=str)
def test_the_fast_twin_gives_the_words_of_the_readable_one_on_hostile_mixes(options):
    fast = FastNormalizer(options)
    for text in mixes(3000, seed=1):
        assert fast.split_words(text) == split_words(text, options), repr(text)


@pytest.mark.parametrize("options", ALL, ids=str)
def test_the_fast_encoder_gives_the_ids_of_the_readable_twins_on_hostile_mixes(options):
    texts = mixes(3000, seed=3)
    words = [split_words(text, options) for text in texts]
    # With a token for each character, the ids tell every character and where words begin.
    characters = sorted({c for text in words for word in text for c in word})
    tokens = ["[UNK]", *characters, *(f"##{c}" for c in characters)]
    wordpiece = WordPiece({token: index for index, token in enumerate(tokens)})
    encoder = FastEncoder(wordpiece, options)
    for text, found, expected in zip(texts, encoder.batch_ids(texts), words, strict=True):
        ids = [wordpiece.vocabulary[t] for word in expected for t in wordpiece.split(word)]
        assert found == ids, repr(text)
        assert [token.id for token in encoder.tokens(text)] == ids, repr(text)


@pytest.mark.parametrize("options", ALL, ids=str)
def test_words_with_offsets_are_those_of_the_readable_function_on_hostile_mixes(options):
    for text in mixes(1500, seed=2):
        assert words_with_offsets(text, options) == split_words(text, options), repr(text)


@pytest.mark.parametrize("options", [UNCASED, CASED], ids=["uncased", "cased"])
def test_all_three_paths_agree_on_every_assigned_character(options):
    fast = FastNormalizer(options)
    assigned = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Co")]
    for start in range(0, len(assigned), 500):
        text = "\n".join(f"x{c}y" for c in assigned[start : start + 500])
        wanted = split_words(text, options)
        assert fast.split_words(text) == wanted
        if options == UNCASED:  # which goes through all the steps of CASED
            assert words_with_offsets(text, options) == wanted


def words_with_offsets(text: str, options: NormalizeOptions) -> list[str]:
    words = split_words_with_offsets(text, options)
    return ["".join(character for character, _ in word) for word in words]
