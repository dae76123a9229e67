"""What you can rely on: a folder as people have it is read as they mean it, or the cause is named.

What `transformers` loads is loaded; what would compute something else is refused in one sentence
that says what is there and what to do. What is saved has the names and types that `transformers`
writes.
"""

import contextlib
import json
import os
import re
import shutil
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import ANSWERS, small_config, small_model
from tiny_folders import classifier_folder, pretrained_folder

import minibert
from minibert import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertTokenizer,
    MiniBertError,
)
from minibert.checkpoints.convert import convert
from minibert.cli.main import main
from minibert.inference.fill_mask import MaskFiller
from minibert.inference.sentence_embeddings import SentenceEncoder
from minibert.inference.text_classification import TextClassifier

QUERY = "bert.encoder.layer.0.attention.self.query.weight"


def write_config(folder: Path, **changes) -> None:
    """Change fields of a folder's config.json; None removes one."""
    path = folder / "config.json"
    fields = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {name: value for name, value in fields.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def rewrite(folder: Path, change: Callable) -> None:
    """Change the tensors of a folder's model.safetensors."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def load(kind: type, folder: Path, **changes):
    return kind.from_pretrained(folder, quiet=True, **changes)


def own_fields(config: BertConfig) -> dict:
    return {name: value for name, value in vars(config).items() if name != "foreign"}


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@contextlib.contextmanager
def quick(*, seconds: float = 1.0, megabytes: int = 100) -> Iterator[None]:
    tracemalloc.start()
    start = time.perf_counter()
    yield
    took, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < seconds
    assert peak < megabytes * 2**20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both pretraining heads and a tokenizer."""
    return pretrained_folder(tmp_path / "model")


# Labels


@pytest.mark.parametrize(
    "fields",
    [
        {"label2id": {"LABEL_0": 0, "LABEL_1": 1}},
        {"label2id": {"POS": 0, "NEG": 1}},
        {"label2id": {"neg": 0, "NEG": 0, "POS": 1}},
        {"num_labels": 3},
    ],
    ids=str,
)
def test_where_label_fields_contradict_each_other_id2label_counts(tmp_path, fields):
    names = {"0": "NEG", "1": "POS"}
    pretrained_folder(tmp_path, BertForSequenceClassification)
    write_config(tmp_path, id2label=names, **fields)
    for kind in (BertModel, BertForSequenceClassification):
        with pytest.warns(UserWarning, match="id2label is used"):
            config = load(kind, tmp_path).config
        assert (config.num_labels, config.label2id) == (2, {"NEG": 0, "POS": 1})
    for names in ({"0": "NEG", "1": "POS"}, {"0": "A", "1": "A"}, {"1": "A", "2": "B"}):
        write_config(tmp_path, id2label=names)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # labels of your own need no note
            model = load(BertForSequenceClassification, tmp_path, num_labels=2)
        assert model.config.id2label[1] == "LABEL_1"


@pytest.mark.parametrize(
    "fields",
    [
        {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}},
        {"id2label": None, "label2id": None},
        {"id2label": {}, "label2id": {}},
        {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": None, "num_labels": 5},
    ],
    ids=str,
)
def test_a_classifier_has_as_many_labels_as_its_file_where_the_config_names_none(
    tmp_path, fields, capsys
):
    pretrained_folder(tmp_path / "a", BertForSequenceClassification, num_labels=5)
    write_config(tmp_path / "a", **fields)
    convert(tmp_path / "a", tmp_path / "b")
    for place in (tmp_path / "a", tmp_path / "b"):
        model = load(BertForSequenceClassification, place)
        assert model.config.num_labels == 5
        assert load(BertForSequenceClassification, place, num_labels=5).config.num_labels == 5
        assert run("predict", place, "the cat") == 0
    assert "LABEL_4" in capsys.readouterr().out
    with pytest.raises(MiniBertError, match=r"\(5, 16\).*\(3, 16\).*num_labels"):
        load(BertForSequenceClassification, tmp_path / "a", num_labels=3)


def test_names_for_fewer_labels_than_the_classifier_has_are_refused(tmp_path):
    pretrained_folder(tmp_path, BertForSequenceClassification, num_labels=5)
    write_config(tmp_path, id2label={"0": "bad", "1": "good"}, label2id=None)
    with pytest.raises(MiniBertError, match=r"\(5, 16\).*\(2, 16\)"):
        load(BertForSequenceClassification, tmp_path)
    assert load(BertForSequenceClassification, tmp_path, num_labels=5).config.num_labels == 5
    assert load(BertModel, tmp_path).config.num_labels == 2


# The right task


@pytest.mark.parametrize("by", ["architectures", "labels"])
def test_a_token_classifier_with_a_pooler_does_not_classify_texts(tmp_path, by):
    kind = BertForSequenceClassification  # which has a pooler
    pretrained_folder(tmp_path, kind, id2label={0: "O", 1: "B-PER", 2: "I-PER"})
    write_config(
        tmp_path, architectures=["BertForTokenClassification"] if by == "architectures" else None
    )
    with pytest.raises(MiniBertError, match="is a BertForTokenClassification"):
        TextClassifier.from_pretrained(tmp_path)
    assert load(BertForTokenClassification, tmp_path).config.num_labels == 3
    assert SentenceEncoder.from_pretrained(tmp_path).encode(["the cat"]).shape == (1, 16)


def test_a_multiple_choice_model_is_no_regression(tmp_path):
    pretrained_folder(tmp_path, minibert.BertForMultipleChoice, num_labels=1)
    with pytest.raises(MiniBertError, match="is a BertForMultipleChoice"):
        TextClassifier.from_pretrained(tmp_path)


def test_a_class_of_your_own_with_more_parts_is_not_used_without_them(tmp_path):
    class WithLayer(BertForSequenceClassification):
        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.more = torch.nn.Linear(config.hidden_size, config.hidden_size)

    pretrained_folder(tmp_path, WithLayer)
    with pytest.raises(
        MiniBertError, match=r"is a WithLayer, with parts .*: 'more\.bias', 'more\.weight'"
    ):
        TextClassifier.from_pretrained(tmp_path)
    write_config(tmp_path, architectures=["BertForSequenceClassification"])
    with pytest.warns(UserWarning, match=r"does not use: 'more\.bias'"):
        TextClassifier.from_pretrained(tmp_path)


def test_parts_of_the_encoder_that_no_bert_has_are_noted(folder):
    name = "bert.encoder.layer.0.attention.self.distance_embedding.weight"
    rewrite(folder, lambda tensors: tensors.update({name: torch.zeros(3, 8)}))
    for kind in (MaskFiller, SentenceEncoder):
        with pytest.warns(UserWarning, match=r"does not use: .*distance_embedding"):
            kind.from_pretrained(folder)


def test_stored_positions_and_token_types_are_no_weights(folder):
    stored = {
        "module.bert.embeddings.position_ids": torch.arange(16)[None],
        "bert.embeddings.token_type_ids": torch.zeros(1, 16, dtype=torch.int64),
    }
    rewrite(folder, lambda tensors: tensors.update(stored))
    load(BertForPreTraining, folder, strict=True)


@pytest.mark.parametrize("attribute", ["encoder", "l1", "bert_model"])
def test_the_encoder_of_a_class_of_your_own_may_have_any_name(folder, attribute):
    class Mine(minibert.model.pretrained.PretrainedModel):
        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            setattr(self, attribute, BertModel(config))

    encoder = load(BertModel, folder).state_dict()
    model = load(Mine, folder)
    assert not model.load_report.new
    model.save_pretrained(folder)
    for loaded in (model, load(Mine, folder), load(BertModel, folder)):
        inside = next(part for part in loaded.modules() if isinstance(part, BertModel))
        for name, tensor in inside.state_dict().items():
            assert torch.equal(tensor, encoder[name]), name


def test_a_class_with_two_encoders_loads_only_what_it_saved(folder):
    class Two(minibert.model.pretrained.PretrainedModel):
        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.query, self.passage = BertModel(config), BertModel(config)

    with pytest.raises(MiniBertError, match=r"one encoder: self\.bert = BertModel\(config\)"):
        load(Two, folder)
    model = Two(small_config())
    model.save_pretrained(folder)
    for name, tensor in load(Two, folder).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


# Other models, and options that compute something else


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": "roberta"},
        {"model_type": None, "architectures": ["DistilBertModel"]},
        {"architectures": ["RobertaForMaskedLM"]},
        {"architectures": ["XLMRobertaModel"]},
        {"is_decoder": True},
        {"position_embedding_type": "relative_key"},
        {"hidden_act": "silu"},
        {"pruned_heads": {"0": [1]}},
        {"quantization_config": {"load_in_8bit": True}},
    ],
    ids=str,
)
def test_what_would_compute_something_else_is_refused(folder, fields, tmp_path):
    write_config(folder, **fields)
    with pytest.raises(MiniBertError):
        load(BertModel, folder)
    if "hidden_act" not in fields:  # which is written as it is, and refused when it is loaded
        with pytest.raises(MiniBertError):
            convert(folder, tmp_path / "new")
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"architectures": None},
        {"architectures": ["MyBert"]},
        {"model_type": None},
        {"chunk_size_feed_forward": 64, "_name_or_path": "/home/x/bert", "use_cache": True},
        {"classifier_dropout": None, "torch_dtype": "float16", "dtype": None},
        {"pad_token_id": 23},
        {"is_decoder": 0, "pruned_heads": {}, "tie_word_embeddings": True},
        {"hidden_act": "gelu_python"},
        {"hidden_dropout_prob": 1.0, "attention_probs_dropout_prob": 1, "initializer_range": 0},
        {"initializer_range": 2.5, "problem_type": "ner", "pad_token_id": -1},
        {"problem_type": ["regression"]},
        {"id2label": {"0": "a", "1": "a"}, "label2id": {"a": 1}},
        {"id2label": {"1": "a", "2": "b"}},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # that names what is ignored
