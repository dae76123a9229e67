"""What you can rely on: one table names every tensor of every class, and works in both directions.

Each of our parameters has its Hugging Face and its Google name, no name stands for two tensors, and
ours -> theirs -> ours gives the same bits. Legacy names and the prefixes of other tools mean the
same tensors. The Hugging Face names are those that `transformers` itself uses.
"""

import os

import pytest
import torch
from torch import Tensor

import minibert
from minibert import BertConfig, MiniBertError
from minibert.checkpoints.name_map import (
    from_google,
    from_hugging_face,
    parameters,
    to_google,
    to_hugging_face,
)

CLASSES = [name for name in minibert.__all__ if name.startswith(("BertFor", "BertModel"))]
LAYERS = 3
CONFIG = BertConfig(
    vocab_size=11,
    hidden_size=8,
    num_attention_heads=2,
    num_hidden_layers=LAYERS,
    intermediate_size=12,
    max_position_embeddings=5,
    num_labels=3,
)


def tensors_of(name: str) -> dict[str, Tensor]:
    """Every tensor of a class, at random, by the name that it has in the table."""
    torch.manual_seed(0)
    model = getattr(minibert, name)(CONFIG)
    return {model.prefix + key: torch.randn_like(t) for key, t in model.state_dict().items()}


def assert_same(mine: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert mine.keys() == other.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture
def theirs() -> dict[str, Tensor]:
    """Both pretraining heads, under Hugging Face's names."""
    return to_hugging_face(tensors_of("BertForPreTraining"), LAYERS)


def test_query_key_and_value_are_cut_and_turned_by_hand():
    # Two numbers wide: rows 0-1 are Q, 2-3 are K, 4-5 are V.
    joined = torch.arange(12.0).view(6, 2)
    ours = {"bert.encoder.layer.0.attention.query_key_value.weight": joined}
    google = to_google(ours, 1)
    start = "bert/encoder/layer_0/attention/self/"
    assert google[start + "query/kernel"].tolist() == [[0, 2], [1, 3]]
    assert google[start + "key/kernel"].tolist() == [[4, 6], [5, 7]]
    assert google[start + "value/kernel"].tolist() == [[8, 10], [9, 11]]
    hugging_face = to_hugging_face(ours, 1)
    assert hugging_face["bert.encoder.layer.0.attention.self.key.weight"].tolist() == [
        [4, 5],
        [6, 7],
    ]


@pytest.mark.parametrize("name", CLASSES)
def test_every_tensor_of_every_class_is_in_the_table(name):
    assert tensors_of(name).keys() <= {row.ours for row in parameters(LAYERS)}


def test_every_row_of_the_table_is_a_tensor_of_some_class():
    used = set().union(*(tensors_of(name) for name in CLASSES))
    assert {row.ours for row in parameters(LAYERS)} == used


@pytest.mark.parametrize("column", ["ours", "hugging_face", "google"])
def test_no_name_stands_for_two_tensors(column):
    values = [getattr(row, column) for row in parameters(LAYERS)]
    names = values if column == "ours" else [name for group in values for name in group]
    assert len(names) == len(set(names))
    assert all(len(row.hugging_face) == len(row.google) for row in parameters(LAYERS))


@pytest.mark.parametrize("name", CLASSES)
def test_to_hugging_face_and_back_is_the_identity(name):
    ours = tensors_of(name)
    back = from_hugging_face(to_hugging_face(ours, LAYERS), LAYERS)
    assert_same(back.tensors, ours)
    assert not back.unknown and not back.notes


@pytest.mark.parametrize("name", CLASSES)
def test_to_google_and_back_is_the_identity(name):
    ours = tensors_of(name)
    back = from_google(to_google(ours, LAYERS), LAYERS)
    assert_same(back.tensors, ours)
    assert back.unknown == {}


@pytest.mark.parametrize("name", CLASSES)
def test_the_hugging_face_names_and_shapes_are_those_of_transformers(name):
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    fields = {key: value for key, value in CONFIG.to_dict().items() if key != "model_type"}
    if name == "BertForQuestionAnswering":
        del fields["id2label"], fields["label2id"]  # they are the width of its layer there: 2
    state = getattr(transformers, name)(transformers.BertConfig(**fields)).state_dict()
    prefix = getattr(minibert, name).prefix
    mine = to_hugging_face(tensors_of(name), LAYERS)
    shapes = {key.removeprefix(prefix): tuple(tensor.shape) for key, tensor in mine.items()}
    repeated = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    assert shapes == {k: tuple(t.shape) for k, t in state.items() if k not in repeated}


def test_gamma_and_beta_are_the_weight_and_bias_of_a_norm(theirs):
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta"): t
        for name, t in theirs.items()
    }
    assert len(old.keys() - theirs.keys()) == 4 + 4 * LAYERS
    assert_same(from_hugging_face(old, LAYERS).tensors, tensors_of("BertForPreTraining"))


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_what_other_tools_put_before_each_name_comes_off_and_is_said(theirs, prefix):
    read = from_hugging_face({prefix + name: t for name, t in theirs.items()}, LAYERS)
    assert_same(read.tensors, tensors_of("BertForPreTraining"))
    assert read.notes == [f"removed {prefix!r} from names"]
    assert read.unknown == {}


