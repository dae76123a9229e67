"""The report of a finished fine-tuning: metrics, learning curve and confusion matrix."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minibert.data.labelled.batches import ClassificationBatches
from minibert.data.labelled.labels import LabelSet
from minibert.evaluation.classification import (
    METRIC_FOR_BEST_MODEL,
    compute_metrics,
    decide,
    predict,
)
from minibert.evaluation.metrics import (
    MAX_CLASSES_LISTED,
    classification_report,
    confusion_matrix,
    confusion_table,
    report_table,
)
from minibert.files import write_json
from minibert.model.task_heads import BertForSequenceClassification
from minibert.plots.confusion_matrix import confusion_matrix_figure
from minibert.plots.learning_curve import finetuning_curve
from minibert.plots.style import note_failure, save_figure
from minibert.problem_types import SINGLE_LABEL

BASELINE_NAMES = {
    "majority": "most common answer",
    "bag_of_words": "linear bag of words",
    "word_overlap": "word overlap of pairs",
}


def write_report(
    output: Path,
    model: BertForSequenceClassification,
    batches: Mapping[str, ClassificationBatches],
    labels: LabelSet,
    baselines: Mapping[str, Mapping[str, float]],
    *,
    control: BertForSequenceClassification | None = None,
) -> None:
    """Evaluate, write `metrics.json`, print the scores, and only then draw the figures.

    Args:
        output: the folder; the log of the model is in `training`, that of the control in
            `training-at-random`.
        model: the fine-tuned model.
        batches: the sets to evaluate on; the last one is reported by class.
        labels: the classes.
        baselines: the scores of simpler methods, by set and name.
        control: the same model fine-tuned from random weights, drawn in the same figure.
    """
    metrics: dict[str, Any] = {}
    for split, examples in batches.items():
        predictions = predict(model, examples)
        scores = compute_metrics(predictions.logits, examples.targets or [], labels)
        metrics[split] = {"loss": predictions.loss, **scores}
    # From here on, `split`, `examples` and `predictions` are those of the last set.
    metrics["baselines"] = {**baselines[split], "split": split}
    logs = {"pretrained" if control else "model": output / "training" / "log.jsonl"}
    metric = METRIC_FOR_BEST_MODEL[labels.problem_type]
    compared = {BASELINE_NAMES[name]: score for name, score in baselines[split].items()}
    if control is not None:
        logits = predict(control, examples).logits
        metrics["from_random_weights"] = compute_metrics(logits, examples.targets or [], labels)
        compared["from random weights"] = metrics["from_random_weights"][metric]
        logs["random weights"] = output / "training-at-random" / "log.jsonl"
    compared["this BERT"] = metrics[split][metric]
    with note_failure(output / "metrics.json"):
        write_json(output / "metrics.json", metrics)
    single = labels.problem_type == SINGLE_LABEL
    if single:
        decisions = decide(predictions.logits, labels.problem_type)
        matrix = confusion_matrix(decisions, examples.targets or [], len(labels))
        report = classification_report(decisions, examples.targets or [], labels.names)
        print(f"\n{split} by class\n{report_table(report)}")
        if len(labels) > MAX_CLASSES_LISTED:
            print(f"\n{split}, most confused\n{confusion_table(matrix, labels.names)}")
    else:
        for name in batches:
            print(f"{name}:", "  ".join(f"{k} {v:.4f}" for k, v in metrics[name].items()))
    print(f"\n{split} {metric}")
    print("\n".join(f"{name:24} {score:.4f}" for name, score in compared.items()), flush=True)
    with note_failure(output / "learning_curve.png"):
        curve = finetuning_curve(logs, metric=metric, baselines=baselines.get("dev"))
        save_figure(curve, output / "learning_curve.png")
    if single:
        with note_failure(output / "confusion_matrix.png"):
            figure = confusion_matrix_figure(matrix, labels.names)
            save_figure(figure, output / "confusion_matrix.png")
    files = ("metrics.json", "learning_curve.png", "confusion_matrix.png")
    print(f"\n{output}: {', '.join(name for name in files if (output / name).is_file())}")
