"""What you can rely on: the tokenizer's whole interface, on a vocabulary for checking by hand.

Every test that reads a text runs with both backends, so they are interchangeable. Parity with
`transformers` and with Google's own output is in `test_tokenizer_parity.py`; tokenizers in folders
are in `test_saved_tokenizer.py`.
"""

import json
import pickle
import time
import warnings

import numpy as np
import pytest
import torch

from minibert.errors import MiniBertError
from minibert.tokenization.fast_encoder import CACHE_SIZE, Cache
from minibert.tokenization.tokenizer import BertTokenizer

PIECES = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] [ ] the dog ##s run ##ning , . ' don t cafe 我 爱 sep cls mask"
)
TOY = {piece: index for index, piece in enumerate(PIECES.split())}
CLS, SEP, UNK, MASK = TOY["[CLS]"], TOY["[SEP]"], TOY["[UNK]"], TOY["[MASK]"]
THE, DOG, S, RUN, NING = (TOY[p] for p in ("the", "dog", "##s", "run", "##ning"))


@pytest.fixture(params=["python", "rust"])
def tokenizer(request) -> BertTokenizer:
    return BertTokenizer(TOY, backend=request.param)


# One text, pairs, batches


def test_one_text_is_framed_by_cls_and_sep(tokenizer):
    assert tokenizer("The dogs running") == {
        "input_ids": [CLS, THE, DOG, S, RUN, NING, SEP],
        "token_type_ids": [0] * 7,
        "attention_mask": [1] * 7,
    }


def test_a_second_text_is_segment_one_with_its_sep(tokenizer):
    encoding = tokenizer("the dog", "run")
    assert encoding.input_ids == [CLS, THE, DOG, SEP, RUN, SEP]
    assert encoding.token_type_ids == [0, 0, 0, 0, 1, 1]


def test_a_batch_may_be_texts_with_texts_or_a_list_of_pairs(tokenizer):
    wanted = [[CLS, THE, SEP, DOG, SEP], [CLS, DOG, SEP, RUN, SEP]]
    assert tokenizer(["the", "dog"], ["dog", "run"]).input_ids == wanted
    assert tokenizer([("the", "dog"), ["dog", "run"]]).input_ids == wanted


def test_nothing_gives_the_empty_frame_and_an_empty_list_an_empty_batch(tokenizer):
    assert tokenizer("").input_ids == [CLS, SEP]
    assert tokenizer(" \x00\u0301 ").input_ids == [CLS, SEP]
    assert tokenizer([""]).input_ids == [[CLS, SEP]]
    assert tokenizer([]) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}
    assert tokenizer([], padding=True, return_tensors="pt").input_ids.numel() == 0


def test_an_empty_second_text_is_one_in_a_batch(tokenizer):
    assert tokenizer(["the"], [""]).input_ids == [[CLS, THE, SEP, SEP]]
    assert tokenizer("the", "").input_ids == [CLS, THE, SEP]


def test_special_tokens_can_be_left_out(tokenizer):
    encoding = tokenizer("the", "dog", add_special_tokens=False)
    assert (encoding.input_ids, encoding.token_type_ids) == ([THE, DOG], [0, 1])


def test_encode_gives_the_ids_and_tokenize_the_pieces(tokenizer):
    assert tokenizer.encode("the", "dog") == [CLS, THE, SEP, DOG, SEP]
    assert tokenizer.tokenize("The dogs, UNSEEN") == ["the", "dog", "##s", ",", "[UNK]"]
    with pytest.raises(MiniBertError, match="tokenize takes one text, not list"):
        tokenizer.tokenize(["the"])


# Text that spells a special token


