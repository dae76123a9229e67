"""Write a page that shows where every head of every layer looks; it opens offline in any browser.

minibert attention weights/tiny "The cat sat on the mat because it was tired."
minibert attention bert-base-chinese "那只猫" "它睡了" --output cats.html --picture cats.png
"""

import argparse
import sys
from pathlib import Path

from minibert.cli.shared import check_output
from minibert.files import write_atomic

MOST_TOKENS = 128  # of the default: a page of 512 tokens and 144 heads would take 50 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("folder", help="any folder with a BERT in it")
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("text_pair", metavar="SECOND_TEXT", nargs="?", help="for a pair of texts")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("attention.html"),
        metavar="FILE",
        help="the page, replaced if it is there; default: attention.html",
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="also a .png, .svg or .pdf of all heads"
    )
    parser.add_argument(
        "--max-length",
        type=int,
        default=MOST_TOKENS,
        metavar="N",
        help=f"tokens, longer texts are cut; default: {MOST_TOKENS}",
    )


def run(options: argparse.Namespace) -> None:
    """Do it."""
    check_output(options.output, endings=(".html", ".htm"), replace=True)
    if options.picture is not None:
        check_output(options.picture, endings=(".png", ".svg", ".pdf"), replace=True)
    import torch

    from minibert.inference.load import load_for_inference
    from minibert.model.bert import BertModel
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
            "(--max-length).",
            file=sys.stderr,
        )
    ids, segments = batch["input_ids"][0], batch["token_type_ids"][0]
    with torch.inference_mode():
        outputs = model(
            torch.tensor([ids]), token_type_ids=torch.tensor([segments]), output_attentions=True
        )
    tokens = tokenizer.convert_ids_to_tokens(ids)
    attentions = [attention[0] for attention in outputs.attentions or ()]  # L of (H, S, S)
    title = " | ".join(filter(None, (options.text, options.text_pair)))
    title = title if len(title) <= 100 else f"{title[:99]}…"
    page = attention_page(tokens, segments, attentions, title=title)
    write_atomic(options.output, page)
    print(f"{options.output} is written; open it in a browser")
    if options.picture is not None:
        save_figure(attention_heatmap(tokens, attentions, title=title), options.picture)
        print(f"{options.picture} is written")
