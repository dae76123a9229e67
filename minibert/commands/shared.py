"""What several commands do: take texts or a vocabulary, say notes, spare what is there."""

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.errors import MiniBertError
from minibert.files import check_folder

if TYPE_CHECKING:
    from minibert.tokenization.tokenizer import BertTokenizer


def add_text_arguments(parser: argparse.ArgumentParser, *, pairs: bool) -> None:
    """The arguments that `read_texts` looks at."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="the texts")
    parser.add_argument("--file", type=Path, help=".txt (a text a line), .tsv, .csv or .jsonl")
    parser.add_argument("--text-column", metavar="NAME", help="column of the text in --file")
    if pairs:
        parser.add_argument(
            "--pair", action="append", metavar="TEXT", help="second text, one a TEXT"
        )
        parser.add_argument("--pair-column", metavar="NAME", help="column of the second text")


def read_texts(options: argparse.Namespace) -> tuple[list[str], list[str] | None]:
    """The texts of the command line or of a file, and their second texts.

    Raises:
        MiniBertError: there are no texts, both kinds are given, or the file cannot be read.
    """
    from minibert.data.readers import read_examples_with_note

    pair_column = getattr(options, "pair_column", None)
    if options.file is None:
        if not options.texts:
            raise MiniBertError(
                f'give at least one text: minibert {options.command} FOLDER "text", or --file.'
            )
        if options.text_column or pair_column:
            raise MiniBertError("--text-column and --pair-column are for --file; name the file.")
        return list(options.texts), getattr(options, "pair", None)
    if options.texts or getattr(options, "pair", None):
        raise MiniBertError("give texts or --file, not both.")
    examples, note = read_examples_with_note(
        options.file, text_column=options.text_column, pair_column=pair_column, labelled=False
    )
    if options.file.suffix.lower() != ".txt":
        print(f"note: {note}", file=sys.stderr)
    seconds = [example.text_pair for example in examples if example.text_pair is not None]
    return [example.text for example in examples], seconds or None


def note_unknown(tokenizer: "BertTokenizer", texts: Sequence[str]) -> None:
    """Say if most of the texts' pieces are unknown: the answers then mean nothing."""
    from minibert.tokenization.unknown import MOSTLY_UNKNOWN, unknown_share

    if unknown_share(tokenizer, texts) > MOSTLY_UNKNOWN:
        print(
            "note: most of this is unknown to the model's vocabulary, so what it says means "
            "nothing; use a model of this language.",
            file=sys.stderr,
        )


def open_tokenizer(vocabulary: str, *, cased: bool) -> "BertTokenizer":
    """The tokenizer of a vocab.txt, or of a folder or hub name.

    Args:
        vocabulary: the path or name.
        cased: keep capitals and accents; for a vocab.txt, and folders that do not say.

    Raises:
        MiniBertError: there is no such file or folder, or it lowers capitals that shall be kept.
    """
    from minibert.tokenization.tokenizer import BertTokenizer

    path = Path(vocabulary)
    if path.is_file():
        return BertTokenizer(path, do_lower_case=not cased)
    if path.suffix == ".txt" and not path.exists():
        raise MiniBertError(
            f"there is no file {path}; give the vocab.txt of a model, or make one of your text "
            "with minibert train-vocab."
        )
    try:
        tokenizer = BertTokenizer.from_pretrained(vocabulary)
    except MiniBertError:
        if not cased:
            raise
        return BertTokenizer.from_pretrained(vocabulary, do_lower_case=False)
    if cased and tokenizer.do_lower_case:
        raise MiniBertError(
            f"{vocabulary} lowers capitals, so --cased does not fit; leave that out, or give "
            "another vocabulary."
        )
    return tokenizer


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "word"), counted(2000, "word")
        ('1 word', '2,000 words')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Say each different warning of the block as a line, `note: ...`, once the block is done."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"note: {message}", file=sys.stderr)


def check_output(path: Path, *, endings: tuple[str, ...] = (), replace: bool = False) -> None:
    """Refuse a file to be written, before any work is done for it.

    Args:
        path: the file.
        endings: what its name may end in; anything if empty.
        replace: whether a file that is there may be replaced.

    Raises:
        MiniBertError: another ending, no such folder to write to, or the file is there already.
    """
    if endings and path.suffix.lower() not in endings:
        raise MiniBertError(f"cannot write {path}: its name must end in {' or '.join(endings)}.")
    check_folder(path.parent)
    if not path.parent.is_dir():
        raise MiniBertError(f"cannot write {path}: there is no folder {path.parent}; make it.")
    if path.is_dir():
        raise MiniBertError(f"cannot write {path}: it is a folder; name a file in it.")
    if path.exists() and not replace:
        raise MiniBertError(f"{path} is there already; delete it, or name another file.")
