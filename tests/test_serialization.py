"""What you can rely on: a saved tokenizer comes back as it was, and no folder is read by guessing.

Folders of minibert, Google and Hugging Face are read. What a folder asks for that minibert does not
have, and every damaged file, ends in one sentence that names the file.
"""

import inspect
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from minibert.errors import MiniBertError
from minibert.tokenization.serialization import OPTIONS
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.vocab import Vocabulary

TOKENS = "[PAD] [UNK] [CLS] [SEP] [MASK] [ ] the dog ##s run ##ning cafe 我 爱 sep mask".split()
TOY = {token: index for index, token in enumerate(TOKENS)}
SEP, UNK, DOG = TOY["[SEP]"], TOY["[UNK]"], TOY["dog"]

# Every option, changed to what it is not by default.
CHANGED: dict[str, Any] = {
    "do_lower_case": False,
    "tokenize_chinese_chars": False,
    "strip_accents": True,
    "split_special_tokens": False,
    "max_characters_per_word": 7,
    "model_max_length": 64,
    "padding_side": "left",
    "truncation_side": "left",
    "unk_token": "cafe",
    "sep_token": "sep",
    "pad_token": "the",
    "cls_token": "dog",
    "mask_token": "mask",
    "additional_special_tokens": [
        {
            "__type": "AddedToken",
            "content": "run",
            "lstrip": False,
            "rstrip": True,
            "single_word": True,
            "special": False,
            "normalized": True,
        },
        "[E1]",
    ],
}


def fill(folder: Path, **files: Any) -> Path:
    """A folder with a toy `vocab.txt` and these files, a text as it is, all else as JSON."""
    contents = {"vocab": "\n".join(TOKENS) + "\n", **files}
    for name, content in contents.items():
        path = folder / ("vocab.txt" if name == "vocab" else f"{name}.json")
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
    return folder


def fill_whole(folder: Path, **changes: Any) -> Path:
    """A folder with nothing but a `tokenizer.json`, as `transformers` 5 leaves it."""
    content = {
        "model": {"type": "WordPiece", "vocab": TOY, **changes.pop("model", {})},
        "normalizer": {"type": "BertNormalizer", "lowercase": False, "strip_accents": None},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "cls": ["[CLS]", TOY["[CLS]"]],
            "sep": ["[SEP]", SEP],
        },
        "added_tokens": [{"id": SEP, "content": "[SEP]"}],
    }
    fill(folder, tokenizer={**content, **changes})
    (folder / "vocab.txt").unlink()
    return folder


# There and back


def test_every_option_comes_back_as_it_was_saved(tmp_path):
    changed = BertTokenizer(TOY, **CHANGED)
    assert changed.options == CHANGED
    changed.save_pretrained(tmp_path / "saved")
    again = BertTokenizer.from_pretrained(tmp_path / "saved")
    assert again.options == CHANGED
    text = ["the café 我爱 running [SEP] sep", "The"]
    assert again(text, padding=True) == changed(text, padding=True)
    plain = BertTokenizer(TOY)
    assert not {name for name in CHANGED if plain.options[name] == CHANGED[name]}
    plain.save_pretrained(tmp_path / "plain")
    assert BertTokenizer.from_pretrained(tmp_path / "plain").options == plain.options


