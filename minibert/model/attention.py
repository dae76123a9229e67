"""Attention: every token looks at every real token and takes a weighted average of what it finds.

    attention(Q, K, V) = softmax(Q K^T / sqrt(D)) V

`eager_attention` is this formula, line by line, and returns the probabilities. `fused_attention` is
the same in one kernel that never forms them (1.2 x faster on a CPU with BERT-base at 128 tokens,
more on a GPU and on longer texts). They agree in value and gradient for every mask. A row of the
batch that is all padding attends to nothing and receives 0: never NaN, and never an average over
padding, which `transformers` gives with its "eager" and not with its "sdpa".

Source: Vaswani et al. 2017, section 3.2; Google's `attention_layer`.

B batch, S tokens of a sequence, K of them that ask (mostly all), H heads, D head width, E = H x D
hidden width.
"""

import math
from contextlib import nullcontext
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from minibert.errors import MiniBertError
from minibert.model.config import BertConfig


class Attend(Protocol):
    """What the attention functions have in common."""

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        real: Tensor | None,
        *,
        dropout: float,
    ) -> tuple[Tensor, Tensor | None]:
        """Average the values.

        Args:
            query: (B, H, K, D); K is S, unless few positions are asked for.
            key: (B, H, S, D).
            value: (B, H, S, D).
            real: (B, 1, 1, S), True for tokens that may be looked at; None if all may.
            dropout: the share of probabilities set to 0, while training.

        Returns:
            The context (B, H, K, D), and the probabilities (B, H, K, S) where they are formed.
        """


def eager_attention(
    query: Tensor, key: Tensor, value: Tensor, real: Tensor | None, *, dropout: float
) -> tuple[Tensor, Tensor]:
    """The formula as it is written; see `Attend` for the arguments."""
    # (B, H, K, D) x (B, H, D, S) -> (B, H, K, S): how well does each query fit each key?
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if real is not None:
        # So far below any score that its share is exactly 0 beside a real token ...
        scores = scores.masked_fill(~real, torch.finfo(scores.dtype).min)
    probabilities = F.softmax(scores, dim=-1)
    if real is not None:
        # ... and where there is no real token, the padding's equal shares are taken back.
        probabilities = probabilities.masked_fill(~real, 0.0)
    # (B, H, K, S) x (B, H, S, D) -> (B, H, K, D)
    context = F.dropout(probabilities, dropout) @ value
    return context, probabilities


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, real: Tensor | None, *, dropout: float
) -> tuple[Tensor, None]:
    """The same in one kernel, without the probabilities; see `Attend` for the arguments."""
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and torch.is_grad_enabled():
        # The CPU kernel's backward pass takes 4 x as long in bfloat16 as in float32.
        exact = query.float(), key.float(), value.float()
        with torch.autocast("cpu", enabled=False):
            context, _ = fused_attention(*exact, real, dropout=dropout)
        return context.to(query.dtype), None
    with sdpa_kernel(CUDA_KERNELS) if query.device.type == "cuda" else nullcontext():
        context = F.scaled_dot_product_attention(
            query, key, value, attn_mask=real, dropout_p=dropout
        )
    return context, None


# All but cuDNN's, which PyTorch prefers on newer GPUs. It averages over the padding of a text that
# is nothing else; and it makes a plan for every new shape, which takes 50 ms, and pretraining has
# many shapes.
CUDA_KERNELS = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]

ATTENTIONS: dict[str, Attend] = {"eager": eager_attention, "fused": fused_attention}


def choose_attention(name: str, *, output_attentions: bool) -> Attend:
    """The function for "eager", "fused", or "auto": the fastest that can do what is asked.

    Raises:
        MiniBertError: the name is unknown, or fused attention is asked for probabilities.
    """
    if name == "auto":
        return eager_attention if output_attentions else fused_attention
    if name not in ATTENTIONS:
        known = ", ".join(repr(choice) for choice in ("auto", *ATTENTIONS))
        raise MiniBertError(f"attention is {name!r}; choose one of {known}.")
    if output_attentions and name != "eager":
        raise MiniBertError(
            f"{name!r} attention never forms the probabilities; for output_attentions=True load "
            "the model with attention='eager' or 'auto'."
        )
    return ATTENTIONS[name]


def take(hidden: Tensor, positions: Tensor) -> Tensor:
    """The vectors at some positions: (..., S, E) and (..., K) -> (..., K, E)."""
    return torch.take_along_dim(hidden, positions[..., None], dim=-2)


class SelfAttention(nn.Module):
    """Several attentions side by side, each in its own slice of the width."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        # One matrix product instead of three; its rows are all of Q, then of K, then of V.
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden: Tensor,
        real: Tensor | None,
        attend: Attend,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Let each token gather from the others.

        Args:
            hidden: (B, S, E).
            real: (B, 1, 1, S) or None; see `Attend`.
            attend: `eager_attention` or `fused_attention`.
            positions: (B, K) or (1, K), the tokens that shall gather; None for all.

        Returns:
            (B, K, E), and the probabilities (B, H, K, S) or None.
        """
        batch, tokens, width = hidden.shape
        joined = self.query_key_value(hidden)  # (B, S, E) -> (B, S, 3E)
        joined = joined.view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4)  # -> 3 of (B, H, S, D)
        if positions is not None:
            query = take(query, positions[:, None])  # (B, H, S, D) -> (B, H, K, D)
        dropout = self.dropout if self.training else 0.0
        context, probabilities = attend(query, key, value, real, dropout=dropout)
        gathered = context.transpose(1, 2).flatten(2)  # (B, H, K, D) -> (B, K, E)
        return self.output(gathered), probabilities
