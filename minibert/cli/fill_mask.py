"""Guess the words that [MASK] hides, with their probabilities.

minibert fill-mask weights/tiny "He opened the [MASK]."
minibert fill-mask weights/tiny "She gave him a [MASK] of [MASK]." --together

Several masks are guessed each by itself. --together also fills all of them, the most certain first,
each with those before it in place.
"""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from minibert.cli.shared import note_unknown, warnings_as_notes

if TYPE_CHECKING:
    from minibert.inference.fill_mask import Candidate, FilledText


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("folder", help="a pretrained folder")
    parser.add_argument("text", metavar="TEXT", help="a text with [MASK] in it")
    parser.add_argument("--pair", metavar="TEXT", help="a second text; masks may stand in either")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="candidates a mask; 5")
    parser.add_argument("--together", action="store_true", help="also fill all masks as one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Do it."""
    from minibert.inference.fill_mask import MaskFiller

    filler = MaskFiller.from_pretrained(options.folder)
    with warnings_as_notes():
        masks = filler(options.text, options.pair, top=options.top)
        filling = filler.together(options.text, options.pair) if options.together else None
    words = " ".join([options.text, options.pair or ""]).replace(filler.tokenizer.mask_token, " ")
    note_unknown(filler.tokenizer, [words])
    if options.json:
        answer = {"text": options.text} | ({"text_pair": options.pair} if options.pair else {})
        found = {"masks": [[asdict(candidate) for candidate in mask] for mask in masks]}
        together = {"together": asdict(filling)} if filling else {}
        print(json.dumps(answer | found | together, ensure_ascii=False))
        return
    for number, candidates in enumerate(masks, start=1):
        if len(masks) > 1:
            print(f"[MASK] {number} of {len(masks)}")
        for candidate in candidates:
            print(_in_a_line(candidate))
    if filling:
        _print_together(filling)


def _print_together(filling: "FilledText") -> None:
    """Say what was filled in, in which order."""
    print("together, the most certain first")
    for mask in filling.order:
        print(f"{_in_a_line(filling.candidates[mask])}  at [MASK] {mask + 1}")
    print(filling.text if filling.text_pair is None else f"{filling.text}  |  {filling.text_pair}")


def _in_a_line(candidate: "Candidate") -> str:
    return f"  {candidate.probability:.4f}  {candidate.token}"
