"""The train, dev and test sets of a task, from files or from the embedded default."""

import zlib
from dataclasses import dataclass, field
from pathlib import Path

from minibert.data.builtin.library_docs import library_sentences
from minibert.data.labelled.batches import TextClassificationBatches, tokenize_examples
from minibert.data.labelled.columns import Column
from minibert.data.labelled.examples import Example, read_examples_with_note
from minibert.data.labelled.labels import LabelSet, class_counts
from minibert.data.labelled.splits import stratified_split, warn_if_sorted, without_overlap
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer

DEV_SHARE = 0.1  # of the training file, where no dev file is given


@dataclass(frozen=True)
class TaskData:
    """A task's examples.

    Attributes:
        train: what to learn from.
        dev: what to choose the best weights by.
        test: what to judge them by; empty where there is no test file.
        labels: the classes, from the training examples.
        notes: sentences for the user: what was guessed, what looks strange.
    """

    train: list[Example]
    dev: list[Example]
    test: list[Example]
    labels: LabelSet
    notes: list[str] = field(default_factory=list)

    @property
    def splits(self) -> dict[str, list[Example]]:
        """The sets that hold examples, by name."""
        named = {"train": self.train, "dev": self.dev, "test": self.test}
        return {name: examples for name, examples in named.items() if examples}

    @property
    def pairs(self) -> bool:
        """Whether the examples are pairs of texts."""
        return self.train[0].text_pair is not None

    def describe(self) -> str:
        """How many examples each set has, by class."""
        lines = list(self.notes)
        for name, examples in self.splits.items():
            counts = class_counts(examples) if self.labels.names else {}
            by_class = "  ".join(f"{label} {count:,}" for label, count in counts.items())
            lines.append(f"{name:5} {len(examples):7,} examples  {by_class}".rstrip())
        return "\n".join(lines)


def read_task(
    train: Path | str | None = None,
    dev: Path | str | None = None,
    test: Path | str | None = None,
    *,
    text_column: Column = None,
    pair_column: Column = None,
    label_column: Column = None,
    limit: int | None = None,
    seed: int = 0,
) -> TaskData:
    """Read the files of a task; without a training file, the embedded default.

    Args:
        train: a .tsv, .csv or .jsonl file, as `readers.py` reads it.
        dev: another; None holds a tenth of the training examples out.
        test: another.
        text_column: name or number of the column with the text; None guesses.
        pair_column: likewise for the second text of a pair.
        label_column: likewise for the label.
        limit: use the first so many training examples only.
        seed: of what is held out of a training file.

    Raises:
        MiniBertError: a file cannot be read, or dev and test hold labels that train does not.
    """
    if limit is not None and limit < 1:
        raise MiniBertError(f"the limit is {limit}; it must be at least 1.")
    if train is None:
        if dev is not None or test is not None:
            raise MiniBertError("there is a dev or test file but nothing to train on; add --train.")
        # The same sets for every seed: weights/ have read all that is not held out of this one.
        default = library_sentences()
        training = default["train"][:limit]
        notes = ["data: which library's documentation does a sentence come from?"]
        labels = LabelSet.from_examples(training)
        return TaskData(training, default["dev"], default["test"], labels, notes)

    def read(path: Path | str) -> tuple[list[Example], str]:
        return read_examples_with_note(
            path, text_column=text_column, pair_column=pair_column, label_column=label_column
        )

    training, note = read(train)
    training, notes = training[:limit], [note]
    if sorted_note := warn_if_sorted(training):
        notes.append(sorted_note)
    if dev is not None:
        held_out = read(dev)[0]
    else:
        training, held_out = stratified_split(training, fraction=DEV_SHARE, seed=seed)
        notes.append(f"no dev file: {DEV_SHARE:.0%} of the training examples are held out for it.")
    testing = [] if test is None else read(test)[0]
    labels = LabelSet.from_examples(training)
    for examples in (held_out, testing):
        labels.targets(examples)  # refuses unknown labels before any work is done
    repeated = len(training) - len(without_overlap(training, held_out, testing))
    if repeated:
        notes.append(f"{repeated:,} training texts also stand in dev or test, which flatters them.")
    return TaskData(training, held_out, testing, labels, notes)


def make_batches(
    task: TaskData,
    tokenizer: BertTokenizer,
    *,
    max_length: int,
    batch_size: int,
    seed: int,
) -> dict[str, TextClassificationBatches]:
    """Tokenize all sets of a task, each once.

    Args:
        task: the examples.
        tokenizer: the model's.
        max_length: longer texts are cut to this many tokens.
        batch_size: examples a batch.
        seed: of the order of training.

    Returns:
        The batches of each set, by its name.
    """
    shortest = 4 if task.pairs else 3  # [CLS] and [SEP], and a piece of each text
    if max_length < shortest:
        raise MiniBertError(
            f"max_length {max_length} leaves no room for text; use {shortest} or more."
        )
    return {
        name: TextClassificationBatches(
            tokenize_examples(tokenizer, examples, max_length=max_length),
            task.labels.targets(examples),
            pad_token_id=tokenizer.pad_token_id,
            batch_size=batch_size,
            seed=seed,
        )
        for name, examples in task.splits.items()
    }


def fingerprint(batches: TextClassificationBatches) -> str:
    """A checksum of ids and labels: equal for equal data under an equal vocabulary."""
    checksum = 0
    for ids in batches.texts.input_ids:
        checksum = zlib.crc32(ids.tobytes(), checksum)
    checksum = zlib.crc32(repr(batches.targets).encode(), checksum)
    return f"{len(batches.lengths)} examples, crc32 {checksum:08x}"
