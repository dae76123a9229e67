"""Tokenize raw text, once, into a corpus for pretraining.

minibert prepare books --vocabulary vocab.txt --output corpus
minibert prepare zh.txt --lines documents --vocabulary vocab.txt --output zh --segmenter jieba:lcut

Takes .txt, .md and .jsonl files, and folders of them. --lines says what a line of text is: a
paragraph (a blank line ends a document), a sentence (likewise), a whole document, or a piece of
wrapped text (then a file is a document). docs/corpus_format.md tells the rest.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from minibert.cli.shared import open_tokenizer
from minibert.errors import MiniBertError
from minibert.files import check_folder

MUCH_TEXT = 10_000_000  # bytes; less is read before several processes have started


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files and folders")
    parser.add_argument(
        "--vocabulary", required=True, metavar="PATH", help="a vocab.txt, or a folder with one"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    parser.add_argument(
        "--cased", action="store_true", help="keep capitals and accents; a folder knows by itself"
    )
    parser.add_argument(
        "--lines",
        default="paragraphs",
        choices=("paragraphs", "sentences", "documents", "wrapped"),
        help="what a line of text is; paragraphs",
    )
    parser.add_argument(
        "--whole-books", action="store_true", help="a Markdown file is one document, not chapters"
    )
    parser.add_argument("--text-field", default="text", metavar="NAME", help="of JSONL; text")
    parser.add_argument("--keep-copies", action="store_true", help="keep exact copies")
    parser.add_argument(
        "--segmenter",
        metavar="MODULE:FUNCTION",
        help="text -> words, for whole-word masking in Chinese; such as jieba:lcut",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes; for much text as many as there are CPUs",
    )


def run(options: argparse.Namespace) -> None:
    """Do it."""
    check_folder(options.output, new=True)
    from minibert.data.corpus.build import CorpusStats, build_corpus
    from minibert.data.corpus.documents import FormatOptions
    from minibert.tokenization.vocab import MAX_UNKNOWN_RATE

    tokenizer = open_tokenizer(options.vocabulary, cased=options.cased)

    def show(stats: CorpusStats) -> None:
        if sys.stderr.isatty():
            print(f"\r{stats.tokens:,} tokens", end="\r", file=sys.stderr, flush=True)

    stats = build_corpus(
        options.paths,
        tokenizer,
        options.output,
        format_options=FormatOptions(
            lines=options.lines, chapters=not options.whole_books, text_field=options.text_field
        ),
        workers=_workers(options) if options.workers is None else options.workers,
        segmenter=None if options.segmenter is None else _function(options.segmenter),
        drop_duplicates=not options.keep_copies,
        on_progress=show,
    )
    print(stats.summary())
    print(f"the corpus is in {options.output}")
    if stats.unknown_tokens > MAX_UNKNOWN_RATE * stats.tokens:
        print(
            f"note: the vocabulary does not have the characters of this text; make one of it: "
            f"minibert train-vocab {shlex.join(map(str, options.paths))} "
            "--output vocab.txt",
            file=sys.stderr,
        )
    if stats.documents == 1:
        print(
            "note: this is one document, and pretraining needs many; put a blank line between "
            "documents, or say what a line is: --lines documents.",
            file=sys.stderr,
        )


def _workers(options: argparse.Namespace) -> int:
    """All CPUs, if there is text enough."""
    if options.segmenter is not None:
        return 1  # not every function can be sent to another process
    from minibert.data.corpus.documents import find_text_files

    size = sum(path.stat().st_size for path in find_text_files(options.paths, []))
    return 1 if size < MUCH_TEXT else os.cpu_count() or 1


def _function(name: str) -> Callable[[str], Any]:
    """`module:function` -> the function."""
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise MiniBertError(
            f"--segmenter {name}: {error}; write MODULE:FUNCTION, and install the module."
        ) from error
    if not callable(found):
        raise MiniBertError(f"--segmenter {name} is no function; write MODULE:FUNCTION.")
    try:
        list(found("一个 sentence"))
    except Exception as error:  # somebody else's function: whatever it raises
        raise MiniBertError(
            f"--segmenter {name} fails on a short text ({error}); name a function that takes a "
            "text and gives its words."
        ) from error
    return found  # type: ignore[no-any-return]
