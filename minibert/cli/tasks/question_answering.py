"""Answer questions with a fine-tuned model, and score it on a file of questions and answers.

minibert predict runs/qa --context "The cat sat on the mat." --question "Where did it sit?"
minibert predict runs/qa --context-file report.txt --question "Who wrote it?" --json
minibert predict runs/qa --file dev-v1.1.json --output predictions.json
minibert evaluate runs/qa dev-v1.1.json

A .json of predictions is that of SQuAD, {"id": "answer"}; a .jsonl has a line for each question.
"""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from minibert.cli.shared import check_output, note_unknown, one_line, requested_device
from minibert.errors import MiniBertError
from minibert.files import write_atomic, write_json

if TYPE_CHECKING:
    from minibert.data.labelled.question_answering import QuestionExample


def predict(options: argparse.Namespace) -> None:
    """Print the answer to each question, or write the answers to a file."""
    if options.output is not None:
        if options.json:
            raise MiniBertError(
                "--json prints on the terminal; remove it, and end the --output in .json or .jsonl."
            )
        check_output(options.output, suffixes=(".json", ".jsonl"))
    examples = _read_examples(options)
    squad = options.output is not None and options.output.suffix.lower() == ".json"
    if squad and len({example.id for example in examples}) < len(examples):
        raise MiniBertError(
            f"some questions of {options.file} have the same id, which {options.output} could not "
            "tell apart; end --output in .jsonl."
        )
    from minibert.inference.question_answering import QuestionAnswerer

    answerer = QuestionAnswerer.from_pretrained(options.folder, **requested_device(options))
    predictions = answerer.predict(examples, null_threshold=options.null_threshold)
    note_unknown(answerer.tokenizer, [example.context for example in examples[:100]])
    if squad:
        answers = (prediction.answer for prediction in predictions)
        write_json(options.output, dict(zip((e.id for e in examples), answers, strict=True)))
    rows = [
        {"id": example.id, "question": example.question, **asdict(prediction)}
        for example, prediction in zip(examples, predictions, strict=True)
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    if options.output is not None:
        if not squad:
            text = "".join(f"{line}\n" for line in lines)
            write_atomic(options.output, text.encode("utf-8", errors="backslashreplace"))
        print(f"wrote {len(rows):,} answers to {options.output}")
        return
    for line, prediction, example in zip(lines, predictions, examples, strict=True):
        if options.json:
            print(line)
        else:
            answer = f"{prediction.answer or 'no answer'}  ({prediction.probability:.3f})"
            print(one_line(f"{answer}  {example.question}"))


def _read_examples(options: argparse.Namespace) -> "list[QuestionExample]":
    """Return the questions of the command line or of a file."""
    from minibert.data.labelled.question_answering import QuestionExample, read_questions
    from minibert.data.labelled.text_file import read_text

    contexts = [c for c in (options.context, options.context_file) if c is not None]
    asked = bool(options.question) and len(contexts) == 1 and options.file is None
    file = options.file is not None and not (options.question or contexts)
    if options.texts or options.pair or not (asked or file):
        raise MiniBertError(
            f"{options.folder} answers questions: give --question with --context or "
            "--context-file, or give --file."
        )
    if file:
        examples, note = read_questions(options.file, encoding=options.encoding, answered=False)
        print(f"note: {note}", file=sys.stderr)
        return examples
    context = options.context
    if options.context_file is not None:
        context, _ = read_text(options.context_file, options.encoding)
    return [QuestionExample(options.question, context)]


def evaluate(options: argparse.Namespace) -> None:
    """Print the scores of a model and of the baselines."""
    if options.figure is not None:
        raise MiniBertError("--figure draws the confusion matrix of a classifier; remove it.")
    from minibert.data.labelled.question_answering import read_questions
    from minibert.evaluation.question_answering import answer_scores, baseline_answers
    from minibert.inference.question_answering import QuestionAnswerer

    answerer = QuestionAnswerer.from_pretrained(options.folder, **requested_device(options))
    examples, note = read_questions(options.file, encoding=options.encoding)
    print(f"note: {note}", file=sys.stderr)
    answers = [prediction.answer for prediction in answerer.predict(examples)]
    note_unknown(answerer.tokenizer, [example.context for example in examples[:100]])
    scores = answer_scores(answers, examples)
    baselines = {
        name: answer_scores(found, examples) for name, found in baseline_answers(examples).items()
    }
    if options.json:
        found = {"examples": len(examples), **scores, "baselines": baselines}
        print(json.dumps(found, ensure_ascii=False))
        return
    print(f"{len(examples):,} questions")
    for name, values in {"this BERT": scores, **baselines}.items():
        print(f"{name:22}", "  ".join(f"{metric} {value:.4f}" for metric, value in values.items()))
