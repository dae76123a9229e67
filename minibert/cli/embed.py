"""Compute a vector for each text, to compare, search or cluster.

minibert embed weights/tiny "A cat sleeps." "A dog barks."
minibert embed bert-base-chinese "猫在睡觉。"
minibert embed weights/tiny --file texts.txt --normalize --output vectors.npy --figure cats.png

A .npy file has one float32 array with a row per text. Without --output, or with a .jsonl file, each
text is one line: {"text": ..., "vector": [...]}. --figure plots the first two principal components.
"""

import argparse
import json
from pathlib import Path

from minibert.cli.shared import (
    FIGURE_SUFFIXES,
    add_text_arguments,
    check_output,
    note_empty,
    note_unknown,
    open_texts,
)


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
    add("--figure", type=Path, metavar="FILE", help="also draw the texts in a .png, .svg or .pdf")
    add("--device", default="cpu", help="cpu, cuda, mps or auto; default: cpu")


def run(options: argparse.Namespace) -> None:
    """Print the vectors, or write them to a file."""
    if options.output is not None:
        check_output(options.output, suffixes=(".npy", ".jsonl"))
    if options.figure is not None:
        check_output(options.figure, suffixes=FIGURE_SUFFIXES, replace=True)
    source = open_texts(options)
    import numpy as np

    from minibert.files import atomic_file
    from minibert.inference.sentence_embeddings import SentenceEncoder
    from minibert.plots.embedding_plot import embedding_plot
    from minibert.plots.style import save_figure
    from minibert.training.settings import choose_device

    encoder = SentenceEncoder.from_pretrained(options.folder, device=choose_device(options.device))
    texts = [row.text for part in source.parts() for row in part]
    vectors = encoder.encode(
        texts,
        pooling=options.pooling,
        layer=options.layer,
        batch_size=options.batch_size,
        normalize=options.normalize,
        show_progress_bar=True,
    )
    note_unknown(encoder.tokenizer, texts)
    note_empty(source)
    if options.figure is not None:
        save_figure(embedding_plot(vectors, texts), options.figure)
    # str() gives the shortest decimals that become the same float32 again.
    lines = (
        json.dumps({"text": text, "vector": [float(str(x)) for x in vector]}, ensure_ascii=False)
        for text, vector in zip(texts, vectors, strict=True)
    )
    if options.output is None:
        for line in lines:
            print(line)
        return
    with atomic_file(options.output) as temporary:
        if options.output.suffix.lower() == ".npy":
            with temporary.open("wb") as file:  # np.save would append .npy to the temporary name
                np.save(file, vectors)
        else:
            with temporary.open(
                "w", encoding="utf-8", errors="backslashreplace", newline="\n"
            ) as text_file:
                text_file.writelines(f"{line}\n" for line in lines)
    print(f"wrote vectors of shape {vectors.shape} to {options.output}")
