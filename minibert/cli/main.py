"""minibert on the command line: one module of `minibert.cli` for each command.

A module is imported when its command is chosen, and imports PyTorch when it runs, so that every
`--help` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from minibert import __version__
from minibert.cli.shared import Parser, run

COMMANDS = {
    "finetune": "train a classifier on a file of labelled texts",
    "predict": "classify texts with a fine-tuned folder",
    "fill-mask": "guess the words that [MASK] hides",
    "embed": "turn each text into one vector",
    "attention": "write a page that shows where every head looks",
    "tokenize": "show how texts are cut into pieces",
    "train-vocab": "learn a vocabulary from text files",
    "prepare": "tokenize raw text into a corpus for pretraining",
    "pretrain": "learn language from a corpus, anew or going on from a model",
    "add-words": "put words of your own into a model's vocabulary",
    "convert": "rewrite Google's or an old folder as today's files",
    "doctor": "show versions and what this machine can do",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `minibert`; the arguments are those of the process if not given."""
    run(partial(_main, list(sys.argv[1:] if arguments is None else arguments)))


def _main(arguments: list[str]) -> None:
    parser = Parser(
        prog="minibert",
        description="BERT, to be read and to be used.",
        epilog="minibert COMMAND --help tells more and gives an example.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"minibert {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name in arguments[:1]:
            module = import_module(f"minibert.cli.{name.replace('-', '_')}")
            command.description = module.__doc__
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    options.run(options)
