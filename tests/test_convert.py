"""What you can rely on: a converted folder has every weight of its source, for `transformers` too.

Google's checkpoints and old `.bin` files become safetensors folders that give the same answers to
the last bit in minibert, and to its usual tolerance in `transformers`. The destination appears
whole or not at all, and is never written over.
"""

import json
import os
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from conftest import shared
from safetensors.torch import load_file
from small_models import ANSWERS, small_batch, small_model
from tensorflow_writer import write_google_folder
from tiny_folders import classifier_folder

import minibert
from minibert import BertConfig, BertForPreTraining, MiniBertError
from minibert.checkpoints.convert import convert
from minibert.checkpoints.name_map import to_hugging_face
from minibert.files import TOKENIZER_FILES
from minibert.inference.text_classification import TextClassifier


def write_google(folder: Path, name: str, **changes) -> minibert.BertModel:
    """Write a folder as Google's code leaves it, and return the model that is in it."""
    model = small_model(name, dtype=torch.float32, hidden_act="gelu_tanh", **changes)
    write_google_folder(folder, model)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n词\n", encoding="utf-8")
    return model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "google").mkdir()
    return tmp_path / "google"


def assert_same_answers(model, other, *, tolerance: float = 0.0) -> None:
    name = type(model).__name__
    with torch.no_grad():
        mine, theirs = model(**small_batch(name)), other.eval()(**small_batch(name))
    for answer in ANSWERS[name]:
        torch.testing.assert_close(mine[answer], theirs[answer], atol=tolerance, rtol=0)


CLASSES = [name for name in ANSWERS if name != "BertForMultipleChoice"]


@pytest.mark.parametrize("name", CLASSES)
def test_googles_folder_gives_the_same_bits_after_conversion(name, source, tmp_path):
    model = write_google(source, name)
    convert(source, tmp_path / "new")
    loaded = getattr(minibert, name).from_pretrained(tmp_path / "new", strict=True, quiet=True)
    assert_same_answers(model, loaded)
    assert loaded.config.hidden_act == "gelu_tanh"


@pytest.mark.parametrize("name", CLASSES)
def test_transformers_reads_the_result_whole_and_agrees(name, source, tmp_path):
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    model = write_google(source, name)
    convert(source, tmp_path / "new")
    loading: dict
    theirs, loading = getattr(transformers, name).from_pretrained(
        tmp_path / "new", output_loading_info=True
    )
    assert not any(loading.values()), loading
    assert theirs.config.hidden_act == "gelu_pytorch_tanh"
    # A classifier of tokens has no pooler: so the two kinds are told apart.
    assert theirs.config.architectures == [name]
    assert_same_answers(model, theirs, tolerance=1e-5)


@pytest.mark.parametrize("labels", [1, 2, 5])
def test_the_number_of_classes_is_read_off_the_classifier(labels, source, tmp_path):
    write_google(source, "BertForSequenceClassification", num_labels=labels)
    convert(source, tmp_path / "new")
    config = BertConfig.from_json_file(tmp_path / "new" / "config.json")
    assert config.num_labels == labels


