"""What you can rely on: results are read by name, and old code that unpacks them fails at once."""

import pytest
import torch
from small_models import ANSWERS, HEADS, small_batch, small_labels, small_model

from minibert.model.losses import LossTerm
from minibert.model.outputs import TaskOutput


def test_a_mean_is_the_sum_over_the_count_and_0_over_nothing():
    assert LossTerm(torch.tensor(6.0), torch.tensor(3)).mean().item() == 2.0
    assert LossTerm(torch.tensor(0.0), torch.tensor(0)).mean().item() == 0.0


def test_an_output_is_read_by_name_or_by_place_among_what_is_present():
    output = TaskOutput(logits=torch.tensor([1.0]), hidden_states=(torch.tensor([2.0]),))
    assert output.logits is output["logits"] is output[0]
    assert output[1] is output.hidden_states
    assert output["loss"] is None
    assert output[:2] == output.to_tuple() == output.values() and len(output) == 2
    assert dict(output.items()) == dict(output)
    assert (
        output.get("logits") is output.logits and output.get("loss", 0) == output.get("x", 0) == 0
    )
    with pytest.raises(IndexError):
        output[2]
    with pytest.raises(AttributeError, match="no attribute 'logit'"):
        output["logit"]


@pytest.mark.parametrize("head", HEADS)
def test_the_first_field_is_the_loss_when_there_are_labels_and_the_answer_when_not(head):
    model, batch = small_model(head), small_batch(head)
    with_labels = model(**batch, **small_labels(head))
    assert with_labels[0] is with_labels.loss is not None
    assert with_labels[1] is with_labels[ANSWERS[head][0]] is not None
    without = model(**batch)
    assert without.loss is None and not without.loss_terms
    assert without[0] is without[ANSWERS[head][0]]


def test_the_first_field_of_the_bare_model_is_the_last_hidden_state():
    outputs = small_model("BertModel")(**small_batch("BertModel"))
    assert outputs[0] is outputs.last_hidden_state
    assert outputs[1] is outputs.pooler_output


@pytest.mark.parametrize("head", ANSWERS)
def test_an_output_refuses_to_be_unpacked_and_names_its_fields(head):
    outputs = small_model(head)(**small_batch(head))
    with pytest.raises(
        TypeError, match=rf"cannot be unpacked; read its fields by name.*\.{ANSWERS[head][0]}"
    ):
        _first, _second = outputs
    with pytest.raises(TypeError, match="read its fields by name"):
        tuple(outputs)


def test_a_sum_and_a_count_cannot_be_changed():
    with pytest.raises(AttributeError):
        LossTerm(torch.tensor(6.0), torch.tensor(3)).count = torch.tensor(1)


@pytest.mark.parametrize("head", HEADS)
def test_an_output_is_used_as_in_transformers(head):
    model, batch = small_model(head), small_batch(head)
    without, outputs = model(**batch), model(**batch, **small_labels(head), output_attentions=True)
    assert "loss" in outputs and "loss" not in without
    assert outputs.keys() == ["loss", *ANSWERS[head], "attentions"]
    assert without.keys() == [*ANSWERS[head]]
    for value, name in zip(outputs.to_tuple(), outputs.keys(), strict=True):
        assert value is outputs[name]


@pytest.mark.parametrize("head", [*HEADS, "BertModel"])
def test_an_output_is_a_tuple_if_asked_for(head):
    model, batch = small_model(head), small_batch(head) | small_labels(head)
    outputs = model(**batch, output_attentions=True, return_dict=True)
    as_tuple = model(**batch, output_attentions=True, return_dict=False)
    assert isinstance(as_tuple, tuple) and len(as_tuple) == len(outputs)
    assert torch.equal(as_tuple[0], outputs[0])


@pytest.mark.parametrize("head", HEADS)
def test_the_config_may_ask_for_all_layers(head):
    model, batch = small_model(head, foreign={"output_hidden_states": True}), small_batch(head)
    assert "hidden_states" in model(**batch) and "attentions" not in model(**batch)
    assert "hidden_states" not in model(**batch, output_hidden_states=False)


@pytest.mark.parametrize("head", HEADS)
def test_the_terms_of_a_loss_are_there_for_the_training_loop_and_are_no_output(head):
    outputs = small_model(head)(**small_batch(head), **small_labels(head))
    assert set(outputs.loss_terms) == set(small_labels(head))
    assert "loss_terms" not in outputs


def test_the_loss_of_two_tasks_is_the_sum_of_their_means():
    six, one = (
        LossTerm(torch.tensor(6.0), torch.tensor(3)),
        LossTerm(torch.tensor(1.0), torch.tensor(2)),
    )
    assert TaskOutput().with_loss(labels=six, next_sentence_label=one).loss == 2.5
    assert TaskOutput().with_loss(labels=None).loss is None
