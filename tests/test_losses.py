"""What you can rely on: a loss is a sum and a count.

So a label of -100 changes neither, several batches add up to what one big batch gives, and a batch
without labels gives 0. Each loss can be checked by hand and equals PyTorch's mean.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from small_models import HEADS, small_batch, small_labels, small_model

from minibert.data.pretraining.nsp_pairs import IS_NEXT, IS_RANDOM
from minibert.model.losses import (
    LABEL_ARGUMENTS,
    LossTerm,
    binary_cross_entropy,
    count_labels,
    cross_entropy,
    squared_error,
)
from minibert.tokenization.padding import IGNORE_INDEX


def term(total: float, count: int) -> LossTerm:
    return LossTerm(torch.tensor(total), torch.tensor(count))


def test_four_labels_by_hand():
    # Two classes with logits (0, ln 3), so probabilities 1/4 and 3/4; the labels 0, 1, none, 1.
    logits = torch.tensor([[0.0, math.log(3)]] * 4, dtype=torch.float64)
    loss = cross_entropy(logits, torch.tensor([0, 1, IGNORE_INDEX, 1]))
    assert loss.total.item() == pytest.approx(math.log(4) + 2 * math.log(4 / 3))
    assert loss.count.item() == 3
    assert loss.mean().item() == pytest.approx((math.log(4) + 2 * math.log(4 / 3)) / 3)


def test_squared_error_by_hand():
    # 0.5^2 + 0 + 3^2
    loss = squared_error(torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([[1.5], [2.0], [2.0]]))
    assert loss.total.item() == pytest.approx(9.25)
    assert loss.count.item() == 3


def test_binary_cross_entropy_by_hand():
    # Two examples, two questions each; a logit of ln 3 is a probability of 3/4, and 0 is 1/2.
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    loss = binary_cross_entropy(logits, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert loss.total.item() == pytest.approx(math.log(4 / 3) + math.log(4) + 2 * math.log(2))
    assert loss.count.item() == 4


def test_the_mean_of_means_is_not_the_mean():
    # 3 items with a loss of 2 each, and 1 item with 4: (6 + 4) / 4 = 2.5, but (2 + 4) / 2 = 3.
    terms = [term(6.0, 3), term(4.0, 1)]
    together = term(sum(t.total.item() for t in terms), sum(t.count.item() for t in terms))
    assert together.mean().item() == 2.5
    assert sum(t.mean().item() for t in terms) / 2 == 3.0


def test_nothing_labelled_is_a_loss_of_0_with_a_gradient_of_0():
    logits = torch.randn(3, 5, requires_grad=True)
    loss = cross_entropy(logits, torch.full((3,), IGNORE_INDEX)).mean()
    assert loss.item() == 0.0
    loss.backward()
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("ignored", [(), (0,), (1, 2), (0, 1, 2, 3)])
def test_cross_entropy_has_the_mean_that_pytorch_gives(ignored):
    logits = torch.randn(5, 7, dtype=torch.float64)
    labels = torch.tensor([0, 6, 3, 3, 2])
    labels[list(ignored)] = IGNORE_INDEX
    torch.testing.assert_close(
        cross_entropy(logits, labels).mean(), F.cross_entropy(logits, labels)
    )


def test_an_ignored_item_changes_nothing_whatever_its_logits_are():
    logits = torch.randn(4, 3)
    labels = torch.tensor([0, IGNORE_INDEX, 2, IGNORE_INDEX])
    wild = logits.clone()
    wild[1], wild[3] = 1e4, -1e4
    one, two = cross_entropy(logits, labels), cross_entropy(wild, labels)
    assert one.total.item() == two.total.item()
    assert one.count.item() == two.count.item() == 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["cross entropy", "squares", "binary"])
def test_sums_are_taken_in_float32_at_least(kind, dtype):
    # 4,000 times the same: bfloat16, with 8 bits, stops adding long before.
    logits = torch.zeros(4000, 2, dtype=dtype)
    if kind == "cross entropy":
        loss, each = cross_entropy(logits, torch.zeros(4000, dtype=torch.long)), math.log(2)
    elif kind == "squares":
        loss, each = squared_error(logits, torch.ones(4000, 2)), 2.0
    else:
        loss, each = binary_cross_entropy(logits, torch.ones(4000, 2)), 2 * math.log(2)
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx(4000 * each, rel=1e-5)


def test_float64_stays_float64():
    assert cross_entropy(torch.zeros(1, 2).double(), torch.tensor([0])).total.dtype == torch.float64


def test_next_sentence_labels_are_googles():
    assert (IS_NEXT, IS_RANDOM) == (0, 1)


@pytest.mark.parametrize("head", HEADS)
def test_counts_known_before_the_model_runs_are_those_of_its_loss(head):
    labels = small_labels(head)
    terms = small_model(head)(**small_batch(head), **labels).loss_terms
    assert set(terms) == set(labels) <= set(LABEL_ARGUMENTS)
    assert count_labels(labels) == {name: term.count.item() for name, term in terms.items()}


def test_counts_leave_out_ignored_labels_and_what_is_no_label():
    batch = {
        "input_ids": torch.tensor([[1, 2, 3]]),
        "labels": torch.tensor([[5, IGNORE_INDEX, 0]]),
        "next_sentence_label": torch.tensor([IGNORE_INDEX]),
    }
    assert count_labels(batch) == {"labels": 2, "next_sentence_label": 0}
    assert count_labels({"labels": torch.tensor([[0.5, -100.0]])}) == {"labels": 2}


@pytest.mark.parametrize("head", HEADS)
def test_the_loss_is_the_sum_of_the_terms_means(head):
    outputs = small_model(head)(**small_batch(head), **small_labels(head))
    expected = sum(term.total / term.count for term in outputs.loss_terms.values())
    torch.testing.assert_close(outputs.loss, expected)
    assert outputs.loss.dim() == 0


@pytest.mark.parametrize("head", HEADS)
def test_two_unequal_batches_give_the_gradient_of_one_big_one(head):
    batch, labels = small_batch(head, rows=4), small_labels(head, rows=4)
    whole = small_model(head)
    whole(**batch, **labels).loss.backward()
    counts = count_labels(labels)
    pieces = small_model(head)
    for rows in (slice(0, 3), slice(3, 4)):
        piece = {name: tensor[rows] for name, tensor in (batch | labels).items()}
        terms = pieces(**piece).loss_terms
        sum(term.total / counts[name] for name, term in terms.items()).backward()
    for (name, one), two in zip(whole.named_parameters(), pieces.parameters(), strict=True):
        if one.grad is None:
            assert two.grad is None, name
        else:
            torch.testing.assert_close(one.grad, two.grad, atol=1e-12, rtol=1e-9)


# Over a whole vocabulary


def wide_case(rows, words, dtype=torch.float64):
    logits = 5 * torch.randn(rows, words, dtype=torch.float64)
    labels = torch.randint(0, words, (rows,))
    labels[::3] = IGNORE_INDEX
    return logits.to(dtype).requires_grad_(), labels


@pytest.mark.parametrize("rows", [1, 2, 700])  # 700 x 1500: more than one part, and a part of one
@pytest.mark.parametrize(
    ("dtype", "precision"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)]
)
def test_the_loss_of_a_whole_vocabulary_is_pytorchs(rows, dtype, precision):
    torch.manual_seed(rows)
    logits, labels = wide_case(rows, 1500, dtype)
    precise = logits.to(torch.promote_types(dtype, torch.float32))
    total = cross_entropy(logits, labels).total
    expected = F.cross_entropy(precise, labels, ignore_index=IGNORE_INDEX, reduction="sum")
    torch.testing.assert_close(total, expected, rtol=min(precision, 1e-5), atol=1e-6)
    found, wanted = (torch.autograd.grad(3 * loss, logits)[0] for loss in (total, expected))
    assert found.dtype == dtype
    torch.testing.assert_close(found, wanted, rtol=precision, atol=precision * 1e-2)


def test_the_gradient_of_a_whole_vocabulary_is_the_slope_of_its_loss():
    logits, labels = wide_case(4, 1000)
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels).total, logits)


def test_a_whole_vocabulary_has_the_second_derivative_of_pytorch():
    logits, labels = wide_case(4, 1000)
    expected = F.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
    found = []
    for total in (cross_entropy(logits, labels).total, expected):
        (slope,) = torch.autograd.grad(total, logits, create_graph=True)
        found.append(torch.autograd.grad(slope.pow(3).sum(), logits)[0])
    assert found[1].abs().max() > 0
    torch.testing.assert_close(*found)


def test_a_whole_vocabulary_and_no_label_is_a_loss_of_0():
    for labels in (torch.zeros(0, dtype=torch.long), torch.full((5,), IGNORE_INDEX)):
        logits = torch.randn(len(labels), 2000, requires_grad=True)
        total = cross_entropy(logits, labels).total
        total.backward()
        assert total == 0 and not logits.grad.any()


def test_logits_beyond_the_range_of_exp_have_a_loss_over_a_whole_vocabulary():
    logits = torch.zeros(1, 2000)
    logits[0, 7] = 1000.0
    losses = [cross_entropy(logits, torch.tensor([word])).total.item() for word in (7, 8)]
    assert losses == [0.0, 1000.0]
