"""What you can rely on: minibert computes, and learns, what Google's own BERT code does.

The numbers are those of google-research/bert in TensorFlow, float32: every layer, both losses, all
probabilities and every gradient of a small model, and 12 updates of its optimizer. From the folder
that Google's code wrote, minibert reaches them to 1e-5, with both attentions.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import shared
from torch import Tensor

from minibert import BertForPreTraining, BertModel, MiniBertError
from minibert.checkpoints.name_map import from_google, parameters
from minibert.training.optimizer import decay_groups, make_optimizer, set_learning_rate

ATTENTIONS = ("eager", "fused")
TOLERANCE = 1e-5
Reference = dict[str, Tensor]
Pairs = Iterator[tuple[str, Tensor, Tensor]]  # "what it is: which of them", ours, Google's


@pytest.fixture(scope="module")
def folder() -> Path:
    return shared("golden/google_tiny")


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return read_reference(folder)


def read_reference(folder: Path) -> Reference:
    with np.load(folder / "reference.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def load(folder: Path, attention: str) -> BertForPreTraining:
    return BertForPreTraining.from_pretrained(folder, attention=attention, strict=True, quiet=True)


def under(reference: Reference, start: str) -> Reference:
    """The tensors of the reference below a name, under our names."""
    theirs = {
        name.removeprefix(start): t for name, t in reference.items() if name.startswith(start)
    }
    return from_google(theirs, layers=2).tensors


def inputs(reference: Reference, number: int) -> dict[str, Tensor]:
    """Batch `number` as our models take it."""
    batch = {
        name.removeprefix("batches/"): tensor[number]
        for name, tensor in reference.items()
        if name.startswith("batches/")
    }
    # Google lists positions to predict and fills the list up with weight 0; we mark them in place.
    labels = torch.full_like(batch["input_ids"], -100)
    rows, slots = batch["masked_lm_weights"].nonzero(as_tuple=True)
    labels[rows, batch["masked_lm_positions"][rows, slots]] = batch["masked_lm_ids"][rows, slots]
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["input_mask"],
        "token_type_ids": batch["segment_ids"],
        "labels": labels,
        "next_sentence_label": batch["next_sentence_labels"].flatten(),
    }


def google_losses(outputs) -> tuple[Tensor, Tensor]:
    """Both losses; Google adds 1e-5 to the number of masked words, where we have the plain mean."""
    masked, following = outputs.loss_terms["labels"], outputs.loss_terms["next_sentence_label"]
    return masked.total / (masked.count + 1e-5), following.mean()


def compare_forward(model: BertForPreTraining, reference: Reference) -> Pairs:
    google = {name.removeprefix("forward/"): tensor for name, tensor in reference.items()}
    batch = inputs(reference, 0)
    outputs = model(**batch, output_hidden_states=True)
    embedded, *layers = outputs.hidden_states
    yield "embedding output", embedded, google["embedding_output"]
    for number, layer in enumerate(layers):
        yield f"layer {number}", layer, google[f"layer_{number}"]
    assert torch.equal(google["sequence_output"], google[f"layer_{number}"])
    yield "pooled output", model.bert.pooler(layers[-1]), google["pooled_output"]
    masked, following = google_losses(outputs)
    yield "masked-word loss", masked, google["mlm_loss"]
    yield "next-sentence loss", following, google["next_sentence_loss"]
    positions = reference["batches/masked_lm_positions"][0]
    rows = torch.arange(len(positions))[:, None]
    words = outputs.prediction_logits[rows, positions].flatten(0, 1)  # (B, slots, V) -> (rows, V)
    yield "masked-word log-probabilities", words.log_softmax(-1), google["mlm_log_probs"]
    relationship = outputs.seq_relationship_logits.log_softmax(-1)
    yield "next-sentence log-probabilities", relationship, google["next_sentence_log_probs"]


def compare_gradients(model: BertForPreTraining, reference: Reference) -> Pairs:
    sum(google_losses(model(**inputs(reference, 0)))).backward()
    google = under(reference, "gradient/")
    for name, parameter in model.named_parameters():
        yield f"every gradient: {name}", parameter.grad, google.pop(name)
    assert not google, f"gradients that we do not have: {google.keys()}"


def googles_schedule(step: int, *, total: int, warmup: int) -> float:
    """Google's learning rate decays as if there had been no warm-up, so it jumps after it."""
    return step / warmup if step < warmup else max(0.0, 1 - step / total)


