"""Learn a WordPiece vocabulary from text files.

minibert train-vocab books/*.txt --output vocab.txt --vocab-size 8192
minibert train-vocab news --output vocab.txt --cased --unused 100

Reads what minibert prepare reads: .txt, .md and .jsonl files in UTF-8, and folders of them. After
--cased, load the vocabulary with BertTokenizer("vocab.txt", do_lower_case=False).
"""

import argparse
import sys
from itertools import chain, islice
from pathlib import Path

from minibert.cli.shared import add_document_paths, check_output, read_documents_as_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_document_paths(parser)
    add("--output", type=Path, required=True, metavar="FILE", help="the vocabulary, a new file")
    add("--vocab-size", type=int, default=8192, metavar="N", help="tokens to learn; default: 8192")
    add("--cased", action="store_true", help="keep capitals and accents")
    add(
        "--min-frequency",
        type=int,
        default=2,
        metavar="N",
        help="merge only pairs that occur at least N times; default: 2",
    )
    help_text = "keep only the N most frequent characters; default: all"
    add("--limit-alphabet", type=int, metavar="N", help=help_text)
    help_text = "add N tokens [unused0] ..., to be replaced by words later; default: 0"
    add("--unused", type=int, default=0, metavar="N", help=help_text)
    help_text = "the field of a JSONL object that holds the text; default: text"
    add("--text-field", default="text", metavar="NAME", help=help_text)
    add(
        "--score",
        default="frequency",
        choices=("frequency", "likelihood"),
        help="what decides the next merge; default: frequency (likelihood is slow)",
    )


def run(options: argparse.Namespace) -> None:
    """Write the vocabulary."""
    check_output(options.output)
    from minibert.tokenization.training.train_vocabulary import describe_accents, train_vocabulary
    from minibert.tokenization.vocab import write_vocabulary

    texts = iter(read_documents_as_text(options.paths, text_field=options.text_field))
    first = list(islice(texts, 20))
    accents = describe_accents([text[:10_000] for text in first])
    if accents and not options.cased:
        print(f"note: {accents}; to keep them, use --cased.", file=sys.stderr)
    tokens = train_vocabulary(
        chain(first, texts),
        size=options.vocab_size,
        do_lower_case=not options.cased,
        min_frequency=options.min_frequency,
        alphabet_limit=options.limit_alphabet,
        unused=options.unused,
        score=options.score,
    )
    write_vocabulary(options.output, tokens)
    print(f"wrote {len(tokens):,} tokens to {options.output}")
    if len(tokens) < options.vocab_size:
        print(f"these are fewer than {options.vocab_size:,}: no other pair is frequent enough")
