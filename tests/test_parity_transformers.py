"""What you can rely on: minibert computes what `transformers` computes.

Random weights, small random sizes, every head, both attentions, with and without padding: outputs,
hidden states, attention probabilities, losses and every gradient agree to 1e-10 in float64 and to
1e-5 in float32; so do the losses of 20 training steps. Weights go back and forth without losing a
bit.
"""

import os
from pathlib import Path

import pytest
import torch
from small_models import ANSWERS, HEADS, small_batch, small_labels
from torch import Tensor

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

import minibert  # noqa: E402
from minibert.checkpoints.name_map import from_hugging_face, to_hugging_face  # noqa: E402

# transformers' name for the same kind of attention
ATTENTION = {"eager": "eager", "fused": "sdpa"}
PADDING = ("none", "some", "a row of nothing but padding")

SIZES = (
    {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40},
    {"hidden_size": 32, "num_attention_heads": 1, "num_hidden_layers": 1, "intermediate_size": 16},
    {
        "hidden_size": 16,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "intermediate_size": 64,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-7,
        "type_vocab_size": 3,
        "pad_token_id": 2,
    },
)


def both(head: str, sizes: dict, attention: str, dtype: torch.dtype, *, dropout: float = 0.0):
    """The same random weights in a model of transformers and in one of minibert."""
    fields = {
        "vocab_size": 60,
        "max_position_embeddings": 20,
        "num_labels": 2 if head == "BertForQuestionAnswering" else 3,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        **sizes,
    }
    torch.manual_seed(0)
    theirs_config = transformers.BertConfig(**fields, attn_implementation=ATTENTION[attention])
    theirs = getattr(transformers, head)(theirs_config).to(dtype).eval()
    with torch.no_grad():  # biases and norms that are not 0 and 1, so that a swap of them shows
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = getattr(minibert, head)(minibert.BertConfig(**fields)).to(dtype).eval()
    ours.attention = attention
    layers = sizes["num_hidden_layers"]
    tensors = from_hugging_face(theirs.state_dict(), layers).tensors
    ours.load_state_dict({name.removeprefix(ours.prefix): t for name, t in tensors.items()})
    return ours, theirs


def batch_for(head: str, padding: str) -> tuple[dict, dict]:
    """Inputs of 4 x 11 tokens and the labels that the head takes."""
    inputs, labels = small_batch(head, tokens=11), small_labels(head, tokens=11)
    if padding != "none":
        lengths = torch.tensor([11, 7, 3, 1 if padding == "some" else 0])
        mask = (torch.arange(11) < lengths.view(-1, *[1] * (inputs["input_ids"].dim() - 1))).long()
        inputs["attention_mask"] = mask.expand_as(inputs["input_ids"]).contiguous()
    return inputs, labels


def loss_of(head: str, outputs, mask: Tensor | None) -> Tensor:
    """The model's own loss; for the bare encoder, something that reads every real token."""
    if head != "BertModel":
        return outputs.loss
    hidden = outputs.last_hidden_state
    weight = torch.linspace(-1, 1, hidden.shape[-1], dtype=hidden.dtype)
    real = 1 if mask is None else mask[..., None]
    return (hidden * real * weight).square().sum() + (outputs.pooler_output * weight).sum()


def assert_same_outputs(head: str, inputs: dict, ours, theirs, tolerance: float) -> None:
    call = {"output_hidden_states": True}
    mine, other = ours(**inputs, **call), theirs(**inputs, **call)
    for name in ANSWERS[head]:
        torch.testing.assert_close(mine[name], other[name], atol=tolerance, rtol=tolerance)
    assert len(mine.hidden_states) == len(other.hidden_states)
    for layer, (a, b) in enumerate(zip(mine.hidden_states, other.hidden_states, strict=True)):
        torch.testing.assert_close(
            a, b, atol=tolerance, rtol=tolerance, msg=lambda m, layer=layer: f"layer {layer}: {m}"
        )


