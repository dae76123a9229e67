"""Files that are written whole or not at all, and JSON files that are read with a plain error.

A reader, a crash or a full disk meets the old file or the new one, never a half. Everything goes to
a temporary neighbour first, is forced to the disk, and then takes the name in one step
(`os.replace`).
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError

# The files by which a folder is recognized, and what each kind of folder may hold.
MODEL_FILES = ("model.safetensors", "config.json", "bert_config.json", "pytorch_model.bin")
TOKENIZER_FILES = (
    *("vocab.txt", "tokenizer_config.json", "tokenizer.json"),
    *("special_tokens_map.json", "added_tokens.json"),
)
TASK_FILE = "task.json"  # of a classifier: its maximum length, and whether it reads pairs
CORPUS_FILE = "corpus.json"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; at the end of the block it becomes `path`, complete.

    If the block fails, `path` stays as it was and nothing is left behind.

    Raises:
        MiniBertError: the system refused to write, for example because the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _explained(path):
        try:
            temporary.touch()
            usual_mode = temporary.stat().st_mode
            yield temporary
            temporary.chmod(usual_mode)  # safetensors makes files that only their owner can read
            _force_to_disk(temporary)
            os.replace(temporary, path)
            _force_to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; at the end of the block it becomes `path`, complete.

    Raises:
        MiniBertError: `path` exists and is not empty, or is the root of a disk, which cannot be
            renamed; or the system refused to write.
    """
    given, path = path, Path(path).resolve()  # "." has no name, and a link is not to be replaced
    if path.is_mount():
        raise MiniBertError(f"{given} is the root of a disk; give a new folder in it.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _explained(given):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                _force_to_disk(file)
            _force_to_disk(temporary)
            if os.name == "nt" and path.is_dir():
                path.rmdir()  # Windows does not rename onto an empty folder
            os.replace(temporary, path)
            _force_to_disk(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`, whole or not at all."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def check_folder(folder: Path, *, new: bool = False) -> None:
    """Refuse a folder that cannot be written to, before any work is done for it.

    Args:
        folder: the folder; it need not be there yet.
        new: whether it must be empty, should it be there.

    Raises:
        MiniBertError: it is not empty, or a file is where it or a folder above it would be.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise MiniBertError(f"{place} is a file and no folder; choose another place.")
    if new and folder.is_dir() and any(folder.iterdir()):
        raise MiniBertError(f"{folder} is there already; choose another place.")


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in, where they are not there yet.

    Raises:
        MiniBertError: the system refused, for example because a file has that name.
    """
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Let no second process into the block with the same folder; a lock dies with its process.

    Raises:
        MiniBertError: another process is in there.
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
                f"another run is writing to {folder}; wait for its end or choose another folder."
            ) from error
        except OSError:  # nor have some network disks
            pass
        yield


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that people can read too, whole or not at all."""
    make_folder(path.parent)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    # What UTF-8 cannot hold, a lone surrogate, becomes \ud800: JSON's own way to write it.
    write_atomic(path, text.encode("utf-8", errors="backslashreplace"))


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        MiniBertError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MiniBertError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise MiniBertError(
            f"{path} is not a JSON file ({error}); copy it again from where it came."
        ) from error
    if not isinstance(content, dict):
        raise MiniBertError(f"{path} must hold a JSON object, {{...}}, and holds something else.")
    return content


def bundled(name: str) -> Path:
    """Return the path of a file or folder that comes with minibert, such as "weights/tiny".

    A wheel carries it inside the package; in a clone it is beside the package.
    """
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.exists() else package.parent / name


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one sentence that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise MiniBertError(
            f"could not write {path}: {reason}; free some space or choose another place."
        ) from error


def _force_to_disk(path: Path) -> None:
    windows = os.name == "nt"
    if path.is_dir() and windows:
        return  # folders cannot be opened for this there, so the rename alone must do
    handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
