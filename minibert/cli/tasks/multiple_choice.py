"""Choose answers with a fine-tuned model, and score it: the task multiple-choice.

minibert predict runs/choice "It rained." --choice "The street is wet." --choice "It snowed."
minibert predict runs/choice --file questions.jsonl --output answers.jsonl
minibert evaluate runs/choice test.jsonl
"""

import argparse
import csv
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from minibert.cli.shared import check_output, note_truncated, one_line, requested_device
from minibert.errors import MiniBertError
from minibert.files import atomic_file

if TYPE_CHECKING:
    from minibert.data.labelled.multiple_choice import Question
    from minibert.inference.multiple_choice import AnswerChooser


def predict(options: argparse.Namespace) -> None:
    """Print or write the prediction for one question, or for those of a file."""
    if options.output is not None:
        check_output(options.output, suffixes=(".csv", ".jsonl"))
    questions = _questions(options)
    chooser = _load(options)
    predictions = chooser.predict(questions)
    rows = [
        {"context": q.context, "question": q.question, "choices": q.choices} | asdict(p)
        for q, p in zip(questions, predictions, strict=True)
    ]
    if options.output is not None:
        with (
            atomic_file(options.output) as temporary,
            temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            if options.output.suffix.lower() == ".csv":
                table = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
                table.writeheader()
                lists = ("choices", "probabilities")
                table.writerows(
                    row | {name: json.dumps(row[name], ensure_ascii=False) for name in lists}
                    for row in rows
                )
            else:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        print(f"wrote {len(rows):,} predictions to {options.output}")
    for row, found in zip(rows, predictions, strict=True) if options.output is None else ():
        shown = ", ".join(f"{probability:.3f}" for probability in found.probabilities)
        asked = f"{row['context']} {row['question']}".strip()
        line = one_line(f"{found.index + 1}: {found.choice}  ({shown})  {asked}")
        print(json.dumps(row, ensure_ascii=False) if options.json else line)
    note_truncated(sum(p.truncated for p in predictions), len(rows), chooser.max_length)


def evaluate(options: argparse.Namespace) -> None:
    """Print the accuracy on the questions of a file."""
    if options.figure is not None:
        raise MiniBertError("--figure draws a confusion matrix, which multiple choice has not.")
    from minibert.data.labelled.multiple_choice import read_questions

    chooser = _load(options)
    kind, encoding = chooser.answers, options.encoding
    questions, note, _ = read_questions(options.file, kind=kind, encoding=encoding)
    print(f"note: {note}", file=sys.stderr)
    metrics = chooser.evaluate(questions)
    if options.json:
        print(json.dumps({"examples": len(questions), **metrics}))
        return
    scores = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    print(f"{len(questions):,} questions  {scores}")


def _questions(options: argparse.Namespace) -> "list[Question]":
    """Return the question of the command line, or those of a file."""
    from minibert.data.labelled.multiple_choice import Question, read_questions

    if options.pair:
        raise MiniBertError("--pair is not for multiple choice; give --choice twice or more.")
    if options.file is not None:
        if options.texts or options.choice or options.question:
            raise MiniBertError("give a context with choices or --file, not both.")
        found = read_questions(options.file, labelled=False, encoding=options.encoding)
        print(f"note: {found.note}", file=sys.stderr)
        return found.questions
    context, choices = options.texts[:1], tuple(options.choice or ())
    if len(options.texts) > 1 or len(choices) < 2 or not (context or options.question):
        raise MiniBertError(
            "give one context or a --question, and two choices or more: minibert predict FOLDER "
            '"context" --choice "one" --choice "another", or --file.'
        )
    return [Question("".join(context), options.question or "", choices)]


def _load(options: argparse.Namespace) -> "AnswerChooser":
    from minibert.inference.multiple_choice import AnswerChooser

    return AnswerChooser.from_pretrained(options.folder, **requested_device(options))