def assert_same_gradients(head: str, inputs: dict, targets: dict, ours, theirs, tolerance) -> None:
    mask = inputs.get("attention_mask")
    mine, other = (loss_of(head, model(**inputs, **targets), mask) for model in (ours, theirs))
    torch.testing.assert_close(mine, other, atol=tolerance, rtol=tolerance)
    mine.backward()
    other.backward()
    their_gradients = from_hugging_face(
        {
            name: torch.zeros_like(p) if p.grad is None else p.grad
            for name, p in theirs.named_parameters()
        },
        ours.config.num_hidden_layers,
    ).tensors
    for name, parameter in ours.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(
            gradient,
            their_gradients[ours.prefix + name],
            atol=tolerance,
            rtol=tolerance,
            msg=lambda message, name=name: f"gradient of {name}: {message}",
        )


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("head", ANSWERS)
def test_float64_outputs_losses_and_gradients_agree_to_1e10(head, attention, padding):
    # In a row of nothing but padding ours attends to nothing with both attentions, as "sdpa" does;
    # the "eager" of transformers takes an average over padding, and is left out of this case.
    peer = "fused" if padding == PADDING[2] else attention
    for sizes in SIZES:
        ours, theirs = both(head, sizes, peer, torch.float64)
        ours.attention = attention
        inputs, targets = batch_for(head, padding)
        assert_same_outputs(head, inputs, ours, theirs, 1e-10)
        assert_same_gradients(head, inputs, targets, ours, theirs, 1e-10)


@pytest.mark.parametrize("padding", PADDING[:2])
@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("head", ANSWERS)
def test_float32_outputs_losses_and_gradients_agree_to_1e5(head, attention, padding):
    ours, theirs = both(head, SIZES[0], attention, torch.float32)
    inputs, targets = batch_for(head, padding)
    assert_same_outputs(head, inputs, ours, theirs, 1e-5)
    assert_same_gradients(head, inputs, targets, ours, theirs, 1e-5)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("head", ANSWERS)
def test_bfloat16_outputs_agree_within_its_rounding(head, attention):
    # bfloat16 keeps 8 bits: one rounding is 0.4 %, and a few layers of them add up.
    ours, theirs = both(head, SIZES[0], attention, torch.bfloat16)
    inputs, _ = batch_for(head, "some")
    assert_same_outputs(head, inputs, ours, theirs, 4e-2)


@pytest.mark.parametrize("padding", PADDING[:2])
def test_attention_probabilities_agree(padding):
    for sizes in SIZES:
        ours, theirs = both("BertModel", sizes, "eager", torch.float64)
        inputs, _ = batch_for("BertModel", padding)
        mine = ours(**inputs, output_attentions=True).attentions
        other = theirs(**inputs, output_attentions=True).attentions
        assert len(mine) == len(other) == sizes["num_hidden_layers"]
        for a, b in zip(mine, other, strict=True):
            torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("head", HEADS)
def test_twenty_training_steps_follow_the_same_losses_to_1e9(head):
    ours, theirs = both(head, SIZES[0], "fused", torch.float64)
    inputs, targets = batch_for(head, "some")
    losses = []
    for model in (ours, theirs):
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
        steps = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = model(**inputs, **targets).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            steps.append(loss.item())
        losses.append(torch.tensor(steps, dtype=torch.float64))
    assert losses[0][-1] < losses[0][0]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("problem", "num_labels"),
    [("regression", 1), ("regression", 3), ("multi_label_classification", 3)],
)
def test_regression_and_multi_label_losses_agree(problem, num_labels):
    head = "BertForSequenceClassification"
    sizes = {**SIZES[0], "num_labels": num_labels, "problem_type": problem}
    ours, theirs = both(head, sizes, "fused", torch.float64)
    inputs, _ = batch_for(head, "some")
    shape = (4,) if num_labels == 1 else (4, num_labels)
    labels = torch.rand(shape, dtype=torch.float64).round(decimals=0 if "label" in problem else 3)
    assert_same_gradients(head, inputs, {"labels": labels}, ours, theirs, 1e-10)


