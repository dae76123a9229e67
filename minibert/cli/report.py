"""Write one HTML page about a fine-tuning, which opens offline.

minibert report runs/finetune_cls dev.tsv
minibert report runs/ner --output ner.html

It shows the settings, the scores with their baselines and the pictures of the run. With a labelled
file, a classifier also shows its confusion matrix on that file, the scores of short and long texts,
and its worst errors, in which color marks the words that have led it astray.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.cli.shared import (
    CLASSIFIERS,
    add_column_arguments,
    check_output,
    int_range,
    note_truncated,
    requested_columns,
)
from minibert.errors import MiniBertError
from minibert.files import TASK_FILE, read_json_object, read_small_file, write_atomic

if TYPE_CHECKING:
    from minibert.inference.text_classification import Evaluation, TextClassifier

# The scores that are compared with those of the baselines, the first that a run has.
COMPARED = ("f1_micro", "entity_f1", "pearson", "accuracy", "f1")
LEGEND = (
    "Orange words have moved the model towards its prediction, blue ones towards the label "
    "(integrated gradients, compared with [MASK] in place of the words). They show what the model "
    "has used, not what is right."
)
PNG = b"\x89PNG\r\n\x1a\n"
# Of `config.json` and of the run.
MODEL_FIELDS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
RUN_FIELDS = ("train", "dev", "epochs", "batch_size", "learning_rate", "optimizer", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("folder", type=Path, metavar="RUN", help="the output of minibert finetune")
    help_text = "a .tsv, .txt, .csv, .jsonl or .json with labels, such as the dev set"
    add("file", type=Path, nargs="?", metavar="FILE", help=help_text)
    add("--output", type=Path, metavar="FILE", help="the page; default: RUN/report.html")
    help_text = "the most errors to show; default: 20"
    add("--examples", type=int_range(0, 1000), default=20, metavar="N", help=help_text)
    add_column_arguments(parser, ("text", "pair", "label"))
    add("--device", default="cpu", help="cpu, cuda, mps or auto; default: cpu")


def run(options: argparse.Namespace) -> None:
    """Write the page, replacing one that exists."""
    folder: Path = options.folder
    if not (folder / "metrics.json").is_file():
        raise MiniBertError(
            f"{folder} has no metrics.json; give the --output of a finished minibert finetune."
        )
    output: Path = options.output or folder / "report.html"
    check_output(output, suffixes=(".html", ".htm"), replace=True)
    task = read_json_object(folder / TASK_FILE) if (folder / TASK_FILE).is_file() else {}
    if options.file is not None and task.get("task", "classification") not in CLASSIFIERS:
        raise MiniBertError(
            f"{folder} is for {task['task']!s:.100}, and only classifiers are looked at in detail; "
            f"leave out {options.file}."
        )
    from minibert.plots.report_page import report_page

    config = read_json_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    sections = {"Settings": _settings(folder, config, task)}
    sections |= _scores(read_json_object(folder / "metrics.json"))
    pictures = sorted(folder.glob("*.png"), key=lambda path: path.name != "learning_curve.png")
    # Below, the file has a confusion matrix of its own.
    hidden = None if options.file is None else "confusion_matrix.png"
    sections |= _pictures([path for path in pictures if path.name != hidden])
    if options.file is not None:
        sections |= _details(options)
    kind = str(task.get("task") or config.get("problem_type") or "classification")
    page = report_page(f"{folder.resolve().name}: {kind.replace('_', ' ')}", sections)
    write_atomic(output, page.encode("utf-8", errors="replace"))
    print(f"wrote {output}; open it in a browser")


def _settings(folder: Path, config: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    """Return what is known about the model, the data and the training."""
    from minibert.plots.report_page import definitions

    shown = {name: config[name] for name in ("problem_type", *MODEL_FIELDS) if config.get(name)}
    shown |= {name: value for name, value in task.items() if name != "files" and value is not None}
    steps = sorted(folder.glob("training/step-*/state.json"))
    saved = read_json_object(steps[-1]) if steps else {}
    of_run = saved.get("fingerprint"), saved.get("environment")
    known = {k: v for part in of_run if isinstance(part, dict) for k, v in part.items()}
    shown |= {name: known[name] for name in RUN_FIELDS if known.get(name) is not None}
    shown |= {name: value for name, value in known.items() if name in ("device", "precision")}
    return definitions({name.replace("_", " "): value for name, value in shown.items()})


def _scores(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the scores of `metrics.json` by set, compared with those of the baselines."""
    from minibert.plots.report import BASELINE_NAMES
    from minibert.plots.report_page import bars, paragraph, table

    def numbers(found: object) -> dict[str, float]:
        pairs = found.items() if isinstance(found, dict) else ()
        return {name: float(x) for name, x in pairs if type(x) in (int, float)}

    by_set = {name: numbers(scores) for name, scores in metrics.items()}
    baselines, random = by_set.pop("baselines", {}), by_set.get("from_random_weights", {})
    by_set = {name: scores for name, scores in by_set.items() if scores}
    content = "".join(
        f"{paragraph(name.replace('_', ' '))}{table([*scores], [[*scores.values()]])}"
        for name, scores in by_set.items()
    )
    split = str((metrics.get("baselines") or {}).get("split", "dev"))
    ours = by_set.get(split, {})
    metric = next((name for name in COMPARED if name in ours), None)
    if metric is None or not baselines:
        return {"Scores": content or paragraph("There are no scores.")}
    compared = {BASELINE_NAMES.get(name, name): score for name, score in baselines.items()}
    if metric in random:
        compared["from random weights"] = random[metric]
    best = max(compared, key=lambda name: compared[name])
    verdict = "beats" if ours[metric] > compared[best] else "does not beat"
    return {
        f"{metric} on {split}": bars(compared | {"this BERT": ours[metric]}, own="this BERT")
        + paragraph(f"This BERT {verdict} the best of the others, {best}."),
        "Scores": content,
    }