def test_every_argument_of_the_tokenizer_is_saved():
    arguments = {
        name
        for function in (BertTokenizer.__init__, Vocabulary.__init__)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert OPTIONS.keys() == arguments - {"backend"} | {"do_lower_case"}


def test_a_foreign_folder_never_makes_special_tokens_of_text(tmp_path):
    """False is the default of transformers, and some folders spell it out."""
    fill(tmp_path, tokenizer_config={"do_lower_case": True, "split_special_tokens": False})
    tokenizer = BertTokenizer.from_pretrained(tmp_path)
    assert tokenizer.split_special_tokens
    with pytest.warns(UserWarning, match="read as plain text"):
        assert SEP not in tokenizer("the [SEP] dog").input_ids[:-1]


@pytest.mark.parametrize("split", [True, False])
def test_split_special_tokens_survives_a_round_trip_through_transformers(tmp_path, split):
    transformers = pytest.importorskip("transformers")
    ours = BertTokenizer(TOY, split_special_tokens=split)
    ours.save_pretrained(tmp_path / "ours")
    theirs = transformers.BertTokenizer.from_pretrained(str(tmp_path / "ours"))
    assert SEP in theirs("the [SEP] dog")["input_ids"][:-1]
    theirs.save_pretrained(str(tmp_path / "theirs"))
    assert BertTokenizer.from_pretrained(tmp_path / "theirs").split_special_tokens == split


def test_a_tilde_in_a_path_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(fill(tmp_path))
    BertTokenizer("~/vocab.txt").save_pretrained("~/saved")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved", "vocab.txt"]
    assert BertTokenizer.from_pretrained("~/saved").get_vocab() == TOY


# Other readers


@pytest.mark.parametrize("changes", [{}, CHANGED, {"strip_accents": False}])
def test_other_readers_of_a_saved_folder_get_the_same_ids(tmp_path, changes):
    """The tokenizers library reads tokenizer.json, and only there it finds the longest word."""
    from tokenizers import Tokenizer

    ours = BertTokenizer(TOY, **changes)
    ours.save_pretrained(tmp_path)
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("the cafés 我爱 running [E1] Run runs", "s" * 150, "the dogs" + "s" * 6, ""):
        assert ours(text, split_special_tokens=False).input_ids == theirs.encode(text).ids
        pair = theirs.encode(text, "dog")
        assert ours(text, "dog", split_special_tokens=False).token_type_ids == pair.type_ids


# What a folder says and does not say


def test_a_google_folder_has_only_a_vocabulary(tmp_path):
    fill(tmp_path)
    assert BertTokenizer.from_pretrained(tmp_path).do_lower_case
    assert not BertTokenizer.from_pretrained(str(tmp_path), do_lower_case=False).do_lower_case


def test_a_cased_vocabulary_without_do_lower_case_is_refused(tmp_path):
    pieces = [*TOY, *(f"Word{number}" for number in range(50))]
    fill(tmp_path, vocab="\n".join(pieces))
    with pytest.raises(MiniBertError, match="pass do_lower_case=False"):
        BertTokenizer.from_pretrained(tmp_path)
    assert BertTokenizer.from_pretrained(tmp_path, do_lower_case=True).do_lower_case


@pytest.mark.parametrize("token", ["Paris", "##Berlin", "ÉTÉ"])
def test_a_few_tokens_with_capitals_are_noted_where_nothing_says_whether_to_lower_case(
    tmp_path, token
):
    fill(tmp_path, vocab="\n".join([*TOY, *(f"word{number}" for number in range(200)), token]))
    with pytest.warns(UserWarning, match=rf"such as '{token}'; .* pass do_lower_case=False"):
        assert BertTokenizer.from_pretrained(tmp_path).do_lower_case
    with warnings.catch_warnings(action="error"):
        assert BertTokenizer.from_pretrained(tmp_path, do_lower_case=False).tokenize("dog") == [
            "dog"
        ]


def test_null_means_the_default(tmp_path):
    nothing = dict.fromkeys(["tokenizer_class", "added_tokens_decoder", *CHANGED])
    fill(tmp_path, tokenizer_config=nothing)
    assert BertTokenizer.from_pretrained(tmp_path).options == BertTokenizer(TOY).options


@pytest.mark.parametrize("limit", [int(1e30), 1e30])
def test_a_huge_length_means_no_limit_and_special_tokens_may_be_objects(tmp_path, limit):
    config = {"model_max_length": limit, "mask_token": {"content": "mask", "lstrip": False}}
    tokenizer = BertTokenizer.from_pretrained(fill(tmp_path, tokenizer_config=config))
    assert (tokenizer.model_max_length, tokenizer.mask_token) == (512, "mask")


def test_a_tokenizer_json_says_how_words_are_split(tmp_path):
    model = {"unk_token": "cafe", "max_input_chars_per_word": 7, "continuing_subword_prefix": "##"}
    tokenizer = BertTokenizer.from_pretrained(fill_whole(tmp_path, model=model))
    assert tokenizer.tokenize("dogs running runs") == ["dog", "##s", "run", "##ning", "run", "##s"]
    assert tokenizer.tokenize("runnings Dog") == ["cafe", "cafe"]
    assert (tokenizer.do_lower_case, tokenizer.unk_token_id) == (False, TOY["cafe"])
    (tmp_path / "tokenizer_config.json").write_text('{"unk_token": "[UNK]"}', encoding="utf-8")
    assert BertTokenizer.from_pretrained(tmp_path).unk_token == "[UNK]"


@pytest.mark.parametrize("sign", ["@@", ""])
def test_another_subword_prefix_is_refused(tmp_path, sign):
    fill_whole(tmp_path, model={"continuing_subword_prefix": sign})
    with pytest.raises(MiniBertError, match=rf"tokenizer\.json continues a word with '{sign}'"):
        BertTokenizer.from_pretrained(tmp_path)


def test_saving_removes_the_files_of_another_tokenizer(tmp_path):
    fill(
        tmp_path, tokenizer={}, added_tokens={"[NEW]": 99}, special_tokens_map={"unk_token": "the"}
    )
    BertTokenizer(TOY).save_pretrained(tmp_path)
    names = ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


# Added tokens


def refused(folder: Path, message: str) -> None:
    with pytest.raises(MiniBertError, match=message):
        BertTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("token", "index", "found"),
    [("[NEW]", 99, "none"), ("dog", 99, str(DOG)), ("[NEW]", DOG, "none")],
)
def test_tokens_that_are_added_to_a_vocabulary_are_refused_in_every_file(
    tmp_path, token, index, found
):
    """In silence, ids would differ from those of transformers, for which the model was trained."""
    message = rf"adds the token '{token}' with id {index}; its id in the vocabulary: {found}"
    message = message.replace("[NEW]", r"\[NEW\]")
    fill(tmp_path, added_tokens={"[SEP]": SEP, token: index})
    refused(tmp_path, rf"added_tokens\.json {message}")
    (tmp_path / "added_tokens.json").unlink()
    decoder = {str(SEP): {"content": "[SEP]"}, str(index): {"content": token, "special": False}}
    fill(tmp_path, tokenizer_config={"added_tokens_decoder": decoder})
    refused(tmp_path, rf"tokenizer_config\.json {message}")
    (tmp_path / "tokenizer_config.json").unlink()
    fill_whole(tmp_path, added_tokens=[{"id": index, "content": token}])
    refused(tmp_path, rf"tokenizer\.json {message}")


