"""Labels as they are written <-> the numbers a model works with.

    single_label_classification    "neg"         -> 0                 one class a text
    multi_label_classification     ("a", "c")    -> [1.0, 0.0, 1.0]   any number of classes a text
    regression                     "3.8"         -> 3.8               a number

The names of the three are those of `config.json` (`problem_type`, `id2label`, `label2id`).
"""

import difflib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from minibert.data.labelled.examples import Example
from minibert.data.labelled.tables import MOST_SHOWN
from minibert.errors import MiniBertError
from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL

Target = int | float | list[float]
"""What a model is trained towards: a class number, a number, or a 0/1 for each class."""


@dataclass(frozen=True)
class LabelSet:
    """The classes of a task, in a fixed order.

    Attributes:
        names: class names; the place of a name is its number. Empty for regression.
        problem_type: one of `PROBLEM_TYPES`.

    Example:
        >>> labels = LabelSet(("neg", "pos"))
        >>> labels.target(Example("fine", label="pos"))
        1
    """

    names: tuple[str, ...]
    problem_type: str = SINGLE_LABEL

    @classmethod
    def from_examples(
        cls, examples: Sequence[Example], *, problem_type: str | None = None
    ) -> "LabelSet":
        """Collect the labels of the training examples, in an order that any machine finds again.

        Args:
            examples: labelled examples.
            problem_type: one of the three names above; None guesses with `guess_problem_type`.

        Raises:
            MiniBertError: there is only one class, or a number of a regression cannot be read.
        """
        problem_type = problem_type or guess_problem_type(examples)
        if problem_type == REGRESSION:
            labels = cls((), REGRESSION)
            labels.targets(examples)
            return labels
        names = class_counts(examples)
        if problem_type == SINGLE_LABEL and len(names) < 2:
            raise MiniBertError(
                f"all {len(examples):,} examples have the label {_listed(list(names))}; "
                "a classifier needs at least two classes."
            )
        return cls(tuple(names), problem_type)

    def __len__(self) -> int:
        """Number of classes; 1 for regression: the width of the model's answer."""
        return 1 if self.problem_type == REGRESSION else len(self.names)

    @cached_property
    def label2id(self) -> dict[str, int]:
        """Name -> number."""
        return {name: number for number, name in enumerate(self.names)}

    @property
    def id2label(self) -> dict[int, str]:
        """Number -> name."""
        return dict(enumerate(self.names))

    def target(self, example: Example) -> Target:
        """What the model is trained towards for this example.

        Raises:
            MiniBertError: the example has no label, one that is not in `names`, or no number.
        """
        label, place = example.label, example.where or repr(example.text[:40])
        if label is None:
            raise MiniBertError(f"{place}: there is no label.")
        if self.problem_type == MULTI_LABEL:
            numbers = [self._number(name, place) for name in _as_tuple(label)]
            return [float(number in numbers) for number in range(len(self.names))]
        if not isinstance(label, str):
            raise MiniBertError(f"{place}: a list of labels, but the task is {self.problem_type}.")
        return (
            _float(label, place) if self.problem_type == REGRESSION else self._number(label, place)
        )

    def targets(self, examples: Sequence[Example]) -> list[Target]:
        """`target` for all; an error lists the first ten bad ones and counts the rest."""
        targets: list[Target] = []
        problems: list[str] = []
        for example in examples:
            try:
                targets.append(self.target(example))
            except MiniBertError as error:
                problems.append(str(error))
        if problems:
            more = f"\nand {len(problems) - MOST_SHOWN:,} more" * (len(problems) > MOST_SHOWN)
            raise MiniBertError("\n".join(problems[:MOST_SHOWN]) + more)
        return targets

    def _number(self, name: str, place: str) -> int:
        number = self.label2id.get(name)
        if number is None:
            close = difflib.get_close_matches(name, self.names, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise MiniBertError(
                f"{place}: the label '{name}' is not among the training labels "
                f"{_listed(self.names)}.{hint}"
            )
        return number


def guess_problem_type(examples: Sequence[Example]) -> str:
    """The problem type that the labels look like.

    A list of names means multi-label; numbers of which at least one is not whole (3.8) mean
    regression; anything else, whole numbers too, is a single label.
    """
    if any(isinstance(example.label, tuple) for example in examples):
        return MULTI_LABEL
    labels = {example.label for example in examples if isinstance(example.label, str)}
    try:
        numbers = [float(label) for label in labels]
    except ValueError:
        return SINGLE_LABEL
    fractions = [number for number in numbers if math.isfinite(number) and number % 1 != 0]
    return REGRESSION if fractions else SINGLE_LABEL


def class_counts(examples: Sequence[Example]) -> dict[str, int]:
    """Label -> number of examples, in order: of value if all are whole numbers, else of letters."""
    labels = [example.label for example in examples if example.label is not None]
    counts = Counter(name for label in labels for name in _as_tuple(label))
    if all(name.removeprefix("-").isdecimal() for name in counts):
        return dict(sorted(counts.items(), key=lambda item: (int(item[0]), item[0])))
    return dict(sorted(counts.items()))


def _as_tuple(label: str | tuple[str, ...]) -> tuple[str, ...]:
    return (label,) if isinstance(label, str) else label


def _float(label: str, place: str) -> float:
    try:
        value = float(label)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MiniBertError(f"{place}: the label '{label}' is not a number, as regression needs.")
    return value


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:20]) + (" and more" if len(names) > 20 else "")
