"""What you can rely on: every model can be exported, by torch.export and to ONNX.

The exported file gives the outputs of the model for any number of texts of any length. A file that
does not is not kept.
"""

import copy
import importlib
import importlib.util
import io
import json
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from small_models import ANSWERS, small_batch, small_labels, small_model
from tiny_folders import PIECES, POSITIONS, classifier_folder, pretrained_folder
from torch.export import Dim
from torch.utils import _pytree

import minibert
from minibert.cli import export
from minibert.cli.main import main
from minibert.files import write_json


def test_an_output_is_a_tree_of_what_is_present():
    model, batch = small_model("BertForMaskedLM"), small_batch("BertForMaskedLM")
    outputs = model(**batch, **small_labels("BertForMaskedLM"), output_hidden_states=True)
    leaves, tree = _pytree.tree_flatten(outputs)
    assert len(leaves) == 2 + 3  # loss, logits, and the hidden states of two layers
    again = _pytree.tree_unflatten(leaves, tree)
    assert type(again) is type(outputs) and again.keys() == outputs.keys()
    assert again.logits is outputs.logits and again.hidden_states == outputs.hidden_states


@pytest.mark.parametrize("head", ANSWERS)
def test_every_model_is_exported_by_torch_and_read_back(head):
    model, batch = small_model(head, attention="fused"), small_batch(head)
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    batch["attention_mask"][-1, ..., 3:] = 0
    file = io.BytesIO()
    torch.export.save(torch.export.export(model, (), batch), file)
    file.seek(0)
    outputs, expected = torch.export.load(file).module()(**batch), model(**batch)
    assert type(outputs) is type(expected) and outputs.keys() == expected.keys()
    assert all(torch.equal(outputs[name], expected[name]) for name in ANSWERS[head])


def test_batch_and_length_may_be_dynamic():
    model, batch = small_model("BertModel"), small_batch("BertModel")
    axes = {0: Dim("batch"), 1: Dim("length", max=12)}
    program = torch.export.export(model, (), batch, dynamic_shapes=dict.fromkeys(batch, axes))
    for rows, tokens in ((1, 2), (7, 12)):
        batch = small_batch("BertModel", rows=rows, tokens=tokens)
        outputs = program.module()(**batch)
        assert torch.equal(outputs.last_hidden_state, model(**batch).last_hidden_state)


@pytest.fixture
def minibert_export(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["export", *arguments])
        return (stop.value.code, *capsys.readouterr())

    return command


def test_a_package_that_is_missing_is_named(minibert_export, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    code, out, err = minibert_export("cls", "model.onnx")
    assert (code, out) == (2, "")
    assert "the packages onnx and onnxscript, and one is not installed: pip install" in err


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A classifier, the ONNX file of it, and what the command has printed."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    folder = classifier_folder(tmp_path_factory.mktemp("exported") / "cls")
    with redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit, match=r"^0$"):
        main(["export", str(folder), str(folder.parent / "model.onnx")])
    model = minibert.BertForSequenceClassification.from_pretrained(folder, quiet=True)
    return model, folder.parent / "model.onnx", out.getvalue()


def test_a_file_has_the_names_of_transformers_and_dynamic_axes(exported):
    _, path, out = exported
    assert re.search("outputs logits; at four shapes it differs from the model by at most .e-", out)
    graph = importlib.import_module("onnx").load(path).graph
    shapes = {i.name: [d.dim_param for d in i.type.tensor_type.shape.dim] for i in graph.input}
    names = ("input_ids", "attention_mask", "token_type_ids")
    assert shapes == {name: ["batch", "length"] for name in names}
    assert [item.name for item in graph.output] == ["logits"]


def test_a_file_answers_as_the_model(exported):
    model, path, _ = exported
    ids = torch.randint(1, len(PIECES), (5, POSITIONS))
    ones = torch.ones_like(ids)
    batch = {"input_ids": ids, "attention_mask": ones, "token_type_ids": ones}
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(str(path))
    (logits,) = evaluator.run(None, {name: tensor.numpy() for name, tensor in batch.items()})
    torch.testing.assert_close(torch.from_numpy(logits), model(**batch).logits)


