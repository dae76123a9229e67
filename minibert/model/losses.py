"""The losses, each as a sum and a count.

A label of -100 is ignored: it adds nothing to the sum or the count. Sums are computed in float32 or
higher, since bfloat16 has only three digits, too few to add up a thousand losses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.model.config import BertConfig
from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from minibert.tokenization.padding import IGNORE_INDEX

# The arguments of the models that are labels.
LABEL_ARGUMENTS = ("labels", "next_sentence_label", "start_positions", "end_positions")
ENTRIES_AT_ONCE = 1 << 19  # 2 MB in float32, which stay in the cache


@dataclass(frozen=True)
class LossTerm:
    """A loss as a sum and a count, so that several batches give the same mean as one big batch.

    The mean of means over batches with unequal counts is not the mean: (3 items, 1 item) with
    losses (2, 2, 2) and (4,) average to 2.5, while their mean of means is 3.
    """

    total: Tensor  # the sum over all labelled items, a scalar
    count: Tensor  # the number of labelled items, a scalar

    def mean(self) -> Tensor:
        """Return the sum over the count, or 0 (not NaN) if nothing is labelled."""
        return self.total / self.count.clamp(min=1)

    def __truediv__(self, divisor: float) -> "LossTerm":
        return LossTerm(self.total / divisor, self.count)


def cross_entropy(logits: Tensor, labels: Tensor) -> LossTerm:
    """Return -log softmax(logits)[label], summed over the items that have a label.

    Args:
        logits: (..., C), C classes.
        labels: (...), each a class or -100.
    """
    logits, labels = logits.flatten(0, -2), labels.flatten().long()  # (N, C), (N,)
    # PyTorch's function is fast on a GPU, when compiled, and for few classes.
    if logits.is_cpu and logits.shape[1] >= 1000 and not torch.compiler.is_compiling():
        total = ChunkedCrossEntropy.apply(logits, labels)  # type: ignore[no-untyped-call]
    else:
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        total = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum")
    return LossTerm(total, (labels != IGNORE_INDEX).sum())


def weighted_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
) -> LossTerm:
    """Return the cross entropy for training on unequal classes or doubtful labels.

        weight[label] (1 - p[label])^gamma (-(1 - smoothing) log p[label] - smoothing mean(log p))

    Args:
        logits: (..., C), C classes.
        labels: (...), each a class or -100.
        class_weights: (C,). The sum is divided by the number of labels, not by their weights as in
            PyTorch's `CrossEntropyLoss`: batches then count alike, whatever classes they hold.
        label_smoothing: the share of the label that all classes have in common (Szegedy et al.
            2016, section 7).
        focal_gamma: above 0, what is right already counts less (Lin et al. 2017).
    """
    logits, labels = logits.flatten(0, -2), labels.flatten().long()  # (N, C), (N,)
    log_probs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=-1)
    labelled = labels != IGNORE_INDEX
    index = labels.where(labelled, 0)
    of_label = log_probs.gather(1, index[:, None])[:, 0]  # (N, C) -> (N,)
    losses = -(1 - label_smoothing) * of_label - label_smoothing * log_probs.mean(dim=1)
    losses = losses * focal_factor(-of_label, focal_gamma)
    if class_weights is not None:
        losses = losses * class_weights.to(losses)[index]
    return LossTerm(losses.where(labelled, 0).sum(), labelled.sum())


def focal_factor(losses: Tensor, gamma: float) -> Tensor:
    """Return (1 - p)^gamma for losses of -log p, where p is the probability of the label."""
    # 0^gamma has an infinite slope for a gamma below 1.
    return (-torch.expm1(-losses)).clamp(min=torch.finfo(losses.dtype).tiny) ** gamma


def squared_error(predictions: Tensor, targets: Tensor) -> LossTerm:
    """Return (prediction - target)^2, summed over all entries."""
    predictions = predictions.to(torch.promote_types(predictions.dtype, torch.float32))
    targets = targets.view_as(predictions).to(predictions.dtype)  # for one output (B,) -> (B, 1)
    total = F.mse_loss(predictions, targets, reduction="sum")
    return LossTerm(total, torch.tensor(targets.numel(), device=targets.device))


def binary_cross_entropy(logits: Tensor, targets: Tensor, *, focal_gamma: float = 0.0) -> LossTerm:
    """Return -log sigmoid(±logit), summed over all entries: each class is a separate decision."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    targets = targets.to(logits.dtype)
    count = torch.tensor(targets.numel(), device=targets.device)
    if focal_gamma:
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return LossTerm((losses * focal_factor(losses, focal_gamma)).sum(), count)
    total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return LossTerm(total, count)


