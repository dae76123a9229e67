"""What you can rely on: freezing, rates by layer, schedules and training losses, calculated by hand
and then against PyTorch and transformers; a resumed run stays exact with all of them.
"""

import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_models import small_batch, small_labels, small_model
from test_training_loop import CPU, SETTINGS, Breaking, Crash, new_batches, new_model, same
from torch import nn

from minibert import MiniBertError
from minibert.data.sampler import balanced_sample
from minibert.model.losses import binary_cross_entropy, cross_entropy, weighted_cross_entropy
from minibert.training.learning_rate_finder import find_learning_rate
from minibert.training.loop import train
from minibert.training.parameter_groups import freeze, layerwise_groups, reinitialize_layers
from minibert.training.schedules import SCHEDULES
from minibert.training.settings import TrainingSettings
from minibert.training.training_loss import TrainingLoss, balanced_class_weights


def classifier(**changes):
    return small_model("BertForSequenceClassification", dtype=torch.float32, **changes)


def labelled_batch(name: str = "BertForSequenceClassification"):
    return small_batch(name) | small_labels(name)


def rates_by_name(model, groups) -> dict[str, float]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: group["lr"] for group in groups for p in group["params"]}


def test_the_rates_of_two_layers_with_a_decay_of_one_half():
    model = classifier()
    groups = layerwise_groups(model, learning_rate=8.0, decay=0.5, head_factor=10)
    rates = rates_by_name(model, groups)
    assert rates.keys() == dict(model.named_parameters()).keys()
    for name, rate in rates.items():
        part = name.removeprefix("bert.")
        starts = {"embeddings.": 2, "encoder.layer.0.": 4, "encoder.layer.1.": 8, "pooler.": 8}
        assert rate == next((r for s, r in starts.items() if part.startswith(s)), 80), name
    freeze(model, "embeddings")  # what is frozen has no group, not even an empty one
    groups = layerwise_groups(model, learning_rate=8.0, decay=0.5, head_factor=10)
    assert [group["lr"] for group in groups if group["params"]] == [80, 80, 8, 8, 4, 4]
    decayed = {p for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {p for p in model.parameters() if p.dim() >= 2 and p.requires_grad}


def test_rates_by_layer_reach_the_weights(tmp_path: Path):
    """Adam's first step has the size of the rate, so the distances of one update tell it."""
    model, batch = new_model(dropout=0.0), new_batches(4)
    before = copy.deepcopy(model.state_dict())
    settings = TrainingSettings(
        epochs=1, learning_rate=1e-3, weight_decay=0.0, layer_decay=0.1, head_rate_factor=5.0
    )
    train(model, batch, settings, folder=tmp_path, device=CPU)
    moved = {name: (x - before[name]).abs().max().item() for name, x in model.state_dict().items()}
    assert moved["classifier.weight"] == pytest.approx(5e-3, rel=0.01)
    assert moved["bert.encoder.layer.0.output.weight"] == pytest.approx(1e-3, rel=0.01)
    assert moved["bert.embeddings.word_embeddings.weight"] == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize(
    ("parts", "frozen"),
    [
        ("embeddings", ["bert.embeddings."]),
        (0, ["bert.embeddings."]),
        (1, ["bert.embeddings.", "bert.encoder.layer.0."]),
        ("all", ["bert."]),
    ],
)
def test_frozen_parts_have_no_gradient_and_no_dropout_and_are_counted(parts, frozen):
    model = classifier(hidden_dropout_prob=0.5)
    sentence = freeze(model, parts)
    for _ in range(2):
        model.train()
        for name, module in model.named_modules():
            assert module.training != f"{name}.".startswith(tuple(frozen)), name
        model.eval()
    of_frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert of_frozen == [n for n, _ in model.named_parameters() if n.startswith(tuple(frozen))]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert f"{trained:,} of {model.num_parameters():,} parameters are trained" in sentence
    twin = copy.deepcopy(model).train()
    assert not twin.bert.embeddings.training
    assert twin.bert.embeddings.train() is twin.bert.embeddings


def test_frozen_weights_stay_and_the_others_move_also_after_evaluations(tmp_path: Path):
    model = new_model()
    freeze(model, "embeddings")
    before = copy.deepcopy(model.state_dict())
    states = []

    def evaluate():
        states.append(model.bert.embeddings.training or model.bert.encoder.training)
        return {"accuracy": 0.5}

    train(model, new_batches(), SETTINGS, folder=tmp_path, device=CPU, evaluate=evaluate)
    assert states == [False] * 3
    still = {n for n, tensor in model.state_dict().items() if torch.equal(tensor, before[n])}
    assert still == {n for n in before if n.startswith("bert.embeddings.")}


def test_more_layers_than_there_are_cannot_be_frozen_or_replaced():
    with pytest.raises(MiniBertError, match="has 2 layers"):
        freeze(classifier(), 3)
    with pytest.raises(MiniBertError, match="has 2 layers"):
        reinitialize_layers(classifier(), 3, seed=0)


def test_reinitialized_layers_are_the_top_ones_and_the_pooler_and_depend_on_the_seed():
    models = [classifier() for _ in range(3)]
    before = copy.deepcopy(models[0].state_dict())
    for model, seed in zip(models, (0, 0, 1), strict=True):
        reinitialize_layers(model, 1, seed=seed)
    new = {n for n, tensor in models[0].state_dict().items() if not torch.equal(tensor, before[n])}
    tops = ("bert.encoder.layer.1.", "bert.pooler.")
    assert new == {name for name in before if name.startswith(tops)}
    assert same(models[0].state_dict(), models[1].state_dict())
    assert not same(models[0].state_dict(), models[2].state_dict())
    assert models[0].bert.encoder.layer[1].output.weight.std().item() == pytest.approx(
        0.02, rel=0.2
    )


def test_twenty_steps_of_every_schedule():
    def course(name: str) -> list[float]:
        return [SCHEDULES[name](step, total=20, warmup=4) for step in range(1, 21)]

    rise = [0.25, 0.5, 0.75, 1.0]
    assert course("linear") == rise + [n / 17 for n in range(16, 0, -1)]
    assert course("constant") == rise + [1.0] * 16
    cosine = [(1 + math.cos(math.pi * n / 17)) / 2 for n in range(1, 17)]
    assert course("cosine") == pytest.approx(rise + cosine)
    slanted = [(1 + 31 * share) / 32 for share in course("linear")]
    assert course("slanted") == pytest.approx(slanted)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("linear", "get_linear_schedule_with_warmup"),
        ("cosine", "get_cosine_schedule_with_warmup"),
        ("constant", "get_constant_schedule_with_warmup"),
    ],
)
def test_schedules_are_those_of_transformers(ours: str, theirs: str):
    """Theirs begins at 0, so the first update does nothing; ours leaves that step out."""
    transformers = pytest.importorskip("transformers")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    arguments = {} if ours == "constant" else {"num_training_steps": 21}
    scheduler = getattr(transformers, theirs)(optimizer, num_warmup_steps=4, **arguments)
    for step in range(1, 21):
        optimizer.step()
        scheduler.step()
        expected = optimizer.param_groups[0]["lr"]
        assert SCHEDULES[ours](step, total=20, warmup=4) == pytest.approx(expected)


LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
LABELS = torch.tensor([0, 2, -100, 1])


def test_a_focal_loss_with_gamma_0_is_the_cross_entropy():
    plain, weighted = cross_entropy(LOGITS, LABELS), weighted_cross_entropy(LOGITS, LABELS)
    torch.testing.assert_close(weighted.total, plain.total)
    assert weighted.count == plain.count == 3


def test_the_focal_loss_by_hand():
    """Of three equal classes, the label has p = 1/3: (1 - 1/3)^2 log 3."""
    loss = weighted_cross_entropy(LOGITS[3:], LABELS[3:], focal_gamma=2.0)
    assert loss.total.item() == pytest.approx((2 / 3) ** 2 * math.log(3))
    several = binary_cross_entropy(torch.zeros(1, 2), torch.tensor([[1, 0]]), focal_gamma=1.0)
    assert several.total.item() == pytest.approx(2 * 0.5 * math.log(2))
    assert several.count == 2


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_has_finite_gradients_where_the_label_is_certain(gamma: float):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    weighted_cross_entropy(logits, torch.tensor([0, 0]), focal_gamma=gamma).total.backward()
    assert torch.isfinite(logits.grad).all()


def test_label_smoothing_and_class_weights_by_hand_and_as_in_pytorch():
    """Of three equal classes, all have log 3, whatever is smoothed."""
    smooth = weighted_cross_entropy(LOGITS, LABELS, label_smoothing=0.1)
    expected = F.cross_entropy(LOGITS, LABELS, reduction="sum", label_smoothing=0.1)
    torch.testing.assert_close(smooth.total, expected)
    weights = torch.tensor([1.0, 2.0, 0.5])
    of_last = weighted_cross_entropy(LOGITS[3:], LABELS[3:], class_weights=weights)
    assert of_last.total.item() == pytest.approx(2 * math.log(3))
    weighted = weighted_cross_entropy(LOGITS, LABELS, class_weights=weights)
    expected = F.cross_entropy(LOGITS, LABELS, weight=weights, reduction="sum")
    torch.testing.assert_close(weighted.total, expected)
    assert weighted.count == 3  # labels, not the sum of their weights