def _pictures(paths: list[Path]) -> dict[str, str]:
    from minibert.plots.report_page import picture

    files = {path: read_small_file(path) for path in paths}
    return {
        path.stem.replace("_", " ").capitalize(): picture(content, path.name)
        for path, content in files.items()
        if content.startswith(PNG)
    }


def _details(options: argparse.Namespace) -> dict[str, str]:
    """Return how the classifier does on a file: errors by class, by length and by example."""
    from minibert.data.labelled.examples import read_examples
    from minibert.evaluation.metrics import (
        MAX_CLASSES_LISTED,
        by_length,
        classification_report,
        confusion_matrix,
        report_table,
    )
    from minibert.inference.text_classification import TextClassifier
    from minibert.plots.report_page import bars, confusion, paragraph, plain, table
    from minibert.problem_types import REGRESSION, SINGLE_LABEL
    from minibert.training.settings import choose_device

    device = choose_device(options.device)
    classifier = TextClassifier.from_pretrained(options.folder, device=device)
    examples, note, _ = read_examples(
        options.file,
        requested_columns(options),
        encoding=options.encoding,
        known_labels=classifier.labels.names,
    )
    print(f"note: {note}", file=sys.stderr)
    result = classifier.evaluate(examples)
    note_truncated(result.truncated, len(examples), classifier.longest, classifier.long_text)
    kind, names = result.labels.problem_type, result.labels.names
    scores = {name: float(value) for name, value in result.metrics.items()}
    where = f"{options.file.name}: {len(examples):,} examples"
    found = {where: table([*scores], [[*scores.values()]])}
    if kind != REGRESSION:
        report = classification_report(result.predictions, result.targets, names)
        columns = ("name", "precision", "recall", "f1", "support")
        rows = [[row[column] for column in columns] for row in report["classes"]]
        few = len(names) <= MAX_CLASSES_LISTED
        found["By class"] = table(columns, rows) if few else plain(report_table(report))
    if kind == SINGLE_LABEL:
        matrix = confusion_matrix(result.predictions, result.targets, len(names))
        found["Confusion matrix"] = confusion(matrix, names)
    errors = result.predictions - result.targets
    if kind == REGRESSION:
        what, right = "Mean absolute error", abs(errors)
    else:
        what, right = "Accuracy", errors.reshape(len(examples), -1).any(axis=1) == 0
    groups = by_length(result.lengths, right)
    by_name = {
        f"{low:,} to {high:,} tokens ({count:,} texts)": score for low, high, count, score in groups
    }
    unit = max(*by_name.values(), 1e-9) if kind == REGRESSION else 1.0
    found[f"{what} by length"] = bars(by_name, unit=unit)
    if result.truncated:
        found[f"{what} by length"] += paragraph(
            f"Texts longer than {classifier.longest:,} tokens were truncated to that."
        )
    return found | _errors(classifier, examples, result, options.examples)


def _errors(
    classifier: "TextClassifier", examples: list[Any], result: "Evaluation", limit: int
) -> dict[str, str]:
    """Return the examples with the highest loss, their words colored by attribution."""
    import numpy as np
    import torch
    from tqdm import tqdm

    from minibert.evaluation.attributions import attribute_words
    from minibert.evaluation.classification import losses_by_example
    from minibert.model.two_towers import BertTwoTowers
    from minibert.plots.report_page import WrongExample, paragraph, wrong_examples
    from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL

    kind, names = result.labels.problem_type, result.labels.names
    # What was predicted minus what is right, as weights of the logits.
    towards = result.predictions - result.targets
    if kind == SINGLE_LABEL:
        one_hot = np.eye(len(names))
        towards = one_hot[result.predictions] - one_hot[result.targets]
    elif kind == REGRESSION:
        towards = np.sign(towards)[:, None]  # (N,) -> (N, 1)
    losses = losses_by_example(result.logits, result.targets, kind)
    worst = [i for i in np.argsort(-losses, kind="stable").tolist() if towards[i].any()]

    def name(value: Any) -> str:
        if kind == MULTI_LABEL:
            return ", ".join(names[i] for i in np.flatnonzero(value)) or "none"
        return f"{value:.3f}" if kind == REGRESSION else names[value]

    shown = []
    for i in tqdm(worst[:limit], desc="coloring words", unit="text", leave=False, disable=None):
        example = examples[i]
        words = []
        # Attributions are for the head of a text, or of a pair that is read as one text.
        is_head = classifier.long_text == "head" or result.lengths[i] <= classifier.max_length
        if is_head and not isinstance(classifier.model, BertTwoTowers):
            words = attribute_words(
                classifier.model,
                classifier.tokenizer,
                example.text,
                example.text_pair,
                torch.tensor(towards[i], dtype=torch.float32),
                max_length=classifier.max_length,
                mask_token_id=classifier.tokenizer.mask_token_id,
            )
        texts = (example.text,) if example.text_pair is None else (example.text, example.text_pair)
        answers = name(result.targets[i]), name(result.predictions[i])
        shown.append(WrongExample(example.where, texts, *answers, float(losses[i]), words))
    if not shown:
        return {}
    note = f"{len(worst):,} of {len(examples):,} are wrong; those with the highest loss come first."
    if kind == REGRESSION:
        note = "Those with the largest error come first."
    if any(example.words for example in shown):
        note += f" {LEGEND}"
    return {"Most wrong examples": paragraph(note) + wrong_examples(shown)}
