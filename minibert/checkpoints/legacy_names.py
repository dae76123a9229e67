"""Translate the names in Hugging Face files of any age to those that `transformers` uses today.

module.bert.embeddings.word_embeddings.weight    `module.` of DataParallel, `_orig_mod.` of compile
 model.bert.embeddings.word_embeddings.weight    any other prefix, as of a class around the model
       embeddings.word_embeddings.weight         a bare encoder, saved without `bert.`
bert.embeddings.LayerNorm.gamma                  before 2019, as in Google's code: now .weight
bert.embeddings.position_ids                     the numbers 0, 1, 2, ..., stored until 2023
cls.predictions.decoder.weight                   the word embeddings once more, as they are tied
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from minibert.checkpoints.foreign_config import other_model
from minibert.errors import MiniBertError

WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
TIED_DECODER = "cls.predictions.decoder.weight"
TIED_BIAS = "cls.predictions.bias"
NOT_PARAMETERS = frozenset({"bert.embeddings.position_ids", TIED_DECODER})
# A decoder that differs from the word embeddings by less was tied, and rounded or averaged since.
TIED_TOLERANCE = 1e-5
# Where these modules wrap others, every name below them gets one more part.
WRAPPERS = re.compile(
    r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
QUERY = "encoder.layer.0.attention.self.query.weight"  # by it, an encoder is recognized


def current_name(name: str) -> str:
    """Return what `transformers` calls a tensor today.

    Example:
        >>> current_name("bert.embeddings.LayerNorm.gamma")
        'bert.embeddings.LayerNorm.weight'
    """
    if name == "cls.predictions.decoder.bias":
        return TIED_BIAS
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name


class Renamed(NamedTuple):
    """Tensors under current names; other tensors keep theirs."""

    tensors: dict[str, Tensor]
    notes: list[str]  # the prefixes that were removed
    untied: bool  # whether the file has a masked-LM decoder of its own


def to_current_names(tensors: Mapping[str, Tensor], table: Collection[str]) -> Renamed:
    """Return the tensors under current names.

    Args:
        tensors: by the names in a file.
        table: the current names of a BERT's parameters. Other names are kept as they are.

    Raises:
        MiniBertError: two tensors of different values have one name, there are two encoders, or
            the encoder is not BERT's.
    """
    plain = {name: WRAPPERS.sub("", name) for name in tensors}
    encoders = sorted({n.removesuffix(QUERY) for n in plain.values() if n.endswith(QUERY)})
    encoder = "bert." if "bert." in encoders or not encoders else encoders[0]
    if len(encoders) > 1 and encoder != "bert.":
        raise MiniBertError(
            f"the file has {len(encoders)} encoders, below {encoders[0]!r:.99} and "
            f"{encoders[1]!r:.99}; save the state_dict() of one of them."
        )
    if other := other_model(encoder.split(".")[-2] if encoder else ""):
        raise MiniBertError(f"the tensors are those of {other}, not of a BERT; use transformers.")
    outer = re.sub(r"(?<![^.])bert\.$", "", encoder)  # of the heads
    current: dict[str, Tensor] = {}
    removed, untied, decoder = set(), False, None
    for old, tensor in tensors.items():
        inner = plain[old].removeprefix(outer)
        for name in (plain[old], inner, "bert." + plain[old].removeprefix(encoder)):
            if current_name(name) in table or name in NOT_PARAMETERS:
                rest = name.removeprefix("bert.")
                removed.add(old.removesuffix(rest).removesuffix("bert."))
                break
        else:
            name = inner if WRAPPERS.match(old) or inner != plain[old] else old
        decoder = tensor if name == TIED_DECODER else decoder
        if name in NOT_PARAMETERS:
            continue
        name = current_name(name) if current_name(name) in table else name
        if name in current and not torch.equal(current[name], tensor):
            if name != TIED_BIAS:
                raise MiniBertError(f"the file holds two different tensors for {name}; damaged.")
            untied = True
        current[name] = tensor
    embeddings = current.get(WORD_EMBEDDINGS)
    # NaN is not equal to itself; folder.py refuses it with a better reason.
    if decoder is not None and embeddings is not None and not embeddings.isnan().any():
        same = decoder.shape == embeddings.shape
        untied |= not same or not torch.allclose(
            decoder.to(embeddings.dtype), embeddings, rtol=0, atol=TIED_TOLERANCE
        )
    return Renamed(current, [f"removed {p!r:.99} from names" for p in sorted(removed - {""})], untied)
