"""Translate the names in older Hugging Face files to those that `transformers` uses today.

module.bert.embeddings.word_embeddings.weight    `module.` of DataParallel, `_orig_mod.` of compile
       embeddings.word_embeddings.weight         a bare encoder, saved without `bert.`
bert.embeddings.LayerNorm.gamma                  before 2019, as in Google's code: now .weight
bert.embeddings.position_ids                     the numbers 0, 1, 2, ..., stored until 2023
cls.predictions.decoder.weight                   the word embeddings once more, as they are tied
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from minibert.errors import MiniBertError

WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
TIED_DECODER = "cls.predictions.decoder.weight"
NOT_PARAMETERS = frozenset({"bert.embeddings.position_ids", TIED_DECODER})
PREFIXES = ("_orig_mod.", "module.")
HEADS = ("cls.", "classifier.", "qa_outputs.")


def current_name(name: str) -> str:
    """Return what `transformers` calls a tensor today.

    Example:
        >>> current_name("bert.embeddings.LayerNorm.gamma")
        'bert.embeddings.LayerNorm.weight'
    """
    if name == "cls.predictions.decoder.bias":
        return "cls.predictions.bias"
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name


def to_current_names(
    tensors: Mapping[str, Tensor], table: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors under current names, and notes on what was changed for all of them.

    Args:
        tensors: by the names in a file.
        table: the current names of a BERT's parameters. Other names are kept as they are.

    Raises:
        MiniBertError: two tensors of different values have one name, or the decoder is not tied to
            the word embeddings.
    """
    tensors, notes = dict(tensors), []
    while tensors and (
        prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in tensors)), None)
    ):
        notes.append(f"removed {prefix!r} from every name")
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    if not any(name.startswith("bert.") for name in tensors):
        tensors = {
            name if name.startswith(HEADS) else f"bert.{name}": tensor
            for name, tensor in tensors.items()
        }
    current: dict[str, Tensor] = {}
    for old_name, tensor in tensors.items():
        if old_name in NOT_PARAMETERS:
            continue
        name = current_name(old_name) if current_name(old_name) in table else old_name
        if name in current and not torch.equal(current[name], tensor):
            raise MiniBertError(
                f"the file holds two different tensors for {name}, so it is damaged; copy it again "
                "from its source."
            )
        current[name] = tensor
    decoder, embeddings = tensors.get(TIED_DECODER), current.get(WORD_EMBEDDINGS)
    # NaN is not equal to itself; folder.py refuses it with a better reason.
    if (
        decoder is not None
        and embeddings is not None
        and not torch.equal(decoder, embeddings)
        and not embeddings.isnan().any()
    ):
        raise MiniBertError(
            f"{TIED_DECODER} differs from the word embeddings, so this model was trained with "
            "untied weights. minibert ties them, as Google's BERT does, so its predictions would "
            "be wrong; load this model with transformers."
        )
    return current, notes
