"""minibert on the command line. Each command imports what it needs when it runs."""

import argparse
import json
import sys
from pathlib import Path

from minibert.command import Parser, run


def main() -> None:
    """The entry point of `minibert`."""
    run(_main)


def _main() -> None:
    parser = Parser(prog="minibert", description="BERT, to be read and to be used.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_predict(commands.add_parser("predict", help="classify texts with a fine-tuned folder"))
    _add_tokenize(commands.add_parser("tokenize", help="show how texts are cut into pieces"))
    _add_doctor(commands.add_parser("doctor", help="show versions and what this machine can do"))
    options = parser.parse_args()
    options.run(options)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="a folder that a fine-tuning wrote")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts to classify")
    parser.add_argument("--pair", action="append", metavar="TEXT", help="second text, one a TEXT")
    parser.add_argument("--file", type=Path, help=".txt (a text a line), .tsv, .csv or .jsonl")
    parser.add_argument("--text-column", help="column of the text in --file")
    parser.add_argument("--pair-column", help="column of the second text in --file")
    parser.add_argument("--json", action="store_true", help="one JSON object a text")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    parser.set_defaults(run=_predict)


def _predict(options: argparse.Namespace) -> None:
    from minibert.data.readers import read_examples
    from minibert.errors import MiniBertError
    from minibert.evaluation.predict import TextClassifier, as_json
    from minibert.training.settings import choose_device

    texts, pairs = list(options.texts), options.pair
    if options.file is not None:
        if texts:
            raise MiniBertError("give texts or --file, not both.")
        examples = read_examples(
            options.file,
            text_column=options.text_column,
            pair_column=options.pair_column,
            labelled=False,
        )
        texts = [example.text for example in examples]
        seconds = [example.text_pair for example in examples if example.text_pair is not None]
        pairs = seconds or None
    if not texts:
        raise MiniBertError('give at least one text: minibert predict FOLDER "text", or --file.')
    classifier = TextClassifier.from_folder(options.folder, device=choose_device(options.device))
    answers = classifier.predict(texts, pairs)
    for text, pair, answer in zip(texts, pairs or [None] * len(texts), answers, strict=True):
        if options.json:
            print(json.dumps(as_json(text, pair, answer), ensure_ascii=False))
        else:
            print(_in_a_line(answer.label, answer.probabilities, text, pair))
    cut = sum(answer.cut for answer in answers)
    if cut:
        print(
            f"note: {cut} of {len(texts)} texts are longer than the {classifier.max_length} tokens "
            "that this classifier reads; only their beginning was read.",
            file=sys.stderr,
        )


def _in_a_line(
    label: object, probabilities: dict[str, float], text: str, pair: str | None, *, shown: int = 5
) -> str:
    """An answer as a line: label, probabilities, text."""
    likely = sorted(probabilities.items(), key=lambda item: -item[1])[:shown]
    in_words = ", ".join(f"{name} {value:.3f}" for name, value in likely)
    named = ", ".join(label) if isinstance(label, tuple) else str(label)
    both = text if pair is None else f"{text}  |  {pair}"
    return f"{named or 'none'}  ({in_words})  {both}" if likely else f"{label:.4f}  {both}"


def _add_tokenize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vocabulary", help="a vocab.txt, or a folder that holds one")
    parser.add_argument("texts", nargs="+", metavar="TEXT")
    parser.add_argument("--cased", action="store_true", help="keep capitals and accents")
    parser.add_argument("--ids", action="store_true", help="show ids beside the pieces")
    parser.set_defaults(run=_tokenize)


def _tokenize(options: argparse.Namespace) -> None:
    from minibert.tokenization.tokenizer import BertTokenizer

    path = Path(options.vocabulary)
    if path.is_file():
        tokenizer = BertTokenizer(path, do_lower_case=not options.cased)
    else:
        tokenizer = BertTokenizer.from_pretrained(options.vocabulary)
    for text in options.texts:
        pieces = tokenizer.tokenize(text)
        if options.ids:
            ids = tokenizer.convert_tokens_to_ids(pieces)
            pieces = [f"{piece}={index}" for piece, index in zip(pieces, ids, strict=True)]
        print(" ".join(pieces))


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_doctor)


def _doctor(_options: argparse.Namespace) -> None:
    from minibert.doctor import findings

    for name, value in findings().items():
        print(f"{name:14} {value}")
