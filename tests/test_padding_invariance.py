"""What you can rely on: padding, the order of a batch and the kind of attention change no answer.

What a model says about a text is a matter of that text alone, beyond rounding: in every class, with
every attention, for padding at the end, in front and in between.
"""

import pytest
import torch
from small_models import (
    ANSWERS,
    answers_of,
    is_per_token,
    small_batch,
    small_labels,
    small_model,
)
from torch import Tensor

from minibert.model.packing import Packing, packs

KINDS = ("eager", "fused", "packed")
LENGTHS = torch.tensor([6, 4, 1, 5])


def masked(name: str) -> dict[str, Tensor]:
    """A batch of texts of unequal lengths."""
    batch = small_batch(name)
    lengths = LENGTHS.view(-1, *[1] * (batch["input_ids"].dim() - 1))
    mask = (torch.arange(6) < lengths).long().expand(batch["input_ids"].shape)
    return batch | {"attention_mask": mask.contiguous()}


def padded(batch: dict[str, Tensor], by: int) -> dict[str, Tensor]:
    """The batch with noise behind it that the mask hides."""
    behind = (*batch["input_ids"].shape[:-1], by)
    generator = torch.Generator().manual_seed(9)
    noise = {
        "input_ids": torch.randint(0, 50, behind, generator=generator),
        "token_type_ids": torch.randint(0, 2, behind, generator=generator),
        "attention_mask": torch.zeros(behind, dtype=torch.long),
    }
    return {name: torch.cat([tensor, noise[name]], dim=-1) for name, tensor in batch.items()}