def test_a_file_of_the_bare_encoder_has_no_bert_before_its_names():
    ours = tensors_of("BertModel")
    bare = {n.removeprefix("bert."): t for n, t in to_hugging_face(ours, LAYERS).items()}
    assert_same(from_hugging_face(bare, LAYERS).tensors, ours)


@pytest.mark.parametrize("start", ["", "bert."])
def test_stored_position_numbers_are_no_weights(start):
    ours = tensors_of("BertModel")
    theirs = {
        start + name.removeprefix("bert."): tensor
        for name, tensor in to_hugging_face(ours, LAYERS).items()
    }
    read = from_hugging_face(
        theirs | {start + "embeddings.position_ids": torch.arange(5)[None]}, LAYERS
    )
    assert_same(read.tensors, ours)
    assert read.unknown == {}


def test_a_repeated_decoder_is_taken_if_it_says_the_same(theirs):
    table = theirs["bert.embeddings.word_embeddings.weight"]
    repeated = {
        "cls.predictions.decoder.weight": table.clone(),
        "cls.predictions.decoder.bias": theirs["cls.predictions.bias"].clone(),
    }
    read = from_hugging_face(theirs | repeated, LAYERS)
    assert_same(read.tensors, tensors_of("BertForPreTraining"))
    assert read.unknown == {}
    del theirs["cls.predictions.bias"]  # some files have the bias under the decoder's name alone
    read = from_hugging_face(theirs | repeated, LAYERS)
    assert_same(read.tensors, tensors_of("BertForPreTraining"))


@pytest.mark.parametrize(
    ("change", "tied"), [(0.0, True), (1e-6, True), (9e-6, True), (2e-5, False), (1.0, False)]
)
def test_a_decoder_is_tied_up_to_the_tolerance(theirs, change, tied):
    decoder = theirs["bert.embeddings.word_embeddings.weight"].clone()
    decoder[3, 1] += change
    assert from_hugging_face(theirs, LAYERS).tied is None
    assert (
        from_hugging_face(theirs | {"cls.predictions.decoder.weight": decoder}, LAYERS).tied is tied
    )


@pytest.mark.parametrize("change", ["value", "shape"])
def test_two_tensors_for_one_name_are_refused_or_a_second_decoder(theirs, change):
    def other(tensor):
        return {"value": tensor + 1, "shape": tensor[:-1]}[change]

    bias = other(theirs["cls.predictions.bias"])
    assert from_hugging_face(theirs | {"cls.predictions.decoder.bias": bias}, LAYERS).tied is False
    name = "bert.embeddings.LayerNorm.weight"
    twice = theirs | {name.replace("weight", "gamma"): other(theirs[name])}
    with pytest.raises(MiniBertError, match=f"two different tensors for {name}"):
        from_hugging_face(twice, LAYERS)


PREFIXED = {
    "of a class around it": lambda name: "model." + name,
    "of two classes": lambda name: "net.model." + name,
    "bert.bert., of a class with a BERT in it": lambda name: "bert." + name,
    "module., but not before the heads": lambda name: (
        "module." + name if name.startswith("bert.") else name
    ),
    "module., before some": lambda name: "module." + name if ".1." in name else name,
    "module., inside": lambda name: name.replace("bert.", "bert.module.", 1),
    "of torch.compile, inside": lambda name: name.replace("bert.", "bert._orig_mod.", 1),
    "FSDP's, inside": lambda name: name.replace("layer.1.", "layer.1._fsdp_wrapped_module."),
    "encoder. for bert.": lambda name: name.replace("bert.", "encoder.", 1),
    "a name of its own for bert.": lambda name: name.replace("bert.", "my_bert.", 1),
    "model. without bert., as Lightning has it": lambda name: "model." + name.removeprefix("bert."),
    "0.auto_model., of a sentence transformer": lambda name: (
        "0.auto_model." + name.removeprefix("bert.")
    ),
}


