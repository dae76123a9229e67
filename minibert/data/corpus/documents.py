"""Read documents from text files and folders, as a stream that does not fill the memory.

`FormatOptions` says how documents are laid out in .txt, .md and .jsonl files. The files of
WikiExtractor (AA/wiki_00) are text, or JSONL, with a document per article. Lines that are not
UTF-8, or not JSON where they should be, are skipped and counted, since any web crawl has some. A
file with mostly such lines is an error. `docs/corpus_format.md` has the details.
"""

import codecs
import fnmatch
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from itertools import chain, groupby
from pathlib import Path

from minibert.data.corpus.markdown import markdown_paragraphs
from minibert.errors import MiniBertError
from minibert.files import CORPUS_FILE

TEXT, MARKDOWN, JSONL = (".txt",), (".md", ".markdown"), (".jsonl", ".ndjson")
LINES = ("sentences", "paragraphs", "documents", "wrapped")
WIKI_FILE = re.compile(r"wiki_\d\d+")  # as WikiExtractor names its files
WIKI_TAG = re.compile(r'<doc id="[^<>]*".*>|</doc>')  # around each article in them
MAX_LINE_BYTES = 16_000_000  # each line must fit in memory
MAX_DOCUMENT_CHARS = 4_000_000  # more than "War and Peace"; longer documents are split
EXAMPLES_SHOWN = 5

# Subfolders that have files of all these names were written by a program. They are not searched,
# since vocabularies and logs also end in .txt and .jsonl.
PROGRAM_FOLDERS = (
    ("a corpus", (CORPUS_FILE, "tokens.bin")),
    ("a model", ("*.safetensors",)),
    ("a model", ("pytorch_model*.bin",)),
    ("a model", ("*.ckpt.index",)),
    ("a tokenizer", ("vocab.txt", "tokenizer_config.json")),
    ("a training run", ("log.jsonl", ".lock")),
)


@dataclass(frozen=True)
class FormatOptions:
    """How documents are laid out in files.

    Attributes:
        lines: what a line of text is. A blank line ends a document, unless noted otherwise.
            "sentences": one sentence (Google's format).
            "paragraphs": one or more sentences.
            "documents": a whole document.
            "wrapped": part of a paragraph, as in e-mails and old e-books. A blank line ends a
            paragraph, and the file is one document.
        chapters: whether a Markdown heading starts a new document; if not, a file is one document.
        text_field: the field of a JSONL object that holds the text of one document.
    """

    lines: str = "paragraphs"
    chapters: bool = True
    text_field: str = "text"

    def __post_init__(self) -> None:
        if self.lines not in LINES:
            raise MiniBertError(f"lines is {self.lines!r}; it must be one of {', '.join(LINES)}.")


@dataclass(frozen=True, slots=True)
class Document:
    """A text whose sentences belong together."""

    paragraphs: list[str]  # none of them blank
    are_sentences: bool = False  # whether each paragraph is one sentence already

    @property
    def text(self) -> str:
        """The whole text, one paragraph per line."""
        return "\n".join(self.paragraphs)


@dataclass
class ReadStats:
    """What was read and what was skipped."""

    files: int = 0  # read to the end
    folders: list[str] = field(default_factory=list)  # skipped, each with the reason
    lines: int = 0  # without blank ones
    bad_lines: int = 0  # how many of these lines were skipped
    bad_examples: list[str] = field(default_factory=list)  # the first few bad lines and the last
    cut_documents: int = 0  # how often `MAX_DOCUMENT_CHARS` split a document

    def skip_line(self, path: Path, number: int, reason: str) -> None:
        """Count a line that is skipped; `number` starts at 1."""
        self.bad_lines += 1
        self.bad_examples[EXAMPLES_SHOWN - 1 :] = [f"{path}:{number}: {reason}"]

    def warnings(self) -> list[str]:
        """Return a phrase for each kind of input that was skipped or split."""
        warnings = []
        if self.folders:
            examples = "; ".join(self.folders[:EXAMPLES_SHOWN])
            warnings.append(f"folders skipped: {len(self.folders):,} ({examples})")
        if self.bad_lines:
            warnings.append(f"lines skipped: {self.bad_lines:,} ({'; '.join(self.bad_examples)})")
        if self.cut_documents:
            warnings.append(f"long documents split: {self.cut_documents:,} times")
        return warnings


