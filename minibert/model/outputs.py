"""The outputs of the models: dataclasses with the field names of `transformers`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, NoReturn, Self

import torch
from torch import Tensor
from torch.utils import _pytree

from minibert.model.losses import LossTerm


class ModelOutput:
    """Tensors by name. A field that was not computed is None, and not in `keys()` or `to_tuple()`.

    Example:
        >>> outputs = BertModelOutput(last_hidden_state=torch.zeros(1, 4, 128))
        >>> outputs[0] is outputs["last_hidden_state"] is outputs.last_hidden_state
        True
        >>> "pooler_output" in outputs, outputs.keys()
        (False, ['last_hidden_state'])
    """

    loss: Tensor | None
    # Each loss as a sum and a count, by the name of its labels, for the training loop. Not a field.
    loss_terms: Mapping[str, LossTerm] = MappingProxyType({})

    def __init_subclass__(cls) -> None:
        # A pytree of its fields, which torch.export and torch.func need. `loss_terms` are left out.
        _pytree.register_pytree_node(
            cls,
            lambda output: ([*output.values()], output.keys()),
            lambda values, names: cls(**dict(zip(names, values, strict=True))),
            serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
            flatten_with_keys_fn=lambda output: (
                [(_pytree.MappingKey(name), value) for name, value in output.items()],
                output.keys(),
            ),
        )

    def with_loss(self, **terms: LossTerm | None) -> Self:
        """Keep the loss terms that are not None, and set `loss` to the sum of their means."""
        self.loss_terms = {name: term for name, term in terms.items() if term is not None}
        if self.loss_terms:
            self.loss = torch.stack([term.mean() for term in self.loss_terms.values()]).sum()
        return self

    def keys(self) -> list[str]:
        """Return the names of the fields that are not None."""
        names = [item.name for item in fields(self)]  # type: ignore[arg-type]
        return [name for name in names if getattr(self, name) is not None]

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the fields that are not None; `outputs[0]` is the first of them."""
        return tuple(getattr(self, name) for name in self.keys())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field by name, or `default` if it is None."""
        return getattr(self, name) if name in self else default

    def values(self) -> tuple[Any, ...]:
        """Return the fields that are not None."""
        return self.to_tuple()

    def items(self) -> list[tuple[str, Any]]:
        """Return the names and the values of the fields that are not None."""
        return [(name, getattr(self, name)) for name in self.keys()]

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, name: str) -> bool:
        return name in self.keys()

    def __getitem__(self, key: int | str | slice) -> Any:
        return getattr(self, key) if isinstance(key, str) else self.to_tuple()[key]

    def __iter__(self) -> Iterator[NoReturn]:
        # Code for old versions of transformers expects a tuple: `sequence, pooled = bert(ids)`.
        names = ", ".join(f".{item.name}" for item in fields(self))  # type: ignore[arg-type]
        raise TypeError(
            f"{type(self).__name__} cannot be unpacked; read its fields by name: {names}. "
            "(nn.DataParallel unpacks outputs, too; use torchrun and DistributedDataParallel.)"
        )

    @classmethod
    def __torch_function__(cls, function: Any, *args: Any, **kwargs: Any) -> NoReturn:
        # Code for a model that returns a tensor: `F.cross_entropy(model(ids), labels)`.
        names = ", ".join(f".{item.name}" for item in fields(cls))  # type: ignore[arg-type]
        raise TypeError(
            f"{function.__name__} takes a tensor and not a {cls.__name__}; give it one of {names}"
        )


@dataclass(kw_only=True)
class BertModelOutput(ModelOutput):
    """The output of the encoder."""

    last_hidden_state: Tensor  # (B, S, E)
    pooler_output: Tensor | None = None  # (B, E)
    hidden_states: tuple[Tensor, ...] | None = None  # L + 1 of (B, S, E), embeddings first
    attentions: tuple[Tensor, ...] | None = None  # L of (B, H, S, S); each row adds up to 1


@dataclass(kw_only=True)
class TaskOutput(ModelOutput):
    """The output of most heads."""

    loss: Tensor | None = None  # a scalar; None without labels
    # (B, num_labels), (B, choices), or for each token (B, S, num_labels) or (B, S, V)
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(kw_only=True)
class PreTrainingOutput(ModelOutput):
    """The output of both pretraining heads together."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None  # (B, S, V)
    seq_relationship_logits: Tensor | None = None  # (B, 2); column 0 is "B follows A"
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(kw_only=True)
class QuestionAnsweringOutput(ModelOutput):
    """The logits of each position to be the start or the end of the answer."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None  # (B, S)
    end_logits: Tensor | None = None  # (B, S)
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