def test_what_computes_the_same_is_loaded(folder, fields):
    plain = load(BertModel, folder).eval()
    write_config(folder, **fields)
    ids = torch.tensor([[2, 10, 11, 3]])
    with torch.no_grad():
        assert torch.equal(
            load(BertModel, folder)(ids).last_hidden_state, plain(ids).last_hidden_state
        )


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ({"0": "a", "1": "a", "2": "b"}, ["a (0)", "a (1)", "b"]),
        ({"0": "a", "5": "b"}, ["a", "LABEL_1"]),
        ({"1": "a", "2": "b", "3": "c"}, ["LABEL_0", "a", "b"]),
    ],
    ids=str,
)
def test_each_id_gets_one_label_whatever_the_config_says(folder, names, labels):
    write_config(folder, id2label=names, label2id=None)
    with pytest.warns(UserWarning, match=re.escape(str(labels)[1:-1])):
        config = load(BertModel, folder).config
    assert list(config.id2label.values()) == labels


def test_an_error_in_the_config_names_the_folder(folder):
    write_config(folder, hidden_act="silu")
    with pytest.raises(MiniBertError, match=f"{folder}: hidden_act is 'silu'"):
        load(BertModel, folder)


def test_a_pad_token_id_of_null_is_the_default(folder):
    path = folder / "config.json"
    text = path.read_text(encoding="utf-8").replace('"pad_token_id": 0', '"pad_token_id": null')
    path.write_text(text, encoding="utf-8")
    assert load(BertModel, folder).config.pad_token_id == 0