@pytest.mark.parametrize("runtime", ["onnxruntime", "the reference evaluator of onnx"])
def test_a_file_that_differs_from_the_model_is_noticed(exported, monkeypatch, runtime):
    if runtime != "onnxruntime":
        monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    elif importlib.util.find_spec(runtime) is None:
        pytest.skip("onnxruntime is not installed")
    model, path, _ = exported
    result = export.check_onnx(model, path, ["logits"], max_length=POSITIONS)
    assert re.fullmatch(rf"at four shapes .* at most .e-0[6-9] in {runtime}", result)
    changed = copy.deepcopy(model)
    torch.nn.init.constant_(changed.classifier.bias, 0.1)
    with pytest.raises(minibert.MiniBertError, match=f"differs from .* by 1e-01 in {runtime}, so"):
        export.check_onnx(changed, path, ["logits"], max_length=POSITIONS)


@pytest.mark.parametrize(
    ("head", "axes"),
    [
        ("BertForMultipleChoice", ["batch", "choices", "length"]),
        ("BertForQuestionAnswering", ["batch", "length"]),
    ],
)
def test_the_class_is_that_of_the_folder(minibert_export, head, axes):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pretrained_folder(Path("own"), getattr(minibert, head), num_hidden_layers=1)
    code, out, _ = minibert_export("own", "model.onnx")
    assert code == 0 and f"exporting {head} ..." in out
    graph = onnx.load("model.onnx").graph
    assert [axis.dim_param for axis in graph.input[0].type.tensor_type.shape.dim] == axes
    assert [item.name for item in graph.output] == [*ANSWERS[head]]


def test_what_is_random_or_differs_is_not_in_the_file(minibert_export, monkeypatch):
    pretrained_folder(Path("own"), minibert.BertForMaskedLM)  # has no pooler
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(export, "export_onnx", lambda model, path: [*model.state_dict()])
    monkeypatch.setattr(export, "check_onnx", lambda model, path, names, max_length: str(names))
    code, out, _ = minibert_export("own", "model.onnx", "--model-class", "BertModel")
    assert code == 0 and "encoder.layer.1.output.weight" in out and "pooler" not in out

    def differ(*_, **__):
        raise minibert.MiniBertError("differs")

    monkeypatch.setattr(export, "check_onnx", differ)
    assert minibert_export("own", "other.onnx")[0] == 2
    assert {path.name for path in Path().iterdir()} == {"own", "model.onnx"}


def test_what_pytorch_cannot_export_is_one_sentence(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise torch.onnx.OnnxExporterError("ten lines") from TypeError("of another")

    monkeypatch.setattr(torch.onnx, "export", fail)
    sentence = r"cannot export this BertModel, as .* \(TypeError\); export its encoder: --model-cl"
    with pytest.raises(minibert.MiniBertError, match=sentence):
        export.export_onnx(small_model("BertModel"), tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cls", "model.pt"], "its name must end in .onnx"),
        (["cls", "there.onnx"], "exists already"),
        (["own", "model.onnx"], "saved by a BertForPoetry, which minibert export does not know"),
        (["cls", "model.onnx", "--model-class", "BertForQuestionAnswering"], "name a class"),
    ],
)
def test_what_cannot_be_exported_is_refused(minibert_export, monkeypatch, arguments, sentence):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: True)
    classifier_folder(Path("cls"))
    shutil.copytree("cls", "own")
    config = json.loads(Path("own/config.json").read_text(encoding="utf-8"))
    write_json(Path("own/config.json"), config | {"architectures": ["BertForPoetry"]})
    Path("there.onnx").touch()
    code, out, err = minibert_export(*arguments)
    assert (code, out) == (2, "") and sentence in err
    assert not Path("model.onnx").exists()
