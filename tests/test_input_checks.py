"""What you can rely on: a batch that the model cannot look up is refused in one plain sentence.

The sentence says which argument, where in it, what was found and what is allowed; it comes before
anything is computed, from every class, and nothing that the caller gave is ever changed.
"""

import warnings

import pytest
import torch
from small_models import ANSWERS, HEADS, small_batch, small_config, small_labels, small_model
from torch import Tensor

from minibert import MiniBertError
from minibert.model.input_checks import check_inputs


def changed(batch: dict[str, Tensor], name: str, value: float) -> dict[str, Tensor]:
    """The batch with another value at the last place of one tensor."""
    tensor = batch[name].clone()
    tensor.view(-1)[-1] = value
    return batch | {name: tensor}


def refusal(head: str, batch: dict[str, Tensor]) -> str:
    with pytest.raises(MiniBertError) as caught:
        small_model(head, num_hidden_layers=1)(**batch)
    return str(caught.value)


def test_the_sentence_names_the_place_the_value_and_what_is_allowed():
    ids = torch.tensor([[1, 2, 3], [4, 50, 6]])
    with pytest.raises(MiniBertError) as caught:
        check_inputs(small_config(), ids)
    assert str(caught.value) == (
        "input_ids[1, 1] is 50, but the vocabulary (vocab_size) allows 0 to 49."
    )


@pytest.mark.parametrize("head", ANSWERS)
def test_an_id_beyond_the_vocabulary_is_refused(head):
    message = refusal(head, changed(small_batch(head), "input_ids", 50))
    assert "input_ids[" in message and "is 50, but the vocabulary" in message


@pytest.mark.parametrize("head", ANSWERS)
def test_a_negative_id_is_refused(head):
    assert "is -1, but" in refusal(head, changed(small_batch(head), "input_ids", -1))


@pytest.mark.parametrize("head", ANSWERS)
def test_minus_100_is_a_label_and_no_id(head):
    assert "is -100, but" in refusal(head, changed(small_batch(head), "input_ids", -100))


@pytest.mark.parametrize("head", ANSWERS)
def test_a_text_longer_than_the_positions_is_refused_with_the_way_out(head):
    message = refusal(head, small_batch(head, tokens=13))
    assert "13 tokens long but the model has 12 positions" in message
    assert "truncation=True, max_length=12" in message


@pytest.mark.parametrize("head", ANSWERS)
@pytest.mark.parametrize("value", [2, -1])
def test_a_segment_beyond_the_two_is_refused(head, value):
    message = refusal(head, changed(small_batch(head), "token_type_ids", value))
    assert f"is {value}, but type_vocab_size allows 0 to 1" in message


@pytest.mark.parametrize("head", ANSWERS)
@pytest.mark.parametrize("value", [12, -1])
def test_a_position_beyond_the_table_is_refused(head, value):
    batch = small_batch(head)
    positions = torch.arange(6).expand(batch["input_ids"].shape).contiguous()
    message = refusal(head, changed(batch | {"position_ids": positions}, "position_ids", value))
    assert f"is {value}, but max_position_embeddings allows 0 to 11" in message


@pytest.mark.parametrize("head", ANSWERS)
@pytest.mark.parametrize("value", [-10000.0, 0.5, 2.0, float("nan"), float("-inf")])
def test_a_mask_of_anything_but_0_and_1_is_refused(head, value):
    # -10000 is the inner form of old code; taken for "not 0" it would turn the mask round
    batch = small_batch(head)
    mask = torch.ones_like(batch["input_ids"]).float()
    message = refusal(head, changed(batch | {"attention_mask": mask}, "attention_mask", value))
    assert message == (
        f"attention_mask holds {value}; it must be 1 for real tokens and 0 for padding."
    )


