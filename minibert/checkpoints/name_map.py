"""One table of parameter names: ours | Hugging Face's | Google's.

Every published BERT has the same parameters, under other names. The table is complete and is used
in both directions; translating there and back is the identity. Three differences are more than a
name:

- query, key and value are one matrix here (the rows of query, then key, then value), three there;
- Google stores the kernels of linear layers as (in, out), so they are transposed;
- Google and old files call the parameters of LayerNorm `gamma` and `beta`.

The decoder of the masked-LM head is tied to the word embeddings, so it has no row. Old names are in
`legacy_names.py`. What your own model adds to a BERT has no row either and keeps its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from minibert.checkpoints.legacy_names import NOT_PARAMETERS, current_name, to_current_names
from minibert.errors import MiniBertError

# The parameters of a module: our and Hugging Face's suffix -> Google's.
EMBEDDING = {".weight": ""}
NORM = {".weight": "/gamma", ".bias": "/beta"}
LINEAR = {".weight": "/kernel", ".bias": "/bias"}
PARAMETER = {"": ""}
OUTPUT = {".weight": "output_weights", ".bias": "output_bias"}  # not transposed, unlike a kernel

# The common prefixes, then one row per module. `{}` is the layer, `{part}` query, key and value.
TABLE = {
    ("bert.embeddings.", "bert.embeddings.", "bert/embeddings/"): (
        ("word_embeddings", "word_embeddings", "word_embeddings", EMBEDDING),
        ("position_embeddings", "position_embeddings", "position_embeddings", EMBEDDING),
        ("token_type_embeddings", "token_type_embeddings", "token_type_embeddings", EMBEDDING),
        ("LayerNorm", "LayerNorm", "LayerNorm", NORM),
    ),
    ("bert.encoder.layer.{}.", "bert.encoder.layer.{}.", "bert/encoder/layer_{}/"): (
        ("attention.query_key_value", "attention.self.{part}", "attention/self/{part}", LINEAR),
        ("attention.output", "attention.output.dense", "attention/output/dense", LINEAR),
        ("attention_LayerNorm", "attention.output.LayerNorm", "attention/output/LayerNorm", NORM),
        ("intermediate", "intermediate.dense", "intermediate/dense", LINEAR),
        ("output", "output.dense", "output/dense", LINEAR),
        ("output_LayerNorm", "output.LayerNorm", "output/LayerNorm", NORM),
    ),
    ("bert.pooler.", "bert.pooler.", "bert/pooler/"): (("dense", "dense", "dense", LINEAR),),
    ("masked_lm.", "cls.predictions.", "cls/predictions/"): (
        ("dense", "transform.dense", "transform/dense", LINEAR),
        ("LayerNorm", "transform.LayerNorm", "transform/LayerNorm", NORM),
        ("bias", "bias", "output_bias", PARAMETER),
    ),
    ("", "", ""): (
        ("next_sentence", "cls.seq_relationship", "cls/seq_relationship/", OUTPUT),
        ("classifier", "classifier", "", OUTPUT),
        ("qa_outputs", "qa_outputs", "cls/squad/", OUTPUT),
    ),
}


class Parameter(NamedTuple):
    """One of our parameters, and the one or three foreign tensors that it is made of."""

    ours: str
    hugging_face: tuple[str, ...]
    google: tuple[str, ...]


def parameters(layers: int) -> list[Parameter]:
    """Return all parameters of a model with this number of layers and every head."""
    rows = []
    for (our_prefix, their_prefix, google_prefix), modules in TABLE.items():
        for layer in range(layers if "{}" in our_prefix else 1):
            for our_name, their_name, google_name, suffixes in modules:
                parts = ("query", "key", "value") if "{part}" in their_name else ("",)
                for suffix, google_suffix in suffixes.items():
                    ours = our_prefix + our_name + suffix
                    theirs = their_prefix + their_name + suffix
                    googles = google_prefix + google_name + google_suffix
                    rows.append(
                        Parameter(
                            ours.format(layer),
                            tuple(theirs.format(layer, part=part) for part in parts),
                            tuple(googles.format(layer, part=part) for part in parts),
                        )
                    )
    return rows


@dataclass
class Translated:
    """Tensors under our names, and under their own names those that are not in the table."""

    tensors: dict[str, Tensor]
    unknown: dict[str, Tensor]
    notes: list[str] = field(default_factory=list)  # what was changed in many names
    tied: bool | None = None  # whether the masked-LM decoder, which has no row, is the embeddings


def from_hugging_face(tensors: Mapping[str, Tensor], layers: int) -> Translated:
    """Translate Hugging Face's names to ours, including legacy names and prefixes.

    Args:
        tensors: by their names in the file.
        layers: number of layers; those of further layers are unknown.

    Raises:
        MiniBertError: a part of a parameter is missing or holds no floating-point numbers, or two
            different tensors have one name.
    """
    rows = parameters(layers)
    table = {name for row in rows for name in (row.ours, *row.hugging_face)}
    unknown, notes, tied = to_current_names(tensors, table)
    ours = _to_ours(unknown, layers, "hugging_face")
    ours |= {row.ours: unknown.pop(row.ours) for row in rows if row.ours in unknown}
    return Translated(ours, unknown, notes, tied)


def from_google(tensors: Mapping[str, Tensor], layers: int) -> Translated:
    """Translate Google's names to ours.

    Raises:
        MiniBertError: a part of a parameter is missing.
    """
    unknown = dict(sorted(tensors.items()))
    return Translated(_to_ours(unknown, layers, "google"), unknown)


def to_hugging_face(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Translate our names to those that `transformers` uses today; other names are kept.

    Raises:
        MiniBertError: one of the other names is Hugging Face's for a part of a BERT.
    """
    own = dict(tensors)
    theirs = _from_ours(own, layers, "hugging_face")
    table = {name for row in parameters(layers) for name in row.hugging_face} | NOT_PARAMETERS
    taken = [name for name in own if current_name(name) in table]
    if taken:
        raise MiniBertError(
            f"your model has a tensor {min(taken)}, which is Hugging Face's name for another one, "
            "so the file could not be loaded again; rename that part of your model."
        )
    return theirs | own


