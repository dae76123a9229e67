"""What you can rely on: a BertConfig that exists makes sense.

Every number of parameters can be computed by hand from the formula in `config.py`; impossible and
contradictory values are refused with a sentence; what a foreign `config.json` says beside is kept.
"""

import copy
import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import small_config

import minibert
from minibert import BertConfig, MiniBertError
from minibert.model.config_checks import ACTIVATION_NAMES, to_hugging_face, unexplained_fields

PRESETS = {
    "tiny": (2, 128, 4_385_920),
    "mini": (4, 256, 11_170_560),
    "small": (4, 512, 28_763_648),
    "medium": (8, 512, 41_373_184),
    "base": (12, 768, 109_482_240),
    "large": (24, 1024, 335_141_888),
}


def parameters_by_formula(config: BertConfig) -> int:
    """The formula of `config.py`, term by term."""
    words, positions, segments = (
        config.vocab_size,
        config.max_position_embeddings,
        config.type_vocab_size,
    )
    width, wide = config.hidden_size, config.intermediate_size
    embeddings = (words + positions + segments) * width + 2 * width
    attention = 4 * (width * width + width) + 2 * width
    feed_forward = 2 * width * wide + wide + width + 2 * width
    pooler = width * width + width
    return embeddings + config.num_hidden_layers * (attention + feed_forward) + pooler


def built(name: str, config: BertConfig):
    """A model without memory: only its shapes."""
    with torch.device("meta"):
        return getattr(minibert, name)(config)


def test_the_smallest_bert_has_116_parameters():
    # E 2, F 8, 10 words, 4 positions, 2 segments, 1 layer:
    # embeddings (10 + 4 + 2) x 2 + 4 = 36; attention 4 x 6 + 4 = 28;
    # feed-forward 2 x 16 + 8 + 2 + 4 = 46; pooler 4 + 2 = 6
    config = BertConfig(
        vocab_size=10,
        max_position_embeddings=4,
        hidden_size=2,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
    )
    assert built("BertModel", config).num_parameters() == 36 + 28 + 46 + 6


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_has_the_number_of_parameters_that_the_formula_gives(preset):
    layers, width, count = PRESETS[preset]
    config = getattr(BertConfig, preset)()
    assert (config.num_hidden_layers, config.hidden_size) == (layers, width)
    assert parameters_by_formula(config) == count
    assert built("BertModel", config).num_parameters() == count
    assert (
        config.hidden_size // config.num_attention_heads == 64
        and config.intermediate_size == 4 * width
    )


def test_the_counts_in_the_docstrings_are_the_counts():
    for preset, (layers, width, count) in PRESETS.items():
        expected = f"Return a config of {layers} layers x {width:,}: {count:,} parameters."
        assert getattr(BertConfig, preset).__doc__ == expected


def test_base_with_both_pretraining_heads_has_googles_110_million():
    # + dense 768 x 768 + 768, norm 2 x 768, a bias for each word, next sentence 2 x 768 + 2
    heads = 768 * 769 + 2 * 768 + 30_522 + 2 * 768 + 2
    model = built("BertForPreTraining", BertConfig.base())
    assert model.num_parameters() == 109_482_240 + heads == 110_106_428


def test_a_preset_takes_changes():
    config = BertConfig.tiny(vocab_size=8192, num_hidden_layers=3)
    assert (config.vocab_size, config.num_hidden_layers, config.hidden_size) == (8192, 3, 128)


def test_the_defaults_are_those_of_bert_base():
    assert BertConfig() == BertConfig.base()
    assert BertConfig().layer_norm_eps == 1e-12
    assert BertConfig().hidden_act == "gelu"


