"""What you can rely on: what each head computes, and which loss belongs to it.

A head is one linear layer (the masked-word head two) on BERT's vectors, so each can be recomputed
here in a line. Vocabulary logits are only computed where there is a label; the decoder is the token
table itself.
"""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from small_models import ANSWERS, HEADS, small_batch, small_config, small_labels, small_model

import minibert
from minibert import BertForMaskedLM
from minibert.data.pretraining.nsp_pairs import IS_NEXT, IS_RANDOM


def encoded(model, batch):
    return model.bert(**batch)


def test_a_tie_between_two_classes_costs_ln_2():
    model = small_model("BertForNextSentencePrediction")
    with torch.no_grad():
        model.next_sentence.weight.zero_()
        model.next_sentence.bias.zero_()
    loss = model(torch.tensor([[1, 2]]), labels=torch.tensor([IS_NEXT])).loss
    assert loss.item() == pytest.approx(math.log(2))


def test_a_model_that_knows_nothing_loses_ln_v_on_each_masked_word():
    model = small_model("BertForMaskedLM")
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.zero_()
        model.masked_lm.bias.zero_()
    labels = torch.tensor([[-100, 7, 49]])
    assert model(torch.tensor([[1, 2, 3]]), labels=labels).loss.item() == pytest.approx(
        math.log(50)
    )


@pytest.mark.parametrize(
    ("head", "field", "shape"),
    [
        ("BertForPreTraining", "prediction_logits", (4, 6, 50)),
        ("BertForPreTraining", "seq_relationship_logits", (4, 2)),
        ("BertForMaskedLM", "logits", (4, 6, 50)),
        ("BertForNextSentencePrediction", "logits", (4, 2)),
        ("BertForSequenceClassification", "logits", (4, 3)),
        ("BertForTokenClassification", "logits", (4, 6, 3)),
        ("BertForQuestionAnswering", "start_logits", (4, 6)),
        ("BertForQuestionAnswering", "end_logits", (4, 6)),
        ("BertForMultipleChoice", "logits", (4, 3)),
    ],
)
def test_the_shapes_of_the_answers(head, field, shape):
    assert small_model(head)(**small_batch(head))[field].shape == shape


@pytest.mark.parametrize("head", HEADS)
def test_every_head_hands_on_hidden_states_and_probabilities(head):
    outputs = small_model(head)(
        **small_batch(head), output_hidden_states=True, output_attentions=True
    )
    rows = 12 if head == "BertForMultipleChoice" else 4
    assert [state.shape for state in outputs.hidden_states] == [(rows, 6, 16)] * 3
    assert [probabilities.shape for probabilities in outputs.attentions] == [(rows, 4, 6, 6)] * 2


@pytest.mark.parametrize("head", HEADS)
def test_labels_change_the_loss_and_no_answer(head):
    model, batch = small_model(head), small_batch(head)
    without, with_labels = model(**batch), model(**batch, **small_labels(head))
    for field in ANSWERS[head]:
        # The same sums, but maybe in another order.
        torch.testing.assert_close(without[field], with_labels[field], atol=1e-12, rtol=0)


@pytest.mark.parametrize("head", HEADS)
def test_every_weight_learns_except_a_pooler_that_nobody_reads(head):
    model = small_model(head)
    model(**small_batch(head), **small_labels(head)).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("head", HEADS)
def test_two_steps_along_the_gradient_lower_the_loss(head):
    model = small_model(head)
    batch = small_batch(head) | small_labels(head)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        losses.append(model(**batch).loss)
        losses[-1].backward()
        optimizer.step()
    assert losses[0] > losses[1] > losses[2]


def test_the_masked_word_head_by_hand():
    model, batch = small_model("BertForMaskedLM"), small_batch("BertForMaskedLM")
    head, table = model.masked_lm, model.bert.embeddings.word_embeddings.weight
    hidden = encoded(model, batch).last_hidden_state
    activated = F.gelu(hidden @ head.dense.weight.T + head.dense.bias)
    normal = F.layer_norm(activated, (16,), head.LayerNorm.weight, head.LayerNorm.bias, eps=1e-12)
    torch.testing.assert_close(model(**batch).logits, normal @ table.T + head.bias)


