"""Attention: every token takes a weighted average of the values of all tokens in its text.

    attention(Q, K, V) = softmax(Q K^T / sqrt(D)) V                 (Vaswani et al. 2017, eq. 1)

`eager_attention` is this formula, line by line. By default its faster twin in `fused_attention.py`
runs instead; the tests check that both are equal in value and gradient.

B batch, S sequence length, H heads, D head width, E hidden width (H x D).

Source: Vaswani et al. 2017, section 3.2; Google's `attention_layer`.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.model.config import BertConfig

# `eager_attention`, or another function with its arguments and results.
Attend = Callable[..., tuple[Tensor, Tensor | None]]


def eager_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Compute attention exactly as the formula is written.

    If a row of the batch is all padding, its tokens attend to nothing and the result is 0.
    (`transformers` returns an average over padding with "eager", and 0 with "sdpa".)

    Args:
        query: (B, H, S, D), like key and value.
        key: the vectors that each query is compared with.
        value: the vectors that are averaged.
        attention_mask: (B, 1, 1, S), True for tokens that may be attended to; None if all may.
        dropout: the fraction of the probabilities that is set to 0.

    Returns:
        The averages (B, H, S, D), and the attention probabilities (B, H, S, S).
    """
    # How well does each query match each key? (B, H, S, D) @ (B, H, D, S) -> (B, H, S, S)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    probabilities = F.softmax(scores, dim=-1)
    if attention_mask is not None:  # matters only in rows of padding alone
        probabilities = probabilities.masked_fill(~attention_mask, 0.0)
    # (B, H, S, S) @ (B, H, S, D) -> (B, H, S, D)
    context = F.dropout(probabilities, dropout) @ value
    return context, probabilities


class SelfAttention(nn.Module):
    """Multi-head self-attention: H heads in parallel, each of width D."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        # One matrix product instead of three; the rows are those of Q, then K, then V.
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def project(self, hidden: Tensor) -> Tensor:
        """Return query, key and value of each head, stacked: (B, S, E) -> (3, B, H, S, D)."""
        joined = self.query_key_value(hidden)  # (B, S, E) -> (B, S, 3E)
        by_head: Tensor = joined.unflatten(-1, (3, self.num_heads, -1))  # -> (B, S, 3, H, D)
        return by_head.permute(2, 0, 3, 1, 4)  # -> (3, B, H, S, D)

    def forward(
        self, hidden: Tensor, attention_mask: Tensor | None, attend: Attend
    ) -> tuple[Tensor, Tensor | None]:
        """Return the attention output (B, S, E), and the probabilities if `attend` computes them.

        Args:
            hidden: (B, S, E).
            attention_mask: (B, 1, 1, S) or None; see `eager_attention`.
            attend: `eager_attention` or `fused_attention`.
        """
        query, key, value = self.project(hidden)
        dropout = self.dropout if self.training else 0.0
        context, probabilities = attend(query, key, value, attention_mask, dropout=dropout)
        joined = context.transpose(1, 2).flatten(2)  # (B, H, S, D) -> (B, S, H, D) -> (B, S, E)
        return self.output(joined), probabilities