REFUSED = [
    ("vocab_size", 0, "whole number from 1"),
    ("vocab_size", 2**24 + 1, "whole number from 1"),
    ("hidden_size", -8, "whole number from 1"),
    ("hidden_size", 768.0, "whole number from 1"),
    ("num_hidden_layers", 0, "whole number from 1"),
    ("num_hidden_layers", True, "whole number from 1"),
    ("num_attention_heads", "12", "whole number from 1"),
    ("intermediate_size", None, "whole number from 1"),
    ("max_position_embeddings", 0, "whole number from 1"),
    ("type_vocab_size", 0, "whole number from 1"),
    ("num_labels", 0, "whole number from 1"),
    ("num_labels", 2.0, "whole number from 1"),
    ("hidden_dropout_prob", 1.1, "a number from 0 to 1"),
    ("hidden_dropout_prob", -0.1, "a number from 0 to 1"),
    ("attention_probs_dropout_prob", float("nan"), "a number from 0 to 1"),
    ("attention_probs_dropout_prob", "0.1", "a number from 0 to 1"),
    ("classifier_dropout", 1.5, "a number from 0 to 1"),
    ("initializer_range", -0.1, "a number from 0"),
    ("initializer_range", float("inf"), "a number from 0"),
    ("layer_norm_eps", -1e-12, "a number from 0"),
    ("layer_norm_eps", float("nan"), "a number from 0"),
    ("layer_norm_eps", "1e-12", "a number from 0"),
    ("hidden_act", "swish", "gelu, gelu_tanh, relu"),
    ("hidden_act", None, "gelu, gelu_tanh, relu"),
    ("pad_token_id", -1, "id of the vocabulary"),
    ("pad_token_id", 30522, "id of the vocabulary"),
    ("pad_token_id", None, "id of the vocabulary"),
    ("problem_type", "classification", "single_label_classification"),
]


@pytest.mark.parametrize(("name", "value", "advice"), REFUSED)
def test_an_impossible_value_is_refused_by_name_with_what_is_possible(name, value, advice):
    with pytest.raises(MiniBertError, match=f"{name} is .*{advice}"):
        BertConfig(**{name: value})


def test_a_width_that_the_heads_cannot_share_is_refused():
    with pytest.raises(
        MiniBertError, match=r"hidden_size is 10; .* a multiple of num_attention_heads, 4"
    ):
        BertConfig(hidden_size=10, num_attention_heads=4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_type", "roberta"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("pruned_heads", {"0": [1]}),
    ],
)
def test_the_config_of_another_kind_of_model_is_refused(field, value):
    with pytest.raises(MiniBertError, match=field):
        BertConfig.from_dict({field: value})


def test_an_unknown_argument_is_refused_and_the_like_is_named():
    for make in (BertConfig, BertConfig.tiny, BertConfig().with_changes):
        with pytest.raises(MiniBertError, match="'num_label'; did you mean 'num_labels'"):
            make(num_label=3)
        with pytest.raises(MiniBertError, match="no field 'zzz'; it has vocab_size, hidden_size"):
            make(zzz=3)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"is_decoder": True}, "'is_decoder', which is always False; remove it"),
        ({"position_embedding_type": "relative_key"}, "always 'absolute'"),
        ({"tie_word_embeddings": False}, "no field 'tie_word_embeddings'; remove it"),
        ({"transformers_version": "4.3"}, "'transformers_version'; remove it"),
        ({"gradient_checkpointing": True}, r"model\.gradient_checkpointing_enable\(\)"),
        ({"output_attentions": True}, r"model\(ids, output_attentions=True\)"),
    ],
    ids=str,
)
def test_a_field_of_transformers_that_minibert_has_not_is_refused_with_advice(field, words):
    with pytest.raises(MiniBertError, match=words):
        BertConfig(**field)


def test_a_field_of_transformers_that_asks_for_nothing_is_left_out():
    nothing = {"use_cache": True, "gradient_checkpointing": False, "is_decoder": False}
    nothing |= {"position_embedding_type": "absolute", "output_attentions": False}
    assert BertConfig(**nothing) == BertConfig().with_changes(**nothing) == BertConfig()


def test_a_path_is_not_a_field():
    with pytest.raises(MiniBertError, match=r"use BertConfig\.from_pretrained"):
        BertConfig("bert_config.json")


@pytest.mark.parametrize("option", ["output_attentions", "output_hidden_states"])
def test_what_each_call_returns_can_be_chosen_in_the_config(option, tmp_path):
    config = BertConfig.tiny().with_changes(**{option: True})
    assert getattr(config, option) and not getattr(BertConfig.tiny(), option)
    config.save_pretrained(tmp_path)
    assert getattr(BertConfig.from_pretrained(tmp_path), option)


def test_a_config_cannot_be_changed_behind_the_models_back():
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"with_changes\(hidden_size=5\)"):
        BertConfig().hidden_size = 5


