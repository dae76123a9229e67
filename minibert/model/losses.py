"""The losses, each as a sum and a count.

A label of -100 is no label: it adds nothing to the sum and nothing to the count. Sums are taken in
float32 at least, whatever the precision of the logits.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.model.outputs import LossTerm
from minibert.model.wide_cross_entropy import wide_cross_entropy

IGNORED = -100

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
        total = wide_cross_entropy(logits, labels, ignored=IGNORED)
    else:
        total = F.cross_entropy(_precise(logits), labels, ignore_index=IGNORED, reduction="sum")
    return LossTerm(total, (labels != IGNORED).sum())


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
            real = labels if labels.is_floating_point() else labels[labels != IGNORED]
            counts[name] = real.numel()
    return counts


def _is_wide(logits: Tensor) -> bool:
    # On a GPU, and compiled, the plain call is fast; of few classes it is so everywhere.
    on_cpu = logits.device.type == "cpu" and not torch.compiler.is_compiling()
    return on_cpu and logits.shape[1] >= 1000


def _precise(logits: Tensor) -> Tensor:
    # bfloat16 has three significant digits: too few to sum a thousand losses in.
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
