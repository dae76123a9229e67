"""What you can rely on: the tokenizer's whole interface, on a vocabulary for checking by hand.

Every test that reads a text runs with both backends, so they are interchangeable. Parity with
`transformers` and with Google's own output is in `test_tokenizer_parity.py`; tokenizers in folders
are in `test_serialization.py`.
"""

import json
import pickle
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from minibert.errors import MiniBertError
from minibert.tokenization.fast_encoder import CACHE_SIZE, Cache
from minibert.tokenization.tokenizer import BertTokenizer

TOKENS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] [ ] the dog ##s run ##ning , . ' don t cafe 我 爱 sep cls mask"
)
TOY = {token: index for index, token in enumerate(TOKENS.split())}
CLS, SEP, UNK, MASK = TOY["[CLS]"], TOY["[SEP]"], TOY["[UNK]"], TOY["[MASK]"]
THE, DOG, S, RUN, NING = (TOY[p] for p in ("the", "dog", "##s", "run", "##ning"))


@pytest.fixture(params=["python", "rust"])
def tokenizer(request) -> BertTokenizer:
    return BertTokenizer(TOY, backend=request.param)


def test_accents_go_with_capitals_unless_the_caller_says_otherwise():
    """huggingface/transformers #5490: fast tokenizers of cased models stripped accents, too."""
    words = [*TOKENS.split()[:5], "Schön", "schön", "Schon", "schon"]
    found = {
        (lower, strip): BertTokenizer(words, lower, strip_accents=strip).tokenize("Schön")
        for lower in (True, False)
        for strip in (None, True, False)
    }
    assert found == {
        (True, None): ["schon"],
        (True, True): ["schon"],
        (True, False): ["schön"],
        (False, None): ["Schön"],
        (False, True): ["Schon"],
        (False, False): ["Schön"],
    }


# One text, pairs, batches


def test_one_text_becomes_cls_text_sep(tokenizer):
    assert tokenizer("The dogs running") == {
        "input_ids": [CLS, THE, DOG, S, RUN, NING, SEP],
        "token_type_ids": [0] * 7,
        "attention_mask": [1] * 7,
    }


def test_a_second_text_has_token_type_one_with_its_sep(tokenizer):
    encoding = tokenizer("the dog", "run")
    assert encoding.input_ids == [CLS, THE, DOG, SEP, RUN, SEP]
    assert encoding.token_type_ids == [0, 0, 0, 0, 1, 1]


def test_a_batch_may_be_texts_with_texts_or_a_list_of_pairs(tokenizer):
    wanted = [[CLS, THE, SEP, DOG, SEP], [CLS, DOG, SEP, RUN, SEP]]
    assert tokenizer(["the", "dog"], ["dog", "run"]).input_ids == wanted
    assert tokenizer([("the", "dog"), ["dog", "run"]]).input_ids == wanted


def test_an_empty_text_gives_cls_sep_and_an_empty_list_an_empty_batch(tokenizer):
    assert tokenizer("").input_ids == [CLS, SEP]
    assert tokenizer(" \x00\u0301 ").input_ids == [CLS, SEP]
    assert tokenizer([""]).input_ids == [[CLS, SEP]]
    assert tokenizer([]) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}
    assert tokenizer([], padding=True, return_tensors="pt").input_ids.numel() == 0


def test_an_empty_second_text_counts_only_in_a_batch(tokenizer):
    assert tokenizer(["the"], [""]).input_ids == [[CLS, THE, SEP, SEP]]
    assert tokenizer("the", "").input_ids == [CLS, THE, SEP]


def test_special_tokens_can_be_left_out(tokenizer):
    encoding = tokenizer("the", "dog", add_special_tokens=False)
    assert (encoding.input_ids, encoding.token_type_ids) == ([THE, DOG], [0, 1])


def test_encode_returns_ids_and_tokenize_returns_tokens(tokenizer):
    assert tokenizer.encode("the", "dog") == [CLS, THE, SEP, DOG, SEP]
    assert tokenizer.tokenize("The dogs, UNSEEN") == ["the", "dog", "##s", ",", "[UNK]"]
    with pytest.raises(MiniBertError, match="tokenize takes one text, not list"):
        tokenizer.tokenize(["the"])


# Text that spells a special token


