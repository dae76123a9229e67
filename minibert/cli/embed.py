"""Compute a vector for each text, to compare, search or cluster.

minibert embed weights/tiny "A cat sleeps." "A dog barks."
minibert embed bert-base-chinese "猫在睡觉。"
minibert embed weights/tiny --file texts.txt --normalize --output vectors.npy --figure cats.png

A .npy file has one float32 array with a row per text. Without --output, or with a .jsonl file, each
text is one line: {"text": ..., "vector": [...]}. --figure plots the first two principal components.
A --file may have any size, and torchrun starts several processes that share it:

torchrun --nproc-per-node 2 --no-python minibert embed weights/tiny --file big.txt --output big.npy
"""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.cli.shared import (
    FIGURE_SUFFIXES,
    add_device_arguments,
    add_text_arguments,
    check_output,
    note_empty,
    note_unknown,
    open_texts,
    requested_device,
)
from minibert.errors import MiniBertError

if TYPE_CHECKING:
    from minibert.data.labelled.prediction_file import TextRow
    from minibert.inference.sentence_embeddings import SentenceEncoder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a folder or hub name of any BERT")
    add_text_arguments(parser, pairs=False)
    help_text = (
        "how to pool the tokens: mean, cls, max or pooler; default: as the folder says, or mean"
    )
    add("--pooling", metavar="MODE", help=help_text)
    help_text = "the layer to pool, 0 for the embeddings; default: -1, the last"
    add("--layer", type=int, default=-1, metavar="N", help=help_text)
    help_text = "scale every vector to length 1, or not; default: as the folder says, or not"
    add("--normalize", action=argparse.BooleanOptionalAction, help=help_text)
    add("--batch-size", type=int, default=32, metavar="N", help="texts per batch; default: 32")
    add("--output", type=Path, metavar="FILE", help="a new .npy or .jsonl file; default: print")
    add("--resume", action="store_true", help="finish an interrupted run with --file and --output")
    add("--figure", type=Path, metavar="FILE", help="also draw the texts in a .png, .svg or .pdf")
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Print the vectors, or write them to a file."""
    if options.output is not None:
        check_output(options.output, suffixes=(".npy", ".jsonl"))
    if options.figure is not None:
        check_output(options.figure, suffixes=FIGURE_SUFFIXES, replace=True)
    source = open_texts(options)
    import numpy as np
    from numpy.typing import NDArray
    from tqdm import tqdm

    from minibert.cli.parts import fingerprint_of, write_in_parts
    from minibert.inference.sentence_embeddings import SentenceEncoder
    from minibert.plots.embedding_plot import embedding_plot
    from minibert.plots.style import save_figure
    from minibert.training.distributed import join_processes

    where = requested_device(options)
    encoder = SentenceEncoder.from_pretrained(options.folder, **where)
    how = {name: getattr(options, name) for name in ("pooling", "layer", "normalize")}
    truncated = count = 0
    figure_texts: list[str] = []
    figure_vectors: list[NDArray[np.float32]] = []

    def encode(part: "list[TextRow]") -> bytes:
        """Return the vectors of texts as JSON lines or as the contents of an array."""
        nonlocal truncated, count
        texts = [row.text for row in part]
        tokenized = encoder.tokenize(texts)
        vectors = encoder.encode_tokenized(tokenized, batch_size=options.batch_size, **how)
        if not count:
            note_unknown(encoder.tokenizer, texts)
        truncated += encoder.count_truncated(tokenized)
        count += len(texts)
        bar.update(len(texts))
        if options.figure is not None:
            figure_texts.extend(texts)
            figure_vectors.append(vectors)
        if options.output is not None and options.output.suffix.lower() == ".npy":
            return vectors.astype("<f4").tobytes()
        # str() gives the shortest decimals that become the same float32 again.
        rows = ([float(str(x)) for x in vector] for vector in vectors)
        lines = ({"text": text, "vector": row} for text, row in zip(texts, rows, strict=True))
        joined = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        return joined.encode("utf-8", "backslashreplace")

    with (
        join_processes(where["device"]) as processes,
        tqdm(total=source.count, unit="text", disable=None) as bar,
    ):
        if options.figure is not None and (options.resume or processes.world_size > 1):
            raise MiniBertError("--figure needs all vectors; draw it in a run of one process.")
        if options.output is None:
            for part in source.parts():
                print(encode(part).decode("utf-8"), end="", flush=True)
        else:
            write_in_parts(
                options.output,
                source.parts(),
                encode,
                header=lambda: _header(options.output, source.count or count, encoder),
                fingerprint=fingerprint_of(
                    options, encoder.model, ("pooling", "layer", "normalize")
                ),
                resume=options.resume,
                processes=processes,
            )
        truncated, read = map(int, processes.sum([truncated, count]))
    note_empty(source)
    if truncated:
        print(f"note: {encoder.describe_truncated(truncated, read)}", file=sys.stderr)
    if options.figure is not None:
        save_figure(embedding_plot(np.concatenate(figure_vectors), figure_texts), options.figure)
    if options.output is not None and processes.is_main:
        shape = source.count or count, encoder.model.config.hidden_size
        print(f"wrote vectors of shape {shape} to {options.output}")


def _header(output: Path, count: int, encoder: "SentenceEncoder") -> bytes:
    """Return the beginning of a file of `count` vectors."""
    if output.suffix.lower() != ".npy":
        return b""
    import numpy as np

    header = {"descr": "<f4", "fortran_order": False}
    header["shape"] = (count, encoder.model.config.hidden_size)
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()
