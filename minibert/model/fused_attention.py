"""Fused attention, the default: the formula of `attention.py` in one kernel.

The kernel never stores the probabilities (B, H, S, S), so it is faster and needs less memory, but
cannot return them. "auto" therefore means fused, unless the probabilities are requested.
"""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from minibert.errors import MiniBertError
from minibert.model.attention import Attend, eager_attention

# All but cuDNN's, which PyTorch prefers on newer GPUs. For a row that is all padding, cuDNN returns
# an average over the padding. It also takes 50 ms for every new shape, and pretraining has many.
CUDA_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
) -> tuple[Tensor, None]:
    """Compute what `eager_attention` computes, without the probabilities."""
    if query.is_cpu and query.dtype == torch.bfloat16 and torch.is_grad_enabled():
        # The CPU kernel's backward pass takes 4 times as long in bfloat16 as in float32.
        with torch.autocast("cpu", enabled=False):
            context = F.scaled_dot_product_attention(
                query.float(), key.float(), value.float(), attention_mask, dropout
            )
        return context.to(query.dtype), None
    with sdpa_kernel(CUDA_KERNELS) if query.is_cuda else nullcontext():
        context = F.scaled_dot_product_attention(query, key, value, attention_mask, dropout)
    return context, None


# "packed" is fused attention over the tokens of each text alone; see packing.py.
ATTENTIONS: dict[str, Attend] = {
    "eager": eager_attention,
    "fused": fused_attention,
    "packed": fused_attention,
}


def choose_attention(name: str, *, output_attentions: bool = False) -> Attend:
    """Return the function for a kind of attention; "auto" is the fastest that can do what is asked.

    Raises:
        MiniBertError: the name is unknown, or probabilities are requested and it is not eager.
    """
    if name == "auto":
        return eager_attention if output_attentions else fused_attention
    if name not in ATTENTIONS:
        known = ", ".join(repr(choice) for choice in ("auto", *ATTENTIONS))
        raise MiniBertError(f"attention is {name!r}; choose one of {known}.")
    if output_attentions and name != "eager":
        raise MiniBertError(
            f"{name!r} attention cannot return the probabilities; for output_attentions=True set "
            "model.attention = 'eager', or load the model with attention='eager' or 'auto'."
        )
    return ATTENTIONS[name]