def find_text_files(paths: Iterable[Path | str], skipped: list[str]) -> list[Path]:
    """Return the given files and the text files in the given folders, in a fixed order.

    Args:
        paths: files, and folders to search recursively. Hidden files and folders are ignored.
        skipped: a list that receives the subfolders not searched, each with the reason.

    Raises:
        MiniBertError: a path cannot be read, contains no text files, or is a tokenized corpus.
    """
    suffixes = (*TEXT, *MARKDOWN, *JSONL)
    files: list[Path] = []
    try:
        for path in map(Path, paths):
            if not path.exists():
                raise MiniBertError(f"{path} does not exist; check the path.")
            if not path.is_file() and not path.is_dir():
                raise MiniBertError(f"{path} is a pipe or a device; write its content to a file.")
            if (path / CORPUS_FILE).is_file() and (path / "tokens.bin").is_file():
                raise MiniBertError(f"{path} is a tokenized corpus; give the text itself.")
            here: list[str] = []
            found = _visible_files(path, here) if path.is_dir() else [path]
            texts = sorted(
                file
                for file in found
                if file.suffix.lower() in suffixes or WIKI_FILE.fullmatch(file.name)
            )
            if not texts:
                note = f" (skipped {here[0]})" if here else ""
                raise MiniBertError(
                    f"{path}: no file ends in {', '.join(suffixes)}{note}; unpack archives, and "
                    "rename plain text to .txt."
                )
            files += texts
            skipped += here
    except OSError as error:
        raise MiniBertError(
            f"cannot read {error.filename}: {error.strerror}; check its permissions."
        ) from error
    if not files:
        raise MiniBertError("there are no text files to read; give at least one.")
    return files


