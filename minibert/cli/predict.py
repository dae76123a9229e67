"""Classify texts with a fine-tuned model.

minibert predict runs/finetune_cls "Returns a view of the array."
minibert predict runs/pairs "It rains." --pair "The street is wet." --json
minibert predict runs/finetune_cls --file texts.tsv --output predictions.csv

A file may have any size. --output writes its columns, in its order, then the label
(predicted_label) and a probability for each class (probability_NAME).
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.cli.shared import (
    add_device_arguments,
    add_text_arguments,
    check_output,
    module_of_task,
    note_empty,
    note_truncated,
    note_unknown,
    one_line,
    open_texts,
    requested_device,
)
from minibert.errors import MiniBertError

if TYPE_CHECKING:
    from minibert.data.labelled.prediction_file import TextRow
    from minibert.inference.text_classification import Prediction

SHOWN = 5  # classes on a line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", metavar="FOLDER", help="the output of minibert finetune")
    add_text_arguments(parser, pairs=True)
    help_text = "the question, for multiple choice or question answering"
    parser.add_argument("--question", metavar="TEXT", help=help_text)
    help_text = "a choice, for multiple choice; repeat it for each"
    parser.add_argument("--choice", action="append", metavar="TEXT", help=help_text)
    help_text = "the text that answers, for question answering"
    parser.add_argument("--context", metavar="TEXT", help=help_text)
    parser.add_argument("--context-file", type=Path, metavar="FILE", help="a file with that text")
    help_text = "no answer if [CLS] scores so much higher; default: that of the training"
    parser.add_argument("--null-threshold", type=float, metavar="X", help=help_text)
    help_text = "a new .csv or .jsonl file; also .json for answers, and .txt or .conll for tags"
    parser.add_argument("--output", type=Path, metavar="FILE", help=help_text)
    help_text = "finish an interrupted run with --file and --output"
    parser.add_argument("--resume", action="store_true", help=help_text)
    parser.add_argument("--json", action="store_true", help="print one JSON object per text")
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Print the prediction for each text: the label, probabilities, the text; or write them."""
    if task := module_of_task(options):
        task.predict(options)
        return
    if options.output is not None:
        if options.json:
            raise MiniBertError(
                "--json prints on the terminal; remove it, and end the --output in .jsonl."
            )
        check_output(options.output, suffixes=(".csv", ".jsonl"))
    texts = open_texts(options)
    from tqdm import tqdm

    from minibert.cli.parts import fingerprint_of, write_in_parts
    from minibert.inference.text_classification import TextClassifier
    from minibert.training.distributed import join_processes

    where = requested_device(options)
    classifier = TextClassifier.from_pretrained(options.folder, **where)
    truncated = count = 0

    def predict(part: "list[TextRow]") -> "list[Prediction]":
        """Return the predictions, and count the texts."""
        nonlocal truncated, count
        pairs = [row.text_pair for row in part if row.text_pair is not None]
        predictions = classifier.predict([row.text for row in part], pairs or None)
        if not count:
            note_unknown(classifier.tokenizer, [row.text for row in part])
        truncated += sum(prediction.truncated for prediction in predictions)
        count += len(part)
        bar.update(len(part))
        return predictions

    with (
        join_processes(where["device"]) as processes,
        tqdm(total=texts.count, unit="text", disable=None if options.output else True) as bar,
    ):
        if options.output is None:
            show = _print_json if options.json else _print_line
            for part in texts.parts():
                for row, prediction in zip(part, predict(part), strict=True):
                    show(row, prediction)
        else:
            table = OutputTable(options.output, texts.names, classifier.labels.names)
            write_in_parts(
                options.output,
                texts.parts(),
                lambda part: table.rows(part, predict(part)),
                header=table.header,
                fingerprint=fingerprint_of(options, classifier.model),
                resume=options.resume,
                processes=processes,
            )
        truncated, read = map(int, processes.sum([truncated, count]))
    if options.output is not None and processes.is_main:
        print(f"wrote {texts.count or count:,} predictions to {options.output}")
    note_empty(texts)
    note_truncated(truncated, read, classifier.longest, classifier.long_text)


class OutputTable:
    """The rows of a file with the label and the probabilities of each, as CSV or JSON lines."""

    def __init__(self, path: Path, names: Sequence[str], classes: Sequence[str]) -> None:
        own = ["predicted_label", *(f"probability_{name}" for name in classes)]
        number = 1
        while set(columns := own if number == 1 else [f"{n}_{number}" for n in own]) & set(names):
            number += 1  # the file holds predictions already
        if number > 1:
            note = f"note: the file has these columns; the new ones end in _{number}"
            print(note, file=sys.stderr)
        self.names, self.columns = names, columns
        self.is_csv = path.suffix.lower() == ".csv"

    def header(self) -> bytes:
        """Return the beginning of the file."""
        return _csv_lines([[*self.names, *self.columns]]) if self.is_csv else b""

    def rows(self, rows: "Sequence[TextRow]", predictions: "Sequence[Prediction]") -> bytes:
        """Return the lines of some texts."""
        lines: list[Any] = []
        for row, prediction in zip(rows, predictions, strict=True):
            label = prediction.label
            if self.is_csv and isinstance(label, tuple):
                label = json.dumps(label, ensure_ascii=False)
            values = [label, *prediction.probabilities.values()]
            values = [float(f"{v:.6g}") if isinstance(v, float) else v for v in values]
            if self.is_csv:
                lines.append([*(_csv_cell(row, name) for name in self.names), *values])
                continue
            source = row.source or json.dumps(row.cells, ensure_ascii=False)
            added = json.dumps(dict(zip(self.columns, values, strict=True)), ensure_ascii=False)
            lines.append(f"{source[:-1]}, {added[1:]}\n")  # the row stays as it is written
        if self.is_csv:
            return _csv_lines(lines)
        return "".join(lines).encode("utf-8", "backslashreplace")


def _csv_lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _csv_cell(row: "TextRow", name: str) -> str:
    cell = row.cells.get(name)
    if cell is None or isinstance(cell, str):
        return cell or ""
    return json.dumps(json.loads(row.source)[name], ensure_ascii=False)


def _print_json(row: "TextRow", prediction: "Prediction") -> None:
    inputs = {"text": row.text} | ({} if row.text_pair is None else {"text_pair": row.text_pair})
    print(json.dumps(inputs | asdict(prediction), ensure_ascii=False))


def _print_line(row: "TextRow", prediction: "Prediction") -> None:
    label, probabilities = prediction.label, prediction.probabilities
    shown = row.text if row.text_pair is None else f"{row.text}  |  {row.text_pair}"
    if isinstance(label, float):
        print(f"{label:.4f}  {one_line(shown)}")
        return
    likely = sorted(probabilities.items(), key=lambda item: -item[1])[:SHOWN]
    scores = ", ".join(f"{name} {probability:.3f}" for name, probability in likely)
    names = ", ".join(label) if isinstance(label, tuple) else label
    print(one_line(f"{names or 'none'}  ({scores})  {shown}"))
