"""Read the train, dev and test sets of a task, hold out a dev set, and tokenize all of them.

Scores on training texts are meaningless, so overlaps are reported. So are files that are sorted by
label, because their first or last lines are not a random sample.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from minibert.data.builtin.library_docs import library_sentences
from minibert.data.labelled.batches import LabelledBatches
from minibert.data.labelled.examples import Example, normalize_text, read_examples
from minibert.data.labelled.header import GUESS, MAX_NAME_LENGTH, Columns
from minibert.data.labelled.labels import (
    MAX_LISTED,
    TASKS,
    LabelSet,
    Target,
    class_counts,
    guess_problem_type,
    name_classes,
    read_class_names,
)
from minibert.data.labelled.long_texts import batch_texts
from minibert.errors import MiniBertError
from minibert.problem_types import MULTI_LABEL, REGRESSION
from minibert.tokenization.tokenizer import BertTokenizer

DEV_SHARE = 0.1  # of the training examples, if there is no dev file


@dataclass(frozen=True)
class TaskData:
    """The train, dev and test examples of a task.

    Attributes:
        splits: examples by split: "train", "dev" and, if there is a test file, "test".
        targets: the target of each example, likewise.
        labels: the classes, from the training examples.
        notes: sentences for the user: what was guessed, and what looks wrong.
    """

    splits: dict[str, list[Example]]
    targets: dict[str, list[Target]]
    labels: LabelSet
    notes: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> bool:
        """Whether the examples are pairs of texts."""
        return self.splits["train"][0].text_pair is not None

    def texts(self) -> list[str]:
        """Return the texts of the training examples, including the second ones of pairs."""
        pairs = ((e.text, e.text_pair) for e in self.splits["train"])
        return [text for pair in pairs for text in pair if text is not None]

    def first(self, count: int) -> "TaskData":
        """Return the task with only the first `count` training examples."""
        splits = self.splits | {"train": self.splits["train"][:count]}
        return replace(
            self, splits=splits, targets=self.targets | {"train": self.targets["train"][:count]}
        )

    def describe(self) -> str:
        """Return the notes, and the number of examples in each split by class."""
        lines = list(self.notes)
        for name, examples in self.splits.items():
            counts = list(class_counts(examples).items()) if self.labels.names else []
            by_class = "  ".join(f"{label} {count:,}" for label, count in counts[:MAX_LISTED])
            if len(counts) > MAX_LISTED:
                by_class += f"  and {len(counts) - MAX_LISTED:,} more classes"
            lines.append(f"{name:5} {len(examples):7,} examples  {by_class}".rstrip())
        return "\n".join(lines)


def read_task(
    train: Path | str | None = None,
    dev: Path | str | None = None,
    test: Path | str | None = None,
    *,
    columns: Columns = GUESS,
    class_names: Path | None = None,
    problem_type: str | None = None,
    encoding: str | None = None,
    dev_share: float = DEV_SHARE,
    limit: int | None = None,
    seed: int = 0,
) -> TaskData:
    """Read the files of a task, or the built-in data if there is no training file.

    Args:
        train: a file as `read_examples` reads it.
        dev: another one, with the columns of the training file if it has them; None holds out
            `dev_share` of the training examples.
        test: another one, likewise.
        columns: those of the text, the second text and the label; None is guessed.
        class_names: a file that names a class per line, if the labels are ids: 0, 1, ...
        problem_type: one of the three in `labels.py`; None is guessed.
        encoding: that of files that are not UTF-8.
        dev_share: between 0 and 1.
        limit: the number of training examples to use, from the first; None uses all.
        seed: of what is held out of a training file.

    Raises:
        MiniBertError: a file cannot be read, dev or test have a label that train does not have, or
            there are class names for numbers.
    """
    if limit is not None and limit < 1:
        raise MiniBertError(f"the limit is {limit}; it must be at least 1.")
    if train is None:
        if dev is not None or test is not None or class_names is not None:
            raise MiniBertError(
                "there is a dev, test or class-names file but no training file; add --train."
            )
        # The same splits for every seed: the weights/ were pretrained on all but dev and test.
        splits = library_sentences()
        splits["train"] = splits["train"][:limit]
        notes = ["data: which library's documentation does a sentence come from?"]
    else:
        training, note, found = read_examples(train, columns, encoding=encoding)
        training, notes = training[:limit], [note]

        options: dict[str, Any] = {
            "encoding": encoding,
            "known_labels": {e.label for e in training},
        }

        def read_more(path: Path | str) -> list[Example]:
            """Read a file by the columns of the training file, or by itself if it lacks them."""
            more = None
            if Path(path).suffix.lower() == Path(train).suffix.lower():
                with suppress(MiniBertError):
                    more = read_examples(path, found, **options)
            more = more or read_examples(path, columns, **options)
            if (more.columns.pair is None) != (found.pair is None):
                raise MiniBertError(
                    f"only one of {train} and {path} has a second text; name the columns "
                    "(--pair-column)."
                )
            notes.append(more.note.replace("as requested", "as in the training file"))
            return more.examples

        asked = problem_type
        problem_type = problem_type or guess_problem_type(training)
        if sorted_note := warn_if_sorted(training, problem_type):
            notes.append(sorted_note)
        if dev is not None:
            held_out = read_more(dev)
        else:
            training, held_out = stratified_split(
                training, fraction=dev_share, seed=seed, problem_type=problem_type
            )
            share = len(held_out) / (len(training) + len(held_out))
            note = f"no dev file: {share:.0%} of the training examples are held out."
            absent = sorted(class_counts(training).keys() - class_counts(held_out).keys())
            if absent and problem_type != REGRESSION:
                some = ", ".join(f"'{name[:MAX_NAME_LENGTH]}'" for name in absent[:3])
                note += f" Dev has no example of {len(absent):,} of the classes, such as {some}."
            notes.append(note)
        splits = {"train": training, "dev": held_out}
        if test is not None:
            splits["test"] = read_more(test)
        if repeated := len(training) - len(remove_overlap(*splits.values())):
            notes.append(
                f"{repeated:,} training texts are also in dev or test, so scores will be too high."
            )
    labels = LabelSet.from_examples(splits["train"], problem_type)
    if class_names is not None:
        names = read_class_names(class_names, labels.problem_type, encoding)
        labels = replace(labels, names=names)
        splits = {name: name_classes(examples, names) for name, examples in splits.items()}
    if train is not None:
        task = next(name for name, kind in TASKS.items() if kind == labels.problem_type)
        classes = f" with {len(labels):,} class{'es' * (len(labels) > 1)}" if labels.names else ""
        how = "as requested" if asked else "guessed from the labels; --task decides"
        notes.append(f"task: {task}{classes} ({how}).")
    targets = {name: labels.targets(examples) for name, examples in splits.items()}
    return TaskData(splits, targets, labels, notes)


def make_batches(
    task: TaskData, tokenizer: BertTokenizer, *, max_length: int, **options: Any
) -> dict[str, LabelledBatches]:
    """Tokenize every split of a task.

    Args:
        task: the examples.
        tokenizer: the model's.
        max_length: tokens that are read of a text.
        **options: what becomes of longer texts, and more; see `batch_texts`.

    Returns:
        The batches of each split.
    """
    shortest = 4 if task.pairs else 3  # [CLS] and [SEP], and one token of each text
    if max_length < shortest:
        raise MiniBertError(
            f"max_length {max_length} leaves no room for text; use {shortest} or more."
        )
    return {
        name: batch_texts(
            tokenizer,
            examples,
            task.targets[name],
            max_length=max_length,
            pad_token_id=tokenizer.pad_token_id,
            **options,
        )
        for name, examples in task.splits.items()
    }


def stratified_split(
    examples: Sequence[Example], *, fraction: float, seed: int, problem_type: str | None = None
) -> tuple[list[Example], list[Example]]:
    """Hold out a fraction of the examples, and as far as possible of every class.

    Args:
        examples: labelled examples.
        fraction: between 0 and 1.
        seed: the same seed gives the same split on any machine.
        problem_type: that of the labels; None guesses it.

    Returns:
        (kept, held out), both in the order of `examples`. At least one example of each class is
        kept, and one is held out if the class has two and the fraction is large enough for all
        classes. Regression counts as one class, and so do sets of labels that occur once.

    Raises:
        MiniBertError: `fraction` is not between 0 and 1, or nothing can be held out.
    """
    if not 0 < fraction < 1:
        raise MiniBertError(f"the share to hold out is {fraction}; it must be between 0 and 1.")
    problem_type = problem_type or guess_problem_type(examples)
    counts = Counter(example.label for example in examples)
    members: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        rare = problem_type == MULTI_LABEL and counts[example.label] == 1
        members["" if rare or problem_type == REGRESSION else str(example.label)].append(index)
    random = np.random.Generator(np.random.PCG64(seed))
    # Sorted, so that the order of the file does not matter.
    groups = [random.permutation(members[label]).tolist() for label in sorted(members)]
    ties = random.permutation(len(groups)).tolist()
    # The first of each class, then each class by its size (Webster's method of apportionment).
    order = sorted(
        (k > 0, (2 * k + 1) / len(group), tie, group[k])
        for group, tie in zip(groups, ties, strict=True)
        for k in range(min(len(group) - 1, int(len(group) * fraction) + 2))
    )
    held_out = {index for *_, index in order[: max(1, round(len(examples) * fraction))]}
    if not held_out:
        raise MiniBertError(
            f"each of the {len(examples)} examples has a label of its own, so none can be held out "
            "for evaluation; name the column of the labels (--label-column), or give a file for "
            "evaluation (--dev)."
        )
    kept = [example for index, example in enumerate(examples) if index not in held_out]
    return kept, [examples[index] for index in sorted(held_out)]


def remove_overlap(examples: Sequence[Example], *held_out: Sequence[Example]) -> list[Example]:
    """Return the examples whose texts are in none of the held-out sets.

    Texts are compared with `normalize_text`; of a pair, both texts must be equal.
    """
    own, *others = [
        [(normalize_text(e.text), normalize_text(e.text_pair or "")) for e in some]
        for some in (examples, *held_out)
    ]
    taken = set(chain(*others))
    return [example for example, key in zip(examples, own, strict=True) if key not in taken]


def warn_if_sorted(examples: Sequence[Example], problem_type: str | None = None) -> str | None:
    """Return a warning if the examples are sorted by label or lie in blocks; otherwise None.

    In random order, the label changes n (1 - sum of the squared class shares) times from one
    line to the next. Fewer than a third of that means sorted, unless the number is below 50.
    """
    if (problem_type or guess_problem_type(examples)) == REGRESSION:
        return None
    n = len(examples)
    labels = [example.label for example in examples]
    changes = sum(before != after for before, after in pairwise(labels))
    expected = n - sum(count**2 for count in Counter(labels).values()) / max(n, 1)
    if expected < 50 or changes >= expected / 3:
        return None
    where = examples[0].where.rpartition(":")[0] or "the data"
    return (
        f"{where} is sorted by label: the label changes {changes:,} times in {n:,} lines; in "
        f"random order it would change about {expected:,.0f} times. Training shuffles the lines, "
        "but do not use the first or last lines as a sample or for evaluation."
    )