def test_the_decoder_is_the_token_table_and_learns_from_both_uses():
    ids, labels = torch.tensor([[5, 6]]), torch.tensor([[-100, 7]])
    model = small_model("BertForMaskedLM")
    model(ids, labels=labels).loss.backward()
    gradient = model.bert.embeddings.word_embeddings.weight.grad
    assert (gradient[7] != 0).any()  # the decoder alone: 7 is not among the inputs
    assert (gradient[40] != 0).any()  # every word that was not right is pushed away

    # The same with two tables of their own: each gives its share of the gradient.
    hidden = model.bert(ids).last_hidden_state
    decoder = model.bert.embeddings.word_embeddings.weight.detach().clone().requires_grad_()
    model.zero_grad()
    logits = model.masked_lm(hidden[0, 1:], decoder)
    F.cross_entropy(logits, torch.tensor([7])).backward()
    looked_up = model.bert.embeddings.word_embeddings.weight.grad
    assert looked_up.abs().sum(dim=1).nonzero().flatten().tolist() == [5, 6]
    torch.testing.assert_close(gradient, looked_up + decoder.grad)


def test_the_token_table_is_counted_and_stored_once():
    model = BertForMaskedLM(small_config())
    tables = [name for name, tensor in model.state_dict().items() if tensor.shape == (50, 16)]
    assert tables == ["bert.embeddings.word_embeddings.weight"]


def test_nothing_can_untie_the_decoder():
    batch = small_batch("BertForMaskedLM")
    model = small_model("BertForMaskedLM")
    copied = copy.deepcopy(model)
    reloaded = BertForMaskedLM(small_config()).double().eval()
    reloaded.load_state_dict(model.state_dict())
    cast = small_model("BertForMaskedLM", dtype=torch.float32).double()
    for other in (copied, reloaded, cast):
        before = other(**batch).logits
        with torch.no_grad():
            other.bert.embeddings.word_embeddings.weight[11] += 1.0
        after = other(**batch).logits
        absent = ~(batch["input_ids"] == 11).any(dim=1)
        moved = (after - before)[absent].abs().amax(dim=(0, 1)) > 1e-9
        assert moved.nonzero().flatten().tolist() == [11]
    assert (
        model.bert.embeddings.word_embeddings.weight
        is not copied.bert.embeddings.word_embeddings.weight
    )


def test_the_tokens_before_and_after_a_mask_both_decide_what_it_hides():
    model = small_model("BertForMaskedLM")
    usual = model(torch.tensor([[5, 6, 7]])).logits[0, 1]
    for changed in ([[9, 6, 7]], [[5, 6, 9]]):
        assert (model(torch.tensor(changed)).logits[0, 1] - usual).abs().max() > 1e-4


def test_heads_read_the_pooled_vector_or_the_tokens():
    for head, layer in (
        ("BertForNextSentencePrediction", "next_sentence"),
        ("BertForSequenceClassification", "classifier"),
    ):
        model, batch = small_model(head), small_batch(head)
        linear = getattr(model, layer)
        expected = encoded(model, batch).pooler_output @ linear.weight.T + linear.bias
        torch.testing.assert_close(model(**batch).logits, expected)
    for head, layer in (
        ("BertForTokenClassification", "classifier"),
        ("BertForQuestionAnswering", "qa_outputs"),
    ):
        model, batch = small_model(head), small_batch(head)
        linear = getattr(model, layer)
        expected = encoded(model, batch).last_hidden_state @ linear.weight.T + linear.bias
        outputs = model(**batch)
        if head == "BertForQuestionAnswering":
            torch.testing.assert_close(outputs.start_logits, expected[..., 0])
            torch.testing.assert_close(outputs.end_logits, expected[..., 1])
        else:
            torch.testing.assert_close(outputs.logits, expected)


def test_each_choice_is_read_as_if_it_were_alone():
    model, batch = small_model("BertForMultipleChoice"), small_batch("BertForMultipleChoice")
    together = model(**batch).logits
    for choice in range(3):
        alone = model(**{name: tensor[:, choice : choice + 1] for name, tensor in batch.items()})
        torch.testing.assert_close(alone.logits[:, 0], together[:, choice])


def test_pretraining_is_both_losses_added():
    batch, labels = small_batch("BertForPreTraining"), small_labels("BertForPreTraining")
    model = small_model("BertForPreTraining")
    both = model(**batch, **labels)
    words = model(**batch, labels=labels["labels"]).loss
    follows = model(**batch, next_sentence_label=labels["next_sentence_label"]).loss
    torch.testing.assert_close(both.loss, words + follows)
    expected = F.cross_entropy(both.seq_relationship_logits, labels["next_sentence_label"])
    torch.testing.assert_close(follows, expected)


