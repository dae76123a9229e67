"""Rewrite a folder as config.json and model.safetensors, which transformers reads, too.

minibert convert uncased_L-2_H-128_A-2 weights/tiny

SOURCE is a folder of Google's code (bert_config.json, bert_model.ckpt.*), or one with an old
pytorch_model.bin. DESTINATION must be new; it appears whole or not at all.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("source", metavar="SOURCE", help="a folder with a BERT in it")
    parser.add_argument("destination", type=Path, metavar="DESTINATION", help="a new folder")
    parser.add_argument("--float16", action="store_true", help="store float16, in half the space")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from minibert.checkpoints.convert import convert

    print(convert(options.source, options.destination, float16=options.float16))
