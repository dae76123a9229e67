"""Which files are read as text, where a folder is named.

A repository, a pile of notes, a folder of runs: somewhere among the texts lie the vocabularies and
logs of programs, which end in .txt and .jsonl, too. A folder is left out where that is plain from
what else is in it, and the caller is told; when in doubt it is read.
"""

from collections.abc import Iterable, Iterator
from fnmatch import filter as matching
from pathlib import Path

from minibert.errors import MiniBertError
from minibert.files import CORPUS_FILE

TEXT, MARKDOWN, JSONL = (".txt",), (".md", ".markdown"), (".jsonl", ".ndjson")

# What programs fill folders with; it is plain where there are files of all these names.
_FILLED = (
    ("a corpus", (CORPUS_FILE, "tokens.bin")),
    ("a model", ("*.safetensors",)),
    ("a model", ("pytorch_model*.bin",)),
    ("a model", ("*.ckpt.index",)),
    ("a tokenizer", ("vocab.txt", "tokenizer_config.json")),
    ("records of a training", ("log.jsonl", ".lock")),
)


def text_files(paths: Iterable[Path | str], left_out: list[str]) -> list[Path]:
    """The files, and the text files in the folders, in a fixed order.

    Hidden ones are not looked at.

    Args:
        paths: files, and folders, which are searched with all that is in them.
        left_out: the folders in there that are not searched are added here, each with the reason:
            it is a link, or what programs have filled it with.

    Raises:
        MiniBertError: a path does not exist, is of another kind or cannot be read, or a folder
            holds no text, or a corpus.
    """
    try:
        files = [file for path in paths for file in _files_at(Path(path), left_out)]
    except OSError as error:
        raise MiniBertError(
            f"{error.filename} could not be read: {error.strerror}; name another file or folder."
        ) from error
    if not files:
        raise MiniBertError("there are no text files to read; give at least one.")
    return files


def _files_at(path: Path, left_out: list[str]) -> list[Path]:
    """A file itself; of a folder the text files."""
    kinds = (*TEXT, *MARKDOWN, *JSONL)
    if path.is_dir():
        if _filled_with(path) == "a corpus":
            raise MiniBertError(f"{path} is a corpus, made of text; give the text itself.")
        left_out_here: list[str] = []
        found = sorted(p for p in _visible(path, left_out_here) if p.suffix.lower() in kinds)
        if not found:
            reason = f" (left out: {left_out_here[0]})" if left_out_here else ""
            raise MiniBertError(f"{path} holds no file that ends in {', '.join(kinds)}{reason}.")
        left_out += left_out_here
        return found
    if not path.is_file():
        raise MiniBertError(f"{path}: there is no such file or folder.")
    if path.suffix.lower() not in kinds:
        raise MiniBertError(
            f"{path}: cannot tell the format from the name; it should end in one of "
            f"{', '.join(kinds)}; rename it (plain text: .txt), and unpack it if it is packed."
        )
    return [path]


def _visible(folder: Path, left_out: list[str]) -> Iterator[Path]:
    """The files below a folder that may be text."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif path.is_dir():
            # A link may lead back to the folder it lies in, and the text there come once more.
            reason = "a link" if path.is_symlink() else _filled_with(path)
            if reason is None:
                yield from _visible(path, left_out)
            else:
                left_out.append(f"{path}: {reason}")


def _filled_with(folder: Path) -> str | None:
    """What programs have written there, if that is plain."""
    names = [path.name for path in folder.iterdir()]
    plain = (what for what, marks in _FILLED if all(matching(names, mark) for mark in marks))
    return next(plain, None)
