"""Write an HTML page that shows the attention of every head in every layer; it opens offline.

minibert attention weights/tiny "The cat sat on the mat because it was tired."
minibert attention bert-base-chinese "那只猫" "它睡了" --output cats.html --figure cats.png
"""

import argparse
import sys
from pathlib import Path

from minibert.cli.shared import FIGURE_SUFFIXES, check_output
from minibert.files import write_atomic

DEFAULT_MAX_LENGTH = 128  # a page of 512 tokens and 144 heads would take 50 MB
LONGEST_TITLE = 100  # characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add, page = parser.add_argument, Path("attention.html")
    add("folder", metavar="FOLDER", help="a folder or hub name of any BERT")
    add("text", metavar="TEXT", help="the text")
    add("text_pair", metavar="SECOND_TEXT", nargs="?", help="a second text, for a pair")
    add("--output", type=Path, default=page, metavar="FILE", help=f"the page; default: {page}")
    add("--figure", type=Path, metavar="FILE", help="also draw all heads in a .png, .svg or .pdf")
    add(
        "--max-length",
        type=int,
        default=DEFAULT_MAX_LENGTH,
        metavar="N",
        help=f"truncate to N tokens; default: {DEFAULT_MAX_LENGTH}",
    )


def run(options: argparse.Namespace) -> None:
    """Write the page and the figure, replacing those that exist."""
    check_output(options.output, suffixes=(".html", ".htm"), replace=True)
    if options.figure is not None:
        check_output(options.figure, suffixes=FIGURE_SUFFIXES, replace=True)
    import torch

    from minibert.inference.load import load_for_inference
    from minibert.model.bert import BertModel
    from minibert.model.input_checks import check_finite
    from minibert.plots.attention_heatmap import attention_heatmap
    from minibert.plots.attention_page import attention_page
    from minibert.plots.style import save_figure

    model, tokenizer, max_length = load_for_inference(BertModel, options.folder)
    max_length = min(max_length, options.max_length)
    batch = tokenizer(
        options.text,
        options.text_pair,
        truncation=True,
        max_length=max_length,
        return_overflowing_tokens=True,
    )
    if len(batch["input_ids"]) > 1:
        print(
            f"note: the text is longer than {max_length} tokens; only its beginning is shown "
            "(see --max-length).",
            file=sys.stderr,
        )
    ids, type_ids = batch["input_ids"][0], batch["token_type_ids"][0]
    with torch.inference_mode():
        outputs = model(
            torch.tensor([ids]), token_type_ids=torch.tensor([type_ids]), output_attentions=True
        )
    tokens = tokenizer.convert_ids_to_tokens(ids)
    attentions = [check_finite(one[0]) for one in outputs.attentions or ()]  # L of (H, S, S)
    title = " | ".join(filter(None, (options.text, options.text_pair)))
    title = title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"
    write_atomic(options.output, attention_page(tokens, type_ids, attentions, title=title))
    print(f"wrote {options.output}; open it in a browser")
    if options.figure is not None:
        save_figure(attention_heatmap(tokens, attentions, title=title), options.figure)
        print(f"wrote {options.figure}")