def assert_same_answers(name: str, mine, other, mask: Tensor) -> None:
    """Equal beyond rounding, at real tokens where there is an answer for each."""
    for field, one in answers_of(name, mine).items():
        two = answers_of(name, other)[field]
        if is_per_token(name, field):
            real = mask.bool()
            assert real.any()
            shorter, longer = one[real], two[:, : one.shape[1]][real]
        else:
            shorter, longer = one, two
        torch.testing.assert_close(shorter, longer, atol=1e-11, rtol=1e-11, msg=field)


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("name", ANSWERS)
def test_padding_never_changes_real_tokens(name, attention):
    model, batch = small_model(name, attention=attention), masked(name)
    usual = model(**batch)
    for by in (1, 6):
        longer = model(**padded(batch, by))
        assert_same_answers(name, usual, longer, batch["attention_mask"])


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("name", ANSWERS)
def test_what_stands_at_padded_places_never_matters(name, attention):
    model, batch = small_model(name, attention=attention), masked(name)
    hidden = batch["attention_mask"] == 0
    assert hidden.any()
    other = batch | {
        "input_ids": batch["input_ids"].masked_fill(hidden, 33),
        "token_type_ids": batch["token_type_ids"].masked_fill(hidden, 1),
    }
    assert_same_answers(name, model(**batch), model(**other), batch["attention_mask"])


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("name", ANSWERS)
def test_a_text_alone_gets_the_answer_that_it_gets_in_a_batch(name, attention):
    model, batch = small_model(name, attention=attention), masked(name)
    together = answers_of(name, model(**batch))
    for row, length in enumerate(LENGTHS.tolist()):
        alone = {
            field: tensor[row : row + 1, ..., :length]
            for field, tensor in batch.items()
            if field != "attention_mask"
        }
        for field, one in answers_of(name, model(**alone)).items():
            whole = together[field][row : row + 1]
            two = whole[:, :length] if is_per_token(name, field) else whole
            torch.testing.assert_close(one, two, atol=1e-11, rtol=1e-11, msg=field)


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("name", ANSWERS)
def test_the_order_of_a_batch_never_matters(name, attention):
    model, batch, order = small_model(name, attention=attention), masked(name), [2, 0, 3, 1]
    straight = answers_of(name, model(**batch))
    shuffled = answers_of(name, model(**{k: tensor[order] for k, tensor in batch.items()}))
    for field, one in straight.items():
        torch.testing.assert_close(one[order], shuffled[field], atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("name", ANSWERS)
def test_the_kind_of_attention_never_matters(name):
    batch, labels = masked(name), small_labels(name)
    if labels.get("labels", LENGTHS).shape == batch["attention_mask"].shape:
        labels["labels"].masked_fill_(batch["attention_mask"] == 0, -100)
    eager, *others = (small_model(name, attention=kind)(**batch, **labels) for kind in KINDS)
    for other in others:
        assert_same_answers(name, eager, other, batch["attention_mask"])
        if labels:
            torch.testing.assert_close(eager.loss, other.loss, atol=1e-11, rtol=1e-11)
    eager, *others = (
        small_model(name, attention=kind)(**batch, output_hidden_states=True) for kind in KINDS
    )
    real = batch["attention_mask"].flatten(0, -2).bool()
    for other in others:
        for one, two in zip(eager.hidden_states, other.hidden_states, strict=True):
            torch.testing.assert_close(one[real], two[real], atol=1e-11, rtol=1e-11)


def test_packed_execution_has_the_gradients_of_padded_execution():
    for name in ANSWERS:
        gradients = []
        for kind in ("fused", "packed"):
            model, batch = small_model(name, attention=kind), masked(name)
            outputs = model(**batch)
            mask = batch["attention_mask"].flatten(0, -2).bool()
            total = torch.zeros((), dtype=torch.float64)
            for field, answer in answers_of(name, outputs).items():
                read = answer[mask] if is_per_token(name, field) else answer
                total = total + (read * torch.arange(read.numel()).view_as(read)).sum()
            total.backward()
            gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        for padded_one, packed_one in zip(*gradients, strict=True):
            torch.testing.assert_close(padded_one, packed_one, atol=1e-9, rtol=1e-9)


def test_auto_packs_on_a_cpu_if_a_tenth_of_the_batch_is_padding():
    mask = torch.ones(2, 10, dtype=torch.long)
    assert not packs(mask, "auto")
    mask[1, 8:] = 0
    assert not packs(mask, "auto")
    mask[1, 7:] = 0
    assert packs(mask, "auto")
    assert packs(torch.ones(2, 10), "packed")
    assert not packs(mask, "fused")
    assert not packs(None, "packed")
    assert not packs(torch.zeros(2, 10), "packed")


def test_texts_are_packed_in_groups_of_similar_length_that_hold_every_token_once():
    lengths = torch.tensor([3, 200, 128, 0, 60, 90, 512])
    mask = torch.arange(512) < lengths[:, None]
    packing = Packing.of(mask)
    groups = [lengths[packing.order[group.texts]].tolist() for group in packing.groups]
    assert groups == [[512], [200, 128], [90, 60], [3, 0]]
    places = mask.flatten().nonzero()[:, 0]
    assert torch.equal(packing.positions[: packing.count].sort().values, places)
    numbers = torch.arange(7.0 * 512).view(7, 512, 1)
    packed = packing.gather(numbers[..., 0])[..., None]
    assert torch.equal(packing.pad(packed, (7, 512)), numbers * mask[..., None])


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("where", ["in front", "in between"])
def test_padding_anywhere_is_left_out_if_the_positions_say_where_tokens_stand(where, attention):
    model = small_model("BertModel", attention=attention)
    ids = torch.tensor([[5, 6, 7]])
    usual = model(ids).last_hidden_state
    if where == "in front":
        given, mask, positions = [0, 0, 5, 6, 7], [0, 0, 1, 1, 1], [0, 0, 0, 1, 2]
    else:
        given, mask, positions = [5, 0, 6, 0, 7], [1, 0, 1, 0, 1], [0, 0, 1, 0, 2]
    mask = torch.tensor([mask])
    hidden = model(
        torch.tensor([given]), attention_mask=mask, position_ids=torch.tensor([positions])
    ).last_hidden_state
    torch.testing.assert_close(hidden[mask.bool()], usual[0], atol=1e-11, rtol=1e-11)


def test_a_mask_of_ones_is_no_mask():
    model, batch = small_model("BertModel"), small_batch("BertModel")
    ones = torch.ones_like(batch["input_ids"])
    torch.testing.assert_close(
        model(**batch, attention_mask=ones).last_hidden_state, model(**batch).last_hidden_state
    )


def test_without_its_mask_padding_does_change_the_answer():
    # The tests above could not fail if attention never looked that far.
    model, batch = small_model("BertModel"), masked("BertModel")
    unmasked = {name: tensor for name, tensor in batch.items() if name != "attention_mask"}
    difference = (model(**batch).pooler_output - model(**unmasked).pooler_output).abs()
    assert (difference.amax(dim=-1)[LENGTHS < 6] > 1e-4).all()


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("name", ["BertForMaskedLM", "BertForTokenClassification"])
def test_padding_never_changes_a_loss_over_tokens_nor_its_gradient(name, attention):
    results = []
    for by in (0, 5):
        model = small_model(name, attention=attention)
        batch = padded(masked(name), by)
        labels = small_labels(name)["labels"].masked_fill(masked(name)["attention_mask"] == 0, -100)
        behind = torch.full((4, by), -100)
        loss = model(**batch, labels=torch.cat([labels, behind], dim=1)).loss
        loss.backward()
        results.append([loss, *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("attention", KINDS)
def test_no_gradient_reaches_what_stands_at_padded_places(attention):
    model = small_model("BertModel", attention=attention)
    ids = torch.tensor([[5, 6, 7, 40, 41]])
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    outputs = model(ids, attention_mask=mask)
    (outputs.last_hidden_state[:, :3].square() * torch.arange(16)).sum().backward()
    touched = model.embeddings.word_embeddings.weight.grad.abs().sum(dim=1).nonzero().flatten()
    assert touched.tolist() == [5, 6, 7]


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ANSWERS)
def test_a_text_of_nothing_but_padding_gives_no_nan_and_does_not_touch_the_others(
    name, dtype, attention
):
    batch = masked(name)
    batch["attention_mask"][2] = 0
    model = small_model(name, attention=attention, dtype=dtype)
    outputs = model(**batch, **small_labels(name))
    for tensor in answers_of(name, model(**batch)).values():
        assert tensor.isfinite().all()
    loss = outputs.last_hidden_state.square().mean() if name == "BertModel" else outputs.loss
    assert loss.isfinite()
    loss.backward()
    for parameter_name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), parameter_name
