"""Find the sentences of a file that are nearest to a query, by the cosine of their vectors.

    encoder = SentenceEncoder.from_pretrained("runs/matching")
    vectors = cached_vectors(encoder, PredictionFile(Path("sentences.txt")))
    [hits] = nearest(encoder.encode(["a query"], normalize=True), vectors, top=5)

The vectors are computed once and kept in a .npy file, whose name holds a checksum of the sentences,
the weights, the vocabulary and how vectors are made: after any change, they are computed again.

N sentences, Q queries, E hidden width.
"""

import glob
import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from minibert.data.labelled.prediction_file import PredictionFile
from minibert.files import atomic_file, explain_os_errors, make_folder
from minibert.inference.sentence_embeddings import SentenceEncoder

CHUNK = 16_384  # vectors that are compared at a time
DECIMALS = 6  # of a cosine; beyond them it depends on how texts are batched

Vectors = NDArray[np.float32]


class Hit(NamedTuple):
    """A sentence that is near to a query."""

    sentence: int  # its place, from 0
    score: float  # the cosine, from -1 to 1


def nearest(queries: Vectors, vectors: Vectors, *, top: int) -> list[list[Hit]]:
    """Return the `top` nearest sentences of each query, the nearest first.

    Of equally near sentences, the earlier one comes first. The products are computed in chunks, so
    that the memory does not depend on N.

    Args:
        queries: (Q, E), each of length 1.
        vectors: (N, E), each of length 1; they may lie on disk.
        top: at most; there are no more than N.

    Example:
        >>> vectors = np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32)
        >>> nearest(vectors[:1], vectors, top=2)
        [[Hit(sentence=0, score=1.0), Hit(sentence=2, score=1.0)]]
    """
    indices = np.zeros((len(queries), 0), dtype=np.int64)
    scores = np.zeros((len(queries), 0))
    for start in range(0, len(vectors), CHUNK):
        found = queries @ np.asarray(vectors[start : start + CHUNK]).T  # (Q, E), (E, n) -> (Q, n)
        numbers = np.broadcast_to(np.arange(start, start + found.shape[1]), found.shape)
        scores = np.concatenate([scores, found.astype(np.float64).round(DECIMALS)], axis=1)
        indices = np.concatenate([indices, numbers], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        scores = np.take_along_axis(scores, best, axis=1)
        indices = np.take_along_axis(indices, best, axis=1)
    return [
        [Hit(*hit) for hit in zip(*row, strict=True)]
        for row in zip(indices.tolist(), scores.tolist(), strict=True)
    ]


def cached_vectors(
    encoder: SentenceEncoder,
    file: PredictionFile,
    *,
    folder: Path | None = None,
    pooling: str | None = None,
    batch_size: int = 32,
) -> tuple[Vectors, Path, bool]:
    """Return the vectors of the sentences of a file, of length 1, from the cache if they are there.

    Args:
        encoder: computes them.
        file: its sentences.
        folder: of the cache; None: that of the file.
        pooling: see `SentenceEncoder.encode`.
        batch_size: texts to run at a time.

    Returns:
        The vectors (N, E), memory-mapped; the file that keeps them; whether it was there. Those of
        an earlier state of the sentences or of another model are deleted.

    Raises:
        MiniBertError: the cache cannot be written.
    """
    assert file.count is not None  # it is no standard input
    folder = file.path.parent if folder is None else folder
    shape = (file.count, encoder.model.config.hidden_size)
    start = f"{file.path.name}.vectors-"
    path = folder / f"{start}{_checksum(encoder, file, pooling)}.npy"
    if path.is_file():
        try:
            vectors: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
            if vectors.shape == shape and vectors.dtype == np.float32:
                return vectors, path, True
        except (ValueError, OSError, EOFError):  # damaged: it is written again
            pass
    make_folder(folder)
    options: dict[str, Any] = {"pooling": pooling, "batch_size": batch_size, "normalize": True}
    with (
        atomic_file(path, size=4 * shape[0] * shape[1]) as temporary,
        warnings.catch_warnings(record=True) as caught,
        tqdm(total=file.count, unit="text", disable=None) as bar,
    ):
        new = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        done = 0
        for part in file.parts():
            texts = [row.text for row in part]
            new[done : done + len(part)] = encoder.encode(texts, **options)
            done += len(part)
            bar.update(len(part))
        new.flush()
    if caught:  # for each part of the file
        warnings.warn(
            f"some sentences are longer than the {encoder.max_length} tokens that this model "
            "reads; their vectors represent only their beginning.",
            stacklevel=2,
        )
    for old in folder.glob(f"{glob.escape(start)}*.npy"):
        if old != path:
            old.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r", allow_pickle=False), path, False


def _checksum(encoder: SentenceEncoder, file: PredictionFile, pooling: str | None) -> str:
    """Return a checksum of all that the vectors depend on."""
    digest = hashlib.sha256(b"version 1")
    options: Mapping[str, object] = {
        "file": (file.columns, file.encoding, file.count),
        "pooling": pooling or encoder.pooling,
        "text": (encoder.max_length, encoder.lower_case, encoder.prompt),
        "vocabulary": encoder.tokenizer.get_vocab(),
        "normalization": encoder.tokenizer.normalization,
        "config": encoder.model.config.to_dict(),
    }
    digest.update(json.dumps(options, sort_keys=True, default=repr).encode())
    with explain_os_errors("read", file.path), file.path.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    for name, tensor in encoder.model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]
