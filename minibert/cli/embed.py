"""Turn each text into one vector, to be compared, searched or clustered.

minibert embed weights/tiny "A cat sleeps." "A dog barks."
minibert embed bert-base-chinese "猫在睡觉。"
minibert embed weights/tiny --file texts.txt --pooling mean --normalize --output vectors.npy

Without --output, or with a .jsonl, a text is one line {"text": ..., "vector": [...]}; a .npy holds
one float32 array, a row a text.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minibert.cli.shared import (
    add_text_arguments,
    check_output,
    counted,
    note_unknown,
    read_texts,
    warnings_as_notes,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", help="any folder with a BERT in it")
    add_text_arguments(parser, pairs=False)
    parser.add_argument(
        "--pooling", default="mean", metavar="MODE", help="mean (default), cls, max or pooler"
    )
    parser.add_argument(
        "--layer", type=int, default=-1, metavar="N", help="0: the embeddings; default: the last"
    )
    parser.add_argument("--normalize", action="store_true", help="scale every vector to length 1")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="texts at a time")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a new .npy or .jsonl")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.output is not None:
        check_output(options.output, endings=(".npy", ".jsonl"))
    texts, _ = read_texts(options)
    from minibert.inference.sentence_embeddings import SentenceEncoder
    from minibert.training.settings import choose_device

    encoder = SentenceEncoder.from_pretrained(options.folder, device=choose_device(options.device))
    with warnings_as_notes():
        vectors = encoder.encode(
            texts,
            pooling=options.pooling,
            layer=options.layer,
            batch_size=options.batch_size,
            normalize=options.normalize,
            show_progress_bar=True,
        )
    note_unknown(encoder.tokenizer, texts)
    if options.output is None:
        for line in _lines(texts, vectors):
            print(line)
        return
    _write(options.output, texts, vectors)
    print(f"{options.output} has {counted(len(texts), 'vector')} of {vectors.shape[1]} numbers")


def _write(output: Path, texts: Sequence[str], vectors: Any) -> None:
    import numpy as np

    from minibert.files import atomic_file

    with atomic_file(output) as temporary:
        if output.suffix.lower() == ".npy":
            with temporary.open("wb") as file:  # np.save would add .npy to a bare name
                np.save(file, vectors)
        else:
            with temporary.open(
                "w", encoding="utf-8", errors="backslashreplace", newline="\n"
            ) as file:
                file.writelines(f"{line}\n" for line in _lines(texts, vectors))


def _lines(texts: Sequence[str], vectors: Any) -> Iterator[str]:
    """JSON objects; the shortest decimals that give the same float32 again."""
    for text, vector in zip(texts, vectors, strict=True):
        numbers = [float(str(number)) for number in vector]
        yield json.dumps({"text": text, "vector": numbers}, ensure_ascii=False)
