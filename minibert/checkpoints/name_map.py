"""One table of names: ours | Hugging Face's | Google's.

Every published BERT is the same list of tensors under other names. The table has a row for each
module, with `{}` for the number of the layer, and a kind that says which tensors the module has. It
is total and is used in both directions; ours -> theirs -> ours is the identity. Three differences
are more than a name:

- we keep query, key and value in one matrix (all rows of Q, then of K, then of V), they in three;
- Google multiplies from the other side, so its kernels are transposed;
- Google and old files call the two vectors of LayerNorm `gamma` and `beta`, new ones `weight` and
  `bias`.

The decoder of the masked-word head is the token table itself ("tied"), so it has no row; files that
repeat it are checked to say the same. What older files write otherwise is in `spellings.py`. What a
model of your own adds to a BERT has no row either and keeps its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from minibert.checkpoints.legacy_names import (
    NOT_WEIGHTS,
    REPEATED,
    TIED_DECODER,
    check_tied,
    old_spelling,
    with_prefix,
    without_wrappers,
)
from minibert.errors import MiniBertError


class Kind(Enum):
    """Which tensors a module has: our suffix, Hugging Face's, Google's; is Google's transposed?"""

    EMBEDDING = ((".weight", ".weight", "", False),)
    NORM = ((".weight", ".weight", "/gamma", False), (".bias", ".bias", "/beta", False))
    LINEAR = ((".weight", ".weight", "/kernel", True), (".bias", ".bias", "/bias", False))
    # Google's last layers, multiplied with transpose_b=True.
    OUTPUT = (
        (".weight", ".weight", "output_weights", False),
        (".bias", ".bias", "output_bias", False),
    )
    BIAS = ((".bias", ".bias", "output_bias", False),)


class Module(NamedTuple):
    """One row of the table."""

    ours: str
    hugging_face: str
    google: str
    kind: Kind
    parts: tuple[str, ...] = ("",)  # what `{part}` stands for, in the order that we join them


TABLE = (
    Module(
        "bert.embeddings.word_embeddings",
        "bert.embeddings.word_embeddings",
        "bert/embeddings/word_embeddings",
        Kind.EMBEDDING,
    ),
    Module(
        "bert.embeddings.position_embeddings",
        "bert.embeddings.position_embeddings",
        "bert/embeddings/position_embeddings",
        Kind.EMBEDDING,
    ),
    Module(
        "bert.embeddings.token_type_embeddings",
        "bert.embeddings.token_type_embeddings",
        "bert/embeddings/token_type_embeddings",
        Kind.EMBEDDING,
    ),
    Module(
        "bert.embeddings.LayerNorm",
        "bert.embeddings.LayerNorm",
        "bert/embeddings/LayerNorm",
        Kind.NORM,
    ),
    Module(
        "bert.encoder.layer.{}.attention.query_key_value",
        "bert.encoder.layer.{}.attention.self.{part}",
        "bert/encoder/layer_{}/attention/self/{part}",
        Kind.LINEAR,
        parts=("query", "key", "value"),
    ),
    Module(
        "bert.encoder.layer.{}.attention.output",
        "bert.encoder.layer.{}.attention.output.dense",
        "bert/encoder/layer_{}/attention/output/dense",
        Kind.LINEAR,
    ),
    Module(
        "bert.encoder.layer.{}.attention_LayerNorm",
        "bert.encoder.layer.{}.attention.output.LayerNorm",
        "bert/encoder/layer_{}/attention/output/LayerNorm",
        Kind.NORM,
    ),
    Module(
        "bert.encoder.layer.{}.intermediate",
        "bert.encoder.layer.{}.intermediate.dense",
        "bert/encoder/layer_{}/intermediate/dense",
        Kind.LINEAR,
    ),
    Module(
        "bert.encoder.layer.{}.output",
        "bert.encoder.layer.{}.output.dense",
        "bert/encoder/layer_{}/output/dense",
        Kind.LINEAR,
    ),
    Module(
        "bert.encoder.layer.{}.output_LayerNorm",
        "bert.encoder.layer.{}.output.LayerNorm",
        "bert/encoder/layer_{}/output/LayerNorm",
        Kind.NORM,
    ),
    Module("bert.pooler.dense", "bert.pooler.dense", "bert/pooler/dense", Kind.LINEAR),
    Module(
        "masked_lm.dense",
        "cls.predictions.transform.dense",
        "cls/predictions/transform/dense",
        Kind.LINEAR,
    ),
    Module(
        "masked_lm.LayerNorm",
        "cls.predictions.transform.LayerNorm",
        "cls/predictions/transform/LayerNorm",
        Kind.NORM,
    ),
    Module("masked_lm", "cls.predictions", "cls/predictions/", Kind.BIAS),
    Module("next_sentence", "cls.seq_relationship", "cls/seq_relationship/", Kind.OUTPUT),
    Module("classifier", "classifier", "", Kind.OUTPUT),
    Module("qa_outputs", "qa_outputs", "cls/squad/", Kind.OUTPUT),
)