def test_tokens_that_the_vocabulary_has_may_be_listed_as_added_too(tmp_path):
    decoder = {str(index): {"content": piece} for piece, index in TOY.items()}
    fill(tmp_path, tokenizer_config={"added_tokens_decoder": decoder}, added_tokens=TOY)
    assert BertTokenizer.from_pretrained(tmp_path).get_vocab() == TOY
    added = [{"id": index, "content": piece} for piece, index in TOY.items()]
    fill_whole(tmp_path, added_tokens=added)
    assert BertTokenizer.from_pretrained(tmp_path).get_vocab() == TOY


def test_added_tokens_are_fetched_from_a_hub_too(monkeypatch, tmp_path):
    import huggingface_hub

    asked = []

    def download(name, allow_patterns):
        asked.extend(allow_patterns)
        return str(fill(tmp_path, added_tokens={"[NEW]": 99}))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    refused("somebody/a-model", r"adds the token '\[NEW\]'")
    assert "added_tokens.json" in asked


def added(content: str, index: int, **flags: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False)
    return {"id": index, "content": content, "special": True, **plain, **flags}


def as_decoder(*tokens: dict[str, Any]) -> dict[str, Any]:
    decoder = {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in tokens}
    return {"added_tokens_decoder": decoder}


NEXT = len(TOKENS)
ADDED: dict[str, dict[str, Any]] = {
    "in the vocabulary, only in special_tokens_map.json": {
        "special_tokens_map": {"additional_special_tokens": ["run"]}
    },
    "renamed and added in special_tokens_map.json": {
        "special_tokens_map": {"unk_token": "cafe", "additional_special_tokens": ["[E1]"]}
    },
    "roles that BERT does not have": {
        "tokenizer_config": {"bos_token": "[E1]", "eos_token": "[SEP]"}
    },
    "roles by name": {"tokenizer_config": {"extra_special_tokens": {"entity": "[E1]"}}},
    "special, in the old file": {
        "added_tokens": {"[E1]": NEXT},
        "tokenizer_config": {"additional_special_tokens": ["[E1]"]},
    },
    "a word, in the old file": {"added_tokens": {"hot": NEXT}},
    "words in normalized text": {
        "tokenizer_config": as_decoder(
            added("New York", NEXT, special=False, normalized=True),
            added("dog", DOG, special=False, normalized=True, single_word=True),
        )
    },
    "spaces around": {
        "tokenizer_config": as_decoder(added("[E1]", NEXT, lstrip=True, rstrip=True))
    },
}


