"""Right and wrong solutions of the exercises in docs/lessons/exercises, a file for each.

A wrong one names a part of the message that the check must give. Where a stub has several
functions, a solution of one of them is put together with the first right one of each other.
"""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any


def right(solution: Any) -> Any:
    """Mark a solution that must pass."""
    solution.message = None
    return solution


def wrong(message: str, *, of: str = "") -> Callable[[Any], Any]:
    """Mark a solution whose check must say this; `of` names what it solves if not all."""

    def mark(solution: Any) -> Any:
        solution.message, solution.of = message, of
        return solution

    return mark


def solutions(module: ModuleType, functions: tuple[str, ...]) -> dict[str, SimpleNamespace]:
    """Return each solution as the file of a student would hold it, with `message`.

    A right one is called right_1, or right_1_of_viterbi if the stub has several functions.
    """
    marked = {name: s for name, s in vars(module).items() if hasattr(s, "message")}
    first = {}
    for function in functions:
        suffix = f"_of_{function}" if len(functions) > 1 else ""
        first[function] = marked[f"right_1{suffix}"]
    found = {}
    for name, solution in marked.items():
        named = (f for f in functions if name.endswith(f"_of_{f}"))
        of = getattr(solution, "of", "") or next(named, functions[0])
        found[name] = SimpleNamespace(**{**first, of: solution}, message=solution.message)
    return found
