"""Turn labels as written into the targets of a model, and name its outputs.

    single_label_classification    "neg"         -> 0                 one class per text
    multi_label_classification     ("a", "c")    -> [1.0, 0.0, 1.0]   any number of classes per text
    regression                     "3.8"         -> 3.8               a number

The three names are those of `config.json` (`problem_type`), as are `id2label` and `label2id`.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from minibert.data.labelled.examples import Example, Label
from minibert.data.labelled.header import MAX_NAME_LENGTH, is_number
from minibert.data.labelled.text_file import MAX_SHOWN, join_messages, read_text, split_lines
from minibert.errors import MiniBertError
from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL

TASKS = {"classification": SINGLE_LABEL, "multi-label": MULTI_LABEL, "regression": REGRESSION}
"""The problem types by the names of the command line."""
MAX_NUMBER = 1e15  # the squared error of a larger one could overflow float32
MAX_LISTED = 20  # classes that are named in a sentence

Target = int | float | list[float]
"""What a model is trained to predict: a class id, a number, or a 0 or 1 for each class."""


@dataclass(frozen=True)
class LabelSet:
    """The classes of a task, in a fixed order.

    Attributes:
        names: class names, in the order of their ids. Empty for regression.
        problem_type: one of the three names above, `PROBLEM_TYPES`.

    Example:
        >>> labels = LabelSet(("neg", "pos"))
        >>> labels.targets([Example("fine", label="pos")])
        [1]
    """

    names: tuple[str, ...]
    problem_type: str = SINGLE_LABEL

    @classmethod
    def from_examples(
        cls, examples: Sequence[Example], problem_type: str | None = None
    ) -> "LabelSet":
        """Collect and sort the labels of the training examples.

        Args:
            examples: labelled examples.
            problem_type: one of the three names above; None guesses it.

        Raises:
            MiniBertError: there is only one class.
        """
        problem_type = problem_type or guess_problem_type(examples)
        if problem_type == REGRESSION:
            return cls((), REGRESSION)
        names = tuple(class_counts(examples))
        if problem_type == SINGLE_LABEL and len(names) < 2:
            raise MiniBertError(
                f"all {len(examples):,} examples have the label {_listed(names)}; "
                "a classifier needs at least two classes."
            )
        return cls(names, problem_type)

    def __len__(self) -> int:
        """Return the number of outputs of a model: one per class, or 1 for regression."""
        return 1 if self.problem_type == REGRESSION else len(self.names)

    @property
    def config(self) -> dict[str, Any]:
        """The fields of a `BertConfig` for these labels."""
        id2label = self.id2label or {0: "number"}
        return {
            "num_labels": len(self),
            "id2label": id2label,
            "problem_type": self.problem_type,
        }

    @cached_property
    def label2id(self) -> dict[str, int]:
        """The id of each class name."""
        return {name: index for index, name in enumerate(self.names)}

    @property
    def id2label(self) -> dict[int, str]:
        """The class name of each id."""
        return dict(enumerate(self.names))

    def targets(self, examples: Sequence[Example]) -> list[Target]:
        """Return the target of each example.

        Raises:
            MiniBertError: an example has no label, an unknown label, or no number for regression.
                The first ten such examples are listed.
        """
        targets: list[Target] = []
        errors: list[str] = []
        for example in examples:
            try:
                targets.append(self._target(example.label, hint=len(errors) < MAX_SHOWN))
            except MiniBertError as error:
                errors.append(f"{example.where or repr(example.text[:40])}: {error}")
        if errors:
            raise MiniBertError(join_messages(errors))
        return targets

    def _target(self, label: Label, *, hint: bool) -> Target:
        if label is None:
            raise MiniBertError("the label is missing; add one or delete the line.")
        labels = (label,) if isinstance(label, str) else label
        if self.problem_type != MULTI_LABEL and label is labels:
            raise MiniBertError(
                "the label is a list, but the task takes one label per text; give one."
            )
        if self.problem_type == REGRESSION:
            if not is_number(labels[0]):
                raise MiniBertError(f"the label '{label}' is not a number, as regression needs.")
            if abs(number := float(labels[0])) > MAX_NUMBER:
                raise MiniBertError(
                    f"the label '{label}' is too large a number for float32 (at most "
                    f"{MAX_NUMBER:g}); divide all labels by a constant or take their logarithm."
                )
            return number
        for name in labels:
            if name not in self.label2id:
                # The comparison takes the product of both lengths, so long names are left out.
                near = [n for n in self.names[:1000] if hint and len(name) + len(n) <= 200]
                close = difflib.get_close_matches(name, near, n=1)
                meant = f" Did you mean '{close[0]}'?" if close else ""
                raise MiniBertError(
                    f"the label '{name[:MAX_NAME_LENGTH]}' is not among the classes "
                    f"{_listed(self.names)}.{meant}"
                )
        if self.problem_type == MULTI_LABEL:
            return [float(name in labels) for name in self.names]
        return self.label2id[labels[0]]


def read_class_names(path: Path, problem_type: str, encoding: str | None) -> tuple[str, ...]:
    """Return the class names of a file with one per line, in the order of their ids.

    Raises:
        MiniBertError: a name is missing, repeated or a number, or there is only one; or the labels
            are no classes.
    """
    if problem_type == REGRESSION:
        raise MiniBertError("--class-names names classes, and the labels are numbers; remove it.")
    text, _ = read_text(path, encoding)
    names: dict[str, int] = {}  # -> line
    for line, name in enumerate(map(str.strip, split_lines(text.rstrip())), start=1):
        if not name or is_number(name) or name in names:
            wrong = "a number" if name and name not in names else "repeated" if name else "empty"
            raise MiniBertError(
                f"{path}:{line}: the class name '{name[:MAX_NAME_LENGTH]}' is {wrong}; write a "
                "different name on each line, in the order of the ids."
            )
        names[name] = line
    if len(names) < 2:
        raise MiniBertError(f"{path} has one line; it must name two or more classes, one per line.")
    return tuple(names)


def name_classes(examples: Sequence[Example], names: Sequence[str]) -> list[Example]:
    """Return the examples with class names in the place of ids: "0" is the first name.

    Labels that are no ids stay as they are, so that `LabelSet.targets` can name their lines.

    Example:
        >>> name_classes([Example("fine", label="1")], ["neg", "pos"])[0].label
        'pos'
    """
    by_id = {str(index): name for index, name in enumerate(names)}

    def named(label: Label) -> Label:
        if isinstance(label, tuple):
            return tuple(by_id.get(name, name) for name in label)
        return by_id.get(label, label) if label else label

    return [replace(example, label=named(example.label)) for example in examples]


def guess_problem_type(examples: Sequence[Example]) -> str:
    """Return the problem type that fits the labels.

    Lists of names mean multi-label. If nine of ten different labels are numbers, and at least one
    has a fraction (3.8), it is regression. Anything else, whole numbers included, means one class
    per text.
    """
    labels = {example.label for example in examples}
    if any(isinstance(label, tuple) for label in labels):
        return MULTI_LABEL
    numbers = [float(label) for label in labels if isinstance(label, str) and is_number(label)]
    mostly = len(numbers) >= 0.9 * len(labels)  # "nan" and typing errors are refused later
    return REGRESSION if mostly and any(number % 1 for number in numbers) else SINGLE_LABEL


def class_counts(examples: Sequence[Example]) -> dict[str, int]:
    """Return the number of examples of each label, sorted: by value if all are whole numbers."""
    labels = [example.label or () for example in examples]
    counts = Counter(
        name for label in labels for name in ([label] if isinstance(label, str) else label)
    )
    if all(name.removeprefix("-").isdecimal() for name in counts):
        return dict(sorted(counts.items(), key=lambda item: (int(item[0]), item[0])))
    return dict(sorted(counts.items()))


def _listed(names: Sequence[str]) -> str:
    more = " and more" if len(names) > MAX_LISTED else ""
    return ", ".join(f"'{name[:MAX_NAME_LENGTH]}'" for name in names[:MAX_LISTED]) + more