def test_a_config_is_read_from_a_folder_or_a_file_with_changes(tmp_path):
    BertConfig.tiny(num_labels=5).save_pretrained(tmp_path)
    for place in (tmp_path, str(tmp_path), tmp_path / "config.json"):
        config = BertConfig.from_pretrained(place, hidden_dropout_prob=0.2, cache_dir="x")
        assert (config.num_labels, config.hidden_dropout_prob) == (5, 0.2)
    with pytest.raises(MiniBertError, match=r"nothing does not exist"):
        BertConfig.from_pretrained(tmp_path / "nothing")
    with pytest.raises(MiniBertError, match=r"cannot read .*x\.json"):
        BertConfig.from_pretrained(tmp_path / "x.json")


def test_the_config_of_a_tensorflow_checkpoint_has_googles_gelu(tmp_path):
    (tmp_path / "bert_config.json").write_text('{"hidden_act": "gelu"}', encoding="utf-8")
    assert BertConfig.from_pretrained(tmp_path).hidden_act == "gelu"
    (tmp_path / "bert_model.ckpt.index").touch()
    assert BertConfig.from_pretrained(tmp_path).hidden_act == "gelu_tanh"


def test_fields_of_transformers_can_be_read_and_others_not():
    config = BertConfig.from_dict({"architectures": ["BertModel"], "use_return_dict": False})
    assert config.architectures == ["BertModel"] and not config.use_return_dict
    assert BertConfig().model_type == "bert" and BertConfig().use_return_dict
    with pytest.raises(AttributeError, match="no field 'architectures'"):
        _ = BertConfig().architectures
    with pytest.raises(AttributeError, match=r"config\.save_pretrained\(folder\)"):
        BertConfig().to_json_file("config.json")
    copied = pickle.loads(pickle.dumps(config))
    assert copied == copy.deepcopy(config) == config


def test_a_change_is_checked_like_a_new_config():
    with pytest.raises(MiniBertError, match="hidden_size is 770"):
        BertConfig().with_changes(hidden_size=770)


@pytest.mark.parametrize(
    "given",
    [
        {"id2label": {0: "bad", 1: "good"}},
        {"label2id": {"good": 1, "bad": 0}},
        {"num_labels": 2, "id2label": {1: "good", 0: "bad"}},
    ],
)
def test_one_of_the_label_fields_gives_the_others(given):
    config = BertConfig(**given)
    assert config.num_labels == 2
    assert list(config.id2label.items()) == [(0, "bad"), (1, "good")]
    assert config.label2id == {"bad": 0, "good": 1}


def test_labels_without_names_are_numbered():
    assert BertConfig(num_labels=3).id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"num_labels": 3, "id2label": {0: "a", 1: "b"}}, "num_labels is 3, but id2label has"),
        ({"id2label": {1: "a", 2: "b"}}, "must have the ids 0 to 1"),
        ({"id2label": {0: "a", 1: "a"}}, "two ids the same label"),
        ({"label2id": {"a": 0, "b": 0, "c": 1}}, "label2id names an id twice"),
        ({"id2label": {"0": "a", 0: "b", 1: "c"}}, "id2label names an id twice"),
        ({"id2label": {0: "a", 1: "b"}, "label2id": {"a": 1, "b": 0}}, "label2id contradicts"),
        ({"id2label": {}}, "num_labels is 0"),
    ],
)
def test_label_fields_that_contradict_each_other_are_refused(given, words):
    with pytest.raises(MiniBertError, match=words):
        BertConfig(**given)


def test_new_labels_replace_the_old_ones_whole():
    config = BertConfig(id2label={0: "bad", 1: "good"})
    assert config.with_changes(num_labels=4).id2label[3] == "LABEL_3"
    assert config.with_changes(id2label={0: "a", 1: "b", 2: "c"}).num_labels == 3
    assert config.with_changes(label2id={"x": 0}).id2label == {0: "x"}
    assert config.with_changes(hidden_size=12).id2label == {0: "bad", 1: "good"}
    assert config.num_labels == 2


def test_every_name_of_an_activation_becomes_one_of_three():
    assert {BertConfig(hidden_act=name).hidden_act for name in ACTIVATION_NAMES} == {
        "gelu",
        "gelu_tanh",
        "relu",
    }
    for name in ("gelu_new", "gelu_pytorch_tanh", "gelu_tanh"):
        assert BertConfig(hidden_act=name).to_dict()["hidden_act"] == "gelu_pytorch_tanh"


def test_the_names_written_for_transformers_are_names_it_knows():
    activations = pytest.importorskip("transformers.activations").ACT2FN
    for ours in set(ACTIVATION_NAMES.values()):
        assert to_hugging_face(ours) in activations


