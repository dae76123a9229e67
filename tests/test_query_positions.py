"""What you can rely on: computing only the positions that are read changes no result.

Each function of `query_positions.py` stands for a readable line, and gives its values and gradients
for every mask and both attentions. Hooks on the encoder's layers are called as usual.
"""

import pytest
import torch
from small_models import HEADS, small_batch, small_labels, small_model
from torch import Tensor

from minibert.model.query_positions import encode_first

pytestmark = pytest.mark.filterwarnings("ignore:attention_mask begins with padding")

FIRST = torch.zeros(1, 1, dtype=torch.long)  # [CLS] of every row
MASKED_LM = ["BertForMaskedLM", "BertForPreTraining"]
MASKS = {
    "no mask": None,
    "padded at the end": [[1] * 6, [1] * 4 + [0] * 2, [1] + [0] * 5, [1] * 5 + [0]],
    "padded in front": [[1] * 6, [0] * 2 + [1] * 4, [0] * 5 + [1], [0] + [1] * 5],
    "one text of nothing but padding": [[1] * 6, [0] * 6, [1] * 3 + [0] * 3, [1] * 6],
}


def word_logits(outputs):
    return outputs.logits if hasattr(outputs, "logits") else outputs.prediction_logits


def assert_same_gradients(one: Tensor, two: Tensor, model) -> None:
    parameters = list(model.parameters())
    both = [torch.autograd.grad(x, parameters, materialize_grads=True) for x in (one, two)]
    for first, second in zip(*both, strict=True):
        torch.testing.assert_close(first, second, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("attention", ["eager", "fused"])
@pytest.mark.parametrize("positions", [[[0]], [[0, 5, 2], [0, 1, 2], [0, 0, 0], [5, 4, 3]]])
def test_the_last_layer_at_some_positions_gives_the_vectors_of_all(positions, attention, mask):
    model, batch = small_model("BertModel", attention=attention), small_batch("BertModel")
    if MASKS[mask] is not None:
        batch["attention_mask"] = torch.tensor(MASKS[mask])
    wanted = torch.tensor(positions)
    everything = model(**batch)
    found = model(**batch, query_positions=wanted)
    expected = everything.last_hidden_state[torch.arange(4)[:, None], wanted]  # row by row
    torch.testing.assert_close(found.last_hidden_state, expected)
    torch.testing.assert_close(found.pooler_output[:3], everything.pooler_output[:3])  # [CLS] first
    weights = torch.randn_like(expected)
    assert_same_gradients(
        (expected * weights).sum(), (found.last_hidden_state * weights).sum(), model
    )


@pytest.mark.parametrize("dropout", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_the_last_layer_at_some_positions_has_dropout_in_training(dropout):
    model, batch = small_model("BertModel", **{dropout: 0.5}), small_batch("BertModel")
    with torch.no_grad():
        plain = model(**batch, query_positions=FIRST).last_hidden_state
        dropped = model.train()(**batch, query_positions=FIRST).last_hidden_state
    assert not torch.equal(plain, dropped)


def test_hidden_states_and_probabilities_are_of_all_positions_also_where_few_are_read():
    model, batch = small_model("BertModel"), small_batch("BertModel")
    asked = {"output_hidden_states": True, "output_attentions": True}
    read = torch.tensor([[5, 0]])
    all_read, two_read = model(**batch, **asked), model(**batch, **asked, query_positions=read)
    assert torch.equal(two_read.last_hidden_state, all_read.last_hidden_state[:, [5, 0]])
    for name in ("hidden_states", "attentions"):
        for one, two in zip(all_read[name], two_read[name], strict=True):
            assert torch.equal(one, two)


def test_encoding_for_the_pooler_gives_its_output():
    model, batch = small_model("BertModel"), small_batch("BertModel")
    usual, first = model(**batch).pooler_output, encode_first(model, **batch).pooler_output
    torch.testing.assert_close(first, usual)
    assert_same_gradients(usual.pow(3).sum(), first.pow(3).sum(), model)


@pytest.mark.parametrize(
    ("head", "vectors"),
    [
        ("BertForSequenceClassification", 4),  # [CLS] of four texts
        ("BertForNextSentencePrediction", 4),
        ("BertForMultipleChoice", 12),
        ("BertForMaskedLM", 4 * 3),  # two labelled words in each text, the first may be [CLS]
        ("BertForPreTraining", 4 * 3),
        ("BertForTokenClassification", 4 * 6),
    ],
)
def test_the_last_layer_computes_only_what_the_head_reads(head, vectors):
    model, seen = small_model(head), []
    model.masked_positions_only = True
    for layer in model.bert.encoder.layer:
        layer.register_forward_hook(
            lambda _module, _inputs, output: seen.append(output[0].shape[:-1].numel())
        )
    labels = small_labels(head)
    if head in MASKED_LM:
        labels["labels"] = torch.tensor([[-100, 5, -100, 6, -100, -100]] * 4)
    model(**small_batch(head), **labels)
    assert seen == [12 * 6 if head == "BertForMultipleChoice" else 4 * 6, vectors]


@pytest.mark.parametrize("head", HEADS)
def test_hooks_on_the_encoder_and_each_layer_are_called(head):
    model, seen = small_model(head), []
    model.masked_positions_only = True
    layers = model.bert.encoder.layer
    for module in (model.bert, *layers, *(layer.attention for layer in layers)):
        module.register_forward_hook(lambda module, *_: seen.append(module))
    model(**small_batch(head), **small_labels(head))
    assert seen == [layers[0].attention, layers[0], layers[1].attention, layers[1], model.bert]


@pytest.mark.parametrize("head", MASKED_LM)
def test_all_positions_are_scored_unless_only_masked_ones_are_asked_for(head):
    model, batch, labels = small_model(head), small_batch(head), small_labels(head)
    labelled = labels["labels"] != -100
    everywhere, with_loss = model(**batch), model(**batch, **labels)
    assert word_logits(everywhere).shape == (4, 6, 50)
    torch.testing.assert_close(word_logits(with_loss), word_logits(everywhere))
    model.masked_positions_only = True
    assert word_logits(model(**batch)).shape == (4, 6, 50)  # without labels all are wanted
    masked = model(**batch, **labels)
    assert word_logits(masked).shape == (8, 50)  # 8 of the 24 positions, in reading order
    torch.testing.assert_close(word_logits(masked), word_logits(everywhere)[labelled])


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("attention", ["eager", "fused"])
@pytest.mark.parametrize("head", MASKED_LM)
def test_scoring_the_masked_positions_teaches_what_scoring_all_does(head, attention, padded):
    model, batch = small_model(head, attention=attention), small_batch(head) | small_labels(head)
    if padded:
        batch["attention_mask"] = torch.tensor(MASKS["padded at the end"])
    full = model(**batch)
    model.masked_positions_only = True
    masked = model(**batch)
    for name, term in full.loss_terms.items():
        torch.testing.assert_close(masked.loss_terms[name].total, term.total)
        assert masked.loss_terms[name].count == term.count
    torch.testing.assert_close(masked.loss, full.loss)
    assert_same_gradients(full.loss, masked.loss, model)


@pytest.mark.parametrize("masked_positions_only", [True, False])
@pytest.mark.parametrize("head", MASKED_LM)
def test_no_labelled_position_is_a_loss_of_0_and_teaches_nothing(head, masked_positions_only):
    model, batch = small_model(head), small_batch(head)
    model.masked_positions_only = masked_positions_only
    outputs = model(**batch, labels=torch.full_like(batch["input_ids"], -100))
    assert outputs.loss.item() == 0.0
    assert word_logits(outputs).shape == ((0, 50) if masked_positions_only else (4, 6, 50))
    outputs.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or (parameter.grad == 0).all(), name


@pytest.mark.parametrize("head", MASKED_LM)
def test_no_texts_are_a_loss_of_0_also_where_only_masked_positions_are_scored(head):
    model, nothing = small_model(head), torch.ones(0, 5, dtype=torch.long)
    model.masked_positions_only = True
    assert model(nothing, labels=nothing).loss.item() == 0.0
