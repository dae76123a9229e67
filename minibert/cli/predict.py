"""Classify texts with a fine-tuned folder.

minibert predict runs/finetune_cls "Returns a view of the array."
minibert predict runs/pairs "It rains." --pair "The street is wet." --json
minibert predict runs/finetune_cls --file texts.tsv
"""

import argparse
import json
import sys
from dataclasses import asdict

from minibert.cli.shared import add_text_arguments, note_unknown, read_texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", help="a folder that a fine-tuning wrote")
    add_text_arguments(parser, pairs=True)
    parser.add_argument("--json", action="store_true", help="one JSON object a text")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    texts, pairs = read_texts(options)
    from minibert.inference.text_classification import TextClassifier
    from minibert.training.settings import choose_device

    classifier = TextClassifier.from_pretrained(
        options.folder, device=choose_device(options.device)
    )
    predictions = classifier.predict(texts, pairs)
    note_unknown(classifier.tokenizer, texts)
    seconds = pairs if pairs is not None else [None] * len(texts)
    for text, pair, prediction in zip(texts, seconds, predictions, strict=True):
        if options.json:
            texts_read = {"text": text} | ({} if pair is None else {"text_pair": pair})
            print(json.dumps(texts_read | asdict(prediction), ensure_ascii=False))
        else:
            print(_in_a_line(prediction.label, prediction.probabilities, text, pair))
    truncated = sum(prediction.truncated for prediction in predictions)
    if truncated:
        print(
            f"note: {truncated} of {len(texts)} texts are longer than the {classifier.max_length} "
            "tokens that this classifier reads; only their beginning was read.",
            file=sys.stderr,
        )


def _in_a_line(
    label: object, probabilities: dict[str, float], text: str, pair: str | None, *, shown: int = 5
) -> str:
    """Return a prediction as a line: label, probabilities, text."""
    likely = sorted(probabilities.items(), key=lambda item: -item[1])[:shown]
    in_words = ", ".join(f"{name} {value:.3f}" for name, value in likely)
    named = ", ".join(label) if isinstance(label, tuple) else str(label)
    both = text if pair is None else f"{text}  |  {pair}"
    return f"{named or 'none'}  ({in_words})  {both}" if likely else f"{label:.4f}  {both}"
