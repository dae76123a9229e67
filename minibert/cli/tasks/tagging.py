"""Tag texts and files with a fine-tuned tagger, and score it on a tagged file.

minibert predict runs/ner "Peter Blackburn lives in Paris."
minibert predict runs/ner --file texts.txt --output entities.jsonl
minibert predict runs/ner --file test.conll --output tagged.conll    # its columns, and a tag
minibert evaluate runs/ner test.conll
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from minibert.cli.shared import (
    check_output,
    note_empty,
    note_unknown,
    one_line,
    open_texts,
    requested_columns,
    requested_device,
)
from minibert.errors import MiniBertError

if TYPE_CHECKING:
    from minibert.inference.tagging import TaggedText, Tagger

SENTENCES_AT_A_TIME = 1000
SUFFIXES = (".jsonl", ".txt", ".tsv", ".conll", ".bio")
Row = tuple[str, Sequence[int], str | list[str]]
"""What a prediction is for: its JSON object, its lines in a file that gains a column (of each word,
or of a row of words), and the text or the words."""


def predict(options: argparse.Namespace) -> None:
    """Print the tags of texts, or write those of a file."""
    if options.pair or options.pair_column or options.question or options.choice:
        raise MiniBertError("a tagger reads single texts; remove the second text or the question.")
    if options.output is not None:
        if options.json:
            raise MiniBertError(
                "--json prints on the terminal; remove it, and end the --output in .jsonl."
            )
        check_output(options.output, suffixes=SUFFIXES)
    from minibert.inference.tagging import Tagger

    tagger = Tagger.from_pretrained(options.folder, **requested_device(options))
    words = sentences = 0
    with _writer(options, tagger.tags.scheme) as write:
        for part in _parts(options, tagger):
            predictions = tagger.predict([source for *_, source in part])
            if not sentences:
                note_unknown(tagger.tokenizer, [prediction.text for prediction in predictions])
            for (row, lines, _), prediction in zip(part, predictions, strict=True):
                write(row, lines, prediction)
                words += len(prediction.words)
            sentences += len(part)
    if options.output is not None:
        print(f"wrote the tags of {words:,} words in {sentences:,} texts to {options.output}")


def _parts(options: argparse.Namespace, tagger: "Tagger") -> Iterator[list[Row]]:
    """Yield the texts of the command line or a file, or the sentences of a file with words."""
    from minibert.data.labelled.tagging import holds_words, read_sentences

    if options.file is None or not holds_words(options.file, options.encoding, tagger.tags):
        texts = open_texts(options)
        for part in texts.parts():
            yield [(r.source or json.dumps(r.cells, ensure_ascii=False), (), r.text) for r in part]
        note_empty(texts)
        return
    if options.texts:
        raise MiniBertError("give texts or --file, not both.")
    columns, encoding = requested_columns(options), options.encoding
    found = read_sentences(
        options.file, columns, encoding=encoding, known=tagger.tags, labelled=False
    )
    print("\n".join(f"note: {note}" for note in found.notes), file=sys.stderr)
    in_table = any(len({*s.lines}) < len(s.lines) for s in found.sentences)
    has_rows = options.file.suffix.lower() not in (".csv", ".json", ".jsonl", ".ndjson")
    for start in range(0, len(found.sentences), SENTENCES_AT_A_TIME):
        some = found.sentences[start : start + SENTENCES_AT_A_TIME]
        places = [s.lines[: 1 if in_table else None] if has_rows else () for s in some]
        yield [("{}", lines, s.words) for lines, s in zip(places, some, strict=True)]


@contextmanager
def _writer(
    options: argparse.Namespace, scheme: str | None
) -> "Iterator[Callable[[str, Sequence[int], TaggedText], None]]":
    """Yield what prints or writes a prediction; a file appears when the block ends."""
    if options.output is None:
        yield lambda row, _, prediction: print(
            _as_json("{}", prediction) if options.json else one_line(_marked(prediction, scheme))
        )
        return
    from minibert.data.labelled.text_file import read_text, split_lines
    from minibert.files import atomic_file

    with (
        atomic_file(options.output) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        if options.output.suffix.lower() == ".jsonl":
            yield lambda row, _, prediction: print(_as_json(row, prediction), file=file)
            return
        source: list[str] = []
        copied = 0  # lines of the source

        def write(row: str, lines: Sequence[int], prediction: "TaggedText") -> None:
            nonlocal copied, source
            tags = prediction.tags
            if not lines:
                for word, tag in zip(prediction.words, tags, strict=True):
                    print(word, tag, sep="\t", file=file)
                print(file=file)
                return
            source = source or split_lines(read_text(options.file, options.encoding)[0])
            added = tags if len(lines) == len(tags) else [" ".join(tags)]  # a word, or a row
            for line, cell in zip(lines, added, strict=True):
                for number in range(copied + 1, line):
                    print(_other_line(source[number - 1], first=number == 1), file=file)
                print(_with_tag(source[line - 1], cell), file=file)
                copied = line

        yield write
        print(*source[copied:], sep="\n", end="", file=file)


def _other_line(line: str, *, first: bool) -> str:
    """Return what stands for a line without words: a header, a comment or a blank line."""
    if first and "\t" in line:
        return f"{line}\tpredicted_tags"
    return _with_tag(line, "O") if line.startswith("-DOCSTART-") else line


def _with_tag(line: str, tag: str) -> str:
    """Return a line of columns with one more, between the spaces or tabs that it has."""
    return f"{line}\t{tag}" if "\t" in line else f"{line} {tag}"


def _as_json(row: str, prediction: "TaggedText") -> str:
    """Return a JSON object: what the row has, and the words, their tags and the entities."""
    entities = [entity._asdict() for entity in prediction.entities]
    added = {"words": prediction.words, "tags": prediction.tags, "entities": entities}
    if row == "{}":
        return json.dumps({"text": prediction.text, **added}, ensure_ascii=False)
    return f"{row[:-1]}, {json.dumps(added, ensure_ascii=False)[1:]}"  # the row as it is written


def _marked(prediction: "TaggedText", scheme: str | None) -> str:
    """Return a text with its entities in brackets, or without a scheme with the tag of each word.

    For example "[PER Peter Blackburn] lives in [LOC Paris].", or "He/PRP sleeps/VBZ".
    """
    if scheme is None:
        pairs = zip(prediction.words, prediction.tags, strict=True)
        return " ".join(f"{word}/{tag}" for word, tag in pairs)
    marked, copied = "", 0
    for kind, text, start, end in prediction.entities:
        marked += f"{prediction.text[copied:start]}[{kind} {text}]"
        copied = end
    return marked + prediction.text[copied:]


def evaluate(options: argparse.Namespace) -> None:
    """Print the scores on a file with a tag for each word: all entities, and each type."""
    if options.figure or options.pair_column:
        raise MiniBertError(
            "a tagger has no confusion matrix and no second text; remove the option."
        )
    from minibert.data.labelled.tagging import read_sentences
    from minibert.evaluation.metrics import report_table
    from minibert.inference.tagging import Tagger

    tagger = Tagger.from_pretrained(options.folder, **requested_device(options))
    sentences, _, notes = read_sentences(
        options.file, requested_columns(options), encoding=options.encoding, known=tagger.tags
    )
    print("\n".join(f"note: {note}" for note in notes), file=sys.stderr)
    metrics, report = tagger.evaluate(sentences)
    note_unknown(tagger.tokenizer, [" ".join(sentence.words) for sentence in sentences[:1000]])
    words = sum(len(sentence.words) for sentence in sentences)
    if options.json:
        counts = {"sentences": len(sentences), "words": words}
        print(json.dumps({**counts, **metrics, "classes": report["classes"]}, ensure_ascii=False))
        return
    scores = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    print(f"{len(sentences):,} sentences, {words:,} words  {scores}")
    if report["classes"]:
        kind = "type" if tagger.tags.scheme else "tag"
        print(f"\nby {kind}\n{report_table(report)}")
