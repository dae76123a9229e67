"""Write files and folders atomically, and read JSON files.

A reader, a crash or a full disk meets the old file or the new one, never a part. Content goes to a
temporary file beside the target, is flushed to the disk, and is then renamed (`os.replace`).
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError

# The files by which a folder is recognized.
MODEL_FILES = ("model.safetensors", "config.json", "bert_config.json", "pytorch_model.bin")
TOKENIZER_FILES = (
    *("vocab.txt", "tokenizer_config.json", "tokenizer.json"),
    *("special_tokens_map.json", "added_tokens.json"),
)
TASK_FILE = "task.json"  # of a classifier: its maximum length, and whether it reads pairs
CORPUS_FILE = "corpus.json"


@contextmanager
def explain_os_errors(verb: str, path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a MiniBertError: "cannot {verb} {path}: ..."."""
    try:
        yield
    except OSError as error:
        advice = {
            "read": "check the path and its permissions",
            "write": "free some space or choose another place",
        }[verb]
        reason = error.strerror or str(error)
        raise MiniBertError(f"cannot {verb} {path}: {reason}; {advice}.") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block ends it becomes `path`.

    If the block fails, `path` stays as it was and the temporary file is deleted.

    Raises:
        MiniBertError: the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explain_os_errors("write", path):
        try:
            temporary.touch()
            default_mode = temporary.stat().st_mode
            yield temporary
            temporary.chmod(default_mode)  # safetensors makes files that only their owner can read
            _flush_to_disk(temporary)
            os.replace(temporary, path)
            _flush_to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; when the block ends it becomes `path`.

    Raises:
        MiniBertError: `path` exists and is not empty, is the root of a disk, which cannot be
            renamed, or cannot be written.
    """
    given, path = path, Path(path).resolve()  # "." has no name, and a link must not be replaced
    if path.is_mount():
        raise MiniBertError(f"{given} is the root folder of a disk; give a new folder in it.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explain_os_errors("write", given):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in (*temporary.rglob("*"), temporary):
                _flush_to_disk(file)
            if os.name == "nt" and path.is_dir():
                path.rmdir()  # Windows does not rename onto an empty folder
            os.replace(temporary, path)
            _flush_to_disk(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path` atomically."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an indented JSON file atomically, and make its folder."""
    make_folder(path.parent)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    # A lone surrogate, which UTF-8 cannot hold, is written as JSON's escape \ud800.
    write_atomic(path, text.encode("utf-8", errors="backslashreplace"))


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        MiniBertError: the file cannot be read, or holds something else.
    """
    with explain_os_errors("read", path):
        data = path.read_bytes()
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MiniBertError(
            f"{path} is not a JSON file ({error}); copy it again from its source."
        ) from error
    if not isinstance(content, dict):
        raise MiniBertError(
            f"{path} is not a JSON object ({{...}}); copy it again from its source."
        )
    return content


def check_folder(folder: Path, *, new: bool = False) -> None:
    """Raise if a folder cannot be written to, before any work is done for it.

    Args:
        folder: the folder; it may not exist yet.
        new: whether it must be empty if it exists.

    Raises:
        MiniBertError: it is not empty, or it or a folder above it is a file.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise MiniBertError(f"{place} is a file, not a folder; choose another place.")
    if new and folder.is_dir() and any(folder.iterdir()):
        raise MiniBertError(f"{folder} exists and is not empty; choose another place.")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, if they do not exist.

    Raises:
        MiniBertError: the folder cannot be made, for example because a file has its name.
    """
    with explain_os_errors("write", folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of this block for the same folder; a lock ends with its process.

    Raises:
        MiniBertError: another process holds the lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        yield
        return
    make_folder(folder)
    with (folder / ".lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MiniBertError(
                f"another run is writing to {folder}; wait until it ends or choose another folder."
            ) from error
        except OSError:  # some network disks have no locks either
            pass
        yield


def bundled(name: str) -> Path:
    """Return the path of a file or folder that comes with minibert, such as "weights/tiny".

    A wheel has it inside the package, a clone beside the package.
    """
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.exists() else package.parent / name


def _flush_to_disk(path: Path) -> None:
    windows = os.name == "nt"
    if windows and path.is_dir():
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
