"""Predict the words that [MASK] hides, with their probabilities.

minibert fill-mask weights/tiny "He opened the [MASK]." "She closed the [MASK]."
minibert fill-mask weights/tiny "She gave him a [MASK] of [MASK]." --fill-all
minibert fill-mask weights/tiny --file texts.txt --json

Each mask is predicted independently. --fill-all also fills all of them, the most confident first,
each given those before it.
"""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from minibert.cli.shared import add_text_arguments, note_empty, note_unknown, one_line, open_texts
from minibert.errors import MiniBertError

if TYPE_CHECKING:
    from minibert.data.labelled.prediction_file import TextRow
    from minibert.inference.fill_mask import MaskFiller


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a pretrained folder or hub name")
    add_text_arguments(parser, pairs=True)
    add("--top-k", type=int, default=5, metavar="K", help="candidates per mask; default: 5")
    add("--fill-all", action="store_true", help="also fill all masks")
    add("--json", action="store_true", help="print one JSON object per text")


def run(options: argparse.Namespace) -> None:
    """Print the candidates of each mask, the most probable first."""
    source = open_texts(options)
    from minibert.inference.fill_mask import MaskFiller

    filler = MaskFiller.from_pretrained(options.folder)
    mask = filler.tokenizer.mask_token
    rows = [row for part in source.parts() for row in part]
    for row in rows:  # before the others are worked on
        if row.text.strip() and mask not in f"{row.text} {row.text_pair}":
            where = f"{options.file or 'text'}:{row.line}: " if len(rows) > 1 else ""
            try:
                filler(row.text, row.text_pair)
            except MiniBertError as error:
                raise MiniBertError(f"{where}{error}") from None
    note_unknown(
        filler.tokenizer,
        [f"{row.text} {row.text_pair or ''}".replace(mask, " ") for row in rows],
    )
    note_empty(source)
    for row in rows:
        if len(rows) > 1 and not options.json:
            print(one_line(row.text))
        if row.text.strip():
            _fill(filler, row, options)
        elif options.json:
            print(json.dumps({"text": row.text, "masks": []}, ensure_ascii=False))


def _fill(filler: "MaskFiller", row: "TextRow", options: argparse.Namespace) -> None:
    """Print the candidates of each mask of one text."""
    text, pair = row.text, row.text_pair
    masks = filler(text, pair, top_k=options.top_k)
    filled = filler.fill_all(text, pair) if options.fill_all else None
    if options.json:
        found: dict[str, Any] = {"text": text} | ({"text_pair": pair} if pair else {})
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
        for index in filled.order:
            candidate = filled.candidates[index]
            print(f"  {candidate.probability:.4f}  {candidate.token}  at [MASK] {index + 1}")
        pair_filled = "" if filled.text_pair is None else f"  |  {filled.text_pair}"
        print(one_line(f"{filled.text}{pair_filled}"))