@pytest.mark.parametrize("head", ANSWERS)
@pytest.mark.parametrize("name", ["input_ids", "token_type_ids"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_ids_that_are_no_whole_numbers_are_refused(head, name, dtype):
    batch = small_batch(head)
    message = refusal(head, batch | {name: batch[name].to(dtype)})
    assert message == f"{name} is {dtype}; it must hold whole numbers (torch.long)."


@pytest.mark.parametrize("head", ANSWERS)
@pytest.mark.parametrize("name", ["attention_mask", "token_type_ids"])
def test_a_shape_other_than_that_of_the_ids_is_refused(head, name):
    batch = small_batch(head)
    rows = 12 if head == "BertForMultipleChoice" else 4
    short = torch.ones_like(batch["input_ids"])[..., :-1]
    message = refusal(head, batch | {name: short})
    assert f"{name} has the shape ({rows}, 5); for this batch it must be ({rows}, 6)" in message


@pytest.mark.parametrize("shape", [(6,), (1, 6, 1), ()])
def test_ids_without_a_batch_are_refused_with_the_way_out(shape):
    with pytest.raises(MiniBertError, match=r"\(batch, tokens\).*input_ids\[None\]"):
        check_inputs(small_config(), torch.ones(shape, dtype=torch.long))


def test_choices_need_three_dimensions():
    message = refusal("BertForMultipleChoice", small_batch("BertModel"))
    assert "(4, 6); for multiple choice it must be (batch, choices, tokens)" in message


def test_no_tokens_are_refused():
    with pytest.raises(MiniBertError, match="input_ids is empty"):
        check_inputs(small_config(), torch.ones(2, 0, dtype=torch.long))


def test_no_texts_are_an_empty_result():
    model = small_model("BertForSequenceClassification")
    outputs = model(torch.ones(0, 5, dtype=torch.long), labels=torch.ones(0, dtype=torch.long))
    assert outputs.logits.shape == (0, 3)
    assert outputs.loss.item() == 0.0


@pytest.mark.parametrize("shape", [(6,), (1, 5), (2, 5)])
def test_positions_of_another_length_are_refused(shape):
    with pytest.raises(MiniBertError, match="position_ids has the shape"):
        check_inputs(
            small_config(),
            torch.ones(2, 6, dtype=torch.long),
            position_ids=torch.zeros(shape, dtype=torch.long),
        )


@pytest.mark.parametrize("texts", [1, 2])
def test_positions_for_another_number_of_texts_are_refused(texts):
    # Three rows of positions for one text would be broadcast, and three results come back for it.
    with pytest.raises(MiniBertError, match="position_ids has the shape"):
        check_inputs(
            small_config(),
            torch.ones(texts, 6, dtype=torch.long),
            position_ids=torch.zeros(3, 6, dtype=torch.long),
        )


def test_given_positions_may_stand_in_for_a_length_beyond_the_table():
    model = small_model("BertModel")
    ids = torch.ones(1, 20, dtype=torch.long)
    positions = (torch.arange(20) % 12)[None]
    assert model(ids, position_ids=positions).last_hidden_state.shape == (1, 20, 16)


# How many classes the labels of each head have, with small_batch and small_config.
CLASSES = {
    ("BertForPreTraining", "labels"): 50,
    ("BertForPreTraining", "next_sentence_label"): 2,
    ("BertForMaskedLM", "labels"): 50,
    ("BertForNextSentencePrediction", "labels"): 2,
    ("BertForSequenceClassification", "labels"): 3,
    ("BertForTokenClassification", "labels"): 3,
    ("BertForQuestionAnswering", "start_positions"): 6,
    ("BertForQuestionAnswering", "end_positions"): 6,
    ("BertForMultipleChoice", "labels"): 3,
}


def test_the_list_of_heads_and_labels_is_complete():
    assert set(CLASSES) == {(head, name) for head in HEADS for name in small_labels(head)}


@pytest.mark.parametrize(("head", "name"), CLASSES)
def test_a_label_beyond_the_classes_is_refused(head, name):
    classes = CLASSES[head, name]
    for value in (classes, -1, -101):
        labels = changed(small_labels(head), name, value)
        message = refusal(head, small_batch(head) | labels)
        assert f"{name}[" in message
        assert f"is {value}, but" in message
        assert f"allows 0 to {classes - 1} or -100" in message


@pytest.mark.parametrize(("head", "name"), CLASSES)
def test_the_highest_label_and_minus_100_are_accepted(head, name):
    for value in (CLASSES[head, name] - 1, -100):
        labels = changed(small_labels(head), name, value)
        assert small_model(head)(**small_batch(head), **labels).loss.isfinite()


@pytest.mark.parametrize(("head", "name"), CLASSES)
def test_labels_of_another_shape_are_refused(head, name):
    labels = small_labels(head)
    message = refusal(head, small_batch(head) | labels | {name: labels[name][:-1]})
    assert message.startswith(f"{name} has the shape")
    assert "for this batch" in message


@pytest.mark.parametrize(("head", "name"), CLASSES)
def test_labels_that_are_no_whole_numbers_are_refused(head, name):
    if head == "BertForSequenceClassification":
        return  # they are numbers to learn, or several classes
    labels = small_labels(head)
    labels[name] = labels[name].float()
    assert f"{name} is torch.float32" in refusal(head, small_batch(head) | labels)


@pytest.mark.parametrize("problem", ["regression", "multi_label_classification"])
def test_numbers_for_each_output_must_have_the_shape_of_the_outputs(problem):
    model = small_model("BertForSequenceClassification", problem_type=problem)
    with pytest.raises(
        MiniBertError, match=rf"for {problem.replace('_', ' ')} it must be \(4, 3\)"
    ):
        model(**small_batch("BertModel"), labels=torch.zeros(4))


def test_a_start_needs_an_end():
    model, labels = small_model("BertForQuestionAnswering"), torch.zeros(4, dtype=torch.long)
    for name in ("start_positions", "end_positions"):
        with pytest.raises(MiniBertError, match="both start_positions and end_positions"):
            model(**small_batch("BertModel"), **{name: labels})


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
@pytest.mark.parametrize("name", ["input_ids", "token_type_ids", "labels"])
def test_whole_numbers_of_any_width_either_work_or_are_refused_with_a_sentence(name, dtype):
    # NumPy's int32 is what `torch.from_numpy` makes of many a token file
    model = small_model("BertForSequenceClassification")
    batch = small_batch("BertModel") | {"labels": torch.tensor([0, 1, 2, 0])}
    usual = model(**batch)
    try:
        given = model(**batch | {name: batch[name].to(dtype)})
    except MiniBertError as error:
        assert name in str(error)
    else:
        assert torch.equal(given.loss, usual.loss)


@pytest.mark.parametrize("given", [[[1, 2, 3]], torch.ones(1, 3).long().numpy()], ids=type)
def test_ids_that_are_no_tensor_are_refused_with_a_sentence(given):
    with pytest.raises(MiniBertError, match="input_ids"):
        small_model("BertModel")(given)


@pytest.mark.parametrize("head", ANSWERS)
def test_lists_and_single_texts_are_refused_by_every_class_before_a_head_counts_on_them(head):
    model, ids = small_model(head), small_batch(head)["input_ids"]
    for labels in ({}, small_labels(head)):
        with pytest.raises(MiniBertError, match="input_ids is a list; make it a tensor"):
            model(ids.tolist(), **labels)
        with pytest.raises(MiniBertError, match=r"input_ids has the shape \(6,\)"):
            model(ids.flatten()[:6], **labels)


@pytest.mark.parametrize("labels", [1, [1, 0]])
def test_labels_that_are_no_tensor_are_refused(labels):
    message = f"labels is a {type(labels).__name__}; make it a tensor"
    with pytest.raises(MiniBertError, match=message):
        small_model("BertForSequenceClassification")(torch.ones(2, 6).long(), labels=labels)


@pytest.mark.parametrize("head", ["BertForMaskedLM", "BertForPreTraining"])
def test_no_texts_with_labels_are_a_loss_of_0_for_masked_words_too(head):
    nothing = torch.ones(0, 5, dtype=torch.long)
    assert small_model(head)(nothing, labels=nothing).loss.item() == 0.0


@pytest.mark.parametrize("head", ANSWERS)
def test_nothing_that_the_caller_gave_is_changed(head):
    batch = small_batch(head)
    batch |= {"attention_mask": (torch.arange(6) < 4).long().expand(batch["input_ids"].shape)}
    batch |= small_labels(head)
    copies = {name: tensor.clone() for name, tensor in batch.items()}
    for attention in ("eager", "fused"):
        outputs = small_model(head, attention=attention).train()(**batch)
        if outputs[0].dim() == 0:
            outputs[0].backward()
        for name, tensor in batch.items():
            assert torch.equal(tensor, copies[name]), name


def test_all_but_the_ids_are_given_by_name():
    ids = torch.tensor([[1, 2]])
    for head in ANSWERS:
        with pytest.raises(MiniBertError, match=r"given by name.*model\(\*\*batch\)"):
            small_model(head)(ids, torch.ones_like(ids))


def test_padding_on_the_left_is_warned_of_unless_positions_are_given():
    model = small_model("BertModel")
    ids, mask = torch.tensor([[0, 0, 2, 3], [2, 5, 6, 3]]), torch.tensor([[0, 0, 1, 1], [1] * 4])
    with pytest.warns(UserWarning, match=r"takes the first positions.*padding_side=\"right\""):
        model(ids, attention_mask=mask)
    right = model(torch.tensor([[2, 3]])).last_hidden_state
    with warnings.catch_warnings(action="error"):
        places = torch.tensor([[0, 0, 0, 1], [0, 1, 2, 3]])
        left = model(ids, attention_mask=mask, position_ids=places).last_hidden_state
        model(ids, attention_mask=torch.tensor([[0] * 4, [1] * 4]))  # a row without a text
        model(ids[1:], attention_mask=torch.tensor([[1, 0, 1, 1]]))
    assert torch.allclose(left[0, 2:], right[0], atol=1e-5)


def test_padding_without_a_mask_is_warned_of():
    model = small_model("BertModel")
    for ids in ([[5, 6, 7], [5, 6, 0]], [[0, 6, 7], [5, 6, 7]]):
        with pytest.warns(UserWarning, match=r"has padding .* no attention_mask"):
            model(torch.tensor(ids))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(torch.tensor([[5, 6, 7]]))
        padded = torch.tensor([[5, 6, 0]])
        model(padded, attention_mask=torch.tensor([[1, 1, 0]]))


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("mask", "unexpected keyword argument 'mask'"),
        ("segment_ids", "segment_ids; the argument is called token_type_ids"),
        ("output_all_encoded_layers", "output_all_encoded_layers; remove it"),
        ("label", "label; the argument is called labels"),
    ],
)
def test_an_unknown_keyword_is_refused_by_its_name(keyword, words):
    for head in ANSWERS:
        with pytest.raises((TypeError, MiniBertError), match=words):
            small_model(head)(small_batch(head)["input_ids"], **{keyword: True})


def test_labels_are_checked_only_where_a_class_takes_them():
    with pytest.raises(TypeError, match="labels"):
        small_model("BertModel")(torch.tensor([[1, 2]]), labels=torch.tensor([0]))


@pytest.mark.parametrize("head", ANSWERS)
def test_a_folders_name_in_place_of_a_config_is_sent_to_from_pretrained(head):
    import minibert

    with pytest.raises(MiniBertError, match=rf"{head}\.from_pretrained"):
        getattr(minibert, head)("bert-base-uncased")
