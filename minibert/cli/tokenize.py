"""Show how texts are cut into pieces.

minibert tokenize weights/tiny "A puppeteer sleeps." --ids --special
minibert tokenize vocab.txt "那只猫" --cased
"""

import argparse

from minibert.cli.shared import open_tokenizer, warnings_as_notes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("vocabulary", help="a vocab.txt, or a folder that holds one")
    parser.add_argument("texts", nargs="+", metavar="TEXT")
    parser.add_argument(
        "--cased", action="store_true", help="keep capitals and accents; a folder knows by itself"
    )
    parser.add_argument("--special", action="store_true", help="show [CLS] and [SEP], too")
    parser.add_argument("--ids", action="store_true", help="show ids beside the pieces")


def run(options: argparse.Namespace) -> None:
    """Do it."""
    tokenizer = open_tokenizer(options.vocabulary, cased=options.cased)
    for text in options.texts:
        with warnings_as_notes():
            pieces = tokenizer.tokenize(text, add_special_tokens=options.special)
        if options.ids:
            ids = tokenizer.convert_tokens_to_ids(pieces)
            pieces = [f"{piece}={index}" for piece, index in zip(pieces, ids, strict=True)]
        print(" ".join(pieces))
