"""Classify texts with a fine-tuned model.

minibert predict runs/finetune_cls "Returns a view of the array."
minibert predict runs/pairs "It rains." --pair "The street is wet." --json
minibert predict runs/finetune_cls --file texts.tsv
"""

import argparse
import json
import sys
from dataclasses import asdict
from itertools import repeat

from minibert.cli.shared import add_text_arguments, note_unknown, read_texts

SHOWN = 5  # classes on a line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", metavar="FOLDER", help="the output of minibert finetune")
    add_text_arguments(parser, pairs=True)
    parser.add_argument("--json", action="store_true", help="print one JSON object per text")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto; default: cpu")


def run(options: argparse.Namespace) -> None:
    """Print the prediction for each text: the label, probabilities, the text."""
    texts, pairs = read_texts(options)
    from minibert.inference.text_classification import TextClassifier
    from minibert.training.settings import choose_device

    device = choose_device(options.device)
    classifier = TextClassifier.from_pretrained(options.folder, device=device)
    predictions = classifier.predict(texts, pairs)
    note_unknown(classifier.tokenizer, texts)
    for text, pair, prediction in zip(texts, pairs or repeat(None), predictions, strict=False):
        if options.json:
            inputs = {"text": text} | ({} if pair is None else {"text_pair": pair})
            print(json.dumps(inputs | asdict(prediction), ensure_ascii=False))
            continue
        label, probabilities = prediction.label, prediction.probabilities
        shown = text if pair is None else f"{text}  |  {pair}"
        if isinstance(label, float):
            print(f"{label:.4f}  {shown}")
        else:
            likely = sorted(probabilities.items(), key=lambda item: -item[1])[:SHOWN]
            scores = ", ".join(f"{name} {probability:.3f}" for name, probability in likely)
            names = ", ".join(label) if isinstance(label, tuple) else label
            print(f"{names or 'none'}  ({scores})  {shown}")
    if truncated := sum(prediction.truncated for prediction in predictions):
        print(
            f"note: {truncated} of {len(texts)} texts are longer than {classifier.max_length} "
            "tokens, the maximum of this classifier; only their beginning was read.",
            file=sys.stderr,
        )