def test_text_with_a_special_token_gives_a_warning_unless_the_caller_has_decided(tokenizer):
    for call in (tokenizer, tokenizer.encode, tokenizer.tokenize):
        with pytest.warns(UserWarning, match=r"contains \[MASK\].*split_special_tokens=False"):
            call("the [MASK] dog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer(["the dog", "a cat"])
        for decided in (True, False):
            tokenizer("the [MASK] dog", split_special_tokens=decided)


def test_a_special_token_in_a_text_is_plain_text(tokenizer):
    with pytest.warns(UserWarning, match="read as plain text"):
        ids = tokenizer("the [SEP] dog[MASK]").input_ids
    assert SEP not in ids[:-1]
    assert MASK not in ids
    spelled = [TOY["["], TOY["sep"], TOY["]"]]
    assert ids[2:5] == spelled


def test_special_tokens_in_text_are_recognized_on_request(tokenizer):
    text = "the[MASK]s [SEP]dog"
    encoding = tokenizer(text, split_special_tokens=False, return_offsets_mapping=True)
    assert encoding.input_ids == [CLS, THE, MASK, UNK, SEP, DOG, SEP]
    assert [text[start:end] for start, end in encoding.offset_mapping[1:-1]] == [
        "the",
        "[MASK]",
        "s",
        "[SEP]",
        "dog",
    ]
    always = BertTokenizer(TOY, backend=tokenizer.backend, split_special_tokens=False)
    assert always(text).input_ids == encoding.input_ids


def test_tokenize_says_so_when_a_special_token_is_read_as_text(tokenizer):
    with pytest.warns(UserWarning, match=r"contains \[CLS\].*split_special_tokens=False"):
        tokenizer.tokenize("[CLS] the dog [SEP]")
    tokens = tokenizer.tokenize("[CLS] the dog [SEP]", split_special_tokens=False)
    assert tokens == ["[CLS]", "the", "dog", "[SEP]"]


# Padding


def test_padding_extends_rows_to_the_longest_one(tokenizer):
    encoding = tokenizer(["the", "the dogs"], padding=True)
    assert encoding.input_ids == [[CLS, THE, SEP, 0, 0], [CLS, THE, DOG, S, SEP]]
    assert encoding.attention_mask == [[1, 1, 1, 0, 0], [1] * 5]


def test_padding_has_a_side_a_length_and_a_multiple(tokenizer):
    left = tokenizer("the", padding="max_length", max_length=5, padding_side="left")
    assert left.input_ids == [0, 0, CLS, THE, SEP]
    assert left.attention_mask == [0, 0, 1, 1, 1]
    assert len(tokenizer("the", padding=True, pad_to_multiple_of=8).input_ids) == 8
    assert len(tokenizer("the", padding="max_length").input_ids) == 512


def test_pad_completes_earlier_encodings_and_leaves_labels_alone(tokenizer):
    rows = [{**tokenizer("the"), "labels": 1}, {**tokenizer("the dogs"), "labels": 0}]
    padded = tokenizer.pad(rows, return_tensors="pt")
    assert padded.input_ids.tolist() == [[CLS, THE, SEP, 0, 0], [CLS, THE, DOG, S, SEP]]
    assert padded.labels.tolist() == [1, 0]
    assert tokenizer.pad(tokenizer("the"), padding="max_length", max_length=4).input_ids[-1] == 0
    with pytest.raises(MiniBertError, match=r"without input_ids \(found: labels\)"):
        tokenizer.pad([{"labels": 1}])


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_tensors_keep_numbers_and_their_kind(tokenizer, kind):
    """A score is no whole number, and a regression on cut off scores would not even fail."""
    rows = [
        {**tokenizer("the"), "labels": 0.7, "ranks": [1, 2.5], "keep": True, "none": []},
        {**tokenizer("dog"), "labels": 2, "ranks": [3, 4], "keep": False, "none": []},
    ]
    padded = tokenizer.pad(rows, return_tensors=kind)
    found = {name: str(column.dtype).removeprefix("torch.") for name, column in padded.items()}
    assert found.pop("labels") == found.pop("ranks") == "float32"
    assert set(found.values()) == {"int64"}
    assert padded.labels.tolist() == pytest.approx([0.7, 2])
    assert padded.ranks.tolist() == [[1, 2.5], [3, 4]]
    assert padded.keep.tolist() == [1, 0]
    assert padded.none.shape == (2, 0)
    alone = tokenizer.pad({**tokenizer("the"), "labels": 0.5}, return_tensors=kind)
    assert (alone.labels.shape, float(alone.labels)) == ((), 0.5)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["good", "bad"], "'good'"),
        ([1, None], "None"),
        ([[1, 2], None], "None"),
        ([[1], ["a", "b"]], "'a'"),
        ([{"x": 1}, 2], "{'x': 1}"),
        ([1, 2**70], str(2**70)),
    ],
)
def test_a_column_without_numbers_is_refused_as_a_tensor(tokenizer, values, found):
    rows = [{**tokenizer("the"), "score": value} for value in values]
    message = f"the column score holds {found}, .* remove the column, or convert it"
    with pytest.raises(MiniBertError, match=message):
        tokenizer.pad(rows, return_tensors="pt")
    assert tokenizer.pad(rows).score == values