def to_google(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Translate our names to Google's; other tensors are left out."""
    return _from_ours(dict(tensors), layers, "google")


def _to_ours(
    tensors: dict[str, Tensor], layers: int, column: Literal["hugging_face", "google"]
) -> dict[str, Tensor]:
    """Move the parameters of a BERT out of `tensors`, and return them under our names."""
    ours = {}
    for row in parameters(layers):
        names = row.hugging_face if column == "hugging_face" else row.google
        missing = [name for name in names if name not in tensors]
        if len(missing) == len(names):
            continue
        if missing:
            raise MiniBertError(
                f"the file has only some of the {len(names)} tensors that make up {row.ours}; it "
                f"lacks {', '.join(missing)}. Copy it again from its source."
            )
        pieces = [tensors.pop(name) for name in names]
        for name, piece in zip(names, pieces, strict=True):
            if not piece.is_floating_point():
                raise MiniBertError(
                    f"{name} is stored as {piece.dtype}, which cannot be a weight; save the model "
                    "as float16 or float32."
                )
        if len(pieces) > 1 and (pieces[0].dim() == 0 or len({piece.shape for piece in pieces}) > 1):
            shapes = ", ".join(f"{n} {tuple(p.shape)}" for n, p in zip(names, pieces, strict=True))
            raise MiniBertError(
                f"the tensors that make up {row.ours} must have one shape, but the file has "
                f"{shapes}; copy it again from its source."
            )
        if names[0].endswith("/kernel"):
            pieces = [piece.transpose(0, -1) for piece in pieces]  # (in, out) -> (out, in)
        ours[row.ours] = pieces[0].contiguous() if len(pieces) == 1 else torch.cat(pieces)
    return ours


def _from_ours(
    tensors: dict[str, Tensor], layers: int, column: Literal["hugging_face", "google"]
) -> dict[str, Tensor]:
    """Move the parameters of a BERT out of `tensors`, and return them under foreign names."""
    theirs = {}
    for row in parameters(layers):
        if row.ours in tensors:
            names = row.hugging_face if column == "hugging_face" else row.google
            pieces = tensors.pop(row.ours).chunk(len(names))
            for name, piece in zip(names, pieces, strict=True):
                theirs[name] = (piece.T if name.endswith("/kernel") else piece).contiguous()
    return theirs