def compare_training(model: BertForPreTraining, reference: Reference) -> Pairs:
    """Google's optimizer, 12 updates: the losses before each, and the weights at the end."""
    steps, warmup = int(reference["training/steps"]), int(reference["training/warmup_steps"])
    optimizer = make_optimizer(
        decay_groups(model, weight_decay=0.01),
        learning_rate=float(reference["training/learning_rate"]),
        kind="google",
    )
    for step in range(1, steps + 1):
        losses = torch.stack(google_losses(model(**inputs(reference, step - 1))))
        yield (
            f"both losses before an update: {step}",
            losses,
            reference["training/losses"][step - 1],
        )
        optimizer.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_learning_rate(optimizer, googles_schedule(step, total=steps, warmup=warmup))
        optimizer.step()
    google = under(reference, "training/final/")
    for name, parameter in model.named_parameters():
        yield f"every weight after {steps} updates: {name}", parameter, google.pop(name)
    assert not google, f"weights that we do not have: {google.keys()}"


def assert_all_close(pairs: Pairs) -> None:
    compared = 0
    for name, ours, google in pairs:
        assert ours.shape == google.shape, name
        torch.testing.assert_close(
            ours.double(),
            google.double(),
            atol=TOLERANCE,
            rtol=0,
            msg=lambda text, name=name: f"{name}: {text}",
        )
        compared += 1
    assert compared > 0


def test_googles_folder_is_read_whole_and_its_gelu_is_the_tanh_form(folder: Path):
    model = load(folder, "auto")
    assert model.config.hidden_act == "gelu_tanh"
    assert "Google's checkpoint" in model.load_report.source
    # 46 tensors in the file; three weights and three biases of Google's (Q, K, V) are one of ours.
    in_file, layers = 46, model.config.num_hidden_layers
    assert len(model.load_report.loaded) == len(list(model.parameters())) == in_file - 4 * layers


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_layer_loss_and_probability_is_googles_to_1e5(folder, reference, attention):
    assert_all_close(compare_forward(load(folder, attention), reference))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_gradient_is_googles_to_1e5(folder, reference, attention):
    assert_all_close(compare_gradients(load(folder, attention), reference))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_twelve_updates_with_googles_optimizer_give_its_losses_and_weights(
    folder, reference, attention
):
    assert_all_close(compare_training(load(folder, attention), reference))


def test_the_other_gelu_would_be_noticed(folder, reference):
    # The two differ by 4.7e-4 at most: a tolerance that let it pass would be too wide.
    model = load(folder, "eager")
    for layer in model.bert.encoder.layer:
        layer.activation = torch.nn.GELU()
    with pytest.raises(AssertionError, match="layer 0"):
        assert_all_close(compare_forward(model, reference))


def test_bias_correction_would_be_noticed(folder, reference, monkeypatch):
    def with_correction(groups, *, learning_rate, kind):
        return torch.optim.AdamW(groups, lr=learning_rate, eps=1e-6)

    monkeypatch.setitem(compare_training.__globals__, "make_optimizer", with_correction)
    with pytest.raises(AssertionError, match="losses before an update: 2"):
        assert_all_close(compare_training(load(folder, "fused"), reference))


def test_the_weights_that_decay_are_those_that_google_does_not_exclude(folder):
    model = load(folder, "auto")
    decayed, kept = decay_groups(model, weight_decay=0.01)
    decayed_ids = {id(parameter) for parameter in decayed["params"]}
    theirs = {row.ours: row.google for row in parameters(layers=2)}
    for name, parameter in model.named_parameters():
        excluded = any(
            part in google
            for google in theirs[name]
            for part in ("LayerNorm", "layer_norm", "bias")
        )
        assert (id(parameter) in decayed_ids) == (not excluded), name
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))


def test_a_checkpoint_of_googles_training_gives_its_final_weights_without_adams(
    folder, reference, tmp_path
):
    for file in (folder / "bert_config.json", *(folder / "trained").iterdir()):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = load(tmp_path, "auto")
    final = under(reference, "training/final/")
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, final[name]), name
    assert model.load_report.unknown == []


def test_the_bare_encoder_reads_googles_folder_too_and_says_what_it_left(folder):
    model = BertModel.from_pretrained(folder, quiet=True)
    assert model.load_report.new == []
    assert {name.split(".")[0] for name in model.load_report.unused} == {
        "masked_lm",
        "next_sentence",
    }


def test_the_report_measures_the_same_and_finds_nothing_beyond_the_tolerance(folder, monkeypatch):
    pytest.importorskip("transformers")
    path = Path(__file__).parents[1] / "examples" / "parity_report.py"
    spec = importlib.util.spec_from_file_location("parity_report", path)
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    header, *rows = report.google_rows(folder)
    assert header[2:] == ATTENTIONS
    assert [row[0] for row in rows][-3:] == [
        "every gradient",
        "both losses before an update",
        "every weight after 12 updates",
    ]
    monkeypatch.setattr(report.hugging_face, "ANSWERS", {"BertModel": ("pooler_output",)})
    assert len(list(report.hugging_face_rows())) == 1 + 2
    with pytest.raises(MiniBertError, match=r"layer 1 differs by nan"):
        report.cell(torch.tensor([0.0, torch.nan]), 1.0, "layer 1")