@pytest.mark.parametrize("head", ANSWERS)
def test_what_we_save_transformers_loads_bit_for_bit_and_without_a_warning(
    head: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    ours, _ = both(head, SIZES[2], "fused", torch.float32)
    ours.save_pretrained(tmp_path)
    loading: dict
    theirs, loading = getattr(transformers, head).from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(loading.values()), loading
    layers = ours.config.num_hidden_layers
    named = ours.named_tensors()
    their_state = theirs.state_dict()
    bare = "" if head != "BertModel" else "bert."
    for name, tensor in to_hugging_face(named, layers).items():
        assert torch.equal(their_state[name.removeprefix(bare)], tensor), name
    inputs, _ = batch_for(head, "some")
    for name in ANSWERS[head]:
        torch.testing.assert_close(ours(**inputs)[name], theirs.eval()(**inputs)[name])


@pytest.mark.parametrize("head", ANSWERS)
def test_what_transformers_saves_we_load_bit_for_bit(head: str, tmp_path: Path):
    _, theirs = both(head, SIZES[2], "fused", torch.float32)
    theirs.save_pretrained(tmp_path)
    ours = getattr(minibert, head).from_pretrained(tmp_path, strict=True, quiet=True)
    assert ours.config.hidden_act == "gelu_tanh"
    named = ours.named_tensors()
    back = to_hugging_face(named, ours.config.num_hidden_layers)
    bare = "" if head != "BertModel" else "bert."
    for name, tensor in theirs.state_dict().items():
        if "decoder" not in name:
            assert torch.equal(back[bare + name], tensor), name


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("head", ANSWERS)
def test_load_state_dict_takes_the_names_of_transformers(head: str, prefix: str):
    ours, theirs = both(head, SIZES[0], "eager", torch.float32)
    fresh = type(ours)(ours.config)
    saved = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    assert str(fresh.load_state_dict(saved)) == "<All keys matched successfully>"
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, fresh.state_dict()[name]), name


def test_load_state_dict_still_names_what_is_missing_and_refuses_an_untied_decoder():
    ours, theirs = both("BertForMaskedLM", SIZES[0], "eager", torch.float32)
    tensors = theirs.state_dict()
    with pytest.raises(RuntimeError, match=r"Missing key.*classifier\.weight"):
        minibert.BertForSequenceClassification(ours.config).load_state_dict(tensors)
    tensors["cls.predictions.decoder.weight"] = torch.zeros(60, 24)
    with pytest.raises(minibert.errors.MiniBertError, match="tie_word_embeddings"):
        ours.load_state_dict(tensors)
    missing = minibert.BertModel(ours.config).load_state_dict(tensors, strict=False).missing_keys
    assert missing == ["pooler.dense.weight", "pooler.dense.bias"]


def test_a_base_model_loads_into_a_task_and_only_the_task_is_new(tmp_path: Path):
    _, theirs = both("BertForPreTraining", SIZES[0], "fused", torch.float32)
    theirs.save_pretrained(tmp_path)
    ours = minibert.BertForSequenceClassification.from_pretrained(tmp_path, quiet=True)
    assert sorted(ours.load_report.new) == ["classifier.bias", "classifier.weight"]
    assert all(name.startswith(("masked_lm", "next_")) for name in ours.load_report.unused)


# Three ways in which tutorials choose parameters by their names.
NO_DECAY = ["bias", "LayerNorm.weight"]
GROUPS = {
    "without weight decay": lambda name: any(part in name for part in NO_DECAY),
    "a frozen layer": lambda name: name.startswith("bert.encoder.layer.0"),
    "the embeddings": lambda name: "embeddings" in name,
    "the pooler": lambda name: "pooler" in name,
    "the classifier": lambda name: "classifier" in name,
    **{f"the rate of layer {i}": lambda name, i=i: f"encoder.layer.{i}." in name for i in range(3)},
}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("head", ANSWERS)
def test_groups_by_name_hold_as_many_numbers_as_in_transformers(head, group):
    models = both(head, SIZES[2], "fused", torch.float32)
    ours, theirs = (
        sum(p.numel() for name, p in model.named_parameters() if GROUPS[group](name))
        for model in models
    )
    assert ours == theirs
    if head == "BertForSequenceClassification":
        assert ours > 0