# Truncation


def test_truncation_keeps_the_special_tokens(tokenizer):
    assert tokenizer("the dogs running", truncation=True, max_length=4).input_ids == [
        CLS,
        THE,
        DOG,
        SEP,
    ]


def test_longest_first_shortens_the_longer_text_until_both_are_equal(tokenizer):
    long, short = "the " * 6, "dog " * 3
    ids = tokenizer(long, short, truncation="longest_first", max_length=10).input_ids
    assert ids == [CLS, *[THE] * 4, SEP, *[DOG] * 3, SEP]
    ids = tokenizer(long, short, truncation="longest_first", max_length=8).input_ids
    assert ids == [CLS, *[THE] * 3, SEP, *[DOG] * 2, SEP]


def test_only_first_and_only_second_truncate_that_text(tokenizer):
    ids = tokenizer("the the the", "dog", truncation="only_first", max_length=5).input_ids
    assert ids == [CLS, THE, SEP, DOG, SEP]
    with pytest.raises(MiniBertError, match="would have to remove 2 tokens of a text that has 1"):
        tokenizer("the the the", "dog", truncation="only_second", max_length=5)


def test_truncation_side_left_drops_the_beginning(tokenizer):
    tokenizer.truncation_side = "left"
    assert tokenizer("the dog run", max_length=3, truncation=True).input_ids == [CLS, RUN, SEP]


def test_max_length_alone_truncates_but_not_beside_padding(tokenizer):
    """As in Hugging Face: there, too, `padding` switches the silent cut off."""
    assert len(tokenizer("the dog run", max_length=4).input_ids) == 4
    assert len(tokenizer("the dog run", max_length=4, padding="max_length").input_ids) == 5


def test_overflowing_tokens_come_as_overlapping_rows(tokenizer):
    encoding = tokenizer(
        ["the dog run , .", "the"],
        truncation=True,
        max_length=5,
        stride=1,
        return_overflowing_tokens=True,
    )
    comma, stop = TOY[","], TOY["."]
    assert encoding.input_ids == [
        [CLS, THE, DOG, RUN, SEP],
        [CLS, RUN, comma, stop, SEP],
        [CLS, THE, SEP],
    ]
    assert encoding.overflow_to_sample_mapping == [0, 0, 1]


def test_a_row_longer_than_the_model_gives_a_warning_that_names_the_caller(tokenizer):
    with pytest.warns(
        UserWarning, match="602 tokens, but the model has only 512 positions"
    ) as found:
        tokenizer("the " * 600)
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(tokenizer("the " * 600, truncation=True).input_ids) == 512


# Offsets and words


def test_offsets_point_into_the_callers_text(tokenizer):
    text = "  CAFÉ\u200b, Cafe\u0301 我爱"
    encoding = tokenizer(text, return_offsets_mapping=True)
    found = [text[start:end] for start, end in encoding.offset_mapping]
    assert found == ["", "CAFÉ", ",", "Cafe", "我", "爱", ""]


