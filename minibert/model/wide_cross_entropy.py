"""The cross-entropy over a whole vocabulary, a few rows at a time.

    loss     = log(sum(exp(logits))) - logits[label]
    gradient = softmax(logits) - (1 at the label)

`torch.nn.functional.cross_entropy` is the same in one call, and the twin to read. But it needs the
logits in float32, and writes four tables of that size: the probabilities' logarithms, zeros with
one number a row, the gradient, and the gradient in the logits' own precision. A table of 600 words
by 30,522 pieces has 73 MB, so the time goes into fetching memory. Here some rows at a time go all
the way while they are in the cache, and only the gradient is written. On one CPU core this takes
half of the time in bfloat16, and three quarters in float32.

N labelled words, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

ENTRIES_AT_ONCE = 1 << 19  # 2 MB in float32: they stay in the cache


def wide_cross_entropy(logits: Tensor, labels: Tensor, *, ignored: int) -> Tensor:
    """-log softmax(logits)[label], summed over the rows that have a label; in float32 at least.

    Args:
        logits: (N, V).
        labels: (N,), int64.
        ignored: the label that is none.
    """
    total: Tensor = _WideCrossEntropy.apply(logits, labels, ignored)[0]  # type: ignore[no-untyped-call]
    return total


class _WideCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(logits: Tensor, labels: Tensor, ignored: int) -> tuple[Tensor, Tensor]:
        """The loss, and log(sum(exp(logits))) of each row (N,), kept for the gradient."""
        precise = torch.promote_types(logits.dtype, torch.float32)
        rows = _rows_at_once(logits)
        log_sums = torch.cat(
            [part.to(precise).logsumexp(dim=1) for part in torch.split(logits, rows)]
        )
        real = labels != ignored
        of_labels = logits.gather(1, labels.where(real, 0)[:, None])[:, 0].to(precise)
        return (log_sums - of_labels).where(real, 0).sum(), log_sums

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        logits, labels, ctx.ignored = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(logits, labels, output[1])

    @staticmethod
    def backward(ctx: Any, factor: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        """`factor` times the gradient (N, V), in the precision of the logits."""
        logits, labels, log_sums = ctx.saved_tensors
        real = labels != ctx.ignored
        chosen = labels.where(real, 0)[:, None]
        factors = torch.where(real, factor, 0)[:, None]
        if torch.is_grad_enabled():  # for a derivative of this derivative, in plain operations
            softmax = logits.to(log_sums.dtype).softmax(dim=1)
            ones = torch.ones_like(softmax[:, :1])
            return (softmax.scatter_add(1, chosen, -ones) * factors).to(logits.dtype), None, None
        gradient = torch.empty_like(logits)
        tables = (gradient, logits, log_sums[:, None], chosen, factors)
        parts = (torch.split(table, _rows_at_once(logits)) for table in tables)
        for out, part, log_sum, label, of_row in zip(*parts, strict=True):
            some = (part - log_sum).exp_()  # the softmax, in float32 whatever the logits are
            some.scatter_add_(1, label, some.new_full(label.shape, -1.0))
            out.copy_(some.mul_(of_row))
        return gradient, None, None


def _rows_at_once(logits: Tensor) -> int:
    return max(1, ENTRIES_AT_ONCE // logits.shape[1])