def problem_type(config: BertConfig, labels: Tensor) -> str:
    """Return `config.problem_type`, or if it is None, the one that fits these labels."""
    if config.problem_type is not None:
        return config.problem_type
    if config.num_labels == 1:
        return REGRESSION
    whole = not labels.is_floating_point() and labels.dtype != torch.bool
    return SINGLE_LABEL if whole else MULTI_LABEL


# The loss of a sequence classifier, by problem type.
CLASSIFICATION_LOSSES: dict[str, Callable[[Tensor, Tensor], LossTerm]] = {
    SINGLE_LABEL: cross_entropy,
    MULTI_LABEL: binary_cross_entropy,
    REGRESSION: squared_error,
}


def count_labels(batch: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the number of labels of each kind in a batch, before the model has run.

    The counts equal those of the outputs' `loss_terms`, so that a sum over several batches can be
    divided by the number of labels in all of them. Targets that are not class ids (regression and
    multi-label) are floating-point numbers, and all of them count.
    """
    counts = {}
    for name in LABEL_ARGUMENTS:
        if name in batch:
            labels = batch[name]
            counted = labels if labels.is_floating_point() else labels[labels != IGNORE_INDEX]
            counts[name] = counted.numel()
    return counts


class ChunkedCrossEntropy(torch.autograd.Function):
    """The sum of `F.cross_entropy` over a large vocabulary, in less time on a CPU.

        loss = log(sum(exp(logits))) - logits[label]
        gradient = softmax(logits) - (1 at the label)

    For 600 words and V 30,522, `F.cross_entropy` writes four tables of 73 MB. Here a few rows at a
    time are processed completely while they are in the cache, and only the gradient is written. On
    one core this takes half of the time in bfloat16, and three quarters in float32.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, and save log(sum(exp(logits))) of each row (N,) for the gradient.

        Args:
            ctx: what the backward pass needs is saved in it.
            logits: (N, V).
            labels: (N,), int64, each a class or -100.
        """
        precise = torch.promote_types(logits.dtype, torch.float32)
        rows = max(1, ENTRIES_AT_ONCE // logits.shape[1])
        chunks = torch.split(logits, rows)
        log_sums = torch.cat([chunk.to(precise).logsumexp(dim=1) for chunk in chunks])
        labelled = labels != IGNORE_INDEX
        of_labels = logits.gather(1, labels.where(labelled, 0)[:, None])[:, 0]  # (N, V) -> (N,)
        ctx.save_for_backward(logits, labels, log_sums)
        return (log_sums - of_labels.to(precise)).where(labelled, 0).sum()

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor, None]:
        """Return `factor` times the gradient (N, V), in the precision of the logits."""
        logits, labels, log_sums = ctx.saved_tensors
        labelled = labels != IGNORE_INDEX
        label = labels.where(labelled, 0)[:, None]  # (N,) -> (N, 1)
        factors = torch.where(labelled, factor, 0)[:, None]  # (N,) -> (N, 1)
        if torch.is_grad_enabled():  # for second derivatives, in differentiable operations
            softmax = logits.to(log_sums.dtype).softmax(dim=1)
            softmax = softmax.scatter_add(1, label, -torch.ones_like(softmax[:, :1]))
            return (softmax * factors).to(logits.dtype), None
        gradient = torch.empty_like(logits)
        rows = max(1, ENTRIES_AT_ONCE // logits.shape[1])
        tables = (gradient, logits, log_sums[:, None], label, factors)
        chunks = (torch.split(table, rows) for table in tables)
        for out, of_logits, log_sum, of_label, of_factor in zip(*chunks, strict=True):
            softmax = (of_logits - log_sum).exp_()  # in float32, whatever the logits are
            softmax.scatter_add_(1, of_label, softmax.new_full(of_label.shape, -1.0))
            out.copy_(softmax.mul_(of_factor))
        return gradient, None
