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
    help_text = "part of --train to hold out if there is no --dev; default: 0.1"
    add("--dev-share", type=float, default=0.1, metavar="X", help=help_text)
    add("--test", type=Path, metavar="FILE", help="for the final scores; default: none")
    tasks = ("classification", "multi-label", "regression")
    add("--task", choices=tasks, help="what the labels are; default: guessed and printed")
    add_column_arguments(parser, ("text", "pair", "label"))
    help_text = "train on the first N texts only; default: all, or 1600 of the built-in data"
    add("--limit", type=int, metavar="N", help=help_text)
    help_text = "pretrained model; default: weights/tiny, or weights/mini with the built-in data"
    add("--model", metavar="FOLDER_OR_NAME", help=help_text)
    help_text = "train random weights of a size: tiny, mini, small, medium, base or large"
    add("--preset", metavar="SIZE", help=help_text)
    help_text = "vocab.txt for random weights; default: learned from the training texts"
    add("--vocab", type=Path, metavar="FILE", help=help_text)
    add("--cased", action="store_true", help="keep capitals and accents, with random weights")
    add("--compare-random", action="store_true", help="also train random weights, to compare")
    help_text = "also train the model and random weights with only N texts; built-in data: 100 400"
    add("--few-labels", type=int_range(1), nargs="+", metavar="N", help=help_text)
    help_text = "passes over the training texts; default: by the sizes of model and data"
    add("--epochs", type=int, metavar="N", help=help_text)
    add("--batch-size", type=int, default=32, metavar="N", help="texts per batch; default: 32")
    help_text = "batches per update; default: 1"
    add("--gradient-accumulation-steps", type=int_range(1), default=1, metavar="N", help=help_text)
    help_text = "the highest; default: by the sizes of model and data"
    add("--learning-rate", type=float, metavar="RATE", help=help_text)
    add(
        "--max-length",
        type=int,
        default=128,
        metavar="N",
        help="truncate texts to N tokens; default: 128",
    )
    add(
        "--seed",
        type=int_range(0, 2**31 - 1),
        default=0,
        metavar="N",
        help="seed of this run; default: 0",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps; default: auto")
    add("--precision", default="auto", help="auto, float32, bfloat16 or float16; default: auto")
    help_text = "updates between checkpoints; default: 200"
    add("--save-steps", type=int, default=200, metavar="N", help=help_text)
    help_text = "a new folder; default: runs/finetune_cls, or runs/finetune_cls-2, -3, ..."
    add("--output", type=Path, metavar="FOLDER", help=help_text)
    add("--resume", action="store_true", help="continue an interrupted run")


def run(options: argparse.Namespace) -> None:
    """Call the main function of the script."""
    runpy.run_path(str(bundled("examples/finetune_cls.py")))["main"](options)
