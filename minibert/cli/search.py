"""Find the sentences of a file that are nearest to a query, by the cosine of their vectors.

minibert search runs/matching "How do I reset my password?" --file questions.txt
minibert search weights/mini "a cat sleeps" "it rains" --file sentences.tsv --top 3 --json

The vectors of the file are computed once and kept beside it, or in the folder --index, in a .npy
file; they are computed again if the file, the model or --pooling has changed. All cosines of one
model are high; only their order says which sentence is nearer.
"""

import argparse
import json
import sys
from itertools import chain
from pathlib import Path

from minibert.cli.shared import (
    add_column_arguments,
    add_device_arguments,
    int_range,
    one_line,
    requested_columns,
    requested_device,
)
from minibert.errors import MiniBertError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a folder or hub name of any BERT")
    add("texts", nargs="*", metavar="QUERY", help="the queries")
    file_help = "the sentences: a .txt (one per line), .tsv, .csv, .jsonl or .json"
    add("--file", type=Path, required=True, help=file_help)
    add_column_arguments(parser, ("text",))
    help_text = "how many sentences to show; default: 5"
    add("--top", type=int_range(1), default=5, metavar="N", help=help_text)
    help_text = "how to pool the tokens, as in minibert embed; default: as the folder says, or mean"
    add("--pooling", metavar="MODE", help=help_text)
    help_text = "where to keep the vectors; default: beside the file"
    add("--index", type=Path, metavar="FOLDER", help=help_text)
    add("--batch-size", type=int_range(1), default=32, metavar="N", help="default: 32")
    add("--json", action="store_true", help="print one JSON object per query")
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Print the nearest sentences of each query: the cosine, the line, the sentence."""
    queries = [text for text in options.texts if text.strip()]
    if not queries:
        raise MiniBertError('give a query: minibert search FOLDER "query" --file FILE.')
    if options.file == Path("-"):
        raise MiniBertError("search reads a file of sentences, not standard input; name a file.")
    from minibert.data.labelled.prediction_file import PredictionFile
    from minibert.files import check_folder
    from minibert.inference.search import cached_vectors, nearest
    from minibert.inference.sentence_embeddings import SentenceEncoder

    file = PredictionFile(options.file, requested_columns(options), options.encoding)
    check_folder(options.index or options.file.parent)
    encoder = SentenceEncoder.from_pretrained(options.folder, **requested_device(options))
    how = {"pooling": options.pooling, "batch_size": options.batch_size}
    vectors, path, was_there = cached_vectors(encoder, file, folder=options.index, **how)
    if not was_there:
        print(f"note: the vectors are kept in {path}", file=sys.stderr)
    found = nearest(encoder.encode(queries, **how, normalize=True), vectors, top=options.top)
    wanted = {hit.sentence for hits in found for hit in hits}
    rows = enumerate(chain.from_iterable(file.parts()))
    sentences = {index: row for index, row in rows if index in wanted}
    for query, hits in zip(queries, found, strict=True):
        results = [
            {
                "score": hit.score,
                "line": sentences[hit.sentence].line,
                "text": sentences[hit.sentence].text,
            }
            for hit in hits
        ]
        if options.json:
            print(json.dumps({"query": query, "results": results}, ensure_ascii=False))
            continue
        if len(queries) > 1:
            print(one_line(query))
        for result in results:
            line = f"{result['score']:.4f}  line {result['line']:,}  {result['text']}"
            print(one_line(line))