def test_word_ids_number_the_words_of_each_text(tokenizer):
    encoding = tokenizer("The dogs, running", "dogs", padding="max_length", max_length=14)
    assert encoding.word_ids() == [None, 0, 1, 1, 2, 3, 3, None, 0, 0, None, *[None] * 3]
    assert encoding.sequence_ids() == [None, *[0] * 6, None, 1, 1, None, *[None] * 3]
    assert encoding.tokens()[:4] == ["[CLS]", "the", "dog", "##s"]
    assert encoding.char_to_token(5) == 2
    assert encoding.token_to_chars(3) == (7, 8)
    assert encoding.token_to_chars(0) is None
    assert encoding.word_to_tokens(1) == (2, 4)


def test_listed_words_keep_their_numbers_and_offsets_count_within_each(tokenizer):
    words = ["The", "dogs,", "\u200b", "running"]
    encoding = tokenizer(words, is_split_into_words=True, return_offsets_mapping=True)
    assert encoding.word_ids() == [None, 0, 1, 1, 1, 3, 3, None]
    assert encoding.offset_mapping[1:-1] == [(0, 3), (0, 3), (3, 4), (4, 5), (0, 3), (3, 7)]
    batch = tokenizer([["the"], ["dogs", "run"]], [["run"], ["the"]], is_split_into_words=True)
    assert batch.input_ids == [[CLS, THE, SEP, RUN, SEP], [CLS, DOG, S, RUN, SEP, THE, SEP]]
    assert batch.word_ids(1) == [None, 0, 0, 1, None, 0, None]


def test_the_special_tokens_mask_marks_what_the_tokenizer_added(tokenizer):
    encoding = tokenizer(
        ["the", "the dogs"], padding=True, return_special_tokens_mask=True, return_length=True
    )
    assert encoding.special_tokens_mask == [[1, 0, 1, 1, 1], [1, 0, 0, 0, 1]]
    assert encoding.length == [5, 5]


def test_columns_can_be_left_out(tokenizer):
    encoding = tokenizer("the", return_token_type_ids=False, return_attention_mask=False)
    assert list(encoding) == ["input_ids"]


# The result


def test_tensors_come_in_both_kinds(tokenizer):
    pt = tokenizer(["the", "the dogs"], padding=True, return_tensors="pt")
    assert pt.input_ids.dtype == torch.int64
    assert pt.input_ids.shape == (2, 5)
    assert pt.to("cpu") is pt
    one = tokenizer("the", return_tensors="np", return_offsets_mapping=True)
    assert isinstance(one.input_ids, np.ndarray)
    assert (one.input_ids.shape, one.offset_mapping.shape) == ((1, 3), (1, 3, 2))


def test_rows_of_different_lengths_are_refused_as_a_tensor(tokenizer):
    with pytest.raises(MiniBertError, match=r"different lengths.*padding=True"):
        tokenizer(["the", "the dogs"], return_tensors="pt")
    rows = [{**tokenizer("the"), "spans": [1, 2]}, {**tokenizer("dog"), "spans": [3]}]
    with pytest.raises(MiniBertError, match="the rows of spans have different lengths"):
        tokenizer.pad(rows, return_tensors="pt")


def test_a_pickled_encoding_keeps_its_columns_only(tokenizer):
    encoding = pickle.loads(pickle.dumps(tokenizer("the dogs")))
    assert encoding.input_ids == [CLS, THE, DOG, S, SEP]
    with pytest.raises(MiniBertError, match="it has no words and offsets"):
        encoding.word_ids()
    with pytest.raises(AttributeError, match="no 'labels', only input_ids"):
        _ = encoding.labels


def test_a_row_that_is_not_there_is_refused(tokenizer):
    with pytest.raises(
        MiniBertError, match="row 2 does not exist; this encoding has the rows 0 to 0"
    ):
        tokenizer("the").word_ids(2)