@pytest.mark.parametrize("files", ADDED.values(), ids=ADDED)
def test_added_tokens_are_found_as_in_transformers_also_after_saving(tmp_path, files):
    transformers = pytest.importorskip("transformers")
    fill(tmp_path, **files)
    theirs = transformers.BertTokenizer.from_pretrained(str(tmp_path))
    ours = BertTokenizer.from_pretrained(tmp_path)
    ours.save_pretrained(tmp_path / "saved")
    again = BertTokenizer.from_pretrained(tmp_path / "saved")
    assert again.options == ours.options
    for text in (
        "the [E1] dog[E1]s runs",
        "hotdogs  in NEW YORK",
        "dog  [E1]  Run",
        "[e1] cafés x",
    ):
        expected = theirs(text)["input_ids"]
        assert ours(text).input_ids == again(text).input_ids == expected
        assert (
            ours(text, return_offsets_mapping=True).offset_mapping
            == (theirs(text, return_offsets_mapping=True)["offset_mapping"])
        )
        decoded = theirs.decode(expected, skip_special_tokens=True)
        # A token of normalized text is decoded as it was given.
        assert ours.decode(expected, skip_special_tokens=True).lower().split() == decoded.split()
    assert len(ours) == len(theirs)


@pytest.mark.filterwarnings("ignore:.*repeated")
def test_a_token_cannot_be_added_to_a_vocabulary_with_fewer_tokens_than_ids(tmp_path):
    fill(tmp_path, vocab="\n".join([*TOKENS, "dog"]))
    with pytest.raises(MiniBertError, match="fewer tokens than ids"):
        BertTokenizer.from_pretrained(tmp_path, additional_special_tokens=["[E1]"])


# vocab.txt and tokenizer.json together


def test_a_tokenizer_json_beside_a_vocabulary_says_what_the_config_leaves_open(tmp_path):
    fill_whole(tmp_path, model={"max_input_chars_per_word": 100}, padding={"direction": "Left"})
    fill(tmp_path)
    tokenizer = BertTokenizer.from_pretrained(tmp_path)
    assert tokenizer("s" * 150).input_ids[1:-1] == [UNK]
    assert (tokenizer.do_lower_case, tokenizer.padding_side) == (False, "left")
    fill(tmp_path, tokenizer_config={"max_characters_per_word": 200})  # another program changed it
    assert BertTokenizer.from_pretrained(tmp_path)("s" * 150).input_ids[1:-1] == [UNK]
    fill(tmp_path, tokenizer_config={"do_lower_case": True})
    with pytest.warns(UserWarning, match="do_lower_case=True, and tokenizer.json beside it says F"):
        assert BertTokenizer.from_pretrained(tmp_path).do_lower_case


def test_two_vocabularies_that_differ_are_refused_with_the_first_token(tmp_path):
    fill_whole(tmp_path)
    fill(tmp_path, vocab="\n".join(TOKENS).replace("##ning", "##ner"))
    refused(tmp_path, "'##ner' has the id 11 in one and None in the other")


LOWERCASE = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "NFD"}]}
DIGITS = {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "BertPreTokenizer"}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre_tokenizer": DIGITS}, "BertNormalizer and Sequence"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "BertNormalizer and Whitespace"),
        ({"pre_tokenizer": None}, "BertNormalizer and None"),
        ({"normalizer": LOWERCASE}, "describes WordPiece with Sequence"),
        ({"normalizer": {"type": "BertNormalizer", "clean_text": False}}, "control characters"),
        ({"post_processor": None}, "see its post_processor"),
        (
            {
                "post_processor": {
                    "type": "BertProcessing",
                    "cls": ["[CLS]", 9],
                    "sep": ["[SEP]", 3],
                }
            },
            "see its post_processor",
        ),
        (
            {
                "post_processor": {
                    "type": "RobertaProcessing",
                    "trim_offsets": True,
                    "add_prefix_space": False,
                    "cls": ["[CLS]", 2],
                    "sep": ["[SEP]", 3],
                }
            },
            "see its post_processor",
        ),
    ],
)
def test_a_tokenizer_json_that_would_give_other_ids_is_refused(tmp_path, changes, message):
    refused(fill_whole(tmp_path, **changes), message)


