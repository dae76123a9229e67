"""The report of a finished fine-tuning: metrics, learning curve and confusion matrix."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minibert.data.labelled.batches import LabelledBatches
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
from minibert.model.pretrained import PretrainedModel
from minibert.plots.confusion_matrix import confusion_matrix_figure
from minibert.plots.learning_curve import finetuning_curve
from minibert.plots.style import note_failure, save_figure
from minibert.problem_types import SINGLE_LABEL

BASELINE_NAMES = {
    "majority": "most common answer",
    "bag_of_words": "linear bag of words",
    "word_overlap": "word overlap",
    "commonest_tag": "commonest tag per word",
    "first_sentence": "first sentence",
    "overlapping_sentence": "best matching sentence",
}


def write_report(
    output: Path,
    model: PretrainedModel,
    batches: Mapping[str, LabelledBatches],
    labels: LabelSet,
    baselines: Mapping[str, Mapping[str, float]],
    *,
    control: PretrainedModel | None = None,
) -> None:
    """Evaluate a classifier, write `metrics.json`, print the scores, and draw the figures.

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
    if control is not None:
        logits = predict(control, examples).logits
        metrics["from_random_weights"] = compute_metrics(logits, examples.targets or [], labels)
    if single := labels.problem_type == SINGLE_LABEL:
        decisions = decide(predictions.logits, labels.problem_type)
        matrix = confusion_matrix(decisions, examples.targets or [], len(labels))
        report = classification_report(decisions, examples.targets or [], labels.names)
        print(f"\n{split} by class\n{report_table(report)}")
        if len(labels) > MAX_CLASSES_LISTED:
            print(f"\n{split}, most confused\n{confusion_table(matrix, labels.names)}")
    metric = METRIC_FOR_BEST_MODEL[labels.problem_type]
    write_scores(output, metrics, metric=metric, baselines=baselines)
    if single:
        with note_failure(output / "confusion_matrix.png"):
            figure = confusion_matrix_figure(matrix, labels.names)
            save_figure(figure, output / "confusion_matrix.png")
    files = ("metrics.json", "learning_curve.png", "confusion_matrix.png")
    print(f"\n{output}: {', '.join(name for name in files if (output / name).is_file())}")


def write_scores(
    output: Path,
    metrics: Mapping[str, Mapping[str, float]],
    *,
    metric: str,
    baselines: Mapping[str, Mapping[str, float]],
) -> None:
    """Write `metrics.json`, compare the scores of any task with the baselines, draw the curve.

    Without a log, there is no curve.

    Args:
        output: the folder of the run, with the log in `training`; if "from_random_weights" is in
            the metrics, its log is in `training-at-random`.
        metrics: scores by set ("dev", "test") and name.
        metric: the score that is compared; higher is better.
        baselines: that score of simpler methods, by set and method.
    """
    split = [name for name in metrics if name in baselines][-1]
    with note_failure(output / "metrics.json"):
        content = {**metrics, "baselines": {**baselines[split], "split": split, "metric": metric}}
        write_json(output / "metrics.json", content)
    for name in baselines:
        print(f"{name}:", "  ".join(f"{k} {v:.4f}" for k, v in metrics[name].items()))
    compared = {BASELINE_NAMES[name]: score for name, score in baselines[split].items()}
    logs = {"model": output / "training" / "log.jsonl"}
    if control := metrics.get("from_random_weights"):
        compared["from random weights"] = control[metric]
        logs = {"pretrained": logs["model"]}
        logs["random weights"] = output / "training-at-random" / "log.jsonl"
    best = max(compared, key=lambda name: compared[name])
    ours = metrics[split][metric]
    print(f"\n{split} {metric}")
    scores = {**compared, "this BERT": ours}
    print("\n".join(f"{name:24} {score:.4f}" for name, score in scores.items()), flush=True)
    if ours <= compared[best]:
        print(f"This BERT does not beat the {best}: use that, or more texts or a larger --model.")
    if not logs["pretrained" if control else "model"].exists():
        return  # with --features-only
    with note_failure(output / "learning_curve.png"):
        curve = finetuning_curve(logs, metric=metric, baselines=baselines.get("dev"))
        save_figure(curve, output / "learning_curve.png")