@pytest.mark.parametrize("name", ["gelu_new", "gelu_fast", "gelu_accurate", "gelu_python_tanh"])
def test_each_name_of_the_tanh_gelu_is_understood(name):
    activations = pytest.importorskip("transformers.activations").ACT2FN
    x = torch.linspace(-8, 8, 99, dtype=torch.float64)
    tanh = torch.nn.functional.gelu(x, approximate="tanh")
    assert BertConfig(hidden_act=name).hidden_act == "gelu_tanh"
    torch.testing.assert_close(activations[name](x), tanh, atol=1e-11, rtol=0)


@pytest.mark.parametrize("how", ["the file", "the config", "the bias"])
def test_an_untied_decoder_concerns_only_the_heads_that_use_it(folder, tmp_path, how):
    if how == "the config":
        write_config(folder, tie_word_embeddings=False)
    else:
        other = {
            "the file": ("decoder.weight", lambda t: t["bert.embeddings.word_embeddings.weight"]),
            "the bias": ("decoder.bias", lambda t: t["cls.predictions.bias"]),
        }[how]
        rewrite(folder, lambda t: t.update({f"cls.predictions.{other[0]}": other[1](t) + 1e-3}))
    for kind in (BertModel, BertForSequenceClassification):
        load(kind, folder)
    SentenceEncoder.from_pretrained(folder)
    for kind in (BertForMaskedLM, BertForPreTraining):
        with pytest.raises(MiniBertError, match="not tied to the word embeddings"):
            load(kind, folder)
    config = load(BertModel, folder).config.with_changes(hidden_dropout_prob=0.0)
    with pytest.raises(MiniBertError, match="not tied"):
        load(BertForMaskedLM, folder, config=BertConfig(**own_fields(config)))
    with pytest.raises(MiniBertError, match="not tied"):
        MaskFiller.from_pretrained(folder)
    with pytest.raises(MiniBertError, match="not tied"):
        convert(folder, tmp_path / "new")


