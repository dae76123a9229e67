"""Fine-tune BERT to classify texts or pairs of texts: the built-in data, or labelled files.

minibert finetune                                  # with 100, 400 and 1,600 labelled sentences
minibert finetune --train train.tsv --dev dev.tsv --model bert-base-uncased
"""

import argparse
import runpy
from pathlib import Path

from minibert.cli.shared import add_column_arguments, int_range
from minibert.files import bundled


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of examples/finetune_cls.py, which this command runs."""
    add = parser.add_argument
    files = ".tsv, .txt, .csv, .jsonl or .json"
    add("--train", type=Path, metavar="FILE", help=f"{files}; default: built-in data")
    add("--dev", type=Path, metavar="FILE", help="for evaluation; default: a part of --train")
    add("--dev-share", type=float, default=0.1, help="of --train, without --dev; default: 0.1")
    add("--test", type=Path, metavar="FILE", help="for the final scores; default: none")
    add("--task", choices=("classification", "multi-label", "regression"), help="default: guessed")
    add_column_arguments(parser, ("text", "pair", "label"))
    add("--limit", type=int, metavar="N", help="train on the first N only; built-in: 1600 of 6400")
    add("--model", metavar="FOLDER_OR_NAME", help="default: weights/tiny; built-in: weights/mini")
    add("--preset", metavar="SIZE", help="random weights: tiny, mini, small, medium, base, large")
    add("--vocab", type=Path, help="vocab.txt for random weights; default: learned from the texts")
    add("--cased", action="store_true", help="keep capitals, with random weights")
    add("--compare-random", action="store_true", help="also train random weights, to compare")
    help_text = "also train both with only N texts; built-in: 100 400"
    add("--few-labels", type=int_range(1), nargs="+", metavar="N", help=help_text)
    add("--epochs", type=int, help="passes over --train; default: by the sizes of model and data")
    add("--batch-size", type=int, default=32, help="texts per batch; default: 32")
    help_text = "batches per update; default: 1"
    add("--gradient-accumulation-steps", type=int_range(1), default=1, help=help_text)
    add("--learning-rate", type=float, help="the highest; default: by the sizes of model and data")
    add("--max-length", type=int, default=128, help="tokens of a text; default: 128")
    add("--seed", type=int_range(0, 2**31 - 1), default=0, help="of the random numbers; default: 0")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps; default: auto")
    add("--precision", default="auto", help="auto, float32, bfloat16 or float16; default: auto")
    add("--save-steps", type=int, default=200, help="updates between checkpoints; default: 200")
    add("--output", type=Path, help="a new folder; default: runs/finetune_cls, or -2, -3, ...")
    add("--resume", action="store_true", help="continue an interrupted run")


def run(options: argparse.Namespace) -> None:
    """Call the main function of the script."""
    runpy.run_path(str(bundled("examples/finetune_cls.py")))["main"](options)
