"""What files of other years and other tools do to Hugging Face's names, undone.

module.bert.embeddings.word_embeddings.weight    a wrapper of data parallel or compiled training
       embeddings.word_embeddings.weight         the bare encoder, saved without its prefix
bert.embeddings.LayerNorm.gamma                  before 2019, as in Google's code: now .weight
bert.embeddings.position_ids                     the numbers 0, 1, 2, ..., stored until 2023
cls.predictions.decoder.weight                   the token table once more, as it is tied
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from minibert.errors import MiniBertError

TIED_DECODER = "cls.predictions.decoder.weight"
# A name that says again what another one says.
REPEATED = {"cls.predictions.decoder.bias": "cls.predictions.bias"}
NOT_WEIGHTS = frozenset({"bert.embeddings.position_ids"})
WRAPPERS = ("_orig_mod.", "module.")
HEADS = ("cls.", "classifier.", "qa_outputs.")


def without_wrappers(tensors: Mapping[str, Tensor], notes: list[str]) -> dict[str, Tensor]:
    """Take off `module.` (data parallel) and `_orig_mod.` (compiled), where every name has it.

    Args:
        tensors: by foreign name; not changed.
        notes: what was taken off is added here, in words.
    """
    found = dict(tensors)
    while found:
        wrapper = next((w for w in WRAPPERS if all(name.startswith(w) for name in found)), None)
        if wrapper is None:
            break
        notes.append(f"took {wrapper!r} off every name")
        found = {name.removeprefix(wrapper): tensor for name, tensor in found.items()}
    return found


def with_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put `bert.` before the names of a bare encoder, where no name has it."""
    if any(name.startswith("bert.") for name in tensors):
        return tensors
    return {
        name if name.startswith(HEADS) else f"bert.{name}": tensor
        for name, tensor in tensors.items()
    }


def old_spelling(name: str) -> tuple[str, ...]:
    """What a tensor was called before, if it was: `LayerNorm.gamma` for `LayerNorm.weight`."""
    if name.endswith("LayerNorm.weight"):
        return (name.removesuffix("weight") + "gamma",)
    if name.endswith("LayerNorm.bias"):
        return (name.removesuffix("bias") + "beta",)
    return ()


def check_tied(decoder: Tensor | None, token_table: Tensor | None) -> None:
    """Refuse a decoder that is not the token table.

    Raises:
        MiniBertError: they differ.
    """
    if decoder is None or token_table is None or torch.equal(decoder, token_table):
        return
    if not token_table.isnan().any():  # NaN is not even equal to itself, and refused in folder.py
        raise MiniBertError(
            f"{TIED_DECODER} differs from the token table, so this model was trained untied; "
            "minibert's decoder is the token table (Google's BERT), and would answer wrongly."
        )