@pytest.mark.parametrize("difference", [0.0, 1e-6, -5e-6])
def test_a_decoder_within_the_tolerance_is_tied_whatever_the_config_says(folder, difference):
    name = "bert.embeddings.word_embeddings.weight"
    rewrite(folder, lambda t: t.update({"cls.predictions.decoder.weight": t[name] + difference}))
    write_config(folder, tie_word_embeddings=False)
    assert not load(BertForMaskedLM, folder).load_report.new


# Weights under other names, in other files


@pytest.mark.parametrize("prefix", ["model.", "module.model.", "encoder."])
def test_a_prefix_is_removed_and_this_is_said(folder, prefix):
    plain = load(BertForPreTraining, folder)
    tensors = load_file(folder / "model.safetensors")
    save_file({prefix + name: t for name, t in tensors.items()}, folder / "model.safetensors")
    loaded = load(BertForPreTraining, folder, strict=True)
    assert f"note: removed {prefix!r} from names" in str(loaded.load_report)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_of_two_tied_tensors_either_may_be_stored(folder):
    words = load(BertForMaskedLM, folder).get_input_embeddings().weight
    old, new = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
    rewrite(folder, lambda tensors: tensors.update({new: tensors.pop(old)}))
    assert torch.equal(load(BertForMaskedLM, folder).get_input_embeddings().weight, words)


@pytest.mark.parametrize("prefix", ["", "model.", "net.encoder.", "model.bert.", "module.m."])
@pytest.mark.parametrize("kind", [BertModel, BertForSequenceClassification])
def test_our_own_names_are_read_with_any_prefix_too(folder, prefix, kind):
    encoder = load(BertModel, folder)
    saved = {"state_dict": {prefix + n: t for n, t in encoder.state_dict().items()}, "epoch": 3}
    (folder / "model.safetensors").unlink()
    torch.save(saved, folder / "pytorch_model.bin")
    loaded = load(kind, folder)
    assert all(name.startswith("classifier") for name in loaded.load_report.new)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, loaded.base_model.state_dict()[name]), name


def test_a_classifier_of_a_training_loop_keeps_its_head(folder):
    model = load(BertForSequenceClassification, folder, num_labels=3)
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    saved = {"state_dict": {f"model.{name}": t for name, t in model.state_dict().items()}}
    torch.save(saved, folder / "pytorch_model.bin")
    assert torch.equal(
        load(BertForSequenceClassification, folder, strict=True).classifier.weight,
        model.classifier.weight,
    )