def test_a_pickled_tokenizer_gives_the_same_ids(tokenizer):
    tokenizer("fill the cache")
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy("The dogs").input_ids == tokenizer("The dogs").input_ids


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": None}, "None is not a text"),
        ({"text": float("nan")}, "float nan is not a text"),
        ({"text": ["the", None]}, "item 1 is NoneType None, not a text"),
        ({"text": ["the", float("nan")]}, "item 1 is float nan"),
        ({"text": ["the"], "text_pair": "dog"}, "list of 1, text_pair is str 'dog'"),
        ({"text": ["the"], "text_pair": ["dog", "run"]}, "list of 1, text_pair is 2"),
        ({"text": "the", "is_split_into_words": True}, "not a list of words"),
        ({"text": "the", "padding": "longst"}, "padding is 'longst'"),
        ({"text": "the", "truncation": "first"}, "truncation is 'first'"),
        ({"text": "the", "padding_side": "up"}, "padding_side is 'up'"),
        ({"text": "the", "return_tensors": "tf"}, "return_tensors is 'tf'"),
        ({"text": "the", "max_length": 1}, "a row has 2 special tokens"),
        ({"text": "the", "max_length": -1}, "max_length is -1; it must be at least 0"),
        ({"text": "the", "stride": -1}, "stride is -1; it must be at least 0"),
        (
            {"text": "the", "padding": True, "pad_to_multiple_of": 0},
            "pad_to_multiple_of is 0; it must be at least 1",
        ),
        (
            {
                "text": "the",
                "padding": True,
                "truncation": True,
                "max_length": 9,
                "pad_to_multiple_of": 8,
            },
            "not a multiple of pad_to_multiple_of 8",
        ),
        (
            {"text": "the " * 9, "max_length": 5, "stride": 3, "return_overflowing_tokens": True},
            "stride is 3, but a window has only 3",
        ),
    ],
)
def test_an_impossible_call_is_refused(tokenizer, arguments, message):
    with pytest.raises(MiniBertError, match=message):
        tokenizer(**arguments)


def test_an_unknown_backend_is_refused():
    with pytest.raises(MiniBertError, match="backend is 'c'"):
        BertTokenizer(TOY, backend="c")


def test_an_unknown_argument_is_refused(tokenizer):
    with pytest.raises(TypeError, match="return_tensor"):
        tokenizer("the", return_tensor="pt")


def test_threads_may_share_a_tokenizer():
    shared, alone = BertTokenizer(TOY), BertTokenizer(TOY)
    texts = [f"the dog{'s' * (n % 7)} run {'running ' * (n % 5)}" for n in range(400)]
    with ThreadPoolExecutor(8) as threads:
        assert [e.input_ids for e in threads.map(shared, texts)] == alone(texts).input_ids


# Hostile text


def test_lone_surrogates_are_unknown_words_with_offsets(tokenizer):
    text = "the \ud800 dog\udfff run"
    encoding = tokenizer(text, return_offsets_mapping=True)
    assert encoding.input_ids == [CLS, THE, UNK, UNK, RUN, SEP]
    assert encoding.offset_mapping[1:-1] == [(0, 3), (4, 5), (6, 10), (11, 14)]
    assert tokenizer(json.loads(r'"\ud800"')).input_ids == [CLS, UNK, SEP]


@pytest.mark.parametrize(
    "line", ["a", "我", "\u0301", ".", " ", "😀", "\ufdfa", "the ", "é", "\x00", "ก"]
)
def test_hundreds_of_thousands_of_characters_are_read(tokenizer, line):
    text = line * (200_000 // len(line))
    ids = tokenizer([text], truncation=True).input_ids[0]
    assert ids[0] == CLS
    assert len(ids) <= 512


@pytest.mark.parametrize("line", ["a", "我", "\u0301", ".", "😀", "the ", "é x", "e\u0316\u0301"])
@pytest.mark.parametrize("offsets", [False, True], ids=["ids", "offsets"])
def test_time_grows_with_the_length_of_a_text_and_not_faster(line, offsets):
    def run(count: int) -> float:
        tokenizer = BertTokenizer(TOY)  # with an empty cache
        text, times = line * (count // len(line)), []
        for _ in range(2):
            start = time.process_time()
            tokenizer(text, truncation=True, return_offsets_mapping=offsets)
            times.append(time.process_time() - start)
        return min(times)

    # 8 times the text; a square would be 64. A busy machine gets several chances.
    assert any(run(80_000) / run(10_000) < 24 for _ in range(5))


def test_the_cache_never_grows_beyond_its_size():
    cache = Cache[str, str](str.upper)
    for number in range(CACHE_SIZE + 5):
        assert cache[f"x{number}"] == f"X{number}"
    assert 0 < len(cache) <= CACHE_SIZE
    assert cache["long" * 100] == "LONG" * 100
    assert "long" * 100 not in cache
