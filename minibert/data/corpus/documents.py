"""Files of raw text -> documents, one at a time, so that memory does not grow with the files.

    for document in read_documents(["books", "news.jsonl"], Layout(), findings := Findings()):
        ...

- Text (.txt): `Layout.lines` says what a line is.
- Markdown (.md): a document is what stands between two headings, or the file (`markdown.py`).
- JSONL (.jsonl, .ndjson): one object a line, one document an object, in the field "text".

A folder stands for all such files in it (`text_files.py`). Lines that are not UTF-8, or not the
JSON they should be, are passed over and counted; in a crawl of millions of lines there are always
some. A file of which most lines are like that is an error. `docs/corpus_format.md` tells all this
at length.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minibert.data.corpus.markdown import markdown_paragraphs
from minibert.data.corpus.text_files import JSONL, MARKDOWN, text_files
from minibert.errors import MiniBertError

LONGEST_LINE = 16_000_000  # bytes; no text has such lines, and each must be held in memory
LONGEST_DOCUMENT = 4_000_000  # characters, more than "War and Peace"; longer ones are cut
EXAMPLES_SHOWN = 5

LINES = ("sentences", "paragraphs", "documents", "wrapped")


@dataclass(frozen=True)
class Layout:
    """How documents lie in files.

    Attributes:
        lines: what a line of text is:
            "sentences": one sentence; a blank line ends a document (Google's format);
            "paragraphs": running text of one or more sentences; a blank line ends a document;
            "documents": a whole document;
            "wrapped": a piece of a line, as in e-mails and old e-books; a blank line ends a
            paragraph, and the file is one document.
        chapters: a Markdown heading begins a new document; False makes a file one document.
        text_field: the field of a JSONL object that holds the text. Its lines are read as above,
            but a blank line does not end it.
    """

    lines: str = "paragraphs"
    chapters: bool = True
    text_field: str = "text"

    def __post_init__(self) -> None:
        if self.lines not in LINES:
            raise MiniBertError(f"lines is {self.lines!r}; it must be one of {', '.join(LINES)}.")


@dataclass(frozen=True, slots=True)
class Document:
    """One text whose sentences belong together.

    Attributes:
        paragraphs: in order, none blank.
        are_sentences: each paragraph is one sentence, and is not to be cut further.
    """

    paragraphs: list[str]
    are_sentences: bool = False

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.paragraphs)


@dataclass
class Findings:
    """What was met on the way.

    Attributes:
        files: read to their end.
        folders: that were left out, each with the reason.
        lines: that were not blank.
        bad_lines: of these, the ones that had to be passed over.
        bad_examples: the first of them and the last, with file, line and reason.
        cut_documents: documents that were cut because they are longer than `LONGEST_DOCUMENT`.
    """

    files: int = 0
    folders: list[str] = field(default_factory=list)
    lines: int = 0
    bad_lines: int = 0
    bad_examples: list[str] = field(default_factory=list)
    cut_documents: int = 0

    def bad(self, path: Path, line: int, reason: str) -> None:
        """Note a line (from 1) that is passed over."""
        self.bad_lines += 1
        self.bad_examples[EXAMPLES_SHOWN - 1 :] = [f"{path}:{line}: {reason}"]

    def in_words(self) -> list[str]:
        """What was left out, a line each; nothing if nothing was."""
        told = []
        if self.folders:
            examples = "; ".join(self.folders[:EXAMPLES_SHOWN])
            told.append(f"folders left out: {len(self.folders):,} ({examples})")
        if self.bad_lines:
            examples = "; ".join(self.bad_examples)
            told.append(f"lines that could not be read: {self.bad_lines:,} ({examples})")
        if self.cut_documents:
            told.append(f"documents cut because of their length: {self.cut_documents:,}")
        return told


def read_documents(
    paths: Sequence[Path | str], layout: Layout, findings: Findings
) -> Iterator[Document]:
    """All documents, in the order of the files, which are looked for at once.

    Args:
        paths: files and folders.
        layout: how documents lie in them.
        findings: what is met on the way is added here.

    Raises:
        MiniBertError: a file cannot be found or read, or most of its lines are bad.
    """
    return _documents(text_files(paths, findings.folders), layout, findings)


def _documents(files: Sequence[Path], layout: Layout, findings: Findings) -> Iterator[Document]:
    for path in files:
        lines_before, bad_before = findings.lines, findings.bad_lines
        paragraphs = _paragraphs(path, layout, findings)
        are_sentences = layout.lines == "sentences" and path.suffix.lower() not in MARKDOWN
        try:
            for document in _gathered(paragraphs, findings):
                yield Document(document, are_sentences)
        except OSError as error:
            raise MiniBertError(f"{path} could not be read: {error.strerror or error}.") from error
        findings.files += 1
        bad, seen = findings.bad_lines - bad_before, findings.lines - lines_before
        if bad > 2 and bad * 2 > seen:
            remedy = "text must be UTF-8: iconv -f GB18030 -t UTF-8 OLD > NEW"
            if b"\0" in _beginning(path):
                remedy = "if it is UTF-16: iconv -f UTF-16 -t UTF-8 OLD > NEW; else leave it out"
            elif path.suffix.lower() in JSONL:
                remedy = "a line must be an object, in UTF-8: jq -c '.[]' OLD > NEW.jsonl"
            raise MiniBertError(
                f"{path}: {bad:,} of {seen:,} lines cannot be read ({findings.bad_examples[-1]}); "
                f"{remedy}"
            )


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1000)


def _paragraphs(path: Path, layout: Layout, findings: Findings) -> Iterator[str | None]:
    """The paragraphs of a file, and None wherever a document ends."""
    lines = _lines(path, findings)
    if path.suffix.lower() in JSONL:
        return _jsonl_paragraphs(path, lines, layout, findings)
    texts = (text for _, text in lines)
    if path.suffix.lower() not in MARKDOWN:
        return _text_paragraphs(texts, layout.lines)
    return (p for p in markdown_paragraphs(texts) if p is not None or layout.chapters)


def _gathered(paragraphs: Iterable[str | None], findings: Findings) -> Iterator[list[str]]:
    """Paragraphs with a None wherever a document ends -> documents."""
    document: list[str] = []
    characters = 0
    for paragraph in paragraphs:
        too_long = paragraph is not None and characters + len(paragraph) > LONGEST_DOCUMENT
        if document and (paragraph is None or too_long):
            findings.cut_documents += too_long
            yield document
            document, characters = [], 0
        if paragraph is not None:
            document.append(paragraph)
            characters += len(paragraph)
    if document:
        yield document


def _lines(path: Path, findings: Findings) -> Iterator[tuple[int, str]]:
    """The good lines of a file with their numbers from 1; blank ones are "" and are kept."""
    with path.open("rb") as file:
        number = 0
        while data := file.readline(LONGEST_LINE):
            number += 1
            if number == 1:
                data = data.removeprefix(codecs.BOM_UTF8)
            if not data.strip():
                yield number, ""
                continue
            findings.lines += 1
            if len(data) == LONGEST_LINE and not data.endswith(b"\n"):
                findings.bad(path, number, f"a line of more than {LONGEST_LINE:,} bytes")
                while (more := file.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                    pass
            elif b"\0" in data:
                findings.bad(path, number, "a NUL character, which no text has")
            else:
                try:
                    yield number, data.decode("utf-8").strip()
                except UnicodeDecodeError as error:
                    byte = f"0x{data[error.start]:02x}"
                    findings.bad(path, number, f"byte {byte} at {error.start + 1} is not UTF-8")


def _text_paragraphs(lines: Iterable[str], meaning: str) -> Iterator[str | None]:
    if meaning == "wrapped":
        yield from _unwrapped(lines)
        return
    for line in lines:
        if line:
            yield line
        if not line or meaning == "documents":
            yield None


def _unwrapped(lines: Iterable[str]) -> Iterator[str]:
    paragraph: list[str] = []
    for line in lines:
        if line:
            paragraph.append(line)
        elif paragraph:
            yield " ".join(paragraph)
            paragraph = []
    if paragraph:
        yield " ".join(paragraph)


def _jsonl_paragraphs(
    path: Path, lines: Iterable[tuple[int, str]], layout: Layout, findings: Findings
) -> Iterator[str | None]:
    for number, line in lines:
        if not line:
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            findings.bad(path, number, "not a JSON object")
            continue
        text = found.get(layout.text_field) if isinstance(found, dict) else None
        if not isinstance(text, str):
            findings.bad(path, number, f"no object with a text in the field '{layout.text_field}'")
            continue
        # Half a pair of UTF-16 code units can be spelled in JSON, but is no character.
        inner = [part.strip() for part in _LONE_SURROGATE.sub("\ufffd", text).split("\n")]
        yield from _unwrapped(inner) if layout.lines == "wrapped" else filter(None, inner)
        yield None


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
