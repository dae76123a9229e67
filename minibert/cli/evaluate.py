"""Score a fine-tuned model on a labelled file: metrics, each class, and what it confuses.

minibert evaluate runs/finetune_cls test.tsv
minibert evaluate runs/mine test.csv --text-column review --label-column stars --figure errors.png

The file is read as minibert finetune reads it. For lists of labels, every label has a line of its
own; for numbers (regression), there are only metrics.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from minibert.cli.shared import (
    FIGURE_SUFFIXES,
    add_column_arguments,
    add_device_arguments,
    check_output,
    module_of_task,
    note_truncated,
    note_unknown,
    requested_columns,
    requested_device,
)
from minibert.errors import MiniBertError

LARGEST_TABLE = 12  # classes of a confusion matrix that is printed in full


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="the output of minibert finetune")
    add("file", type=Path, metavar="FILE", help="a .tsv, .txt, .csv, .jsonl or .json with labels")
    add_column_arguments(parser, ("text", "pair", "label"))
    help_text = "draw the confusion matrix: .png, .svg or .pdf"
    add("--figure", "--picture", type=Path, metavar="FILE", help=help_text)
    add("--json", action="store_true", help="print one JSON object")
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Print the scores, or draw them."""
    if task := module_of_task(options):
        task.evaluate(options)
        return
    if options.figure is not None:
        check_output(options.figure, suffixes=FIGURE_SUFFIXES, replace=True)
    from minibert.data.labelled.examples import read_examples
    from minibert.evaluation.metrics import (
        classification_report,
        confusion_matrix,
        confusion_table,
        matrix_table,
        report_table,
    )
    from minibert.inference.text_classification import TextClassifier
    from minibert.plots.confusion_matrix import confusion_matrix_figure
    from minibert.plots.style import save_figure
    from minibert.problem_types import REGRESSION, SINGLE_LABEL

    classifier = TextClassifier.from_pretrained(options.folder, **requested_device(options))
    labels = classifier.labels
    if options.figure is not None and labels.problem_type != SINGLE_LABEL:
        raise MiniBertError(
            f"--figure draws a confusion matrix, which needs one label per text; {options.folder} "
            f"was trained for {labels.problem_type}."
        )
    examples, note, _ = read_examples(
        options.file,
        requested_columns(options),
        encoding=options.encoding,
        known_labels=labels.names,
    )
    print(f"note: {note}", file=sys.stderr)
    result = classifier.evaluate(examples)
    note_unknown(classifier.tokenizer, [example.text for example in examples])
    note_truncated(result.truncated, len(examples), classifier.longest, classifier.long_text)
    if result.labels.names != labels.names:
        ids = ", ".join(f"{index} is {name}" for index, name in enumerate(labels.names[:2]))
        print(f"note: the labels in {options.file} are ids: {ids}, ...", file=sys.stderr)
    found: dict[str, Any] = {"examples": len(examples), **result.metrics}
    tables = []
    if labels.problem_type != REGRESSION:
        report = classification_report(result.predictions, result.targets, labels.names)
        found["classes"] = report["classes"]
        tables.append(f"by class\n{report_table(report)}")
    if labels.problem_type == SINGLE_LABEL:
        matrix = confusion_matrix(result.predictions, result.targets, len(labels))
        found["confusion_matrix"] = matrix.tolist()
        if len(labels) <= LARGEST_TABLE:
            tables.append(f"confusion matrix\n{matrix_table(matrix, labels.names)}")
        else:
            tables.append(f"most confused\n{confusion_table(matrix, labels.names)}")
        if options.figure is not None:
            save_figure(confusion_matrix_figure(matrix, labels.names), options.figure)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    scores = "  ".join(f"{name} {value:.4f}" for name, value in result.metrics.items())
    print(f"{len(examples):,} examples  {scores}")
    for table in tables:
        print(f"\n{table}")
    if options.figure is not None:
        print(f"\nwrote {options.figure}")
