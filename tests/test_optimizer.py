"""What you can rely on: weight decay, both Adams and the schedule, calculated by hand."""

import math

import pytest
import torch
from torch import nn

from minibert import BertConfig, BertForPreTraining, MiniBertError
from minibert.training.optimizer import (
    decay_groups,
    make_optimizer,
    set_learning_rate,
    warmup_then_linear,
)
from minibert.training.schedules import LearningRateSchedule

SMALL = BertConfig(
    vocab_size=20,
    hidden_size=8,
    num_attention_heads=2,
    num_hidden_layers=1,
    intermediate_size=16,
    max_position_embeddings=8,
)


def one_weight(value: float, gradient: float) -> nn.Parameter:
    weight = nn.Parameter(torch.tensor([[value]], dtype=torch.float64))
    weight.grad = torch.tensor([[gradient]], dtype=torch.float64)
    return weight


def test_matrices_and_tables_decay_but_biases_and_norms_do_not():
    model = BertForPreTraining(SMALL)
    decayed, kept = decay_groups(model, weight_decay=0.01)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.01, 0.0)
    assert all(names[id(p)].endswith(".weight") for p in decayed["params"])
    assert not [names[id(p)] for p in decayed["params"] if "LayerNorm" in names[id(p)]]
    assert "bert.embeddings.word_embeddings.weight" in {names[id(p)] for p in decayed["params"]}
    assert {name for p in kept["params"] if "LayerNorm" not in (name := names[id(p)])} == {
        name for name in names.values() if name.endswith("bias") and "LayerNorm" not in name
    }
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_a_bias_without_gradient_stays_where_it_is():
    # The old tutorials' key "weight_decay_rate" is kept silently by PyTorch, and the bias decays.
    layer = nn.Linear(2, 2)
    before = layer.bias.detach().clone()
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(decay_groups(layer, weight_decay=0.1), learning_rate=0.1).step()
    assert torch.equal(layer.bias, before)


def test_an_unknown_key_in_a_group_is_refused_with_a_suggestion():
    groups = [{"params": [nn.Parameter(torch.ones(1))], "weight_decay_rate": 0.1}]
    with pytest.raises(MiniBertError, match="did you mean 'weight_decay'"):
        make_optimizer(groups, learning_rate=1e-3)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(MiniBertError, match="'adamw' or 'google'"):
        make_optimizer([], learning_rate=1e-3, kind="sgd")


def test_frozen_parameters_are_left_out():
    layer = nn.Linear(2, 2)
    layer.weight.requires_grad_(False)
    assert [len(group["params"]) for group in decay_groups(layer, weight_decay=0.1)] == [0, 1]


def test_the_first_step_of_adamw_has_the_size_of_the_learning_rate():
    # With bias correction the first step is rate * g / |g|, whatever the size of the gradient.
    weight = one_weight(1.0, 0.003)
    make_optimizer([{"params": [weight], "weight_decay": 0.0}], learning_rate=0.1).step()
    assert weight.item() == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize(("steps", "times"), [(1, 3.16), (10, 6.5), (100, 3.2), (1000, 1.26)])
def test_googles_adam_takes_too_long_steps_at_first(steps, times):
    weight = one_weight(0.0, 1.0)
    optimizer = make_optimizer([{"params": [weight]}], learning_rate=1e-3, kind="google")
    for _ in range(steps):
        before = weight.item()
        optimizer.step()
    assert (before - weight.item()) / 1e-3 == pytest.approx(times, rel=0.02)


def test_googles_adam_by_hand():
    weight = one_weight(2.0, 0.5)
    groups = [{"params": [weight], "weight_decay": 0.01}]
    make_optimizer(groups, learning_rate=0.1, kind="google").step()
    m, v = 0.1 * 0.5, 0.001 * 0.25
    assert weight.item() == pytest.approx(2.0 - 0.1 * (m / (math.sqrt(v) + 1e-6) + 0.01 * 2.0))


def test_the_learning_rate_rises_to_its_peak_and_falls_towards_0():
    course = [warmup_then_linear(step, total=6, warmup=2) for step in range(1, 7)]
    assert course == pytest.approx([0.5, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_the_learning_rate_is_never_0_while_there_are_updates_to_make():
    # total // accumulation == 0 is a known way to train with a rate of 0.
    assert warmup_then_linear(1, total=1, warmup=1) == 1.0


def test_the_schedule_follows_the_share_of_an_epoch_and_ignores_skipped_updates():
    schedule = LearningRateSchedule("linear", epochs=2, steps_per_epoch=4, warmup_ratio=0.25)
    first = [schedule.factor(done / 4) for done in range(4)]
    assert first == pytest.approx([1 / 2, 1, 6 / 7, 5 / 7])
    # A second epoch of 8 updates instead of 4 takes each step of the schedule twice.
    second = [schedule.factor(1 + done / 8) for done in (0, 2, 4, 6)]
    assert second == pytest.approx([4 / 7, 3 / 7, 2 / 7, 1 / 7])
    assert schedule.factor(1.0, skipped=1) == schedule.factor(0.75)


def test_each_group_keeps_its_own_initial_learning_rate():
    weights = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    optimizer = make_optimizer(
        [{"params": weights[:1], "lr": 1.0}, {"params": weights[1:]}], learning_rate=0.1
    )
    for factor in (0.5, 0.25):
        set_learning_rate(optimizer, factor)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([factor, 0.1 * factor])
