"""The report of a finished fine-tuning: metrics, learning curve and confusion matrix."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minibert.data.labelled.batches import ClassificationBatches
from minibert.data.labelled.labels import LabelSet
from minibert.evaluation.classification import (
    METRIC_FOR_BEST_MODEL,
    compute_metrics,
    decide,
    predict,
)
from minibert.evaluation.metrics import classification_report, confusion_matrix, report_table
from minibert.files import write_json
from minibert.model.task_heads import BertForSequenceClassification
from minibert.plots.confusion_matrix import confusion_matrix_figure
from minibert.plots.learning_curve import finetuning_curve
from minibert.plots.style import note_failure, save_figure
from minibert.problem_types import SINGLE_LABEL


def write_report(
    output: Path,
    model: BertForSequenceClassification,
    batches: Mapping[str, ClassificationBatches],
    labels: LabelSet,
    baselines: Mapping[str, Mapping[str, float]],
    *,
    control: BertForSequenceClassification | None = None,
) -> str:
    """Evaluate, write `metrics.json` and the figures, and return the report as text.

    Args:
        output: the folder; the log of the model is in `training`, that of the control in
            `training-at-random`.
        model: the fine-tuned model.
        batches: the sets to evaluate on; the last one is reported by class.
        labels: the classes.
        baselines: the scores of simpler methods, by set and name.
        control: the same model fine-tuned from random weights, drawn beside it.
    """
    metrics: dict[str, Any] = {}
    for split, examples in batches.items():
        predictions = predict(model, examples)
        scores = compute_metrics(predictions.logits, examples.targets or [], labels)
        metrics[split] = {"loss": predictions.loss, **scores}
    # From here on, `split`, `examples` and `predictions` are those of the last set.
    metrics["baselines"] = {**baselines[split], "split": split}
    logs = {"pretrained" if control else "model": output / "training" / "log.jsonl"}
    if control is not None:
        logits = predict(control, examples).logits
        metrics["from_random_weights"] = compute_metrics(logits, examples.targets or [], labels)
        logs["random weights"] = output / "training-at-random" / "log.jsonl"
    with note_failure(output / "metrics.json"):
        write_json(output / "metrics.json", metrics)
    metric = METRIC_FOR_BEST_MODEL[labels.problem_type]
    with note_failure(output / "learning_curve.png"):
        curve = finetuning_curve(logs, metric=metric, baselines=baselines.get("dev"))
        save_figure(curve, output / "learning_curve.png")
    if labels.problem_type != SINGLE_LABEL:
        shown = [*batches, *(["from_random_weights"] if control is not None else [])]
        return "\n".join(
            f"{name}: " + "  ".join(f"{key} {value:.4f}" for key, value in metrics[name].items())
            for name in shown
        )
    decisions = decide(predictions.logits, labels.problem_type)
    true = np.asarray(examples.targets)
    matrix = confusion_matrix(decisions, true, len(labels))
    with note_failure(output / "confusion_matrix.png"):
        figure = confusion_matrix_figure(matrix, labels.names)
        save_figure(figure, output / "confusion_matrix.png")
    accuracies = {
        "most common class": baselines[split]["majority"],
        "linear bag of words": baselines[split]["bag_of_words"],
    }
    if control is not None:
        accuracies["from random weights"] = metrics["from_random_weights"]["accuracy"]
    accuracies["this BERT"] = metrics[split]["accuracy"]
    by_class = report_table(classification_report(decisions, true, labels.names))
    written = ("metrics.json", "learning_curve.png", "confusion_matrix.png")
    compared = "\n".join(f"{name:24} {value:.4f}" for name, value in accuracies.items())
    return (
        f"\n{split} by class\n{by_class}\n\n{split} accuracy\n{compared}\n\n"
        f"{output}: {', '.join(name for name in written if (output / name).is_file())}"
    )
