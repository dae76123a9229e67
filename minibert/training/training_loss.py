"""Losses for training only: class weights, focal loss, label smoothing, R-Drop and FGM.

The loss of an evaluation stays the plain one, so runs can be compared. Every loss remains a sum and
a count, so accumulation and several processes give the same gradient.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.data.sampler import Batch
from minibert.model.losses import LossTerm, binary_cross_entropy, weighted_cross_entropy
from minibert.model.pretrained import PretrainedModel
from minibert.tokenization.padding import IGNORE_INDEX
from minibert.training.gradient_accumulation import compute_loss


@dataclass(frozen=True)
class TrainingLoss:
    """The loss of a batch; `train(loss_of_batch=TrainingLoss(...))`.

    All but `fgm` are for models that return `logits` of classes, of a text or of each token.

    Attributes:
        class_weights: (C,); see `balanced_class_weights`.
        label_smoothing: the share of a label that is divided among all classes.
        focal_gamma: the exponent of the focal loss.
        r_drop: the weight of the difference between two passes with different dropout.
        fgm: how far to move the word embeddings against the model.
    """

    class_weights: Tensor | None = None
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    r_drop: float = 0.0
    fgm: float = 0.0

    def __call__(self, model: PretrainedModel, inputs: Batch) -> Mapping[str, LossTerm]:
        """Return the loss terms of a model for a batch."""
        terms = self.r_drop_loss(model, inputs) if self.r_drop else self.loss(model, inputs)[0]
        return self.adversarial_loss(model, inputs, terms) if self.fgm else terms

    def loss(self, model: PretrainedModel, inputs: Batch) -> tuple[Mapping[str, LossTerm], Tensor]:
        """Return the loss terms of one pass, and the logits (none of a model without labels)."""
        if not (self.r_drop or self.focal_gamma or self.label_smoothing) and (
            self.class_weights is None
        ):
            return compute_loss(model, inputs), torch.empty(0)
        logits, labels = model(**inputs).logits, inputs["labels"]
        if labels.is_floating_point():  # several classes
            term = binary_cross_entropy(logits, labels, focal_gamma=self.focal_gamma)
        else:
            term = weighted_cross_entropy(
                logits,
                labels,
                class_weights=self.class_weights,
                label_smoothing=self.label_smoothing,
                focal_gamma=self.focal_gamma,
            )
        return {"labels": term}, logits

    def r_drop_loss(self, model: PretrainedModel, inputs: Batch) -> Mapping[str, LossTerm]:
        """Return the mean loss of two passes, and `r_drop` times how far they are apart.

        Dropout makes the passes differ; the divergence of their probabilities is the mean of both
        directions. This is half of the sum in Liang et al. 2021, equation 4.
        """
        (one, p), (two, q) = self.loss(model, inputs), self.loss(model, inputs)
        labelled = inputs["labels"] != IGNORE_INDEX  # (B,) or (B, S)
        log_p, log_q = (x[labelled].float().log_softmax(dim=-1) for x in (p, q))  # (N, C)
        apart = F.kl_div(log_p, log_q, reduction="sum", log_target=True)
        apart = (apart + F.kl_div(log_q, log_p, reduction="sum", log_target=True)) / 2
        total = (one["labels"].total + two["labels"].total + self.r_drop * apart) / 2
        return {"labels": LossTerm(total, one["labels"].count)}

    def adversarial_loss(
        self, model: PretrainedModel, inputs: Batch, terms: Mapping[str, LossTerm]
    ) -> Mapping[str, LossTerm]:
        """Return the mean of the loss, and of the loss with word embeddings moved to increase it.

        They move by `fgm` along the gradient (the fast gradient method: Miyato et al. 2017). As in
        most code, the whole table moves and not the words of one text.
        """
        table = model.get_input_embeddings().weight
        if not table.requires_grad:
            return terms
        loss = torch.stack([term.mean() for term in terms.values()]).sum()
        (gradient,) = torch.autograd.grad(loss, table, retain_graph=True)
        step = self.fgm * gradient / gradient.norm().clamp(min=torch.finfo(gradient.dtype).tiny)
        original = table.detach().clone()
        with torch.no_grad():
            table.add_(step)
        moved = self.loss(model, inputs)[0]
        with torch.no_grad():
            table.copy_(original)  # the backward pass needs ids only, not the table
        return {
            name: LossTerm((term.total + moved[name].total) / 2, term.count)
            for name, term in terms.items()
        }


def balanced_class_weights(targets: Iterable[Any], num_classes: int) -> Tensor:
    """Return weights (C,) with which all classes count alike: n / (classes * n of the class).

    Their mean over the n labels is 1. It is "balanced" in scikit-learn. Labels of -100 and classes
    without labels are left out.

    Args:
        targets: a class for each text, or an array of classes for its tokens.
        num_classes: C.

    Example:
        >>> balanced_class_weights([0, 0, 0, 1], 2)
        tensor([0.6667, 2.0000])
    """
    labels = np.concatenate([np.atleast_1d(target) for target in targets])
    counts = np.bincount(labels[labels != IGNORE_INDEX], minlength=num_classes)
    weights = counts.sum() / (np.count_nonzero(counts) * counts.clip(min=1))
    return torch.tensor(weights, dtype=torch.float32)
