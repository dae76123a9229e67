"""Translate the names in older Hugging Face files to those that `transformers` uses today.

module.bert.embeddings.word_embeddings.weight    `module.` of DataParallel, `_orig_mod.` of compile
 model.bert.embeddings.word_embeddings.weight    any other prefix, as of a class around the model
       embeddings.word_embeddings.weight         a bare encoder, saved without `bert.`
bert.embeddings.LayerNorm.gamma                  before 2019, as in Google's code: now .weight
bert.embeddings.position_ids, .token_type_ids    0, 1, 2, ... and zeros, stored until 2023
cls.predictions.decoder.weight                   a copy of the word embeddings, which it is tied to
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
NOT_PARAMETERS = frozenset(
    {"bert.embeddings.position_ids", "bert.embeddings.token_type_ids", TIED_DECODER}
)
# A decoder that differs from the word embeddings by less was tied, and rounded or averaged since.
TIED_TOLERANCE = 1e-5
# Where these modules wrap others, every name below them gets one more part.
_WRAPPER = r"(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
WRAPPERS, OUTER_WRAPPERS = re.compile(rf"(?<![^.]){_WRAPPER}"), re.compile(rf"^(?:{_WRAPPER})+")
# By these tensors, an encoder is recognized.
QUERY = re.compile(r"((?:.*?\.)?)encoder\.layer\.\d+\.attention\.self\.query\.weight")
OUR_QUERY = re.compile(r"((?:.*?\.)?)encoder\.layer\.\d+\.attention\.query_key_value\.weight")


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
    tied: bool | None  # whether the masked-LM decoder is the word embeddings; None: not stored


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
    encoders, own = [
        sorted({match[1] for name in plain.values() if (match := query.fullmatch(name))})
        for query in (QUERY, OUR_QUERY)
    ]
    if len(own) == 1:  # a class of your own may have several
        encoders = encoders or own
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
    removed, tied, decoder = set(), None, None
    for old, tensor in tensors.items():
        bare = plain[old].removeprefix(encoder)
        for name in (plain[old], plain[old].removeprefix(outer), f"bert.{bare}"):
            if current_name(name) in table or name in NOT_PARAMETERS:
                rest = name.removeprefix("bert.")
                removed.add(old.removesuffix(rest).removesuffix("bert."))
                break
        else:
            name = OUTER_WRAPPERS.sub("", old).removeprefix(outer)
        decoder = tensor if name == TIED_DECODER else decoder
        if name in NOT_PARAMETERS:
            continue
        name = current_name(name) if current_name(name) in table else name
        if name in current and not torch.equal(current[name], tensor):
            if name != TIED_BIAS:
                raise MiniBertError(
                    f"the file holds two different tensors for {name}, so it is damaged; copy it "
                    "again from its source."
                )
            tied = False
        current[name] = tensor
    if decoder is not None:  # some programs store only one of two tied tensors
        current.setdefault(WORD_EMBEDDINGS, decoder)
    embeddings = current.get(WORD_EMBEDDINGS)
    # NaN is not equal to itself; folder.py refuses it with a better reason.
    if decoder is not None and embeddings is not None and not embeddings.isnan().any():
        tied = (
            tied is None
            and decoder.shape == embeddings.shape
            and torch.allclose(decoder.to(embeddings.dtype), embeddings, 0, TIED_TOLERANCE)
        )
    return Renamed(current, [f"removed {p!r:.99} from names" for p in sorted(removed - {""})], tied)
