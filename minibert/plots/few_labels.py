"""Show what pretraining is worth: accuracy over the number of labelled texts, by method."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from minibert.data.labelled.batches import LabelledBatches
from minibert.data.labelled.splits import TaskData, make_batches
from minibert.errors import MiniBertError
from minibert.evaluation.baselines import baseline_scores
from minibert.evaluation.classification import evaluate_classifier
from minibert.files import read_json_object, write_json
from minibert.model.task_heads import BertForSequenceClassification
from minibert.plots import style
from minibert.problem_types import SINGLE_LABEL
from minibert.tokenization.tokenizer import BertTokenizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Finetune = Callable[[BertForSequenceClassification, Mapping[str, LabelledBatches], Path], None]
"""Trains a model on batches by split, and leaves checkpoints in a folder."""
Scores = Mapping[str, Mapping[str, float]]
"""The accuracy by number of labelled texts ("400") and method ("pretrained", ...)."""

METHODS = {
    "pretrained": ("pretrained BERT", style.BLUE, "o-"),
    "bag_of_words": ("linear bag of words", style.GRAY, "s--"),
    "random": ("BERT from random weights", style.ORANGE, "o:"),
}


def train_with_few_labels(
    count: int,
    task: TaskData,
    tokenizer: BertTokenizer,
    models: Mapping[str, BertForSequenceClassification],
    finetune: Finetune,
    **sizes: Any,
) -> dict[str, float]:
    """Return accuracies on the last split after training on the first `count` texts.

    Args:
        count: the number of training texts.
        task: all texts.
        tokenizer: of the models.
        models: the models to start from, by name; copies of them are trained.
        finetune: trains a model.
        sizes: the arguments of `make_batches`.

    Returns:
        The accuracy of each model and of "bag_of_words".

    Raises:
        MiniBertError: the texts do not have one class each.
    """
    if task.labels.problem_type != SINGLE_LABEL:
        raise MiniBertError("--few-labels compares accuracies of single classes; remove it.")
    part = task.first(count)
    *_, last = part.splits
    batches = make_batches(part, tokenizer, **sizes)
    scores = {"bag_of_words": baseline_scores(part)[last]["bag_of_words"]}
    for name, model in models.items():
        print(f"{name}, {count:,} labelled texts:")
        trained = deepcopy(model)
        with TemporaryDirectory() as folder:
            # Without dev: to choose an epoch by 800 labelled texts would not be few labels.
            finetune(trained, {"train": batches["train"]}, Path(folder))
        scores[name] = evaluate_classifier(trained, batches[last], task.labels)["accuracy"]
    return scores


def write_few_labels(
    output: Path, scores: Mapping[int, Mapping[str, float]], *, train_size: int
) -> str:
    """Add the scores to `metrics.json`, draw `few_labels.png`, and return them as a table.

    Args:
        output: the folder with the `metrics.json` of `write_report`, whose scores are added as
            those of all training texts.
        scores: the accuracies with fewer training texts, by their number and method.
        train_size: the number of all training texts.
    """
    with style.note_failure(output / "few_labels.png"):
        metrics = read_json_object(output / "metrics.json")
        split = metrics["baselines"]["split"]
        with_all = {
            "pretrained": metrics[split]["accuracy"],
            "random": metrics["from_random_weights"]["accuracy"],
            "bag_of_words": metrics["baselines"]["bag_of_words"],
        }
        few_labels = {str(count): dict(by_method) for count, by_method in scores.items()}
        metrics["few_labels"] = few_labels | {str(train_size): with_all}
        write_json(output / "metrics.json", metrics)
        figure = few_labels_figure(metrics["few_labels"], split=split)
        style.save_figure(figure, output / "few_labels.png")
        return f"{few_labels_table(metrics['few_labels'], split=split)}\n\n{output}: few_labels.png"
    return ""


def few_labels_figure(scores: Scores, *, split: str) -> "Figure":
    """Return a figure with one line for each method, over the number of labelled texts.

    Args:
        scores: the accuracies, smallest number of texts first.
        split: what the accuracies were measured on, such as "test".

    Example:
        >>> scores = {"100": {"pretrained": 0.6, "random": 0.3, "bag_of_words": 0.4}}
        >>> axes = few_labels_figure(scores, split="test").axes[0]
        >>> [line.get_label() for line in axes.lines]
        ['pretrained BERT', 'linear bag of words', 'BERT from random weights']
    """
    figure = style.new_figure(7, 4)
    axes = figure.subplots()
    counts = [int(count) for count in scores]
    for method, (label, color, line) in METHODS.items():
        values = [by_method[method] for by_method in scores.values()]
        axes.plot(counts, values, line, color=color, label=label)
        for count, value in zip(counts, values, strict=True):
            axes.annotate(
                f"{value:.2f}",
                (count, value),
                (0, 6),
                textcoords="offset points",
                color=color,
                fontsize=9,
                ha="center",
            )
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    style.style_axes(axes, xlabel="labelled texts (log scale)", ylabel=f"{split} accuracy")
    axes.set_title("What pretraining is worth", color=style.INK, loc="left")
    axes.legend(frameon=False, labelcolor="linecolor", fontsize=9, loc="lower right")
    return figure


def few_labels_table(scores: Scores, *, split: str) -> str:
    """Return the accuracies as a table with one row for each method.

    Example:
        >>> print(few_labels_table({"100": {"pretrained": 0.6, "random": 0.3, "bag_of_words": 0.4},
        ...     "1600": {"pretrained": 0.8, "random": 0.5, "bag_of_words": 0.7}}, split="test"))
        test accuracy by the number of labelled texts:
                                       100    1,600
        linear bag of words          0.400    0.700
        BERT from random weights     0.300    0.500
        pretrained BERT              0.600    0.800
    """
    lines = [f"{split} accuracy by the number of labelled texts:"]
    lines.append(f"{'':24}" + "".join(f"{int(count):9,}" for count in scores))
    for method in ("bag_of_words", "random", "pretrained"):
        values = "".join(f"{by_method[method]:9.3f}" for by_method in scores.values())
        lines.append(f"{METHODS[method][0]:24}{values}")
    return "\n".join(lines)