@pytest.mark.parametrize("label", [IS_NEXT, IS_RANDOM])
def test_training_on_one_next_sentence_label_raises_its_own_column(label):
    model, ids = small_model("BertForNextSentencePrediction"), torch.tensor([[1, 2, 3]])
    before = model(ids).logits.softmax(dim=-1)[0, label].item()
    model(ids, labels=torch.tensor([label])).loss.backward()
    with torch.no_grad():
        model.next_sentence.bias -= 0.5 * model.next_sentence.bias.grad
    assert model(ids).logits.softmax(dim=-1)[0, label].item() > before


def test_the_loss_of_a_span_is_the_mean_of_start_and_end():
    model, batch = small_model("BertForQuestionAnswering"), small_batch("BertModel")
    labels = small_labels("BertForQuestionAnswering")
    outputs = model(**batch, **labels)
    start = F.cross_entropy(outputs.start_logits, labels["start_positions"])
    end = F.cross_entropy(outputs.end_logits, labels["end_positions"])
    torch.testing.assert_close(outputs.loss, (start + end) / 2)


def test_a_span_outside_of_its_window_is_left_out():
    model, batch = small_model("BertForQuestionAnswering"), small_batch("BertModel")
    labels = small_labels("BertForQuestionAnswering")
    outside = {name: positions.clone() for name, positions in labels.items()}
    for positions in outside.values():
        positions[3] = -100
    three = {name: tensor[:3] for name, tensor in (batch | labels).items()}
    torch.testing.assert_close(model(**batch, **outside).loss, model(**three).loss)


def test_a_problem_is_told_by_the_number_of_labels_and_their_type():
    batch = small_batch("BertModel")
    classes, answers = torch.tensor([0, 1, 2, 0]), torch.tensor([[1.0, 0, 1]] * 4)
    model = small_model("BertForSequenceClassification")
    logits = model(**batch).logits
    torch.testing.assert_close(
        model(**batch, labels=classes).loss, F.cross_entropy(logits, classes)
    )
    for several in (answers, answers.bool()):
        torch.testing.assert_close(
            model(**batch, labels=several).loss,
            F.binary_cross_entropy_with_logits(logits, answers.double()),
        )
    one = small_model("BertForSequenceClassification", num_labels=1)
    numbers = torch.tensor([0.5, 1, -2, 0], dtype=torch.float64)
    expected = F.mse_loss(one(**batch).logits[:, 0], numbers)
    for given in (numbers, numbers[:, None]):
        torch.testing.assert_close(one(**batch, labels=given).loss, expected)


def test_a_problem_that_the_config_names_is_not_guessed():
    batch = small_batch("BertModel")
    model = small_model("BertForSequenceClassification", problem_type="regression")
    whole = torch.tensor([[1, 0, 5]] * 4)
    expected = F.mse_loss(model(**batch).logits, whole.double())
    torch.testing.assert_close(model(**batch, labels=whole).loss, expected)


@pytest.mark.parametrize("head", ["BertForSequenceClassification", "BertForTokenClassification"])
def test_a_tasks_own_dropout_replaces_the_usual_one(head):
    model = small_model(head, classifier_dropout=0.5)
    batch = small_batch(head)
    assert model.dropout.p == 0.5
    assert small_model(head, hidden_dropout_prob=0.2).dropout.p == 0.2
    model.train()  # all other dropout is 0 in small_config
    assert not torch.equal(model(**batch).logits, model(**batch).logits)
    model.eval()
    assert torch.equal(model(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("head", HEADS)
def test_a_new_heads_weights_are_drawn_like_the_others(head):
    torch.manual_seed(0)
    config = small_config(hidden_size=128, initializer_range=0.02, num_labels=64)
    model = getattr(minibert, head)(config)
    for name, parameter in model.named_parameters():
        if name.startswith("bert."):
            continue
        if parameter.dim() == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.2), name
        else:
            assert (parameter == (1.0 if name.endswith("LayerNorm.weight") else 0.0)).all(), name


@pytest.mark.parametrize("head", HEADS)
def test_a_saved_model_answers_bit_for_bit_the_same(head, tmp_path):
    model = small_model(head, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    again = getattr(minibert, head).from_pretrained(tmp_path, strict=True, quiet=True)
    assert not again.training
    batch = small_batch(head)
    for field in ANSWERS[head]:
        assert torch.equal(model(**batch)[field], again(**batch)[field])


@pytest.mark.parametrize("head", HEADS)
def test_the_device_of_a_model_is_where_its_numbers_are(head):
    model = small_model(head)
    assert model.device.type == "cpu"
    assert model.to("meta").device.type == "meta"
