"""Trace: every tensor of a forward pass by name, and the first that differs from another's.

`trace` records the tensors with forward hooks, and `compare` goes through them in the order of
computation. `likely_cause` runs the model again with one known fault at a time, and returns the one
that gives the numbers of the other.

The names are the paths of our modules. Besides, there are `input_ids`, `token_type_ids`, and in a
layer `attention.query`, `.key` and `.value` (S, E), `.probabilities` (H, S, S), and `.context`, the
joined heads (S, E). All others are (S, E), but for `intermediate` and `activation` (S, F),
`masked_lm` (S, V), `bert.pooler` (E,) and `next_sentence` (2,).

B batch (one text here), S sequence length, H heads, D head width, E hidden width, F feed-forward
width, V vocabulary.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from minibert.model.attention import Attend, SelfAttention, eager_attention
from minibert.model.bert import Pooler
from minibert.model.pretraining_heads import BertForPreTraining, MaskedLMHead

Arrays = dict[str, NDArray[Any]]
QUERY_KEY_VALUE = ".query_key_value"
# The end of the paths of some modules, or "attend" for the attention function; and what replaces
# the output: a function of the module, its input and its output, or one like `eager_attention`.
Fault = tuple[str, Callable[..., Any]]


@dataclass(frozen=True)
class Comparison:
    """One tensor here and there."""

    name: str
    shape: tuple[int, ...]
    other_shape: tuple[int, ...]
    difference: float  # the largest; infinite if the shapes differ or there is a NaN
    scale: float  # the root mean square of the values here, at least 1
    at: tuple[int, ...] = ()  # where the difference is largest
    values: tuple[float, float] = (math.nan, math.nan)  # here and there

    def differs(self, tolerance: float) -> bool:
        """Return whether the difference is more than this share of the scale."""
        return not self.difference <= tolerance * self.scale


def trace(
    model: BertForPreTraining,
    input_ids: Sequence[int],
    token_type_ids: Sequence[int],
    *,
    fault: Fault | None = None,
    within: str = "",
) -> Arrays:
    """Return all tensors of a forward pass, in the order of computation.

    Args:
        model: in evaluation mode.
        input_ids: S ids, [CLS] and [SEP] included.
        token_type_ids: S times 0 or 1.
        fault: what to do in another way than BERT does.
        within: the beginning of the paths of the modules that the fault is in; "" for all.
    """
    arrays = {"input_ids": np.array(input_ids), "token_type_ids": np.array(token_type_ids)}

    def keep(path: str, output: Tensor) -> None:
        array = (output[0] if len(output) == 1 else output).float().numpy()  # without the batch
        arrays.update(split_query_key_value(path, array))

    with torch.inference_mode(), _hooks(model, keep, fault, within):
        model(torch.tensor([input_ids]), token_type_ids=torch.tensor([token_type_ids]))
    return arrays


def split_query_key_value(path: str, array: NDArray[Any]) -> Arrays:
    """Return an array by its name, or three of them if it is query, key and value side by side."""
    if not path.endswith(QUERY_KEY_VALUE):
        return {path: array}
    names = (path.replace(QUERY_KEY_VALUE, f".{part}") for part in ("query", "key", "value"))
    parts = array.reshape(len(array), 3, -1).swapaxes(0, 1)  # (S, 3E) -> (3, S, E)
    return dict(zip(names, parts, strict=True))


@contextmanager
def _hooks(
    model: nn.Module, keep: Callable[[str, Tensor], None], fault: Fault | None, within: str
) -> Iterator[None]:
    """Change what the fault says, and give every output to `keep`, inside a `with` block."""
    handles = []
    end, change = fault or (None, None)

    def watch(path: str, module: nn.Module) -> None:
        changes = change is not None and path.startswith(within)
        # Hooks run in the order in which they are registered: what is kept has been changed.
        if change and changes and path.endswith(end or ""):
            handles.append(
                module.register_forward_hook(lambda m, args, output: change(m, args[0], output))
            )
        if isinstance(module, SelfAttention):
            attend = change if change and changes and end == "attend" else eager_attention
            handles.append(
                module.register_forward_pre_hook(
                    lambda _, args: (*args[:2], partial(_attend, keep, path, attend))
                )
            )
        is_leaf = not [*module.children()] and not isinstance(module, nn.Dropout)
        if is_leaf or isinstance(module, Pooler | MaskedLMHead):
            handles.append(module.register_forward_hook(lambda _, __, output: keep(path, output)))

    try:
        for path, module in model.named_modules():
            watch(path, module)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _attend(
    keep: Callable[[str, Tensor], None], path: str, attend: Attend, *args: Any, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """Keep the results of an attention function."""
    context, probabilities = attend(*args, **options)
    assert probabilities is not None
    keep(f"{path}.probabilities", probabilities)  # (B, H, S, S)
    keep(f"{path}.context", context.transpose(1, 2).flatten(2))  # (B, H, S, D) -> (B, S, E)
    return context, probabilities


def compare(arrays: Mapping[str, NDArray[Any]], other: Mapping[str, Any]) -> list[Comparison]:
    """Compare the tensors that both have, in the order of the first.

    An array of the other may have a batch of one text in front.
    """
    return [compare_one(name, x, other[name]) for name, x in arrays.items() if name in other]


def compare_one(name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> Comparison:
    """Compare two arrays."""
    if theirs.ndim == ours.ndim + 1 and len(theirs) == 1:
        theirs = theirs[0]
    scale = max(1.0, float(np.sqrt(np.mean(np.square(ours, dtype=np.float64)))))
    if theirs.shape != ours.shape:
        return Comparison(name, ours.shape, theirs.shape, math.inf, scale)
    distance = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    distance[np.isnan(distance)] = math.inf
    at = tuple(int(i) for i in np.unravel_index(distance.argmax(), distance.shape))
    values = (float(ours[at]), float(theirs[at]))
    return Comparison(name, ours.shape, theirs.shape, float(distance[at]), scale, at, values)


def likely_cause(
    model: BertForPreTraining,
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    theirs: NDArray[Any],
    *,
    tolerance: float,
) -> str | None:
    """Return what explains the first tensor that differs, or None if it is nothing known.

    Args:
        model: the model whose tensors these are.
        arrays: from `trace`.
        name: the first tensor that differs.
        theirs: that tensor of the other.
        tolerance: as for `Comparison.differs`.
    """
    if name == "input_ids":
        return "the two split the text into different tokens"
    ours = arrays[name]
    if theirs.shape != ours.shape and np.squeeze(theirs).shape == ours.shape[::-1]:
        return "the tensor is transposed"
    if np.isnan(theirs).any():
        return "it has NaN: a row of nothing but padding, or an overflow of float16"
    if name == "token_type_ids":
        return None if theirs.any() else "token type ids are 0 in both texts"
    ids, type_ids = arrays["input_ids"].tolist(), arrays["token_type_ids"].tolist()
    found = []
    layer = re.match(r"bert\.encoder\.layer\.\d+\.", name)
    for within in ("", layer[0]) if layer else ("",):  # in all layers, or in this one
        for end, changes in FAULTS.items():
            for sentence, change in changes.items():
                changed = trace(model, ids, type_ids, fault=(end, change), within=within)[name]
                comparison = compare_one(name, changed, theirs)
                if not comparison.differs(tolerance):
                    found.append((comparison.difference, sentence))
    return min(found)[1] if found else None


# Known faults. Functions get the module m, its input x and its output y.


def _linear(weight: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return a linear layer with another weight; query, key and value have one each."""

    def change(m: nn.Linear, x: Tensor, y: Tensor) -> Tensor:
        parts = m.weight.chunk(m.out_features // m.in_features)
        return F.linear(x, torch.cat([weight(part) for part in parts]), m.bias)

    return change


def _layer_norm(eps: float) -> Callable[..., Tensor]:
    """Return LayerNorm with another epsilon."""
    return lambda m, x, y: F.layer_norm(x, m.normalized_shape, m.weight, m.bias, eps)


def _embedding(row: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return an embedding of other ids; those beyond the table get its last row."""
    return lambda m, x, y: F.embedding(row(x).clamp(max=len(m.weight) - 1), m.weight)


def _attention(
    scores: Callable[[Tensor, int], Tensor] = lambda x, width: x / math.sqrt(width), dim: int = -1
) -> Attend:
    """Return attention with another function of the products and the head width."""

    def attend(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Any:
        probabilities = scores(query @ key.mT, query.shape[-1]).softmax(dim)
        return probabilities @ value, probabilities

    return attend


def _causal(x: Tensor, width: int) -> Tensor:
    """Return scores that let no token see those after it."""
    future = torch.ones_like(x, dtype=torch.bool).triu(1)
    return (x / math.sqrt(width)).masked_fill(future, -math.inf)


def _swapped(query: Tensor, key: Tensor, *others: Any, **options: Any) -> Any:
    """Attend with query and key in each other's place."""
    return eager_attention(key, query, *others, **options)


def _joined_wrong(*args: Any, **options: Any) -> Any:
    """Attend, and return a context whose heads are in order only if they are not transposed."""
    context, probabilities = eager_attention(*args, **options)  # (B, H, S, D)
    B, H, S, D = context.shape  # noqa: N806
    return context.reshape(B, S, H, D).transpose(1, 2), probabilities


def _split_wrong(query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Any:
    """Attend to heads that were made by reshaping (B, S, E) to (B, H, S, D), not transposed."""
    parts = (x.transpose(1, 2).reshape(x.shape) for x in (query, key, value))
    return eager_attention(*parts, *args, **options)


NO_BIAS: dict[str, Callable[..., Any]] = {"a bias is missing": lambda m, x, y: y - m.bias}
LINEAR = NO_BIAS | {"a weight is (in, out) and not transposed": _linear(lambda weight: weight.T)}
NOT_LOGITS: dict[str, Callable[..., Any]] = {
    "these are log-probabilities, not logits": lambda m, x, y: y.log_softmax(-1),
    "these are probabilities, not logits": lambda m, x, y: y.softmax(-1),
}
FAULTS: dict[str, dict[str, Callable[..., Any]]] = {
    ".position_embeddings": {
        "positions count from 1": _embedding(lambda x: x + 1),
        "positions count from 2, as in RoBERTa": _embedding(lambda x: x + 2),
        "there are no position embeddings": lambda m, x, y: 0 * y,
    },
    ".token_type_embeddings": {
        "token type ids are 0 in both texts": _embedding(torch.zeros_like),
        "token type ids are 1 and 0, not 0 and 1": _embedding(lambda x: 1 - x),
        "there are no token type embeddings": lambda m, x, y: 0 * y,
    },
    "LayerNorm": {
        **{f"layer_norm_eps is {eps:g}": _layer_norm(eps) for eps in (1e-5, 1e-6, 1e-8, 1e-12)},
        "LayerNorm divides by E - 1, not E, for its variance": lambda m, x, y: (
            m.weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + m.eps) + m.bias
        ),
        "LayerNorm has no scale and shift": lambda m, x, y: F.layer_norm(
            x, m.normalized_shape, eps=m.eps
        ),
        "LayerNorm is missing": lambda m, x, y: x,
    },
    "activation": {
        "the activation is GELU by tanh (gelu_tanh)": lambda m, x, y: F.gelu(x, approximate="tanh"),
        "the activation is GELU by erf (gelu)": lambda m, x, y: F.gelu(x),
        "the activation is x sigmoid(1.702 x)": lambda m, x, y: x * torch.sigmoid(1.702 * x),
        "the activation is ReLU": lambda m, x, y: F.relu(x),
        "the activation is missing": lambda m, x, y: x,
    },
    "attend": {
        "attention is not divided by sqrt(D)": _attention(lambda x, width: x),
        "softmax runs over the queries, not over the keys": _attention(dim=-2),
        "tokens do not attend to those after them (a causal mask)": _attention(_causal),
        "query and key are in each other's place": _swapped,
        "heads are joined without transposing (H, S, D) to (S, H, D)": _joined_wrong,
        "heads are split by reshaping (S, E) to (H, S, D), without transposing": _split_wrong,
    },
    ".attention": {
        "there is no residual connection around attention": lambda m, x, y: (y[0] - x, y[1]),
    },
    QUERY_KEY_VALUE: LINEAR,
    ".attention.output": LINEAR,
    ".dense": LINEAR,
    ".intermediate": NO_BIAS,
    ".output": NO_BIAS,
    ".pooler": {
        "the pooler has no tanh": lambda m, x, y: m.dense(x[:, 0]),
        "the pooler reads the mean of all tokens, not [CLS]": lambda m, x, y: m.dense(
            x.mean(1)
        ).tanh(),
    },
    "masked_lm": NO_BIAS | NOT_LOGITS,
    "next_sentence": NO_BIAS
    | NOT_LOGITS
    | {"the two classes are swapped": lambda m, x, y: y.flip(-1)},
}
