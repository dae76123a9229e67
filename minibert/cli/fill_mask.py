"""Predict the words that [MASK] hides, with their probabilities.

minibert fill-mask weights/tiny "He opened the [MASK]."
minibert fill-mask weights/tiny "She gave him a [MASK] of [MASK]." --fill-all

Each mask is predicted independently. --fill-all also fills all of them, the most confident first,
each given those before it.
"""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from minibert.cli.shared import note_unknown, warnings_as_notes

if TYPE_CHECKING:
    from minibert.inference.fill_mask import Candidate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", help="a pretrained folder")
    parser.add_argument("text", metavar="TEXT", help="a text with [MASK] in it")
    parser.add_argument("--pair", metavar="TEXT", help="a second text; masks may stand in either")
    parser.add_argument("--top-k", type=int, default=5, metavar="K", help="candidates per mask; 5")
    parser.add_argument("--fill-all", action="store_true", help="also fill all masks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from minibert.inference.fill_mask import MaskFiller

    filler = MaskFiller.from_pretrained(options.folder)
    with warnings_as_notes():
        masks = filler(options.text, options.pair, top_k=options.top_k)
        filled = filler.fill_all(options.text, options.pair) if options.fill_all else None
    words = " ".join([options.text, options.pair or ""]).replace(filler.tokenizer.mask_token, " ")
    note_unknown(filler.tokenizer, [words])
    if options.json:
        texts = {"text": options.text} | ({"text_pair": options.pair} if options.pair else {})
        found = {"masks": [[asdict(candidate) for candidate in mask] for mask in masks]}
        together = {"filled": asdict(filled)} if filled else {}
        print(json.dumps(texts | found | together, ensure_ascii=False))
        return
    for number, candidates in enumerate(masks, start=1):
        if len(masks) > 1:
            print(f"[MASK] {number} of {len(masks)}")
        for candidate in candidates:
            print(_in_a_line(candidate))
    if filled:
        print("all filled, the most confident first")
        for mask in filled.order:
            print(f"{_in_a_line(filled.candidates[mask])}  at [MASK] {mask + 1}")
        print(filled.text if filled.text_pair is None else f"{filled.text}  |  {filled.text_pair}")


def _in_a_line(candidate: "Candidate") -> str:
    return f"  {candidate.probability:.4f}  {candidate.token}"