def _visible_files(folder: Path, skipped: list[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif path.is_symlink() and path.is_dir():
            skipped.append(f"{path}: a link")  # it may point to a parent folder
        elif path.is_dir():
            names = [child.name for child in path.iterdir()]
            for kind, patterns in PROGRAM_FOLDERS:
                if all(fnmatch.filter(names, pattern) for pattern in patterns):
                    skipped.append(f"{path}: {kind}")
                    break
            else:
                yield from _visible_files(path, skipped)


def read_documents(
    files: Iterable[Path], options: FormatOptions, stats: ReadStats
) -> Iterator[Document]:
    """Yield the documents of files, and add to `stats` what was read and skipped."""
    for path in files:
        lines_before, bad_before = stats.lines, stats.bad_lines
        are_sentences = options.lines == "sentences" and path.suffix.lower() not in MARKDOWN
        document: list[str] = []
        length = 0
        try:
            for paragraph in chain(_paragraphs(path, options, stats), [None]):
                too_long = paragraph is not None and length + len(paragraph) > MAX_DOCUMENT_CHARS
                if document and (paragraph is None or too_long):
                    stats.cut_documents += too_long
                    yield Document(document, are_sentences)
                    document, length = [], 0
                if paragraph is not None:
                    document.append(paragraph)
                    length += len(paragraph)
        except OSError as error:
            raise MiniBertError(
                f"cannot read {path}: {error.strerror or error}; check its permissions."
            ) from error
        stats.files += 1
        bad, total = stats.bad_lines - bad_before, stats.lines - lines_before
        if bad > 2 and bad * 2 > total:
            with path.open("rb") as file:
                start = file.read(1000)
            remedy = "text must be UTF-8: iconv -f GB18030 -t UTF-8 OLD > NEW"
            if nuls := start.count(
                0
            ):  # ASCII text has a NUL in every second byte, or three of four
                code = "UTF-32" if nuls > 0.6 * len(start) else "UTF-16"
                remedy = f"if it is {code}: iconv -f {code} -t UTF-8 OLD > NEW; else remove it"
            elif path.suffix.lower() in JSONL:
                remedy = "each line must be a JSON object in UTF-8: jq -c '.[]' OLD > NEW.jsonl"
            raise MiniBertError(
                f"{path}: {bad:,} of {total:,} lines cannot be read ({stats.bad_examples[-1]}); "
                f"{remedy}"
            )


def _paragraphs(path: Path, options: FormatOptions, stats: ReadStats) -> Iterator[str | None]:
    """Yield the paragraphs of a file, and None where a document ends."""
    lines = _read_lines(path, stats)
    first = next(lines, (0, ""))
    lines = chain([first], lines)
    json_of_wiki = WIKI_FILE.fullmatch(path.name) and first[1].startswith("{")
    if path.suffix.lower() in MARKDOWN:
        paragraphs = markdown_paragraphs(text for _, text in lines)
        yield from (p for p in paragraphs if p is not None or options.chapters)
    elif path.suffix.lower() in JSONL or json_of_wiki:
        yield from _json_paragraphs(lines, path, options, stats)
    else:
        yield from _text_paragraphs(lines, options)


def _json_paragraphs(
    lines: Iterable[tuple[int, str]], path: Path, options: FormatOptions, stats: ReadStats
) -> Iterator[str | None]:
    for number, line in lines:
        if not line:
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            stats.skip_line(path, number, "not a JSON object")
            continue
        text = row.get(options.text_field) if isinstance(row, dict) else None
        if not isinstance(text, str):
            reason = f"no object with a text in the field '{options.text_field}'"
            stats.skip_line(path, number, reason)
            continue
        # JSON can contain half of a surrogate pair, which is not a character.
        text = re.sub("[\ud800-\udfff]", "\ufffd", text)
        inner = [part.strip() for part in text.split("\n")]
        yield from _unwrap(inner) if options.lines == "wrapped" else filter(None, inner)
        yield None


def _text_paragraphs(
    lines: Iterable[tuple[int, str]], options: FormatOptions
) -> Iterator[str | None]:
    wrapped: list[str] = []
    in_article = False
    for _, line in chain(lines, [(0, "")]):
        tag = WIKI_TAG.fullmatch(line)
        if line and not tag and not in_article and options.lines == "wrapped":
            wrapped.append(line)
            continue
        if wrapped:
            yield " ".join(wrapped)
            wrapped = []
        if tag:
            in_article = line != "</doc>"
            yield None
        elif line:
            yield unescape(line) if in_article else line  # WikiExtractor writes "&lt;" for "<"
        ends = options.lines == "documents" or (not line and options.lines != "wrapped")
        if ends and not in_article:
            yield None


def _unwrap(lines: Iterable[str]) -> Iterator[str]:
    """Join the lines between blank lines."""
    return (" ".join(group) for is_text, group in groupby(lines, key=bool) if is_text)


def _read_lines(path: Path, stats: ReadStats) -> Iterator[tuple[int, str]]:
    """Yield the readable lines of a file, stripped, with their numbers from 1.

    Lines end in LF, CRLF or CR.
    """
    # Only text files know these three ends. In Latin-1, each byte is a character.
    with io.TextIOWrapper(path.open("rb"), encoding="latin-1") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            data = line.encode("latin-1")
            if number == 1:
                data = data.removeprefix(codecs.BOM_UTF8)
            if not data.strip():
                yield number, ""
                continue
            stats.lines += 1
            if len(data) == MAX_LINE_BYTES and not data.endswith(b"\n"):
                stats.skip_line(path, number, f"a line of more than {MAX_LINE_BYTES:,} bytes")
                while (more := file.readline(MAX_LINE_BYTES)) and not more.endswith("\n"):
                    pass
            elif b"\0" in data:
                stats.skip_line(path, number, "a NUL character, which does not occur in text")
            else:
                try:
                    yield number, data.decode("utf-8").strip()
                except UnicodeDecodeError as error:
                    byte = f"0x{data[error.start]:02x}"
                    stats.skip_line(path, number, f"byte {byte} at {error.start + 1} is not UTF-8")