def test_who_may_have_meant_a_special_token_is_warned_and_who_has_decided_is_not(tokenizer):
    for call in (tokenizer, tokenizer.encode, tokenizer.tokenize):
        with pytest.warns(UserWarning, match=r"contains \[MASK\].*split_special_tokens=False"):
            call("the [MASK] dog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer(["the dog", "a cat"])
        for decided in (True, False):
            tokenizer("the [MASK] dog", split_special_tokens=decided)


def test_text_that_spells_a_special_token_is_text(tokenizer):
    with pytest.warns(UserWarning, match="read as plain text"):
        ids = tokenizer("the [SEP] dog[MASK]").input_ids
    assert SEP not in ids[:-1]
    assert MASK not in ids
    spelled = [TOY["["], TOY["sep"], TOY["]"]]
    assert ids[2:5] == spelled


def test_special_tokens_in_text_are_recognised_when_asked_for(tokenizer):
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


def test_padding_fills_up_to_the_longest_row(tokenizer):
    encoding = tokenizer(["the", "the dogs"], padding=True)
    assert encoding.input_ids == [[CLS, THE, SEP, 0, 0], [CLS, THE, DOG, S, SEP]]
    assert encoding.attention_mask == [[1, 1, 1, 0, 0], [1] * 5]


def test_padding_goes_where_and_as_far_as_it_is_told(tokenizer):
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
    with pytest.raises(MiniBertError, match="no input_ids to pad, only labels"):
        tokenizer.pad([{"labels": 1}])


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_tensors_hold_the_numbers_that_were_given(tokenizer, kind):
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
def test_a_column_that_is_not_of_numbers_makes_no_tensor_but_a_sentence(tokenizer, values, found):
    rows = [{**tokenizer("the"), "score": value} for value in values]
    message = f"the column score holds {found}, .* remove the column, or turn it into numbers"
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


def test_longest_first_takes_from_the_longer_text_until_both_are_equal(tokenizer):
    long, short = "the " * 6, "dog " * 3
    ids = tokenizer(long, short, truncation="longest_first", max_length=10).input_ids
    assert ids == [CLS, *[THE] * 4, SEP, *[DOG] * 3, SEP]
    ids = tokenizer(long, short, truncation="longest_first", max_length=8).input_ids
    assert ids == [CLS, *[THE] * 3, SEP, *[DOG] * 2, SEP]


def test_only_first_and_only_second_cut_that_text(tokenizer):
    ids = tokenizer("the the the", "dog", truncation="only_first", max_length=5).input_ids
    assert ids == [CLS, THE, SEP, DOG, SEP]
    with pytest.raises(MiniBertError, match="would have to take 2 tokens from a sequence of 1"):
        tokenizer("the the the", "dog", truncation="only_second", max_length=5)


def test_a_tokenizer_may_cut_the_beginning(tokenizer):
    tokenizer.truncation_side = "left"
    assert tokenizer("the dog run", max_length=3, truncation=True).input_ids == [CLS, RUN, SEP]


def test_max_length_alone_cuts_but_not_beside_padding(tokenizer):
    """As in Hugging Face: there, too, `padding` switches the silent cut off."""
    assert len(tokenizer("the dog run", max_length=4).input_ids) == 4
    assert len(tokenizer("the dog run", max_length=4, padding="max_length").input_ids) == 5


def test_what_was_cut_off_comes_back_in_overlapping_rows(tokenizer):
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


def test_a_row_beyond_the_models_positions_gives_a_warning_that_names_the_caller(tokenizer):
    with pytest.warns(
        UserWarning, match="602 tokens, but the model has only 512 positions"
    ) as found:
        tokenizer("the " * 600)
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(tokenizer("the " * 600, truncation=True).input_ids) == 512


# Places and words


def test_offsets_point_into_the_callers_own_text(tokenizer):
    text = "  CAFÉ\u200b, Cafe\u0301 我爱"
    encoding = tokenizer(text, return_offsets_mapping=True)
    places = [text[start:end] for start, end in encoding.offset_mapping]
    assert places == ["", "CAFÉ", ",", "Cafe", "我", "爱", ""]


def test_word_ids_join_the_pieces_of_a_word(tokenizer):
    encoding = tokenizer("The dogs, running", "dogs", padding="max_length", max_length=14)
    assert encoding.word_ids() == [None, 0, 1, 1, 2, 3, 3, None, 0, 0, None, *[None] * 3]
    assert encoding.sequence_ids() == [None, *[0] * 6, None, 1, 1, None, *[None] * 3]
    assert encoding.tokens()[:4] == ["[CLS]", "the", "dog", "##s"]
    assert encoding.char_to_token(5) == 2
    assert encoding.token_to_chars(3) == (7, 8)
    assert encoding.token_to_chars(0) is None
    assert encoding.word_to_tokens(1) == (2, 4)


def test_words_given_as_a_list_keep_their_numbers_and_places_count_within_each(tokenizer):
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


def test_columns_that_are_not_wanted_are_left_out(tokenizer):
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


def test_rows_of_different_lengths_make_no_tensor_but_a_sentence(tokenizer):
    with pytest.raises(MiniBertError, match=r"different lengths.*padding=True"):
        tokenizer(["the", "the dogs"], return_tensors="pt")
    rows = [{**tokenizer("the"), "spans": [1, 2]}, {**tokenizer("dog"), "spans": [3]}]
    with pytest.raises(MiniBertError, match="the rows of spans have different lengths"):
        tokenizer.pad(rows, return_tensors="pt")


def test_an_encoding_goes_to_another_process_as_a_plain_dictionary(tokenizer):
    encoding = pickle.loads(pickle.dumps(tokenizer("the dogs")))
    assert encoding.input_ids == [CLS, THE, DOG, S, SEP]
    with pytest.raises(MiniBertError, match="no longer knows its words"):
        encoding.word_ids()
    with pytest.raises(AttributeError, match="no 'labels', only input_ids"):
        _ = encoding.labels


def test_a_row_that_is_not_there_is_refused(tokenizer):
    with pytest.raises(MiniBertError, match="no row 2 in an encoding of 1 rows"):
        tokenizer("the").word_ids(2)


def test_a_tokenizer_goes_to_another_process(tokenizer):
    tokenizer("fill the cache")
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy("The dogs").input_ids == tokenizer("The dogs").input_ids


# Ids, tokens, text


def test_ids_and_tokens_convert_into_each_other():
    tokenizer = BertTokenizer(TOY)
    assert tokenizer.convert_tokens_to_ids(["the", "nowhere"]) == [THE, UNK]
    assert tokenizer.convert_tokens_to_ids("[MASK]") == tokenizer.mask_token_id == MASK
    assert tokenizer.convert_ids_to_tokens(THE) == "the"
    ids = torch.tensor([CLS, THE, SEP])
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "the", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(ids, skip_special_tokens=True) == ["the"]
    assert len(tokenizer) == tokenizer.vocab_size == len(tokenizer.get_vocab()) == len(TOY)
    assert tokenizer.all_special_ids == [UNK, SEP, 0, CLS, MASK]


def test_decoding_joins_pieces_and_closes_up_to_stops_and_commas():
    tokenizer = BertTokenizer(TOY)
    ids = tokenizer("The dogs, don't run.").input_ids
    assert tokenizer.decode(ids) == "[CLS] the dogs, don ' t run. [SEP]"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the dogs, don ' t run."
    cleaned = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)
    assert cleaned == "the dogs, don't run."
    batch = torch.tensor([[THE, DOG], [DOG, S]])
    assert tokenizer.decode(batch) == tokenizer.batch_decode(batch) == ["the dog", "dogs"]
    assert tokenizer.decode(THE) == "the"
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize(("index", "hint"), [(-100, "position without a label"), (9999, "9999")])
def test_an_id_that_does_not_exist_is_refused(index, hint):
    with pytest.raises(MiniBertError, match=hint):
        BertTokenizer(TOY).decode([THE, index])