def test_balanced_class_weights_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    labels = [0] * 7 + [1] * 2 + [3]
    ours = balanced_class_weights(labels, 5).numpy()
    theirs = sklearn.compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(ours[[0, 1, 3]], theirs, rtol=1e-6)
    assert np.mean(ours[labels]) == pytest.approx(1)
    tags = [np.array([-100, 0, 0, -100]), np.array([-100, 1, -100])]
    assert balanced_class_weights(tags, 2).tolist() == [0.75, 1.5]


def test_a_balanced_sample_has_each_class_equally_often_and_follows_seed_and_epoch():
    labels = np.array([0] * 90 + [1] * 9 + [2])
    sample = balanced_sample(labels, seed=1, epoch=0)
    assert sorted(np.bincount(labels[sample])) == [33, 33, 34]
    counts = np.bincount(sample, minlength=100)
    assert counts[:90].max() == 1  # common ones are left out, not repeated
    assert np.ptp(counts[90:99]) <= 1
    assert np.array_equal(sample, balanced_sample(labels, seed=1, epoch=0))
    for other in ({"seed": 1, "epoch": 1}, {"seed": 2, "epoch": 0}):
        assert not np.array_equal(np.sort(sample), np.sort(balanced_sample(labels, **other)))


def test_balanced_batches_can_be_resumed_and_keep_their_number():
    batches = new_batches(22)
    batches.targets = [int(number < 3) for number in range(22)]
    balanced = replace(batches, balanced=True)
    epoch = list(balanced.epoch(0))
    assert len(epoch) == len(balanced) == len(batches)
    assert sum(int(batch["labels"].sum()) for batch in epoch) == 11
    for one, other in zip(epoch[2:], balanced.epoch(0, start=2), strict=True):
        assert torch.equal(one["input_ids"], other["input_ids"])


@pytest.mark.parametrize("task", ["BertForSequenceClassification", "BertForTokenClassification"])
@pytest.mark.parametrize(
    "loss",
    [
        TrainingLoss(class_weights=torch.tensor([1.0, 3.0, 0.5])),
        TrainingLoss(focal_gamma=2.0),
        TrainingLoss(label_smoothing=0.1),
        TrainingLoss(r_drop=1.0),
    ],
    ids=["class weights", "focal", "smoothing", "R-Drop"],
)
def test_two_small_batches_have_the_loss_terms_of_one_big_one(task: str, loss: TrainingLoss):
    model, batch = small_model(task), labelled_batch(task)
    (whole,) = loss(model, batch).values()
    halves = [{name: x[rows] for name, x in batch.items()} for rows in ([0], [1, 2, 3])]
    parts = [loss(model, half)["labels"] for half in halves]
    torch.testing.assert_close(sum(part.total for part in parts), whole.total)
    assert sum(part.count for part in parts) == whole.count


def test_a_training_loss_without_options_is_the_one_of_the_model():
    model, batch = classifier(), labelled_batch()
    (ours,) = TrainingLoss()(model, batch).values()
    assert torch.equal(ours.total, model(**batch).loss_terms["labels"].total)


def test_r_drop_is_the_plain_loss_without_dropout_and_larger_with_it():
    """Without dropout both passes are equal, and so far apart as 0."""
    for dropout in (0.0, 0.3):
        model, batch = classifier(hidden_dropout_prob=dropout).train(), labelled_batch()
        plain = TrainingLoss(r_drop=1e-12), TrainingLoss(r_drop=5.0)
        totals = []
        for loss in plain:
            torch.manual_seed(1)
            totals.append(loss(model, batch)["labels"].total.item())
        assert (totals[1] > totals[0] + 1e-4) == (dropout > 0)
        if not dropout:
            expected = model(**batch).loss_terms["labels"].total.item()
            assert totals == pytest.approx([expected] * 2, rel=1e-5)


