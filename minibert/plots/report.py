"""What a finished fine-tuning leaves beside the weights: scores, a report, two pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minibert.data.labelled.batches import ClassificationBatches
from minibert.data.labelled.labels import LabelSet
from minibert.evaluation.classification import MAIN_SCORE, decide, run_classifier, score
from minibert.evaluation.metrics import classification_report, confusion_matrix, report_table
from minibert.files import write_json
from minibert.model.task_heads import BertForSequenceClassification
from minibert.plots.finetuning import confusion_matrix_picture, learning_curve
from minibert.plots.run_comparison import compare_runs
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
    """Evaluate and write `metrics.json`, `learning_curve.png` and `confusion_matrix.png`.

    Args:
        output: the folder; the log of the training is in its folder `training`, that of the control
            in `training-at-random`.
        model: the trained model.
        batches: the sets to judge by, in order; the last one is reported by class.
        labels: the classes.
        baselines: for each set, the scores to beat by name.
        control: the same, trained from random weights; its curve is drawn beside the model's.

    Returns:
        The report in words.
    """
    metrics: dict[str, Any] = {}
    for name, held_out in batches.items():
        answers = run_classifier(model, held_out)
        scores = score(answers.logits, held_out.targets or [], labels)
        metrics[name] = {"loss": answers.loss, **scores}
    judged = name
    metrics["baselines"] = {**baselines[judged], "split": judged}
    if control is not None:
        logits = run_classifier(control, held_out).logits
        metrics["from_random_weights"] = score(logits, held_out.targets or [], labels)
    write_json(output / "metrics.json", metrics)
    main = MAIN_SCORE.get(labels.problem_type, "accuracy")
    _draw_curves(output, baselines.get("dev"), score=main, beside=control is not None)
    if labels.problem_type != SINGLE_LABEL:
        shown = [*batches, *(["from_random_weights"] if control is not None else [])]
        return "\n".join(
            f"{name}: " + "  ".join(f"{key} {value:.4f}" for key, value in metrics[name].items())
            for name in shown
        )
    decisions = decide(answers.logits, labels.problem_type)
    true = np.asarray(held_out.targets)
    matrix = confusion_matrix(decisions, true, len(labels))
    confusion_matrix_picture(matrix, labels.names, output / "confusion_matrix.png")
    by_class = report_table(classification_report(decisions, true, labels.names))
    to_beat = {
        "always the commonest": baselines[judged]["majority"],
        "linear bag of words": baselines[judged]["bag_of_words"],
    }
    if control is not None:
        to_beat["from random weights"] = metrics["from_random_weights"]["accuracy"]
    accuracies = {**to_beat, "this BERT": metrics[judged]["accuracy"]}
    against = "\n".join(f"{title:24} {value:.4f}" for title, value in accuracies.items())
    files = ", ".join(("metrics.json", "learning_curve.png", "confusion_matrix.png"))
    return f"\n{judged} by class\n{by_class}\n\n{judged} accuracy\n{against}\n\n{output}: {files}"


def _draw_curves(
    output: Path, baselines: Mapping[str, float] | None, *, score: str, beside: bool
) -> None:
    log, picture = output / "training" / "log.jsonl", output / "learning_curve.png"
    if beside:
        other = output / "training-at-random" / "log.jsonl"
        logs = {"pretrained": log, "random weights": other}
        compare_runs(logs, picture, score=score, baselines=baselines)
    else:
        learning_curve(log, picture, baselines=baselines)
