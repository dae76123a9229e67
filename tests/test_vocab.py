"""What you can rely on: a vocab.txt is read line by line; ids and tokens convert into each other.

A damaged vocabulary is refused with its file and line.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import shared

from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.vocab import (
    SPECIAL_TOKENS,
    Vocabulary,
    read_vocabulary,
    unknown_rate,
    write_vocabulary,
)

TOKENS = [*SPECIAL_TOKENS, "the", "dog", "##s", ",", ".", "'", "don", "t", "run"]
TOY = {token: index for index, token in enumerate(TOKENS)}
PAD, UNK, CLS, SEP, MASK, THE, DOG, S = range(8)


# Files


def test_a_vocabulary_file_gives_line_numbers_as_ids(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("[PAD]\n我\n##ing\n\u2028\n".encode())
    assert read_vocabulary(path) == {"[PAD]": 0, "我": 1, "##ing": 2, "\u2028": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"[PAD]\t17\n[UNK]\t3\n", r"line 1 holds more than a token: '\[PAD\]\\t17'"),
        (b"[PAD]\n[UNK]\0\n", "line 2 holds more than a token"),
        ("[PAD]\nñ\n".encode("latin-1"), "not UTF-8 text at byte 6"),
        ("[PAD]\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_damaged_vocabulary_is_refused_with_file_and_line(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(MiniBertError, match=message) as error:
        read_vocabulary(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "expected", "note"),
    [
        (b"\xef\xbb\xbf[PAD]\nthe\n", {"[PAD]": 0, "the": 1}, "byte order mark at its beginning"),
        (b"[PAD]\r\nthe\r\n", {"[PAD]": 0, "the": 1}, "carriage returns at the end of lines"),
        (b"[PAD] \nthe\t\n", {"[PAD]": 0, "the": 1}, "spaces and carriage returns at the end"),
        (b"[PAD]\nthe\na\nthe\n", {"[PAD]": 0, "a": 2, "the": 3}, "line 2, 'the', .* on line 4"),
        (b"[PAD]\n\nthe\n", {"[PAD]": 0, "": 1, "the": 2}, "line 2 is empty"),
        (b"a\n\nb\nb\n\nb\n", {"a": 0, "": 4, "b": 5}, "line 2 is empty; line 3, 'b', .* line 6"),
    ],
)
def test_every_line_keeps_its_id_and_the_last_of_equal_lines_counts(
    tmp_path, content, expected, note
):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=note):
        assert read_vocabulary(path) == expected


@pytest.mark.filterwarnings("error")
def test_empty_lines_at_the_end_are_no_tokens_and_old_macs_line_ends_are_read(tmp_path):
    for content in (b"[PAD]\nthe\n\n\n", b"[PAD]\nthe"):
        (tmp_path / "vocab.txt").write_bytes(content)
        assert read_vocabulary(tmp_path / "vocab.txt") == {"[PAD]": 0, "the": 1}


@pytest.mark.filterwarnings("ignore:.*repeated")
def test_a_vocabulary_with_a_repeated_line_is_saved_as_it_was(tmp_path):
    lines = [*TOKENS, "dog", "run", "s"]
    (tmp_path / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer.from_pretrained(tmp_path)
    assert tokenizer("dog").input_ids[1] == len(TOKENS)
    assert tokenizer.convert_ids_to_tokens([DOG, len(TOKENS)]) == ["dog", "dog"]
    tokenizer.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved/vocab.txt").read_text(encoding="utf-8").split() == lines
    again = BertTokenizer.from_pretrained(tmp_path / "saved")
    assert again("the dogs run").input_ids == tokenizer("the dogs run").input_ids


def test_a_file_without_an_end_or_of_a_gigabyte_is_refused_at_once(tmp_path):
    huge, pipe = tmp_path / "vocab.txt", tmp_path / "pipe"
    with huge.open("wb") as file:
        file.truncate(10**9)
    os.mkfifo(pipe)
    for path in (huge, pipe):
        with pytest.raises(MiniBertError, match=r"cannot read .*: it (has|is a device)"):
            read_vocabulary(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nothing.txt", tmp_path):
        with pytest.raises(MiniBertError, match="cannot read"):
            read_vocabulary(path)


def test_a_file_of_a_million_lines_is_read(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(map(str, range(1_000_000))), encoding="utf-8")
    assert len(read_vocabulary(path)) == 1_000_000


@pytest.mark.parametrize("name", ["uncased", "cased", "chinese", "multilingual-cased"])
def test_googles_vocabularies_are_read_as_they_are(name):
    sizes = {"uncased": 30522, "cased": 28996, "chinese": 21128, "multilingual-cased": 119547}
    vocabulary = read_vocabulary(shared(f"data/vocab/bert-base-{name}-vocab.txt"))
    assert len(vocabulary) == sizes[name]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert [vocabulary[token] for token in specials] == [0, 100, 101, 102, 103]


def test_a_vocabulary_is_written_with_one_token_per_line(tmp_path: Path):
    write_vocabulary(tmp_path / "vocab.txt", ["[PAD]", "我", "##ing"])
    assert (tmp_path / "vocab.txt").read_bytes() == "[PAD]\n我\n##ing\n".encode()
    assert list(read_vocabulary(tmp_path / "vocab.txt")) == ["[PAD]", "我", "##ing"]


# Special tokens


def test_a_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(MiniBertError, match=r"does not have the special token '\[SEP\]'"):
        Vocabulary({"[UNK]": 0, "[PAD]": 1, "[CLS]": 2})


def test_special_tokens_may_have_other_names():
    vocabulary = Vocabulary(TOY, mask_token="dog")
    assert (vocabulary.mask_token_id, vocabulary.all_special_ids) == (
        DOG,
        [UNK, SEP, PAD, CLS, DOG],
    )


def test_rows_types_and_masks_can_be_built_from_ids():
    vocabulary = Vocabulary(TOY)
    a, b = [THE], [DOG, S]
    assert vocabulary.build_inputs_with_special_tokens(a) == [CLS, THE, SEP]
    row = vocabulary.build_inputs_with_special_tokens(a, b)
    assert row == [CLS, THE, SEP, DOG, S, SEP]
    assert vocabulary.create_token_type_ids_from_sequences(a, b) == [0, 0, 0, 1, 1, 1]
    mask = [1, 0, 1, 0, 0, 1]
    assert vocabulary.get_special_tokens_mask(a, b) == mask
    assert vocabulary.get_special_tokens_mask(row, already_has_special_tokens=True) == mask
    assert vocabulary.get_special_tokens_mask(a, []) == [1, 0, 1, 1]
    assert vocabulary.num_special_tokens_to_add() == 2
    assert vocabulary.num_special_tokens_to_add(pair=True) == 3
    with pytest.raises(MiniBertError, match="remove token_ids_1"):
        vocabulary.get_special_tokens_mask(row, b, already_has_special_tokens=True)


def test_added_tokens_are_refused_with_the_way_to_go():
    for add in (Vocabulary(TOY).add_tokens, Vocabulary(TOY).add_special_tokens):
        with pytest.raises(MiniBertError, match=r"\[unusedN\] line"):
            add(["NEW"])


# Ids, tokens, text


def test_ids_and_tokens_convert_into_each_other():
    vocabulary = Vocabulary(TOY)
    assert vocabulary.convert_tokens_to_ids(["the", "nowhere"]) == [THE, UNK]
    assert vocabulary.convert_tokens_to_ids("[MASK]") == vocabulary.mask_token_id == MASK
    assert vocabulary.convert_ids_to_tokens(THE) == "the"
    ids = torch.tensor([CLS, THE, SEP])
    assert vocabulary.convert_ids_to_tokens(ids) == ["[CLS]", "the", "[SEP]"]
    assert vocabulary.convert_ids_to_tokens(ids, skip_special_tokens=True) == ["the"]
    assert len(vocabulary) == vocabulary.vocab_size == len(TOY)
    assert vocabulary.get_vocab() == TOY


def test_decoding_joins_subwords_and_closes_up_to_stops_and_commas():
    vocabulary = Vocabulary(TOY)
    ids = [CLS, *map(TOY.__getitem__, "the dog ##s , don ' t run .".split()), SEP]
    assert vocabulary.decode(ids) == "[CLS] the dogs, don ' t run. [SEP]"
    assert vocabulary.decode(ids, skip_special_tokens=True) == "the dogs, don ' t run."
    cleaned = vocabulary.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)
    assert cleaned == "the dogs, don't run."
    batch = torch.tensor([[THE, DOG], [DOG, S]])
    assert vocabulary.decode(batch) == vocabulary.batch_decode(batch) == ["the dog", "dogs"]
    assert vocabulary.decode(THE) == "the"
    assert vocabulary.decode([]) == ""
    assert vocabulary.batch_decode([]) == []


@pytest.mark.parametrize(("index", "hint"), [(-100, "position without a label"), (9999, "9999")])
def test_an_id_that_does_not_exist_is_refused(index, hint):
    with pytest.raises(MiniBertError, match=hint):
        Vocabulary(TOY).decode([THE, index])


def test_the_unknown_rate_is_the_share_of_unk_among_the_tokens():
    tokenizer = BertTokenizer(TOY)
    assert unknown_rate(tokenizer, ["the dogs", "猫"]) == 1 / 4
    assert unknown_rate(tokenizer, ["[UNK]", ""]) == 1  # "[", "unk" and "]" are not known either
    assert unknown_rate(tokenizer, []) == 0
    assert unknown_rate(tokenizer, [*["the"] * 500, "猫"]) == 0  # only the first 500 are read


# Names and values as people have them


def test_older_names_of_the_call_and_the_vocabulary_work_and_others_say_what_to_use():
    tokenizer = BertTokenizer(TOY)
    assert tokenizer.encode_plus("the dogs", "run", max_length=5) == tokenizer(
        "the dogs", "run", max_length=5
    )
    assert tokenizer.batch_encode_plus(["the", "dogs"]) == tokenizer(["the", "dogs"])
    for text in ("the", "the dogs the dogs"):
        padded = tokenizer.encode_plus(text, max_length=5, pad_to_max_length=True)
        assert padded == tokenizer(text, max_length=5, padding="max_length", truncation=True)
    assert tokenizer.vocab == TOY
    for name, message in {
        "basic_tokenizer": "minibert.tokenization.normalize",
        "wordpiece_tokenizer": "tokenizer.wordpiece",
        "ids_to_tokens": "convert_ids_to_tokens",
        "foo": "BertTokenizer has no attribute 'foo'",
    }.items():
        with pytest.raises(AttributeError, match=message):
            getattr(tokenizer, name)


@pytest.mark.parametrize("number", [np.int64(DOG), np.uint8(DOG), torch.tensor(DOG)])
def test_an_id_may_be_a_number_of_any_library(number):
    tokenizer = BertTokenizer(TOY)
    assert tokenizer.convert_ids_to_tokens(number) == tokenizer.decode(number) == "dog"
    assert tokenizer.convert_ids_to_tokens([number]) == ["dog"]


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.uint64, np.bool_])
def test_labels_in_a_numpy_array_stay_whole_numbers_when_padded(dtype):
    tokenizer = BertTokenizer(TOY)
    rows, labels = [[CLS, SEP], [CLS, DOG, SEP]], np.array([0, 1], dtype=dtype)
    batch = tokenizer.pad({"input_ids": rows, "labels": labels}, return_tensors="pt")
    assert (batch.labels.dtype, batch.labels.tolist()) == (torch.int64, [0, 1])
    examples = [{"input_ids": np.array(r), "labels": x} for r, x in zip(rows, labels, strict=True)]
    assert torch.equal(tokenizer.pad(examples, return_tensors="pt").labels, batch.labels)
    lists = {"input_ids": [torch.tensor(row) for row in rows], "labels": list(labels)}
    assert torch.equal(tokenizer.pad(lists, return_tensors="pt").input_ids, batch.input_ids)


def test_examples_with_different_columns_are_refused_before_padding():
    first, second = {"input_ids": [CLS, SEP], "labels": 1}, {"input_ids": [CLS, DOG, SEP]}
    for examples in ([first, second], [second, first]):
        with pytest.raises(MiniBertError, match=r"example 1 to pad has .* give every example"):
            BertTokenizer(TOY).pad(examples)
    with pytest.raises(MiniBertError, match=r"example 0 to pad has \[2, 3\]"):
        BertTokenizer(TOY).pad([[CLS, SEP], [CLS, DOG, SEP]])