def test_to_dict_and_from_dict_are_each_others_inverse():
    config = small_config(
        hidden_act="gelu_tanh",
        classifier_dropout=0.25,
        num_labels=None,
        id2label={0: "坏", 1: "好", 2: "?"},
    )
    through_json = json.loads(json.dumps(config.to_dict()))
    back = BertConfig.from_dict(through_json)
    assert back == config
    assert back.to_dict() == config.to_dict()


def test_a_config_of_transformers_goes_both_ways():
    transformers = pytest.importorskip("transformers")
    fields = {
        "vocab_size": 60,
        "hidden_size": 24,
        "num_attention_heads": 3,
        "num_hidden_layers": 5,
        "intermediate_size": 40,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.3,
        "max_position_embeddings": 33,
        "type_vocab_size": 3,
        "initializer_range": 0.01,
        "layer_norm_eps": 1e-7,
        "pad_token_id": 2,
        "classifier_dropout": 0.4,
        "problem_type": "regression",
        "id2label": {0: "a", 1: "b", 2: "c"},
    }
    theirs = transformers.BertConfig(**fields)
    ours = BertConfig.from_dict(json.loads(theirs.to_json_string(use_diff=False)))
    for name, value in fields.items():
        expected = "gelu_tanh" if name == "hidden_act" else value
        assert getattr(ours, name) == expected, name
    again = transformers.BertConfig.from_dict(ours.to_dict())
    for name in fields.keys() - {"hidden_act"}:
        assert getattr(again, name) == getattr(theirs, name), name
    assert (again.num_labels, again.label2id) == (3, {"a": 0, "b": 1, "c": 2})


def test_fields_of_a_foreign_file_are_kept_and_the_strange_ones_named():
    fields = {
        "vocab_size": 60,
        "transformers_version": "4.1",
        "directionality": "bidi",
        "my_field": [1, 2],
        "return_dict": False,
    }
    config = BertConfig.from_dict(fields)
    assert unexplained_fields(config.foreign) == ["my_field", "return_dict"]
    written = config.with_changes(num_labels=5).to_dict()
    assert {name: written[name] for name in fields} == fields


def test_googles_file_is_understood(tmp_path: Path):
    fields = {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "type_vocab_size": 2,
        "vocab_size": 30522,
    }
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    assert BertConfig.from_json_file(path) == BertConfig.base()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not a JSON file"),
        ("[1, 2]", "is not a JSON object"),
        ("[" * 100_000, "is not a JSON file"),
        ('{"vocab_size": -1}', "vocab_size is -1"),
        ('{"layer_norm_eps": NaN}', "layer_norm_eps is nan"),
        ('{"id2label": {"x": "y"}}', "id2label is .* must be a dictionary of whole numbers"),
        ('{"label2id": {"x": "y"}}', "label2id is .* must be a dictionary of whole numbers"),
        ('{"model_type": "gpt2"}', "model_type 'gpt2'"),
    ],
)
def test_a_damaged_file_is_refused_by_its_name(content, words, tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MiniBertError, match=words) as caught:
        BertConfig.from_json_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "field",
    [
        {"id2label": 5},
        {"id2label": ["a", "b"]},
        {"id2label": [1, "a"]},
        {"label2id": ["a", "b"]},
        {"label2id": 5},
        {"hidden_act": ["gelu"]},
        {"hidden_act": {}},
        {"pad_token_id": [0]},
        {"num_labels": "2"},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_kind_is_refused_with_a_sentence(field):
    with pytest.raises(MiniBertError, match=next(iter(field))):
        BertConfig.from_dict(field)


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path):
    with pytest.raises(MiniBertError, match=r"cannot read .*config\.json"):
        BertConfig.from_json_file(tmp_path / "config.json")


@pytest.mark.parametrize("number", [np.int64(3), np.array([0, 2, 1]).max() + 1, torch.tensor(3)])
def test_a_number_of_numpy_or_pytorch_is_a_number(number, tmp_path):
    config = BertConfig(
        num_labels=number, vocab_size=np.int32(50), hidden_dropout_prob=np.float32(0.5)
    )
    assert config == BertConfig(num_labels=3, vocab_size=50, hidden_dropout_prob=0.5)
    config.with_changes(num_labels=number).save_pretrained(tmp_path)
    assert BertConfig.from_pretrained(tmp_path).num_labels == 3
    with pytest.raises(MiniBertError, match=r"num_labels is 3\.0"):
        BertConfig(num_labels=np.float64(3.0))
