"""The entry point of `minibert`: a table of commands, each a module in this folder.

A module is imported when its command is chosen, and imports PyTorch when it runs. Every `--help` is
therefore fast.
"""

from minibert.cli.process import run

import sys
from collections.abc import Sequence
from importlib import import_module

from minibert import __version__

COMMANDS = {
    "finetune": "train a classifier on labelled texts",
    "evaluate": "score a fine-tuned model on a labelled file",
    "report": "write an HTML page about a fine-tuning",
    "predict": "classify texts with a fine-tuned model",
    "fill-mask": "predict the words that [MASK] hides",
    "embed": "compute a vector for each text",
    "search": "find the sentences of a file that are nearest to a query",
    "attention": "write an HTML page of all attention heads",
    "playground": "write an HTML page that runs BERT in the browser",
    "trace": "compare a model with another implementation, tensor by tensor",
    "tokenize": "split texts into WordPiece tokens",
    "train-vocab": "learn a WordPiece vocabulary from text files",
    "prepare": "tokenize text files into a corpus for pretraining",
    "pretrain": "pretrain a model on a corpus, from random or existing weights",
    "add-words": "add words of your own to a model's vocabulary",
    "export": "export a model to ONNX",
    "convert": "convert a TensorFlow or .bin checkpoint to safetensors",
    "learn": "check your solutions of the exercises of the lessons",
    "doctor": "show versions and hardware, for a bug report",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name; default: the arguments of the process."""
    run(lambda: _main([*(sys.argv[1:] if arguments is None else arguments)]))


def _main(arguments: list[str]) -> None:
    from minibert.cli.shared import Parser  # here, so that Ctrl-C is handled before

    parser = Parser(
        prog="minibert",
        description="BERT from scratch: train it, use it, look inside.",
        epilog="minibert COMMAND --help shows the options of a command and an example.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"minibert {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name in arguments[:1]:
            module = import_module(f"minibert.cli.{name.replace('-', '_')}")
            command.description = module.__doc__
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    options.run(options)
