"""The losses, each as a sum and a count.

A label of -100 is no label: it adds nothing to the sum and nothing to the count. Sums are taken in
float32 at least, whatever the precision of the logits.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.model.outputs import LossTerm
from minibert.tokenization.padding import IGNORE_INDEX

# The arguments of the models that hold labels.
LABEL_ARGUMENTS = ("labels", "next_sentence_label", "start_positions", "end_positions")


def cross_entropy(logits: Tensor, labels: Tensor) -> LossTerm:
    """-log softmax(logits)[label], summed over the items that have a label.

    Args:
        logits: (N, classes).
        labels: (N,), each a class or -100.
    """
    labels = labels.long()
    if _is_wide(logits):
        total = wide_cross_entropy(logits, labels, ignored=IGNORE_INDEX)
    else:
        total = F.cross_entropy(
            _precise(logits), labels, ignore_index=IGNORE_INDEX, reduction="sum"
        )
    return LossTerm(total, (labels != IGNORE_INDEX).sum())


def squared_error(predictions: Tensor, targets: Tensor) -> LossTerm:
    """(prediction - target)^2, summed over all entries; both have the same shape."""
    predictions = _precise(predictions)
    total = F.mse_loss(predictions, targets.to(predictions.dtype), reduction="sum")
    return LossTerm(total, torch.tensor(targets.numel(), device=targets.device))


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> LossTerm:
    """-log sigmoid(±logit), summed over all entries: every class is a question of its own."""
    logits = _precise(logits)
    total = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="sum")
    return LossTerm(total, torch.tensor(targets.numel(), device=targets.device))


def sum_of_means(terms: Mapping[str, LossTerm]) -> Tensor | None:
    """The loss of a batch on its own: each term's mean, added up; None without any term."""
    means = [term.mean() for term in terms.values()]
    return torch.stack(means).sum() if means else None


def count_labels(batch: Mapping[str, Tensor]) -> dict[str, int]:
    """How many labels of each kind a batch holds, known before the model has run.

    The counts are those that the model's `loss_terms` will show, so a sum over several batches can
    be divided by the number of labels in all of them. Targets that are no classes (regression, or
    several classes a text) are floating-point numbers, and all of them count.
    """
    counts = {}
    for name in LABEL_ARGUMENTS:
        if name in batch:
            labels = batch[name]
            real = labels if labels.is_floating_point() else labels[labels != IGNORE_INDEX]
            counts[name] = real.numel()
    return counts


def _is_wide(logits: Tensor) -> bool:
    # On a GPU, and compiled, the plain call is fast; of few classes it is so everywhere.
    on_cpu = logits.device.type == "cpu" and not torch.compiler.is_compiling()
    return on_cpu and logits.shape[1] >= 1000


def _precise(logits: Tensor) -> Tensor:
    # bfloat16 has three significant digits: too few to sum a thousand losses in.
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


# The cross-entropy over a whole vocabulary, a few rows at a time.
#
#     loss     = log(sum(exp(logits))) - logits[label]
#     gradient = softmax(logits) - (1 at the label)
#
# `torch.nn.functional.cross_entropy` is the same in one call, and the twin to read. But it needs
# the
# logits in float32, and writes four tables of that size: the probabilities' logarithms, zeros with
# one number a row, the gradient, and the gradient in the logits' own precision. A table of 600
# words
# by 30,522 pieces has 73 MB, so the time goes into fetching memory. Here some rows at a time go all
# the way while they are in the cache, and only the gradient is written. On one CPU core this takes
# half of the time in bfloat16, and three quarters in float32.
#
# N labelled words, V vocabulary.


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
