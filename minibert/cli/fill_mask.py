"""Predict the words that [MASK] hides, with their probabilities.

minibert fill-mask weights/tiny "He opened the [MASK]."
minibert fill-mask weights/tiny "She gave him a [MASK] of [MASK]." --fill-all

Each mask is predicted independently. --fill-all also fills all of them, the most confident first,
each given those before it.
"""

import argparse
import json
from dataclasses import asdict

from minibert.cli.shared import note_unknown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a pretrained folder or hub name")
    add("text", metavar="TEXT", help="a text with [MASK] in it")
    add("--pair", metavar="TEXT", help="a second text; either may have masks")
    add("--top-k", type=int, default=5, metavar="K", help="candidates per mask; default: 5")
    add("--fill-all", action="store_true", help="also fill all masks")
    add("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Print the candidates of each mask, the most probable first."""
    from minibert.inference.fill_mask import MaskFiller

    filler = MaskFiller.from_pretrained(options.folder)
    masks = filler(options.text, options.pair, top_k=options.top_k)
    filled = filler.fill_all(options.text, options.pair) if options.fill_all else None
    words = f"{options.text} {options.pair or ''}".replace(filler.tokenizer.mask_token, " ")
    note_unknown(filler.tokenizer, [words])
    if options.json:
        found = {"text": options.text} | ({"text_pair": options.pair} if options.pair else {})
        found |= {"masks": [[asdict(candidate) for candidate in mask] for mask in masks]}
        found |= {"filled": asdict(filled)} if filled else {}
        print(json.dumps(found, ensure_ascii=False))
        return
    for number, candidates in enumerate(masks, start=1):
        if len(masks) > 1:
            print(f"[MASK] {number} of {len(masks)}")
        for candidate in candidates:
            print(f"  {candidate.probability:.4f}  {candidate.token}")
    if filled:
        print("all filled, the most confident first")
        for mask in filled.order:
            candidate = filled.candidates[mask]
            print(f"  {candidate.probability:.4f}  {candidate.token}  at [MASK] {mask + 1}")
        print(filled.text if filled.text_pair is None else f"{filled.text}  |  {filled.text_pair}")
