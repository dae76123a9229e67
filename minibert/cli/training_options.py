"""The options of `minibert finetune` on how a model is trained; docs/tasks.md explains them."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.cli.shared import int_range
from minibert.errors import MiniBertError
from minibert.files import make_folder

if TYPE_CHECKING:
    from minibert.data.labelled.batches import LabelledBatches
    from minibert.model.pretrained import PretrainedModel
    from minibert.training.learning_rate_finder import LearningRateTest
    from minibert.training.training_loss import TrainingLoss

CLASSES = ("classification", "tagging")
# The options that only some tasks have.
TASKS_OF_OPTIONS = {
    "class_weights": CLASSES,
    "balanced_sampling": ("classification",),
    "focal_loss": (*CLASSES, "multi-label"),
    "label_smoothing": CLASSES,
    "r_drop": CLASSES,
}
SETTINGS = ("optimizer", "schedule", "layer_decay", "head_rate_factor", "early_stopping")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options; their defaults change nothing."""
    add = parser.add_argument_group("how it is trained").add_argument
    schedules = ("linear", "cosine", "constant", "slanted")
    help_text = "of the learning rate, after the warm-up; default: linear"
    add("--schedule", choices=schedules, default="linear", help=help_text)
    help_text = "Adam with bias correction, or Google's without; default: adamw"
    add("--optimizer", choices=("adamw", "google"), default="adamw", help=help_text)
    help_text = "embeddings; N for these and the first N layers; all for everything but the head"
    add("--freeze", type=_parts, metavar="PARTS", help=help_text)
    help_text = "multiply the learning rate by X from each layer to the one below, such as 0.95"
    add("--layer-decay", type=number(0.01, 1), default=1.0, metavar="X", help=help_text)
    help_text = "multiply the learning rate of the head by X, such as 5"
    add("--head-rate-factor", type=number(0.01), default=1.0, metavar="X", help=help_text)
    help_text = "start the top N layers and the pooler from random weights"
    add("--reinit-layers", type=int_range(0), metavar="N", help=help_text)
    help_text = "balanced: give rare classes as much weight as common ones"
    add("--class-weights", choices=("balanced",), help=help_text)
    help_text = "draw the texts of each class equally often"
    add("--balanced-sampling", action="store_true", help=help_text)
    help_text = "focal loss: learn less from what is right already; GAMMA such as 2"
    add("--focal-loss", type=number(0), metavar="GAMMA", help=help_text)
    help_text = "share of a label that is divided among all classes, such as 0.1"
    add("--label-smoothing", type=number(0, 0.99), metavar="X", help=help_text)
    help_text = "make two passes with different dropout agree, with this weight, such as 1"
    add("--r-drop", type=number(0), metavar="ALPHA", help=help_text)
    help_text = "also train on word embeddings moved by EPSILON against the model, such as 1"
    add("--fgm", type=number(0), metavar="EPSILON", help=help_text)
    help_text = "stop after N epochs without a better dev score"
    add("--early-stopping", type=int_range(1), metavar="N", help=help_text)
    help_text = "do not train: draw learning_rate.png, the loss over a rising learning rate"
    add("--find-learning-rate", action="store_true", help=help_text)
    help_text = "train with the seeds 0 to N-1, and print mean and deviation of all scores"
    add("--seeds", type=int_range(1), metavar="N", help=help_text)


def refuse_training_options(options: argparse.Namespace, instead: str) -> None:
    """Raise if an option is given that has no effect with another one."""
    parser = argparse.ArgumentParser()
    add_training_arguments(parser)
    for name, default in vars(parser.parse_args([])).items():
        if name != "seeds" and getattr(options, name) != default:
            raise MiniBertError(
                f"--{name.replace('_', '-')} has no effect with {instead}; remove one of them."
            )


def prepare_training(
    options: argparse.Namespace, model: "PretrainedModel", batches: "LabelledBatches"
) -> "tuple[LabelledBatches, TrainingLoss, dict[str, Any]]":
    """Prepare a model for training as asked: re-initialize and freeze parts of it.

    Returns:
        The training batches, the loss, and the options that a resumed run needs again.

    Raises:
        MiniBertError: an option does not fit the model or the labels.
    """
    from minibert.training.parameter_groups import freeze, reinitialize_layers
    from minibert.training.training_loss import TrainingLoss, balanced_class_weights

    names = ("freeze", "reinit_layers", "fgm", *TASKS_OF_OPTIONS)
    used = {name: getattr(options, name) for name in names}
    used = {name: x for name, x in used.items() if x is not None and x is not False}
    for name in used.keys() & TASKS_OF_OPTIONS:
        _check_labels(name, model)
    if options.reinit_layers:
        reinitialize_layers(model, options.reinit_layers, seed=options.seed)
    if options.freeze is not None:
        print(freeze(model, options.freeze))
    weights = None
    if options.class_weights:
        weights = balanced_class_weights(batches.targets or [], model.config.num_labels)
    loss = TrainingLoss(
        class_weights=weights,
        label_smoothing=options.label_smoothing or 0.0,
        focal_gamma=options.focal_loss or 0.0,
        r_drop=options.r_drop or 0.0,
        fgm=options.fgm or 0.0,
    )
    if options.balanced_sampling:
        batches = replace(batches, balanced=True)
    return batches, loss, used


def write_learning_rates(test: "LearningRateTest", output: Path) -> None:
    """Draw the learning-rate test of `--find-learning-rate` and print the rate that it suggests."""
    from minibert.plots.learning_curve import learning_rate_figure
    from minibert.plots.style import save_figure

    rate = float(f"{test.suggestion:.1g}")
    figure = learning_rate_figure(test.rates, test.losses, test.smoothed, suggestion=rate)
    make_folder(output)
    save_figure(figure, output / "learning_rate.png")
    print(f"{output}: learning_rate.png\nsuggested: --learning-rate {rate:g}")


def _check_labels(name: str, model: "PretrainedModel") -> None:
    """Raise if an option for classes does not fit what the model predicts."""
    from minibert.problem_types import MULTI_LABEL, REGRESSION

    option, kind = f"--{name.replace('_', '-')}", model.config.problem_type
    if kind == REGRESSION or (kind == MULTI_LABEL and name != "focal_loss"):
        what = "numbers" if kind == REGRESSION else "lists of labels"
        raise MiniBertError(f"{option} needs one class each, and these are {what}; remove it.")
    if hasattr(model, "crf"):
        raise MiniBertError(f"{option} and a CRF cannot be used together; remove one of them.")


def number(least: float, most: float = inf) -> Callable[[str], float]:
    """Return a `type` for `add_argument` that accepts the numbers from `least` to `most`.

    Example:
        >>> number(0, 1)("0.5")
        0.5
    """

    def number(text: str) -> float:
        if not least <= float(text) <= most or float(text) == inf:
            allowed = f"at least {least:g}" if most == inf else f"{least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"{text} is out of range; give {allowed}")
        return float(text)

    return number


def _parts(text: str) -> str | int:
    if text in ("embeddings", "all"):
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{text!r} is unknown; give embeddings, a number of layers, or all"
        )
    return int(text)
