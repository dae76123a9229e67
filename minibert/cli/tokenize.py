"""Split texts into WordPiece tokens.

minibert tokenize weights/tiny "A puppeteer sleeps." --ids --special
minibert tokenize vocab.txt "那只猫" --cased
"""

import argparse

from minibert.cli.shared import open_tokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("vocab", metavar="VOCAB", help="a vocab.txt, or a folder or hub name that has one")
    add("texts", nargs="+", metavar="TEXT", help="the texts")
    add("--cased", action="store_true", help="keep capitals and accents, if VOCAB does not say")
    add("--special", action="store_true", help="add [CLS] and [SEP]")
    add("--ids", action="store_true", help="show the id of each token")


def run(options: argparse.Namespace) -> None:
    """Print the tokens of each text on one line."""
    tokenizer = open_tokenizer(options.vocab, cased=options.cased)
    for text in options.texts:
        tokens = tokenizer.tokenize(text, add_special_tokens=options.special)
        if options.ids:
            ids = tokenizer.convert_tokens_to_ids(tokens)
            tokens = [f"{token}={index}" for token, index in zip(tokens, ids, strict=True)]
        print(" ".join(tokens))