def test_a_template_and_a_sequence_of_one_are_read(tmp_path):
    cls, sep, a = (
        {"SpecialToken": {"id": token, "type_id": 0}} for token in ("[CLS]", "[SEP]", "")
    )
    a, b = ({"Sequence": {"id": name, "type_id": index}} for index, name in enumerate("AB"))
    second = {"SpecialToken": {"id": "[SEP]", "type_id": 1}}
    tokens = {t: {"id": t, "ids": [TOY[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}
    template = {"type": "TemplateProcessing", "single": [cls, a, sep], "special_tokens": tokens}
    pre = {"type": "Sequence", "pretokenizers": [{"type": "BertPreTokenizer"}]}
    post = {**template, "pair": [cls, a, sep, b, second]}
    fill_whole(tmp_path, post_processor=post, pre_tokenizer=pre)
    assert BertTokenizer.from_pretrained(tmp_path).get_vocab() == TOY
    fill_whole(tmp_path, post_processor={**post, "pair": [cls, a, sep, b, sep]})
    refused(tmp_path, "see its post_processor")


# What is refused


def test_a_config_json_may_name_the_tokenizer_too(tmp_path):
    refused(fill(tmp_path, config={"tokenizer_class": "BertJapaneseTokenizer"}), "BertJapanese")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"never_split": ["x"]}, MiniBertError, "list such tokens in additional_special_tokens"),
        ({"do_basic_tokenize": False}, MiniBertError, "texts are always normalized"),
        ({"foo": 1}, TypeError, "BertTokenizer has no argument 'foo'"),
    ],
)
def test_an_argument_that_the_tokenizer_does_not_have_is_named(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        BertTokenizer.from_pretrained(fill(tmp_path), **options)
    with pytest.raises(error, match=message):
        BertTokenizer(TOY, **options)
    BertTokenizer.from_pretrained(tmp_path, use_fast=True, cache_dir="x", local_files_only=True)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no vocab.txt and no tokenizer.json"),
        ({"tokenizer_config.json": "{"}, "not a JSON file"),
        ({"tokenizer_config.json": "[" * 100_000}, "not a JSON file"),
        ({"tokenizer_config.json": "[]"}, "is not a JSON object"),
        ({"tokenizer_config.json": '{"tokenizer_class": "RobertaTokenizer"}'}, "RobertaTokenizer"),
        ({"tokenizer.json": '{"model": {"type": "BPE", "vocab": {}}}'}, "describes BPE"),
        ({"tokenizer.json": '{"model": {"type": "Unigram", "vocab": []}}'}, "describes Unigram"),
        ({"tokenizer.json": "{}"}, "describes WordPiece with None"),
    ],
)
def test_a_folder_that_holds_no_bert_tokenizer_is_refused(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    refused(tmp_path, message)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tokenizer_class": ["x"]}, r"tokenizer_class is \['x'\], not a string"),
        ({"model_max_length": "512"}, "model_max_length is '512', not an integer"),
        ({"model_max_length": True}, "model_max_length is True, not an integer"),
        ({"max_characters_per_word": "x"}, "max_characters_per_word is 'x', not an integer"),
        ({"do_lower_case": "yes"}, "do_lower_case is 'yes', not true or false"),
        ({"strip_accents": 1}, "strip_accents is 1, not true or false"),
        ({"unk_token": ["x"]}, r"unk_token is \['x'\], not a string"),
        ({"unk_token": {"content": 5}}, "unk_token is 5, not a string"),
        ({"minibert_split_special_tokens": 0}, "split_special_tokens is 0, not true or false"),
        ({"added_tokens_decoder": ["x"]}, r"added_tokens_decoder is \['x'\], not an object"),
        ({"added_tokens_decoder": {"5": 5}}, "added_tokens_decoder is 5, not a string"),
        ({"padding_side": ["x" * 9999]}, r"padding_side is \['x+, not a string"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_file_and_field(tmp_path, config, message):
    refused(fill(tmp_path, tokenizer_config=config), rf"tokenizer_config\.json: \w*{message}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"vocab": ["x"]}}, r"vocab is \['x'\], not an object"),
        ({"model": {"vocab": {"the": "0"}}}, "vocab 'the' is '0', not an integer"),
        ({"model": {"unk_token": 1}}, "unk_token is 1, not a string"),
        (
            {"model": {"max_input_chars_per_word": "x"}},
            "max_input_chars_per_word is 'x', not a",
        ),
        ({"normalizer": [1]}, r"normalizer is \[1\], not an object"),
        ({"added_tokens": ["a"]}, "added_tokens is 'a', not an object"),
        ({"added_tokens": {"a": 1}}, r"added_tokens is \{'a': 1\}, not a list"),
        ({"added_tokens": [{"id": 1}]}, "added_tokens, content is None, not a string"),
        ({"added_tokens": [{"id": 1, "content": ["a"]}]}, r".* content is \['a'\], not a string"),
    ],
)
def test_a_damaged_tokenizer_json_is_named_with_its_field(tmp_path, changes, message):
    refused(fill_whole(tmp_path, **changes), rf"tokenizer\.json: {message}")


def test_a_model_that_is_not_an_object_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": [1]}', encoding="utf-8")
    refused(tmp_path, r"tokenizer\.json: model is \[1\], not an object")


def test_ids_with_gaps_cannot_be_saved_as_lines(tmp_path):
    with pytest.raises(MiniBertError, match="are not 0 to"):
        BertTokenizer({**TOY, "gap": 99}).save_pretrained(tmp_path)
