"""Learn a WordPiece vocabulary from text files.

minibert train-vocab books/*.txt --output vocab.txt --size 8192
minibert train-vocab news.txt --output vocab.txt --cased --unused 100

Files are UTF-8 text. A tokenizer must be told the same about capitals: BertTokenizer("vocab.txt",
do_lower_case=False) after --cased.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from minibert.commands.shared import check_output
from minibert.errors import MiniBertError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="UTF-8 text")
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
    parser.add_argument(
        "--score",
        default="frequency",
        choices=("frequency", "likelihood"),
        help="which pair is merged next; likelihood is slow, and here to be compared",
    )


def run(options: argparse.Namespace) -> None:
    """Do it."""
    check_output(options.output)
    from minibert.tokenization.train_vocab import train_vocabulary, write_vocabulary
    from minibert.tokenization.train_vocab_fast import train_vocabulary_fast

    settings = {
        "size": options.size,
        "do_lower_case": not options.cased,
        "min_frequency": options.min_frequency,
        "alphabet_limit": options.alphabet_limit,
        "unused": options.unused,
    }
    lines = _lines(options.files)
    if options.score == "frequency":
        pieces = train_vocabulary_fast(lines, **settings)
    else:
        pieces = train_vocabulary(lines, **settings, score=options.score)
    write_vocabulary(options.output, pieces)
    print(f"{len(pieces):,} pieces are in {options.output}")
    if len(pieces) < options.size:
        print(f"fewer than {options.size:,}: no pair is left that is seen often enough")


def _lines(files: Sequence[Path]) -> Iterator[str]:
    """The lines of all files, one in memory at a time."""
    for path in files:
        number = 0
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):  # noqa: B007 - for the message
                    yield line.decode("utf-8")
        except OSError as error:
            raise MiniBertError(f"cannot read {path}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise MiniBertError(
                f"{path}:{number}: byte 0x{error.object[error.start]:02x} is not UTF-8; if it was "
                "saved as GB18030 (Chinese), convert it: iconv -f GB18030 -t UTF-8 OLD > NEW"
            ) from error
