"""Compare an answer with the right one, and find the mistake that explains the difference.

A check computes the right answer by a function that can also make typical mistakes on request. If
an answer is wrong, `expect` looks for the one or two mistakes that give exactly this answer.
"""

from collections.abc import Callable, Mapping, Set
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

TOLERANCE = 1e-4


class Text(NamedTuple):
    """A message in both languages."""

    en: str
    zh: str


class Wrong(Exception):  # noqa: N818 - a finding about an answer, not an error of the checker
    """A solution is wrong; the message says how."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.text = Text(en, zh)


Mistakes = Mapping[str, Text]
NO_CASE = Text("", "")


def same(given: Any, right: Any) -> bool:
    """Return whether two answers are equal, tensors up to `TOLERANCE`."""
    if isinstance(right, Tensor):
        return (
            isinstance(given, Tensor)
            and given.shape == right.shape
            and torch.allclose(given.to(right.dtype), right, atol=TOLERANCE, rtol=TOLERANCE)
        )
    if isinstance(right, tuple | list):
        return (
            type(given) is type(right)
            and len(given) == len(right)
            and all(same(a, b) for a, b in zip(given, right, strict=True))
        )
    if isinstance(right, float):
        return isinstance(given, float | int) and abs(given - right) <= TOLERANCE * (1 + abs(right))
    return type(given) is type(right) and bool(given == right)


def expect(
    given: Any,
    right: Any,
    name: str,
    *,
    case: Text = NO_CASE,
    compute: Callable[[Set[str]], Any] | None = None,
    mistakes: Mistakes | None = None,
) -> None:
    """Raise if an answer is not the right one, with the mistakes that give it if they are known.

    Args:
        given: the student's answer.
        right: the right one.
        name: what it is called in the stub.
        case: in which case it was computed, the start of the message.
        compute: returns the answer that a set of mistakes gives.
        mistakes: what is said about each mistake.
    """
    if isinstance(right, Tensor):
        expect_tensor(given, right.shape, name)
    if same(given, right):
        return
    if compute is not None and mistakes is not None:
        _find_mistakes(given, case, compute, mistakes)
    if isinstance(right, Tensor):
        difference = (given - right).abs()
        place = torch.unravel_index(difference.argmax(), right.shape)
        where = f"{name}[{', '.join(str(int(i)) for i in place)}]" if right.dim() else name
        yours, ours = f"{given[place].item():.4g}", f"{right[place].item():.4g}"
    elif type(given) is not type(right):
        where, yours, ours = name, f"{given!r} ({type(given).__name__})", repr(right)
    else:
        where, yours, ours = name, repr(given), repr(right)
    en = f"`{where}` is {yours}, and {ours} is right."
    raise Wrong(*_after(case, en, f"`{where}` 是 {yours}，正确的是 {ours}。"))


def expect_cases(
    given: list[Any],
    right: list[Any],
    names: list[str],
    *,
    cases: list[Text],
    compute: Callable[[Set[str]], list[Any]],
    mistakes: Mistakes,
    each: bool = False,
) -> None:
    """Raise if one of several answers is wrong, with the mistakes that explain all of them.

    With `each`, mistakes that explain the first wrong answer suffice: each has its own difficulty.
    """
    for place, (answer, ours) in enumerate(zip(given, right, strict=True)):
        if not same(answer, ours):
            _find_mistakes(given, cases[place], compute, mistakes)
            expect(
                answer,
                ours,
                names[place],
                case=cases[place],
                compute=lambda found, place=place: compute(found)[place],  # type: ignore[misc]
                mistakes=mistakes if each else None,
            )


def _find_mistakes(
    given: Any, case: Text, compute: Callable[[Set[str]], Any], mistakes: Mistakes
) -> None:
    """Raise if one or two mistakes give this answer."""
    for count in (1, 2):
        for names in combinations(mistakes, count):
            if same(given, compute(frozenset(names))):
                en = " Also, ".join(mistakes[name].en for name in names)
                zh = "另外，".join(mistakes[name].zh for name in names)
                raise Wrong(*_after(case, en, zh))


def _after(case: Text, en: str, zh: str) -> Text:
    return Text(f"{case.en}: {en}", f"{case.zh}：{zh}") if case.en else Text(en, zh)


def expect_tensor(given: Any, shape: tuple[int, ...], name: str) -> None:
    """Raise if an answer is not a tensor of floats with this shape and without NaN."""
    if given is None:
        raise Wrong(
            f"`{name}` is None: is a `return` missing?", f"`{name}` 是 None：是不是忘了 `return`？"
        )
    if not isinstance(given, Tensor):
        kind = type(given).__name__
        raise Wrong(
            f"`{name}` is a {kind} instead of a tensor.", f"`{name}` 是 {kind}，应该是张量。"
        )
    if given.shape != shape:
        yours, right = tuple(given.shape), tuple(shape)
        raise Wrong(
            f"`{name}` has the shape {yours}, and {right} is right.",
            f"`{name}` 的形状是 {yours}，正确的是 {right}。",
        )
    if given.isnan().any():
        raise Wrong(
            f"`{name}` has NaN: log or root of a negative number, 0 / 0, or inf - inf?",
            f"`{name}` 里有 NaN：是不是对负数取了对数或开方，或者出现了 0/0、inf - inf？",
        )


def expect_parts(given: Any, names: tuple[str, ...]) -> None:
    """Raise if an answer is not a tuple of as many parts as there are names."""
    if not isinstance(given, tuple | list) or len(given) != len(names):
        kind = type(given).__name__
        size = f" of {len(given)}" if isinstance(given, tuple | list) else ""
        joined = ", ".join(names)
        raise Wrong(
            f"it returns a {kind}{size}; return the {len(names)} values {joined}.",
            f"返回的是 {kind}{size and f'（{len(given)} 个）'}；"
            f"应该返回 {len(names)} 个值：{joined}。",
        )
