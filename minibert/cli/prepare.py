"""Tokenize text files, once, into a corpus for pretraining.

minibert prepare books --vocab vocab.txt --output corpus
minibert prepare zh.txt --lines documents --vocab vocab.txt --output zh --segmenter jieba:lcut

Reads .txt, .md and .jsonl files, and folders of them. --lines says what a line of text is: a
paragraph or a sentence (a blank line ends the document), a whole document, or part of a wrapped
paragraph (a file is one document). docs/corpus_format.md has the details.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from minibert.cli.shared import add_document_paths, open_tokenizer
from minibert.errors import MiniBertError
from minibert.files import check_folder

LARGE_TEXT = 10_000_000  # bytes; less is tokenized before worker processes have started


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_document_paths(parser)
    add("--vocab", required=True, metavar="PATH", help="a vocab.txt, or a folder or hub name")
    add("--output", type=Path, required=True, metavar="FOLDER", help="the corpus, a new folder")
    add("--cased", action="store_true", help="keep capitals and accents, if --vocab does not say")
    add(
        "--lines",
        default="paragraphs",
        choices=("paragraphs", "sentences", "documents", "wrapped"),
        help="what a line of text is; default: paragraphs",
    )
    help_text = "make each Markdown file one document; default: one per chapter"
    add("--whole-books", action="store_true", help=help_text)
    help_text = "the field of a JSONL object that holds the text; default: text"
    add("--text-field", default="text", metavar="NAME", help=help_text)
    help_text = "keep exact copies of documents and paragraphs; default: keep one"
    add("--keep-duplicates", action="store_true", help=help_text)
    help_text = "a function from text to words, to mask whole Chinese words; example: jieba:lcut"
    add("--segmenter", metavar="MODULE:FUNCTION", help=help_text)
    help_text = "processes that tokenize; default: 1, or one per CPU for large texts"
    add("--workers", type=int, metavar="N", help=help_text)


def run(options: argparse.Namespace) -> None:
    """Write the corpus, and print what it holds."""
    check_folder(options.output, new=True)
    from minibert.data.corpus.build import CorpusStats, build_corpus
    from minibert.data.corpus.documents import FormatOptions, find_text_files
    from minibert.tokenization.vocab import MAX_UNKNOWN_RATE

    tokenizer = open_tokenizer(options.vocab, cased=options.cased)
    workers = options.workers
    if workers is None:
        # Not every segmenter can be sent to another process.
        files = [] if options.segmenter else find_text_files(options.paths, [])
        large = sum(path.stat().st_size for path in files) >= LARGE_TEXT
        workers = (os.cpu_count() or 1) if large else 1

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
        workers=workers,
        segmenter=None if options.segmenter is None else _load_function(options.segmenter),
        drop_duplicates=not options.keep_duplicates,
        on_progress=show,
    )
    print(stats.summary())
    print(f"wrote the corpus to {options.output}")
    if stats.unknown_tokens > MAX_UNKNOWN_RATE * stats.tokens:
        print(
            "note: the vocabulary lacks many characters of this text; learn one from it: minibert "
            f"train-vocab {shlex.join(map(str, options.paths))} --output vocab.txt",
            file=sys.stderr,
        )
    if stats.documents == 1:
        print(
            "note: this is one document, and pretraining needs many; separate documents with blank "
            "lines, or say what a line is: --lines documents.",
            file=sys.stderr,
        )


def _load_function(name: str) -> Callable[[str], Any]:
    """Return the function that `MODULE:FUNCTION` names, after trying it on a short text."""
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise MiniBertError(
            f"--segmenter {name}: {error}; write MODULE:FUNCTION, and install the module."
        ) from error
    try:
        list(found("一个 sentence"))
    except Exception as error:  # the function is foreign and may raise anything
        raise MiniBertError(
            f"--segmenter {name} fails on a short text ({error}); name a function that takes a "
            "text and returns its words."
        ) from error
    return found  # type: ignore[no-any-return]
