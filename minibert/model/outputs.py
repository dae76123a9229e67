"""What a model returns: small records with the field names of `transformers`."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from torch import Tensor


@dataclass(frozen=True)
class LossTerm:
    """A loss as a sum and a count, so that several batches add up to what one big batch gives.

    The mean of means over batches with unequal counts is not the mean: (3 items, 1 item) with
    losses (2, 2, 2) and (4,) average to 2.5, while their mean of means is 3.
    """

    total: Tensor  # the sum over all labelled items, a scalar
    count: Tensor  # how many there were, a scalar

    def mean(self) -> Tensor:
        """The sum over the count; 0 (and not NaN) where nothing was labelled."""
        return self.total / self.count.clamp(min=1)


@dataclass
class ModelOutput:
    """Named fields; `outputs[0]` is the first that is present, `outputs["loss"]` a named one."""

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            return getattr(self, key)
        present = [getattr(self, item.name) for item in fields(self)]
        return [value for value in present if value is not None][key]

    def __iter__(self) -> Iterator[NoReturn]:
        # `sequence, pooled = bert(ids)` is old code: it once met a tuple, and would now meet keys.
        names = ", ".join(f".{item.name}" for item in fields(self))
        raise TypeError(f"a {type(self).__name__} is read by name, not unpacked; it has {names}")


@dataclass
class BertModelOutput(ModelOutput):
    """What the encoder gives. All tensors are batch first."""

    last_hidden_state: Tensor  # (B, S, E)
    pooler_output: Tensor | None = None  # (B, E)
    hidden_states: tuple[Tensor, ...] | None = None  # L + 1 of (B, S, E); [0] is the embeddings
    attentions: tuple[Tensor, ...] | None = None  # L of (B, H, S, S); each row sums to 1


@dataclass
class TaskOutput(ModelOutput):
    """What a task's head gives; `loss` is there when labels were given."""

    loss: Tensor | None = None  # a scalar: the mean
    logits: Tensor | None = None  # (B, num_labels), (B, S, num_labels), (B, S, V) or (B, choices)
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    loss_terms: dict[str, LossTerm] | None = None  # the loss as sums and counts, by label argument


@dataclass
class MaskedLMOutput(TaskOutput):
    """What the masked-language-model head gives.

    With labels, logits are computed for the labelled positions alone (N of them, in reading order):
    15 % of the positions, and with them the largest matrix product of a small BERT.
    """

    labelled_logits: Tensor | None = None  # (N, V)


@dataclass
class PreTrainingOutput(ModelOutput):
    """What both pretraining heads give."""

    loss: Tensor | None = None  # the masked-word loss + the next-sentence loss
    prediction_logits: Tensor | None = None  # (B, S, V); None when labels were given
    seq_relationship_logits: Tensor | None = None  # (B, 2); column 0 is "B follows A"
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    labelled_logits: Tensor | None = None  # (N, V)
    loss_terms: dict[str, LossTerm] | None = None


@dataclass
class QuestionAnsweringOutput(ModelOutput):
    """Where the answer starts and ends: two softmaxes over the positions."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None  # (B, S)
    end_logits: Tensor | None = None  # (B, S)
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    loss_terms: dict[str, LossTerm] | None = None
