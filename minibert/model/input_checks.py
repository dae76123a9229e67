"""Checking a batch before it reaches the model.

On a GPU an id beyond the vocabulary ends in a "device-side assert" that names neither the id nor
the cause, and poisons the process. Here it ends in one sentence. Values are looked at on the CPU
only (about 20 microseconds for a batch of 32 x 128), since looking at a GPU's tensor would make the
CPU wait for it; the training loop therefore checks a batch's inputs and labels before it sends them
off (`check_batch` in `training/step.py`).
"""

import warnings

import torch
from torch import Tensor

from minibert.errors import MiniBertError
from minibert.model.config import BertConfig
from minibert.tokenization.padding import IGNORE_INDEX


def check_inputs(
    config: BertConfig,
    input_ids: Tensor,
    *,
    attention_mask: Tensor | None = None,
    token_type_ids: Tensor | None = None,
    position_ids: Tensor | None = None,
) -> None:
    """Refuse inputs that the embeddings cannot look up.

    Args:
        config: the model's config.
        input_ids: (B, S) whole numbers.
        attention_mask: (B, S), 1 or True for real tokens, 0 or False for padding.
        token_type_ids: (B, S), the segment of each token.
        position_ids: (B, S) or (1, S).

    Raises:
        MiniBertError: a shape, a type or a value is wrong; the sentence says which and where.
    """
    check_is_batch(input_ids)
    length = input_ids.shape[1]
    if length == 0:
        raise MiniBertError("input_ids holds no tokens; even an empty text has [CLS] and [SEP].")
    if position_ids is None and length > config.max_position_embeddings:
        raise MiniBertError(
            f"the batch is {length} tokens long but the model has {config.max_position_embeddings} "
            "positions; tokenize with truncation=True, "
            f"max_length={config.max_position_embeddings}."
        )
    _check_values("input_ids", input_ids, config.vocab_size, "the vocabulary (vocab_size)")
    if attention_mask is None:
        _warn_if_padded(input_ids, config.pad_token_id)
    else:
        _check_shape("attention_mask", attention_mask, input_ids)
        if attention_mask.is_cpu and attention_mask.dtype != torch.bool and _looking():
            strange = (attention_mask != 0) & (attention_mask != 1)
            if strange.any():
                raise MiniBertError(
                    f"attention_mask holds {attention_mask[strange][0].item()}; it must be 1 for "
                    "real tokens and 0 for padding."
                )
    if token_type_ids is not None:
        _check_shape("token_type_ids", token_type_ids, input_ids)
        _check_values("token_type_ids", token_type_ids, config.type_vocab_size, "type_vocab_size")
    if position_ids is not None:
        check_is_tensor("position_ids", position_ids)
        if tuple(position_ids.shape) not in ((1, length), tuple(input_ids.shape)):
            raise MiniBertError(
                f"position_ids has the shape {tuple(position_ids.shape)}; it must be "
                f"{tuple(input_ids.shape)} like input_ids, or {(1, length)} for all texts."
            )
        limit = config.max_position_embeddings
        _check_values("position_ids", position_ids, limit, "max_position_embeddings")


def _warn_if_padded(input_ids: Tensor, pad_token_id: int) -> None:
    """The commonest slip: without a mask, padding is read like words."""
    if not input_ids.is_cpu or not _looking():
        return
    if (input_ids[:, [0, -1]] == pad_token_id).any():  # a row ends with it, or begins
        warnings.warn(
            f"input_ids has padding (id {pad_token_id}) and there is no attention_mask, so it is "
            "read like words; pass on all that the tokenizer gives: model(**batch).",
            stacklevel=4,
        )


def check_is_batch(input_ids: Tensor) -> None:
    """Refuse ids that are no batch of texts, before a head counts on it.

    Raises:
        MiniBertError: they are no tensor, or its shape is not (B, S).
    """
    check_is_tensor("input_ids", input_ids)
    if input_ids.dim() != 2:
        raise MiniBertError(
            f"input_ids has the shape {tuple(input_ids.shape)}; it must be (batch, tokens): "
            "wrap a single sentence as input_ids[None]."
        )


def check_labels(
    name: str, labels: Tensor, *, classes: int, shape: tuple[int, ...], of: str = "num_labels"
) -> None:
    """Refuse class labels that the loss cannot look up.

    Args:
        name: the argument's name, for the message.
        labels: whole numbers from 0 to classes - 1, or -100 for "no label".
        classes: how many classes there are.
        shape: the shape that the labels must have.
        of: where the number of classes comes from, for the message.

    Raises:
        MiniBertError: a shape, a type or a value is wrong.
    """
    check_is_tensor(name, labels)
    if tuple(labels.shape) != shape:
        raise MiniBertError(
            f"{name} has the shape {tuple(labels.shape)}; it must be {shape} for this batch."
        )
    _check_values(name, labels, classes, of, ignored=IGNORE_INDEX)


def check_is_tensor(name: str, value: object) -> None:
    """Refuse a list or a number where a tensor belongs."""
    if not isinstance(value, Tensor):
        raise MiniBertError(
            f"{name} is a {type(value).__name__}; make it a tensor: torch.tensor(...), or "
            'return_tensors="pt" for the tokenizer.'
        )


def _check_shape(name: str, tensor: Tensor, input_ids: Tensor) -> None:
    check_is_tensor(name, tensor)
    if tensor.shape != input_ids.shape:
        raise MiniBertError(
            f"{name} has the shape {tuple(tensor.shape)} but input_ids {tuple(input_ids.shape)}; "
            "they must be the same."
        )


def _check_values(
    name: str, tensor: Tensor, limit: int, meaning: str, *, ignored: int | None = None
) -> None:
    if tensor.dtype not in (torch.int64, torch.int32):
        raise MiniBertError(f"{name} is {tensor.dtype}; it must hold whole numbers (torch.long).")
    if not tensor.is_cpu or not tensor.numel() or not _looking():
        return
    lowest, highest = torch.aminmax(tensor)
    if lowest >= 0 and highest < limit:
        return
    wrong = (tensor < 0) | (tensor >= limit)
    if ignored is not None:
        wrong &= tensor != ignored
    if wrong.any():
        where = tuple(wrong.nonzero()[0].tolist())
        allowed = f"0 to {limit - 1}" + (f" or {ignored}" if ignored is not None else "")
        raise MiniBertError(
            f"{name}{list(where)} is {tensor[where].item()}, but {meaning} allows {allowed}."
        )


def _looking() -> bool:
    # A traced graph has no values yet.
    return not torch.compiler.is_compiling()