class Parameter(NamedTuple):
    """One of our tensors, and the one or three foreign tensors that it is made of."""

    ours: str
    hugging_face: tuple[str, ...]
    google: tuple[str, ...]
    transposed: bool  # is Google's the other way round?


def parameters(layers: int) -> list[Parameter]:
    """The table written out for a model of so many layers."""
    rows = []
    for module in TABLE:
        for layer in range(layers if "{}" in module.ours else 1):
            for ours, hugging_face, google, transposed in module.kind.value:
                rows.append(
                    Parameter(
                        module.ours.format(layer) + ours,
                        tuple(
                            module.hugging_face.format(layer, part=part) + hugging_face
                            for part in module.parts
                        ),
                        tuple(
                            module.google.format(layer, part=part) + google for part in module.parts
                        ),
                        transposed,
                    )
                )
    return rows


@dataclass
class Translated:
    """Tensors under our names, and those that have no place in the table, under theirs."""

    tensors: dict[str, Tensor]
    unknown: dict[str, Tensor] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what was put right on the way, in words


def from_hugging_face(tensors: Mapping[str, Tensor], layers: int) -> Translated:
    """Hugging Face's names to ours, old spellings and missing or additional prefixes included.

    Args:
        tensors: by foreign name; not changed.
        layers: how many layers the config promises; further ones are reported as unknown.

    Raises:
        MiniBertError: a tensor is there in part, or the decoder is not tied to the token table.
    """
    notes: list[str] = []
    found = with_prefix(without_wrappers(tensors, notes))
    spelled = _spellings(layers)
    known: dict[str, Tensor] = {}
    unknown: dict[str, Tensor] = {}
    decoder = found.pop(TIED_DECODER, None)
    for name, tensor in found.items():
        if name in NOT_WEIGHTS:
            continue
        new = spelled.get(REPEATED.get(name, name))
        if new is None:
            unknown[name] = tensor
        elif new in known and not torch.equal(known[new], tensor):
            raise MiniBertError(f"the file holds two different tensors for {new}; it is damaged.")
        else:
            known[new] = tensor
    check_tied(decoder, known.get("bert.embeddings.word_embeddings.weight"))
    ours = {}
    for row in parameters(layers):
        joined = _join(row.ours, row.hugging_face, known)
        if joined is not None:
            ours[row.ours] = joined
    return Translated(ours, unknown, notes)


def to_hugging_face(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Our names to Hugging Face's, as `transformers` writes them today; others stay as they are.

    Raises:
        MiniBertError: one of the others is a name that Hugging Face has for a part of a BERT.
    """
    theirs: dict[str, Tensor] = {}
    own = dict(tensors)
    for row in parameters(layers):
        if row.ours in tensors:
            theirs |= zip(row.hugging_face, _split(row, own.pop(row.ours)), strict=True)
    taken = own.keys() & {*_spellings(layers), *REPEATED, *NOT_WEIGHTS, TIED_DECODER}
    if taken:
        raise MiniBertError(
            f"{min(taken)} is what Hugging Face calls another part of a BERT, so it would not be "
            "read back; give that part of your model another name."
        )
    return theirs | own


def from_google(tensors: Mapping[str, Tensor], layers: int) -> Translated:
    """Google's names to ours.

    Raises:
        MiniBertError: a tensor is there in part.
    """
    remaining = dict(tensors)
    ours = {}
    for row in parameters(layers):
        known = {
            name: remaining.pop(name).T if row.transposed else remaining.pop(name)
            for name in row.google
            if name in remaining
        }
        joined = _join(row.ours, row.google, known)
        if joined is not None:
            ours[row.ours] = joined
    return Translated(ours, dict(sorted(remaining.items())))


def to_google(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Our names to Google's."""
    theirs: dict[str, Tensor] = {}
    for row in parameters(layers):
        if row.ours in tensors:
            pieces = _split(row, tensors[row.ours])
            turned = [piece.T.contiguous() if row.transposed else piece for piece in pieces]
            theirs |= zip(row.google, turned, strict=True)
    return theirs


def _spellings(layers: int) -> dict[str, str]:
    """All that Hugging Face ever called the tensors of the table -> what it calls them today."""
    return {
        spelling: name
        for row in parameters(layers)
        for name in row.hugging_face
        for spelling in (name, *old_spelling(name))
    }


def _join(ours: str, names: tuple[str, ...], known: Mapping[str, Tensor]) -> Tensor | None:
    pieces = [known[name] for name in names if name in known]
    if not pieces:
        return None
    if len(pieces) < len(names):
        missing = [name for name in names if name not in known]
        raise MiniBertError(f"{ours} is made of {len(names)} tensors, and {missing} is missing.")
    if len(pieces) == 1:
        return pieces[0].contiguous()
    if len({tuple(piece.shape) for piece in pieces}) > 1 or pieces[0].dim() == 0:
        shapes = ", ".join(f"{name} {tuple(known[name].shape)}" for name in names)
        raise MiniBertError(f"{ours} is made of tensors of one shape, but the file has {shapes}.")
    return torch.cat(pieces)


def _split(row: Parameter, tensor: Tensor) -> list[Tensor]:
    return [piece.contiguous() for piece in tensor.chunk(len(row.hugging_face))]