def test_frames_masks_and_segments_can_be_built_from_ids():
    tokenizer = BertTokenizer(TOY)
    a, b = [THE], [DOG, S]
    assert tokenizer.build_inputs_with_special_tokens(a) == [CLS, THE, SEP]
    row = tokenizer.build_inputs_with_special_tokens(a, b)
    assert row == [CLS, THE, SEP, DOG, S, SEP]
    assert tokenizer.create_token_type_ids_from_sequences(a, b) == [0, 0, 0, 1, 1, 1]
    mask = [1, 0, 1, 0, 0, 1]
    assert tokenizer.get_special_tokens_mask(a, b) == mask
    assert tokenizer.get_special_tokens_mask(row, already_has_special_tokens=True) == mask
    assert tokenizer.get_special_tokens_mask(a, []) == [1, 0, 1, 1]
    assert tokenizer.num_special_tokens_to_add() == 2
    assert tokenizer.num_special_tokens_to_add(pair=True) == 3
    with pytest.raises(MiniBertError, match="a second list was given"):
        tokenizer.get_special_tokens_mask(row, b, already_has_special_tokens=True)


def test_added_tokens_are_refused_with_the_way_to_go():
    with pytest.raises(MiniBertError, match=r"\[unusedN\] line"):
        BertTokenizer(TOY).add_tokens(["NEW"])


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
        ({"text": "the", "max_length": 1}, "no room for the 2 special tokens"),
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
def test_what_cannot_be_done_is_refused_with_a_sentence(tokenizer, arguments, message):
    with pytest.raises(MiniBertError, match=message):
        tokenizer(**arguments)


