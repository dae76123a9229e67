"""Learn a WordPiece vocabulary from text files.

minibert train-vocab books/*.txt --output vocab.txt --size 8192
minibert train-vocab news --output vocab.txt --cased --unused 100

Takes what minibert prepare takes: .txt, .md and .jsonl files in UTF-8, and folders of them. A
tokenizer must be told the same about capitals: BertTokenizer("vocab.txt", do_lower_case=False)
after --cased.
"""

import argparse
from pathlib import Path

from minibert.cli.shared import check_output, documents_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files and folders")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a new file")
    parser.add_argument("--size", type=int, default=8192, metavar="N", help="pieces; 8192")
    parser.add_argument("--cased", action="store_true", help="keep capitals and accents")
    parser.add_argument(
        "--min-frequency", type=int, default=2, metavar="N", help="leave rarer pairs apart; 2"
    )
    parser.add_argument(
        "--alphabet-limit", type=int, metavar="N", help="keep the N commonest characters only"
    )
    parser.add_argument(
        "--unused", type=int, default=0, metavar="N", help="lines [unused0] ... for your own words"
    )
    parser.add_argument("--text-field", default="text", metavar="NAME", help="of JSONL; text")
    parser.add_argument(
        "--score",
        default="frequency",
        choices=("frequency", "likelihood"),
        help="which pair is merged next; likelihood is slow, and here to be compared",
    )


def run(options: argparse.Namespace) -> None:
    """Do it."""
    check_output(options.output)
    from minibert.tokenization.training.train_vocabulary import train_vocabulary
    from minibert.tokenization.vocab import write_vocabulary

    pieces = train_vocabulary(
        documents_of(options.paths, text_field=options.text_field),
        size=options.size,
        do_lower_case=not options.cased,
        min_frequency=options.min_frequency,
        alphabet_limit=options.alphabet_limit,
        unused=options.unused,
        score=options.score,
    )
    write_vocabulary(options.output, pieces)
    print(f"{len(pieces):,} pieces are in {options.output}")
    if len(pieces) < options.size:
        print(f"fewer than {options.size:,}: no pair is left that is seen often enough")