def test_names_that_no_bert_has_are_shown(folder, tmp_path):
    tensors = load_file(folder / "model.safetensors")
    other = {n.replace("attention.self.", "attention.own_"): t for n, t in tensors.items()}
    save_file(other, folder / "model.safetensors")
    for read in (lambda: load(BertModel, folder), lambda: convert(folder, tmp_path / "new")):
        with pytest.raises(MiniBertError, match=r"lacks .*Names that no BERT has: .*own_"):
            read()
    odd = {n.replace("bert.", "xyz_bert_", 1): t for n, t in tensors.items()}
    save_file(odd, folder / "model.safetensors")
    with pytest.raises(MiniBertError, match=r"no tensor of a BertModel, but .*xyz_bert_"):
        load(BertModel, folder)
    save_file({"transformer.h.0.attn": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(MiniBertError, match=r"has 0 of the 2 layers.*'transformer\.h\.0\.attn'"):
        load(BertModel, folder)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_the_state_dict_in_a_checkpoint_of_a_training_loop_is_read(folder, key):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    content = {"epoch": 3, key: {f"model.{name}": tensor for name, tensor in tensors.items()}}
    torch.save(content, folder / "pytorch_model.bin")
    load(BertForPreTraining, folder, strict=True)


def shards(folder: Path, suffix: str) -> dict[str, str]:
    """Split model.safetensors in two, and return the places of the tensors."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    places = {n: f"{stem}-0000{i % 2 + 1}-of-00002.{suffix}" for i, n in enumerate(tensors)}
    for file in set(places.values()):
        part = {name: tensors[name] for name, place in places.items() if place == file}
        (save_file if suffix == "safetensors" else torch.save)(part, folder / file)
    index = folder / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    return places


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_are_read_as_one_and_each_must_hold_what_the_index_says(folder, suffix):
    plain = load(BertForPreTraining, folder)
    places = shards(folder, suffix)
    loaded = load(BertForPreTraining, folder, strict=True)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    first, second = (folder / file for file in sorted(set(places.values())))
    whole = second.read_bytes()
    shutil.copyfile(first, second)
    with pytest.raises(MiniBertError, match=r"00002-of-00002.* lacks .*index\.json says"):
        load(BertModel, folder)
    second.unlink()
    with pytest.raises(MiniBertError, match=r"no file .*00002-of-00002.*copy it there"):
        load(BertModel, folder)
    second.write_bytes(whole)
    if suffix == "safetensors":
        save_file(load_file(second) | {QUERY: torch.zeros(16, 16)}, second)
        save_file(load_file(first) | {QUERY: torch.ones(16, 16)}, first)
        with pytest.raises(MiniBertError, match=r"two files .* have different tensors"):
            load(BertModel, folder)


OTHER_FILES = {
    "model.onnx": "an exported program",
    "onnx/model.onnx": "an exported program",
    "openvino_model.bin": "an exported program",
    "model.gguf": "an exported program",
    "model.fp16.safetensors": r"rename model\.fp16\.safetensors",
    "pytorch_model.fp16.bin": "rename",
    "tf_model.h5": "TensorFlow only",
    "flax_model.msgpack": "Flax only",
    "adapter_model.safetensors": "merge_and_unload",
    "last.ckpt": "torch.load",
    "weights.safetensors": r"rename it to model\.safetensors",
    "model-00001-of-00002.safetensors": r"index\.json",
    "checkpoint-500/model.safetensors": "give .*checkpoint-500",
    "checkpoint-500/pytorch_model.bin": "give .*checkpoint-500",
    "0_Transformer/pytorch_model.bin": "give .*0_Transformer",
    "training_args.bin": "holds no weights: .*--resume.*'training_args.bin'",
    "rust_model.ot": "holds no weights: .*'rust_model.ot'",
}


@pytest.mark.parametrize("file", OTHER_FILES)
def test_a_folder_without_weights_names_what_is_there_and_the_way_out(folder, file):
    (folder / "model.safetensors").unlink()
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(b"x")
    with pytest.raises(MiniBertError, match=OTHER_FILES[file]):
        load(BertModel, folder)


def test_of_several_checkpoints_the_last_is_named(folder, tmp_path):
    for step in (500, 1000, 90):
        shutil.copytree(folder, tmp_path / "run" / f"checkpoint-{step}")
    with pytest.raises(MiniBertError, match=r"give .*checkpoint-1000\."):
        load(BertModel, tmp_path / "run")


@pytest.mark.parametrize("full", [True, False])
def test_an_adapter_is_refused_also_beside_full_weights(folder, full):
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    if not full:
        (folder / "config.json").unlink()
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    with pytest.raises(MiniBertError, match=r"adapter .*merge_and_unload"):
        load(BertModel, folder)


def test_lora_weights_among_the_others_are_refused(folder):
    name = QUERY.replace("weight", "lora_A.default.weight")
    rewrite(folder, lambda tensors: tensors.update({name: torch.zeros(2, 16)}))
    with pytest.raises(MiniBertError, match=r"LoRA.*merge_and_unload"):
        load(BertModel, folder)


# Types


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8, torch.int8])
@pytest.mark.parametrize("name", [QUERY, QUERY.replace("weight", "bias"), "cls.predictions.bias"])
def test_a_weight_that_is_stored_as_whole_numbers_is_refused(folder, name, dtype):
    rewrite(folder, lambda tensors: tensors.update({name: tensors[name].to(dtype)}))
    with pytest.raises(MiniBertError, match=rf"model\.safetensors: .*{dtype}, which"):
        load(BertForPreTraining, folder)


def test_a_weight_of_your_own_part_keeps_its_type(folder):
    class Scaled(BertForMaskedLM):
        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.scale = torch.nn.Parameter(torch.ones(2))

    Scaled(load(BertModel, folder).config).save_pretrained(folder)
    load(Scaled, folder)
    rewrite(folder, lambda tensors: tensors.update({"scale": torch.ones(2).bool()}))
    with pytest.raises(MiniBertError, match=r"scale is stored as torch\.bool"):
        load(Scaled, folder)


# What is saved is as `transformers` saves it


@pytest.mark.parametrize("name", ANSWERS)
def test_saved_names_and_types_are_those_of_transformers(name, tmp_path):
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    model = small_model(name, dtype=torch.float32)
    if name == "BertForQuestionAnswering":  # num_labels is the width of its layer there
        model.config = model.config.with_changes(num_labels=2)
    model.save_pretrained(tmp_path / "ours")
    config = transformers.BertConfig.from_pretrained(tmp_path / "ours")
    theirs = getattr(transformers, name)(config)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_file(tmp_path / "ours" / "model.safetensors")
    written = load_file(tmp_path / "theirs" / "model.safetensors")
    assert {n: (t.shape, t.dtype) for n, t in ours.items()} == {
        n: (t.shape, t.dtype) for n, t in written.items()
    }
    loading = theirs.load_state_dict(ours, strict=False)
    assert not loading.unexpected_keys
    assert set(loading.missing_keys) == theirs.state_dict().keys() - written.keys()
    for field in ("dtype", "architectures", "model_type"):
        saved = [
            json.loads((tmp_path / n / "config.json").read_text("utf-8"))
            for n in ("ours", "theirs")
        ]
        assert saved[0][field] == saved[1][field]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_config_names_the_type_that_the_file_has(dtype, tmp_path):
    small_model("BertModel", dtype=dtype).save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    [stored] = {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()}
    assert (
        fields["dtype"] == str(stored).removeprefix("torch.") == str(dtype).removeprefix("torch.")
    )
    again = load(BertModel, tmp_path)
    again.save_pretrained(tmp_path / "again")
    assert again.config == BertConfig.from_json_file(tmp_path / "again" / "config.json")


def test_the_configs_of_weights_name_the_type_of_their_file():
    for path in (Path(__file__).parents[1] / "weights").glob("*/config.json"):
        fields = json.loads(path.read_text(encoding="utf-8"))
        stored = {t.dtype for t in load_file(path.with_name("model.safetensors")).values()}
        assert {f"torch.{fields['dtype']}"} == {str(dtype) for dtype in stored}


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(),
        BertConfig(num_labels=5, hidden_act="gelu_new", problem_type="regression"),
        BertConfig.from_dict({"id2label": {"1": "b", "0": "a"}, "_name_or_path": "x"}),
    ],
    ids=["default", "changed", "from a file"],
)
def test_a_config_read_back_is_equal(config, tmp_path):
    assert BertConfig.from_dict(config.to_dict()) == config
    assert BertConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config != config.with_changes(layer_norm_eps=1e-6)
    model = BertModel(small_config())
    model.save_pretrained(tmp_path)
    assert load(BertModel, tmp_path).config == model.config


def test_a_class_made_from_the_bare_encoder_finds_its_own_parts_again(tmp_path):
    class Mine(BertModel):
        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.more = torch.nn.Linear(2, 2)

    model = Mine(small_config())
    model.save_pretrained(tmp_path)
    assert "more.weight" in load_file(tmp_path / "model.safetensors")
    loaded = load(Mine, tmp_path, strict=True)
    assert torch.equal(loaded.more.weight, model.more.weight)


# Files that were changed since


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("vocab.txt", lambda data: data.replace(b"cat\n", b"", 1)),
        ("vocab.txt", lambda data: data.replace(b"cat\nsat\n", b"sat\ncat\n", 1)),
        ("model.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ],
    ids=["a line less", "two lines swapped", "one bit of the weights"],
)
def test_a_changed_file_of_a_classifier_is_refused_until_you_say_that_you_meant_it(
    tmp_path, name, change, capsys
):
    folder = classifier_folder(tmp_path / "cls")
    before = TextClassifier.from_pretrained(folder)("the cat")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(change(data))
    assert (folder / name).read_bytes() != data
    assert run("predict", folder, "the cat") == 2
    message = capsys.readouterr().err
    assert f"{name} is not the file that was saved" in message
    assert 'delete "files" from' in message
    with pytest.raises(MiniBertError, match="is not the file that was saved"):
        convert(folder, tmp_path / "new")
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    del task["files"]
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    if name == "vocab.txt":  # of which it is a copy
        (folder / "tokenizer.json").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert TextClassifier.from_pretrained(folder)("the cat") is not None
    (folder / name).write_bytes(data)
    assert TextClassifier.from_pretrained(folder)("the cat") == before


def test_labels_and_options_may_be_edited_by_hand(tmp_path):
    folder = classifier_folder(tmp_path)
    write_config(folder, id2label={"0": "gut", "1": "schlecht"}, label2id=None)
    assert TextClassifier.from_pretrained(folder)("the cat").label in ("gut", "schlecht")


def test_a_recorded_file_may_be_replaced_by_one_of_another_format(tmp_path):
    folder = classifier_folder(tmp_path)
    before = TextClassifier.from_pretrained(folder)("the cat")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "vocab.txt").unlink()  # tokenizer.json has it, too
    assert TextClassifier.from_pretrained(folder)("the cat") == before


def test_saving_into_a_classifiers_folder_renews_the_checksums(tmp_path):
    folder = classifier_folder(tmp_path / "cls")
    model = load(BertForSequenceClassification, folder)
    with torch.no_grad():
        model.classifier.bias += 5
    model.save_pretrained(folder)
    BertTokenizer.from_pretrained(folder, do_lower_case=False).save_pretrained(folder)
    TextClassifier.from_pretrained(folder)
    convert(folder, tmp_path / "half", float16=True)
    TextClassifier.from_pretrained(tmp_path / "half")
    (tmp_path / "half" / "vocab.txt").write_bytes(b"x\n" * 3)
    with pytest.raises(MiniBertError, match="is not the file that was saved"):
        TextClassifier.from_pretrained(tmp_path / "half")


def test_a_foreign_vocabulary_with_a_line_less_than_the_model_is_noted(folder):
    lines = (folder / "vocab.txt").read_bytes()
    (folder / "vocab.txt").write_bytes(lines.replace("狗\n".encode(), b""))
    (folder / "tokenizer.json").unlink(missing_ok=True)
    with pytest.warns(UserWarning, match="has 23 tokens, and its model has embeddings for 24"):
        MaskFiller.from_pretrained(folder)


# Files that are no files, or too large


def replace_by_fifo(path: Path) -> None:
    os.mkfifo(path)


def replace_by_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def replace_by_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


def replace_by_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize(
    "replace", [replace_by_fifo, replace_by_zeros, replace_by_sparse, replace_by_folder]
)
@pytest.mark.parametrize("name", ["task.json", "vocab.txt", "config.json", "tokenizer_config.json"])
def test_what_is_no_small_file_is_refused_at_once(tmp_path, name, replace):
    folder = classifier_folder(tmp_path / "cls")
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    (folder / "task.json").write_text(json.dumps(task | {"files": {}}), encoding="utf-8")
    (folder / name).unlink()
    (folder / "tokenizer.json").unlink(missing_ok=True)
    replace(folder / name)
    with quick(), pytest.raises(MiniBertError, match=name):
        TextClassifier.from_pretrained(folder)


@pytest.mark.parametrize("layers", [999, 3, 10**9, True, "2"])
def test_more_layers_than_the_file_has_are_refused_before_a_model_is_built(folder, layers):
    write_config(folder, num_hidden_layers=layers)
    with quick(), pytest.raises(MiniBertError, match="layers"):
        load(BertModel, folder)


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_link_to_nothing_is_named(folder, name):
    (folder / name).unlink()
    (folder / name).symlink_to("../../blobs/0123")
    with pytest.raises(MiniBertError, match=rf"{name} is a link to \.\./\.\./blobs/0123, which"):
        MaskFiller.from_pretrained(folder)
    (folder.parent / "link").symlink_to("nowhere")
    with pytest.raises(MiniBertError, match="link is a link to nowhere"):
        load(BertModel, folder.parent / "link")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "config.json"])
def test_a_file_that_may_not_be_read_is_not_called_damaged(folder, name, monkeypatch):
    if name == "pytorch_model.bin":
        torch.save(load_file(folder / "model.safetensors"), folder / name)
        (folder / "model.safetensors").unlink()
    for function in ("open", "read_bytes"):
        original = getattr(Path, function)

        def refuse(self, *arguments, original=original, **options):
            if self.name == name:
                raise PermissionError(13, "Permission denied", str(self))
            return original(self, *arguments, **options)

        monkeypatch.setattr(Path, function, refuse)
    with pytest.raises(MiniBertError, match=rf"cannot read .*{name}: Permission denied; check"):
        load(BertModel, folder)


DOWNLOADS = {  # what is saved in place of a file -> what is said
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "Git LFS pointer.*git lfs pull",
    b"<!DOCTYPE html>\n<html class=''><head></head></html>\n": "web page .*download it again",
    b"\n  <html><body>Sign in</body></html>": "web page .*download it again",
    b"Entry not found": "web page .*download it again",
}


@pytest.mark.parametrize("content", DOWNLOADS)
@pytest.mark.parametrize(
    "name", ["model.safetensors", "pytorch_model.bin", "config.json", "vocab.txt", "tokenizer.json"]
)
def test_what_was_downloaded_in_place_of_a_file_is_named(folder, name, content):
    if name == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    kind = BertTokenizer if name in ("vocab.txt", "tokenizer.json") else BertModel
    with pytest.raises(MiniBertError, match=rf"{re.escape(name)} is a {DOWNLOADS[content]}"):
        kind.from_pretrained(folder)