def test_what_google_itself_wrote_is_converted_with_both_heads(tmp_path):
    google = shared("golden/google_tiny")
    said = convert(google, tmp_path / "new")
    assert "38 tensors of a BertForPreTraining, from Google's checkpoint" in said
    before = BertForPreTraining.from_pretrained(google, strict=True, quiet=True).state_dict()
    after = BertForPreTraining.from_pretrained(tmp_path / "new", strict=True, quiet=True)
    for name, tensor in after.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_an_old_bin_keeps_its_heads_its_config_and_its_labels(tmp_path):
    folder = tmp_path / "old"
    model = small_model("BertForSequenceClassification", dtype=torch.float32)
    labels = {0: "坏", 1: "好", 2: "?"}
    model.config = model.config.with_changes(id2label=labels)
    model.save_pretrained(folder)
    named = dict(model.state_dict())
    named |= small_model("BertForPreTraining", dtype=torch.float32).state_dict()
    torch.save(to_hugging_face(named, 2), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    convert(folder, tmp_path / "new")
    written = load_file(tmp_path / "new" / "model.safetensors")
    assert written.keys() == to_hugging_face(named, 2).keys()
    config = BertConfig.from_json_file(tmp_path / "new" / "config.json")
    assert config == BertConfig.from_json_file(folder / "config.json")
    assert dict(config.id2label) == labels


def test_the_tokenizers_files_come_along_and_nothing_is_guessed(source, tmp_path):
    write_google(source, "BertModel")
    said = convert(source, tmp_path / "one")
    assert (tmp_path / "one" / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()
    assert "tokenizer: vocab.txt" in said
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == [
        "config.json",
        "model.safetensors",
        "vocab.txt",
    ]
    for name in TOKENIZER_FILES:
        (source / name).write_text(f"{name}: 语", encoding="utf-8")
    convert(source, tmp_path / "two")
    for name in TOKENIZER_FILES:
        assert (tmp_path / "two" / name).read_bytes() == (source / name).read_bytes()


def test_a_classifier_still_knows_what_it_was_trained_to_read(tmp_path):
    classifier_folder(tmp_path / "pairs", pairs=True)
    convert(tmp_path / "pairs", tmp_path / "converted")
    with pytest.raises(MiniBertError, match="trained on pairs"):
        TextClassifier.from_pretrained(tmp_path / "converted")("one text")


def test_what_no_bert_has_is_left_out_and_named(source, tmp_path):
    model = small_model("BertModel", dtype=torch.float32)
    model.save_pretrained(source)
    tensors = load_file(source / "model.safetensors") | {"crf\x1b.start": torch.zeros(2).half()}
    (source / "model.safetensors").unlink()
    torch.save(tensors, source / "pytorch_model.bin")
    said = convert(source, tmp_path / "new")
    assert r"not copied, as no BERT has them: 1 ('crf\x1b.start', ...)" in said
    assert "note: stored as float16, loaded as float32" in said


def test_a_destination_in_use_is_refused_and_an_empty_one_is_filled(source, tmp_path):
    write_google(source, "BertModel")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("keep", encoding="utf-8")
    for used, reason in (
        (tmp_path / "new", "exists and is not empty"),
        (source, "exists and is not empty"),
        (source / "vocab.txt", "is a file, not a folder"),
    ):
        with pytest.raises(MiniBertError, match=reason):
            convert(source, used)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["mine.txt"]
    (tmp_path / "new" / "mine.txt").unlink()
    convert(source, tmp_path / "new")
    assert (tmp_path / "new" / "model.safetensors").is_file()
    convert(str(source), str(tmp_path / "in" / "another" / "place"))
    assert (tmp_path / "in" / "another" / "place" / "config.json").is_file()


@pytest.mark.parametrize("damage", ["a bit", "no data", "no config", "a layer", "nothing"])
def test_from_a_damaged_source_nothing_is_written(damage, source, tmp_path):
    write_google(source, "BertModel")
    data = source / "bert_model.ckpt.data-00000-of-00001"
    config = source / "bert_config.json"
    if damage == "a bit":
        content = bytearray(data.read_bytes())
        content[1000] ^= 1
        data.write_bytes(content)
    elif damage == "no data":
        data.unlink()
    elif damage == "no config":
        config.unlink()
    elif damage == "a layer":
        fields = json.loads(config.read_text(encoding="utf-8"))
        config.write_text(json.dumps(fields | {"num_hidden_layers": 3}), encoding="utf-8")
    else:
        source = source / "nowhere"
    with pytest.raises(MiniBertError):
        convert(source, tmp_path / "new")
    assert [file.name for file in tmp_path.iterdir()] == ["google"]


def test_a_hub_name_is_fetched_with_its_tokenizer(source, tmp_path, monkeypatch):
    write_google(source, "BertModel")
    asked = []

    def download(name, allow_patterns):
        asked.extend(allow_patterns)
        return str(source)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    convert("google-bert/bert-tiny", tmp_path / "new")
    assert (tmp_path / "new" / "vocab.txt").is_file()
    assert {"config.json", "model.safetensors", "vocab.txt"} <= set(asked)


def test_an_old_bin_is_fetched_from_the_hub_where_there_is_nothing_newer(tmp_path, monkeypatch):
    old, asked = tmp_path / "old", []
    model = small_model("BertModel", dtype=torch.float32)
    model.save_pretrained(old)
    torch.save(load_file(old / "model.safetensors"), old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()

    def download(name, *, allow_patterns):
        """Give only what was asked for."""
        asked.append(allow_patterns)
        cache = tmp_path / f"cache-{len(asked)}"
        cache.mkdir()
        for file in allow_patterns:
            if (old / file).exists():
                shutil.copyfile(old / file, cache / file)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    convert("someone/old-bert", tmp_path / "new")
    loaded = minibert.BertModel.from_pretrained(tmp_path / "new", strict=True, quiet=True)
    assert torch.equal(loaded.pooler.dense.weight, model.pooler.dense.weight)


def test_nobody_is_told_to_compute_in_the_precision_of_an_earlier_file(tmp_path):
    transformers = pytest.importorskip("transformers")
    model = small_model("BertModel", dtype=torch.float32)
    model.save_pretrained(tmp_path / "one")
    file = tmp_path / "one" / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) | {
        "dtype": "float16",
        "torch_dtype": "float16",
    }
    file.write_text(json.dumps(config), encoding="utf-8")
    convert(tmp_path / "one", tmp_path / "converted")
    minibert.BertModel.from_pretrained(tmp_path / "one", quiet=True).save_pretrained(
        tmp_path / "saved"
    )
    for name in ("converted", "saved"):
        written = json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8"))
        assert written["dtype"] == "float32"
        assert "torch_dtype" not in written
        assert transformers.BertModel.from_pretrained(tmp_path / name).dtype == torch.float32


def test_half_precision_takes_half_the_space_and_is_said_in_the_config(tmp_path):
    transformers = pytest.importorskip("transformers")
    model = small_model("BertForPreTraining")
    model.float().save_pretrained(tmp_path / "whole")
    convert(tmp_path / "whole", tmp_path / "half", float16=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    ours = BertForPreTraining.from_pretrained(tmp_path / "half", strict=True, quiet=True)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    theirs = transformers.BertForPreTraining.from_pretrained(tmp_path / "half")
    assert theirs.dtype == torch.float16  # as it loads its own files of float16
    for name, tensor in model.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor.half().float())


def test_what_float16_cannot_hold_is_refused_and_nothing_is_written(tmp_path):
    model = small_model("BertForMaskedLM")
    with torch.no_grad():
        model.masked_lm.bias[3] = 1e6
    model.save_pretrained(tmp_path / "whole")
    with pytest.raises(MiniBertError, match=r"masked_lm\.bias.*remove --float16"):
        convert(tmp_path / "whole", tmp_path / "half", float16=True)
    assert not (tmp_path / "half").exists()
