"""Write an HTML page that runs BERT in the browser and shows every step; it opens offline.

minibert playground weights/tiny --output page.html
minibert playground weights/tiny-zh --output page.zh.html

The weights are inside the page: 4 MB for weights/tiny, 15 MB for weights/mini. It shows how a text
is split and embedded, every attention head and every matrix, and the guesses for masked words, also
with some heads switched off. In English and Chinese.
"""

import argparse
from pathlib import Path

from minibert.cli.shared import check_output
from minibert.errors import MiniBertError
from minibert.files import write_atomic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add, page = parser.add_argument, Path("playground.html")
    add("folder", metavar="FOLDER", help="a folder or hub name of a pretrained BERT")
    add("--output", type=Path, default=page, metavar="FILE", help=f"the page; default: {page}")


def run(options: argparse.Namespace) -> None:
    """Write the page, replacing one that exists."""
    check_output(options.output, suffixes=(".html", ".htm"), replace=True)
    from minibert.inference.load import load_for_inference
    from minibert.model.pretraining_heads import BertForPreTraining
    from minibert.plots.playground_page import playground_page

    model, tokenizer, max_length = load_for_inference(BertForPreTraining, options.folder)
    new = model.load_report.new if model.load_report else []
    if any(name.startswith("masked_lm.") for name in new):
        raise MiniBertError(
            f"{options.folder} has no head that predicts masked words; fine-tuning drops that "
            "head, so give a pretrained folder, such as weights/tiny."
        )
    # A model that was trained without next-sentence prediction has no pooler.
    tensors = {n: tensor.numpy() for n, tensor in model.named_tensors().items() if n not in new}
    if "next_sentence.weight" in new:
        print("note: the model has no next-sentence head; the page leaves that out.")
    page = playground_page(
        tensors, model.config, tokenizer, max_length=max_length, title=str(options.folder)
    )
    write_atomic(options.output, page)
    print(f"wrote {options.output} ({len(page) / 1e6:.1f} MB); open it in a browser")