@pytest.mark.parametrize("where", PREFIXED)
def test_any_one_prefix_is_removed_and_named(theirs, where):
    read = from_hugging_face({PREFIXED[where](name): t for name, t in theirs.items()}, LAYERS)
    assert_same(read.tensors, tensors_of("BertForPreTraining"))
    assert read.notes and read.unknown == {}


def test_only_a_prefix_of_all_is_removed_from_tensors_that_no_bert_has(theirs):
    theirs["crf.module.weight"] = torch.zeros(1)
    assert list(from_hugging_face(theirs, LAYERS).unknown) == ["crf.module.weight"]
    prefixed = {f"model.{name}": tensor for name, tensor in theirs.items()}
    assert list(from_hugging_face(prefixed, LAYERS).unknown) == ["crf.module.weight"]


def test_two_encoders_in_one_file_are_refused_unless_one_is_named_bert(theirs):
    second = {f"second.{name}": tensor + 1 for name, tensor in theirs.items()}
    read = from_hugging_face(theirs | second, LAYERS)
    assert_same(read.tensors, tensors_of("BertForPreTraining"))
    assert read.unknown.keys() == second.keys()
    first = {f"first.{name}": tensor for name, tensor in theirs.items()}
    with pytest.raises(MiniBertError, match=r"2 encoders, below 'first\.bert\.' and 'second"):
        from_hugging_face(first | second, LAYERS)


@pytest.mark.parametrize("prefix", ["roberta.", "xlm_roberta.", "model.electra.", "longformer."])
def test_the_prefix_of_another_model_is_refused(theirs, prefix):
    with pytest.raises(MiniBertError, match="not of a BERT"):
        from_hugging_face({n.replace("bert.", prefix, 1): t for n, t in theirs.items()}, LAYERS)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
@pytest.mark.parametrize("part", ["query.weight", "key.bias", "value.weight"])
def test_a_part_of_query_key_and_value_that_is_no_floating_point_number_is_refused(
    theirs, part, dtype
):
    name = f"bert.encoder.layer.0.attention.self.{part}"
    with pytest.raises(MiniBertError, match=rf"{name} is stored as {dtype}, which cannot be"):
        from_hugging_face(theirs | {name: theirs[name].to(dtype)}, LAYERS)


def test_a_failed_training_is_not_called_untied(theirs):
    # NaN is not equal to NaN: the same bits must count as the same.
    table = torch.full_like(theirs["bert.embeddings.word_embeddings.weight"], torch.nan)
    both = {
        "bert.embeddings.word_embeddings.weight": table,
        "cls.predictions.decoder.weight": table.clone(),
    }
    assert (
        from_hugging_face(theirs | both, LAYERS)
        .tensors["bert.embeddings.word_embeddings.weight"]
        .isnan()
        .all()
    )


def test_a_part_of_query_key_and_value_is_not_enough(theirs):
    del theirs["bert.encoder.layer.1.attention.self.key.bias"]
    with pytest.raises(
        MiniBertError, match=r"only some of the 3 tensors .* lacks .*self\.key\.bias"
    ):
        from_hugging_face(theirs, LAYERS)


def test_query_key_and_value_of_different_shapes_are_refused(theirs):
    name = "bert.encoder.layer.1.attention.self.key.weight"
    theirs[name] = theirs[name][:-1]
    with pytest.raises(MiniBertError, match=r"must have one shape.*key\.weight \(7, 8\)"):
        from_hugging_face(theirs, LAYERS)


def test_names_that_no_bert_has_are_listed_and_layers_beyond_the_config_too(theirs):
    read = from_hugging_face(theirs | {"crf.transitions": torch.zeros(2)}, LAYERS - 1)
    beyond = [name for name in theirs if f".layer.{LAYERS - 1}." in name]
    assert sorted(read.unknown) == sorted(["crf.transitions", *beyond])
    google = to_google(tensors_of("BertForPreTraining"), LAYERS) | {"step": torch.zeros(())}
    beyond = [name for name in google if f"/layer_{LAYERS - 1}/" in name]
    assert list(from_google(google, LAYERS - 1).unknown) == sorted(["step", *beyond])


def test_translating_changes_nothing_of_what_it_was_given(theirs):
    before = {name: tensor.clone() for name, tensor in theirs.items()}
    from_hugging_face(theirs, LAYERS)
    assert_same(theirs, before)