def test_an_unknown_argument_is_refused(tokenizer):
    with pytest.raises(TypeError, match="return_tensor"):
        tokenizer("the", return_tensor="pt")


def test_a_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(MiniBertError, match=r"has no '\[SEP\]'"):
        BertTokenizer({"[UNK]": 0, "[PAD]": 1, "[CLS]": 2})
    with pytest.raises(MiniBertError, match="backend is 'c'"):
        BertTokenizer(TOY, backend="c")


# Hostile text


def test_lone_surrogates_are_unknown_words_and_keep_their_place(tokenizer):
    text = "the \ud800 dog\udfff run"
    encoding = tokenizer(text, return_offsets_mapping=True)
    assert encoding.input_ids == [CLS, THE, UNK, UNK, RUN, SEP]
    assert encoding.offset_mapping[1:-1] == [(0, 3), (4, 5), (6, 10), (11, 14)]
    assert tokenizer(json.loads(r'"\ud800"')).input_ids == [CLS, UNK, SEP]


@pytest.mark.parametrize(
    "line", ["a", "我", "\u0301", ".", " ", "😀", "\ufdfa", "the ", "é", "\x00", "ก"]
)
def test_a_million_characters_are_read(tokenizer, line):
    text = line * (1_000_000 // len(line))
    ids = tokenizer([text], truncation=True).input_ids[0]
    assert ids[0] == CLS
    assert len(ids) <= 512


@pytest.mark.parametrize("line", ["a", "我", "\u0301", ".", "😀", "the ", "é x", "e\u0316\u0301"])
@pytest.mark.parametrize("offsets", [False, True], ids=["ids", "offsets"])
def test_time_grows_with_the_length_of_a_text_and_not_faster(line, offsets):
    def run(count: int) -> float:
        tokenizer = BertTokenizer(TOY)  # with an empty cache
        text, times = line * (count // len(line)), []
        for _ in range(3):
            start = time.process_time()
            tokenizer(text, truncation=True, return_offsets_mapping=offsets)
            times.append(time.process_time() - start)
        return min(times)

    # 8 times the text; a square would be 64. A busy machine gets several chances.
    assert any(run(160_000) / run(20_000) < 24 for _ in range(5))


def test_the_cache_never_grows_beyond_its_size():
    cache = Cache[str, str](str.upper)
    for number in range(CACHE_SIZE + 5):
        assert cache[f"x{number}"] == f"X{number}"
    assert 0 < len(cache) <= CACHE_SIZE
    assert cache["long" * 100] == "LONG" * 100
    assert "long" * 100 not in cache
