"""Convert a checkpoint to config.json and model.safetensors, which transformers reads, too.

minibert convert uncased_L-2_H-128_A-2 weights/tiny

SOURCE is a TensorFlow folder of Google's code (bert_config.json, bert_model.ckpt.*), or a folder
with a pytorch_model.bin. DESTINATION is a new folder, written completely or not at all.
"""

import argparse
from pathlib import Path

from minibert.files import check_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("source", metavar="SOURCE", help="a folder or hub name of any BERT")
    parser.add_argument("destination", type=Path, metavar="DESTINATION", help="a new folder")
    parser.add_argument("--float16", action="store_true", help="store float16, in half the space")


def run(options: argparse.Namespace) -> None:
    """Convert the folder, and print what was done."""
    check_folder(options.destination, new=True)
    from minibert.checkpoints.convert import convert

    print(convert(options.source, options.destination, float16=options.float16))
