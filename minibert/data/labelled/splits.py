"""One set of examples -> two that do not overlap; and a look at the order of the first.

A score on texts that were trained on is worth nothing. And a file that is sorted by label has
ruined many a first training: with a shuffle buffer of 100, ten sorted classes give accuracy 0.1.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from minibert.data.labelled.examples import Example
from minibert.data.labelled.labels import guess_problem_type
from minibert.errors import MiniBertError
from minibert.problem_types import REGRESSION


def normalised(text: str) -> str:
    """The letters and digits of a text, in lower case: what two copies of it have in common."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def without_overlap(examples: Sequence[Example], *held_out: Sequence[Example]) -> list[Example]:
    """The examples whose texts stand in none of the held-out sets, in their order.

    Texts are compared as `normalised`. Tell the user how many went:
    `len(examples) - len(without_overlap(examples, dev))`.
    """
    taken = {_key(example) for examples in held_out for example in examples}
    return [example for example in examples if _key(example) not in taken]


def _key(example: Example) -> tuple[str, str]:
    # A text of nothing but signs ("?!") stands for itself.
    pair = example.text_pair or ""
    return normalised(example.text) or example.text, normalised(pair) or pair


def stratified_split(
    examples: Sequence[Example], *, fraction: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """Hold out a share of every class.

    Args:
        examples: labelled examples.
        fraction: the share to hold out, between 0 and 1.
        seed: the same seed gives the same split on any machine.

    Returns:
        (kept, held out), both in the order of `examples`. A class with a single example is kept;
        one with more has at least one on either side. Numbers (regression) count as one class.

    Raises:
        MiniBertError: `fraction` is not between 0 and 1, or nothing can be held out.
    """
    if not 0 < fraction < 1:
        raise MiniBertError(f"the share to hold out is {fraction}; it must be between 0 and 1.")
    numbers = guess_problem_type(examples) == REGRESSION
    members: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        members["" if numbers else str(example.label)].append(index)
    random = np.random.Generator(np.random.PCG64(seed))
    held_out: set[int] = set()
    for label in sorted(members):  # not in order of appearance: it would change with the file
        indices = members[label]
        share = min(max(round(len(indices) * fraction), 1), len(indices) - 1)
        held_out.update(random.permutation(indices)[:share].tolist())
    if not held_out:
        raise MiniBertError(
            f"{len(examples)} examples are too few to hold any out, since each has a label of its "
            "own; name the column of the labels (--label-column), or give a file for evaluation."
        )
    kept = [example for index, example in enumerate(examples) if index not in held_out]
    return kept, [examples[index] for index in sorted(held_out)]


def warn_if_sorted(examples: Sequence[Example]) -> str | None:
    """A sentence if the examples lie sorted by label, or in blocks; None if they look shuffled.

    Counts how often the label changes from one line to the next. In random order, that is
    n (1 - sum of the squared class shares). Less than a third of that is no accident, unless that
    is small (below 50), and then nothing is said.
    """
    if guess_problem_type(examples) == REGRESSION:
        return None
    n = len(examples)
    labels = [example.label for example in examples]
    changes = sum(before != after for before, after in pairwise(labels))
    expected = n - sum(count**2 for count in Counter(labels).values()) / max(n, 1)
    if expected < 50 or changes >= expected / 3:
        return None
    where = examples[0].where.rpartition(":")[0] or "the data"
    return (
        f"{where} is sorted by label: it changes {changes:,} times in {n:,} lines, about "
        f"{expected:,.0f} in random order. Training shuffles all of it before each epoch; but do "
        "not take the first or last lines as a sample or for evaluation."
    )
