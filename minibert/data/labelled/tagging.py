"""Read files with a tag for each word: columns as of CoNLL, tables, or JSON.

    columns   EU NNP B-ORG                        a word per line, blank lines between sentences
    table     EU rejects<TAB>B-ORG O              a sentence per line, spaces between the words
    JSON      {"tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}

The columns of the words and the tags are found by their content. `word_columns.py` reads files with
a word per line.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minibert.data.labelled.columns import choose_columns
from minibert.data.labelled.guess_task import guess_task
from minibert.data.labelled.header import GUESS, Columns
from minibert.data.labelled.tables import Table, parse_table
from minibert.data.labelled.tags import TAG, UNTYPED, TagSet, find_spans, guess_scheme
from minibert.data.labelled.text_file import Errors, bad_lines, read_text, split_lines
from minibert.data.labelled.word_columns import EXAMINED, MOST, Sentence, read_columns
from minibert.errors import MiniBertError

BROKEN_TAGS = ("repair", "refuse")
_TABLES = (".json", ".jsonl", ".ndjson", ".csv")
_WORD_PER_LINE = (".conll", ".conllu", ".bio")
_WORD_NAMES, _TAG_NAMES = ("tokens", "words"), ("labels", "pos_tags", "upos", "tags", "ner_tags")


class TaggedFile(NamedTuple):
    """The sentences of a file, the scheme of its tags, and what was decided, for the user."""

    sentences: list[Sentence]
    scheme: str | None
    notes: list[str]


def read_sentences(
    path: Path,
    columns: Columns = GUESS,
    *,
    encoding: str | None = None,
    known: TagSet | None = None,
    labelled: bool = True,
    broken_tags: str | None = None,
) -> TaggedFile:
    """Read the sentences of a file.

    Args:
        path: the file.
        columns: those of the words and the tags, by number from 1, or by name in a table.
        encoding: that of a file that is not UTF-8.
        known: the tags of a model; tags in another scheme are translated to its scheme.
        labelled: whether the file must have tags; otherwise they are not read.
        broken_tags: "repair" (the default) reads an I that continues nothing as the beginning of a
            span, as the script of the CoNLL shared tasks does, and writes it so; "refuse" is an
            error that lists all such lines.

    Raises:
        MiniBertError: the file cannot be read, the columns are unclear, or tags are missing,
            unknown, or broken and to be refused.
    """
    text, form = read_text(path, encoding)
    lines = split_lines(text)
    filled = [line for line in lines[:EXAMINED] if line.strip()]
    with_spaces = sum(any(" " in cell for cell in line.split("\t")[1:]) for line in filled)
    errors: Errors = []
    names = known.names if known else ()
    suffix = path.suffix.lower()
    if suffix in _TABLES or (suffix not in _WORD_PER_LINE and with_spaces >= len(filled) / 2):
        table = parse_table(text, path, columns, form)
        errors += table.errors
        sentences, note = _from_table(table, columns, errors, labelled=labelled)
    else:
        sentences, note = read_columns(path, lines, columns, errors, names, labelled=labelled)
    if labelled and known is not None:
        _find_unknown(sentences, known, errors)
    if errors:
        raise bad_lines(path, errors)
    if not sentences:
        raise MiniBertError(f"{path} holds no sentences.")
    if not labelled:
        return TaggedFile(sentences, None, [note])
    scheme = guess_scheme(sentence.tags for sentence in sentences)
    if known and all(known.well_formed(sentence.tags) == sentence.tags for sentence in sentences):
        scheme = known.scheme  # a few sentences may look like another scheme
    own, target = TagSet((), scheme), known or TagSet((), scheme)
    for index, sentence in enumerate(sentences):
        tags = own.well_formed(sentence.tags)
        for tag, right, line in zip(sentence.tags, tags, sentence.lines, strict=True):
            if tag.replace("_", "-", 1) != right.replace("_", "-", 1):
                errors.append(
                    (line, f"the tag {tag!r:.99} is broken: {scheme} has {right!r} here.")
                )
                break
        sentences[index] = sentence._replace(tags=target.well_formed(tags))
    if errors and broken_tags == "refuse":
        raise bad_lines(path, errors)
    notes = [note]
    if errors:
        notes.append(
            f"{path}: the tags of {len(errors):,} of {len(sentences):,} sentences are broken, the "
            f"first in line {errors[0][0]:,}; they are repaired as the CoNLL script reads them "
            "(--broken-tags refuse lists them)."
        )
    return TaggedFile(sentences, scheme, notes)


def holds_words(path: Path, encoding: str | None, known: TagSet) -> bool:
    """Return whether a file to predict holds words, one per line or in lists, instead of texts."""
    if path.suffix.lower() in _WORD_PER_LINE or not path.is_file():
        return path.is_file()
    text, _ = read_text(path, encoding)
    lines = [line.split() for line in split_lines(text)[:EXAMINED] if line.strip()]
    last_is_tag = all(len(cells) > 1 and cells[-1] in known.names for cells in lines)
    return last_is_tag or guess_task(path, encoding=encoding) == "tagging"


def _find_unknown(sentences: Sequence[Sentence], known: TagSet, errors: Errors) -> None:
    """Add an error for each tag whose type is unknown, or without a scheme, that is unknown."""
    types = {span.type for name in known.names for span in find_spans([name])}
    listed = ", ".join(map(repr, known.names[:20])) + ", ..." * (len(known.names) > 20)
    for sentence in sentences:
        for tag, line in zip(sentence.tags, sentence.lines, strict=True):
            match = TAG.fullmatch(tag) if known.scheme else None
            if tag not in known.names and not (match and (match[2] or UNTYPED) in types):
                errors.append((line, f"the tag {tag!r:.99} is not one of the model: {listed}."))


def _from_table(
    table: Table, columns: Columns, errors: Errors, *, labelled: bool
) -> tuple[list[Sentence], str]:
    """Return the sentences of a file with a sentence per row, and a note on its columns."""
    text, label, names = columns.text, columns.label, table.names
    if label is None and labelled:
        cells = {n: [_items(row.get(n)) for _, row in table.rows[:EXAMINED]] for n in names}
        fit = [n for n in names if n.casefold() in _TAG_NAMES]
        fit += [
            name
            for name, lists in cells.items()
            if sum(bool(c) and all(map(TAG.fullmatch, c)) for c in lists) >= MOST * len(lists)
        ]
        if not fit:
            listed = ", ".join(repr(name[:99]) for name in names[:20])
            raise MiniBertError(
                f"{table.path}: cannot tell which column holds the tags; it has the columns "
                f"{listed}. Pass its name or number (--label-column)."
            )
        label = max(fit, key=lambda name: ("ner" in name.casefold(), fit.index(name)))
    text = text or next((name for name in names if name.casefold() in _WORD_NAMES), None)
    asked = Columns(text, None, label, columns.header)
    text, _, label, _ = choose_columns(table, asked, labelled=labelled)
    sentences = []
    for line, row in table.rows:
        words, tags = _items(row.get(text)), _items(row.get(label)) if label else []
        if label and isinstance(row.get(text), str) and len(words) != len(tags):
            characters = "".join(words)  # Chinese text has no spaces between its words
            words = [*characters] if len(characters) == len(tags) else words
        if label and len(words) != len(tags):
            errors.append(
                (line, f"{len(words):,} words but {len(tags):,} tags; give one for each.")
            )
        elif words:
            sentences.append(Sentence(words, tags, [line] * len(words)))
    how = "as requested" if columns.text or columns.label else "guessed"
    tagged = f", tags = column {label!r}" if label else ""
    form = "".join(f"; {note}" for note in table.notes)
    return sentences, f"{table.path}: words = column {text!r}{tagged} ({how}{form})."


def _items(cell: object) -> list[str]:
    return list(cell) if isinstance(cell, tuple) else cell.split() if isinstance(cell, str) else []


@dataclass(frozen=True)
class TaggingData:
    """The train, dev and test sentences of a task.

    Attributes:
        splits: sentences by split: "train", "dev" and, if there is a test file, "test".
        tags: those of the training sentences.
        notes: sentences for the user: what was guessed, and what looks wrong.
    """

    splits: dict[str, list[Sentence]]
    tags: TagSet
    notes: list[str] = field(default_factory=list)

    @property
    def by_character(self) -> bool:
        """Whether nearly all words are one character long, as in Chinese files."""
        lengths = [len(word) for sentence in self.splits["train"] for word in sentence.words]
        return lengths.count(1) > MOST * len(lengths)

    def texts(self) -> list[str]:
        """Return the words of each training sentence, joined by spaces."""
        return [" ".join(sentence.words) for sentence in self.splits["train"]]

    def describe(self) -> str:
        """Return the notes, and the number of sentences, words and spans in each split."""
        lines = [*self.notes]
        for name, sentences in self.splits.items():
            if self.tags.scheme is None:
                counts = Counter(tag for sentence in sentences for tag in sentence.tags)
            else:
                counts = Counter(
                    s.type for sentence in sentences for s in find_spans(sentence.tags)
                )
            listed = "  ".join(f"{kind} {count:,}" for kind, count in counts.most_common(20))
            words = sum(len(sentence.words) for sentence in sentences)
            lines.append(f"{name:5} {len(sentences):7,} sentences  {words:9,} words  {listed}")
        return "\n".join(lines)


def read_tagging(
    train: Path | None,
    dev: Path | None = None,
    test: Path | None = None,
    *,
    columns: Columns = GUESS,
    encoding: str | None = None,
    broken_tags: str | None = None,
    dev_share: float = 0.1,
    limit: int | None = None,
    seed: int = 0,
) -> TaggingData:
    """Read the files of a task.

    Args:
        train: a file as `read_sentences` reads it.
        dev: another one; None holds out `dev_share` of the training sentences, at random.
        test: another one.
        columns: those of the words and the tags; None is guessed.
        encoding: that of files that are not UTF-8.
        broken_tags: see `read_sentences`.
        dev_share: between 0 and 1.
        limit: the number of training sentences to use, from the first; None uses all.
        seed: of what is held out.

    Raises:
        MiniBertError: there is no training file, a file cannot be read, or dev or test have a tag
            that train does not have.
    """
    if train is None:
        raise MiniBertError("tagging has no built-in data; give a file with --train.")
    if limit is not None and limit < 1:
        raise MiniBertError(f"the limit is {limit}; it must be at least 1.")
    how: dict[str, Any] = {"encoding": encoding, "broken_tags": broken_tags}
    sentences, scheme, notes = read_sentences(train, columns, **how)
    splits = {"train": sentences[:limit]}
    tags = TagSet.from_tags([sentence.tags for sentence in splits["train"]], scheme)
    if dev is None:
        count = round(len(splits["train"]) * dev_share)
        if not 0 < count < len(splits["train"]):
            raise MiniBertError(
                f"a share of {dev_share} of {len(splits['train']):,} sentences cannot be held out "
                "for evaluation; choose another --dev-share, or give a file (--dev)."
            )
        random = np.random.Generator(np.random.PCG64(seed))
        held_out = set(random.permutation(len(splits["train"]))[:count].tolist())
        numbered = [*enumerate(splits["train"])]
        splits["train"] = [sentence for index, sentence in numbered if index not in held_out]
        splits["dev"] = [sentence for index, sentence in numbered if index in held_out]
        notes.append(f"no dev file: {count:,} of the training sentences are held out.")
    for name, path in (("dev", dev), ("test", test)):
        if path is not None:
            splits[name], _, more = read_sentences(path, columns, known=tags, **how)
            notes += more
    others = {tuple(s.words) for name in splits if name != "train" for s in splits[name]}
    if repeated := sum(tuple(sentence.words) in others for sentence in splits["train"]):
        notes.append(f"{repeated:,} training sentences are also in dev or test.")
    numbers = all(name.isdecimal() for name in tags.names)
    advice = "; names such as B-PER in their place would give entities" * numbers
    form = f"{scheme}, {len(tags.names)} tags" if scheme else f"{len(tags.names)} without spans"
    notes.append(f"tags: {form} (guessed from {train}{advice}).")
    return TaggingData(splits, tags, notes)