def test_fgm_trains_on_a_higher_loss_and_leaves_the_embeddings_as_they_are():
    model, batch = classifier(), labelled_batch()
    table = model.get_input_embeddings().weight
    before = table.detach().clone()
    plain = model(**batch).loss_terms["labels"].total.item()
    moved = TrainingLoss(fgm=0.5)(model, batch)["labels"].total
    assert moved.item() > plain
    assert torch.equal(table, before)
    moved.backward()
    assert table.grad.abs().sum() > 0
    freeze(model, "embeddings")  # nothing to move
    assert TrainingLoss(fgm=0.5)(model, batch)["labels"].total.item() == pytest.approx(plain)


def test_early_stopping_ends_after_as_many_evaluations_without_a_better_score(
    tmp_path: Path, capsys
):
    settings = replace(SETTINGS, epochs=9, early_stopping=2)
    scores = [0.5, 0.6, 0.6, 0.4, 0.9]

    def run(scores: list[float], **options):
        left = iter(scores)
        evaluate = {"evaluate": lambda: {"accuracy": next(left)}}
        options |= {"folder": tmp_path, "device": CPU, **evaluate}
        return train(new_model(), new_batches(), settings, **options)

    result = run(scores)
    assert (result.best_score, result.best_step, result.steps) == (0.6, 6, 12)
    assert "stopped early: no better dev score in the last 2 evaluations" in capsys.readouterr().out
    assert run([], resume=True).steps == 12  # a resumed run does not go on


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "cosine"},
        {"layer_decay": 0.5},
        {"head_rate_factor": 3.0},
        {"early_stopping": 3},
    ],
    ids=str,
)
def test_a_run_with_any_strategy_resumes_exactly_and_only_with_the_same(tmp_path: Path, changes):
    settings = replace(SETTINGS, **changes)
    loss = TrainingLoss(r_drop=1.0, focal_gamma=1.0, fgm=0.3)

    def run(folder: str, batches, settings=settings, **options):
        model = new_model()
        freeze(model, "embeddings")
        options |= {"folder": tmp_path / folder, "device": CPU, "loss_of_batch": loss}
        train(model, batches, settings, **options)
        return model.state_dict()

    unbroken = run("unbroken", new_batches())
    with pytest.raises(Crash):
        run("broken", Breaking(after=9))
    with pytest.raises(MiniBertError, match=r"belongs to another run: .* was .* and is now None"):
        run("broken", new_batches(), SETTINGS, resume=True)
    assert same(unbroken, run("broken", new_batches(), resume=True))


def test_a_run_that_an_earlier_version_began_can_be_resumed(tmp_path: Path):
    """Settings that it did not know are in the fingerprint only if they are used."""
    model = new_model()
    train(model, new_batches(), SETTINGS, folder=tmp_path, device=CPU)
    newest = max(tmp_path.glob("step-*"))
    fingerprint = json.loads((newest / "state.json").read_text("utf-8"))["fingerprint"]
    assert not fingerprint.keys() & {"schedule", "layer_decay", "early_stopping"}


@pytest.mark.parametrize(
    "bad", [{"schedule": "sine"}, {"layer_decay": 0.0}, {"early_stopping": 0}], ids=str
)
def test_impossible_strategies_are_refused(bad):
    with pytest.raises(MiniBertError, match=next(iter(bad))):
        TrainingSettings(**bad)


def test_the_finder_raises_the_rate_and_leaves_the_weights_as_they_were():
    model = new_model()
    before = copy.deepcopy(model.state_dict())
    test = find_learning_rate(model, new_batches(), SETTINGS, device=CPU, updates=30)
    assert same(before, model.state_dict())
    ratios = [b / a for a, b in zip(test.rates, test.rates[1:], strict=False)]
    assert ratios == pytest.approx([1e5 ** (1 / 29)] * len(ratios))
    assert len(test.rates) == len(test.losses) == len(test.smoothed) > 10
    assert test.rates[0] == 1e-6 < test.suggestion < 1e-1
