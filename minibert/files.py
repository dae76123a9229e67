"""Write files and folders atomically, read small files, and check saved ones.

A reader, a crash or a full disk meets the old file or the new one, never a part. Content goes to a
temporary file beside the target, is flushed to the disk, and is then renamed (`os.replace`). What a
killed process leaves behind is removed by the next write to the same folder.
"""

import errno
import json
import os
import platform
import re
import shlex
import shutil
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError

# The files by which a folder is recognized.
MODEL_FILES = ("model.safetensors", "config.json", "bert_config.json", "pytorch_model.bin")
TOKENIZER_FILES = (
    *("vocab.txt", "tokenizer_config.json", "tokenizer.json"),
    *("special_tokens_map.json", "added_tokens.json"),
)
TASK_FILE = "task.json"  # what config.json has no field for, and checksums of these files:
CHECKED_FILES = ("model.safetensors", "vocab.txt")
CORPUS_FILE = "corpus.json"
MAX_SMALL_BYTES = 8_000_000  # of a config, with 100,000 labels
MAX_VOCABULARY_BYTES = (
    32_000_000  # of a vocab.txt or tokenizer.json; BERTs of 100 languages have 10
)

_TEMPORARY = re.compile(r"\.(?P<name>.+?)\.((?P<machine>[0-9a-f]{8})-)?(?P<pid>\d{1,9})\.tmp")


@contextmanager
def explain_os_errors(verb: str, path: Path, *, size: int = 0) -> Iterator[None]:
    """Turn an OSError of the block into a MiniBertError: "cannot {verb} {path}: ...".

    If the disk is full, the message has the free space, and the `size` in bytes if it is given.
    """
    try:
        yield
    except OSError as error:
        advice = "check the path and its permissions"
        if verb == "write":
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "free some space or choose another place" if full else "choose another place"
        reason = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            with suppress(OSError):
                needed = f"{size / 1e6:,.1f} MB" if size else "more"
                free = shutil.disk_usage(Path(path).resolve().parent).free
                reason += f" ({free / 1e6:,.1f} MB are free, {needed} are needed)"
        raise MiniBertError(f"cannot {verb} {path}: {reason}; {advice}.") from error


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove the temporary files in a folder whose process, of this machine, was killed.

    Their names have a hash of the machine and the id of the process. Without the hash, as in
    earlier versions, only temporary files of `name` are removed, or all if no name is given.
    """
    if os.name == "nt":
        return  # where asking whether a process lives would end it
    for leftover in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(leftover.name)
        if not match or match["machine"] not in (None, _machine()):
            continue
        pid, is_old = int(match["pid"]), match["machine"] is None
        if is_old and name not in ("", match["name"]):
            continue
        if not _is_alive(pid) or (is_old and pid == os.getpid()):
            shutil.rmtree(leftover, ignore_errors=True)
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it belongs to another user
    with suppress(OSError):  # in a container, nobody may have noticed that it ended: a zombie
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return True


def _machine() -> str:
    """Return a hash of what process ids belong to: the machine, and on Linux the container."""
    namespace = Path("/proc/self/ns/pid")
    inside = namespace.readlink() if namespace.is_symlink() else ""
    return f"{zlib.crc32(f'{platform.node()} {inside}'.encode()):08x}"


def _temporary(path: Path) -> Path:
    remove_leftovers(path.parent, path.name)
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.tmp")


@contextmanager
def atomic_file(path: Path, *, size: int = 0) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block ends it becomes `path`.

    If the block fails, `path` stays as it was and the temporary file is deleted.

    Args:
        path: the file.
        size: its size in bytes, if it is known, for the message when the disk is full.

    Raises:
        MiniBertError: the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    temporary = _temporary(path)
    with explain_os_errors("write", path, size=size):
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
def atomic_folder(path: Path, *, size: int = 0) -> Iterator[Path]:
    """Yield a temporary folder to fill; when the block ends it becomes `path`.

    Args:
        path: the folder.
        size: the size of its files in bytes, if it is known, for the message when the disk is full.

    Raises:
        MiniBertError: `path` exists and is not empty, is the root of a disk, which cannot be
            renamed, or cannot be written.
    """
    given, path = path, Path(path).resolve()  # "." has no name, and a link must not be replaced
    if path.is_mount():
        raise MiniBertError(f"{given} is the root folder of a disk; give a new folder in it.")
    temporary = _temporary(path)
    with explain_os_errors("write", given, size=size):
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
        except MiniBertError as error:
            # A file in the temporary folder could not be written: name the folder that it becomes.
            if isinstance(error.__cause__, OSError) and str(temporary) in str(error):
                raise error.__cause__ from None
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path` atomically."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_file(path, size=len(data)) as temporary:
        temporary.write_bytes(data)


def size_and_checksum(path: Path) -> dict[str, int]:
    """Return size and CRC-32, which reveal bad disks and partial copies, but no manipulation."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
        return {"bytes": file.tell(), "crc32": checksum}


def write_task(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write `task.json`: settings, and size and checksum of the weights and the vocabulary."""
    write_json(folder / TASK_FILE, {**settings, "files": {}})
    record_files(folder, *CHECKED_FILES)


def record_files(folder: Path, *names: str) -> None:
    """Renew the checksums of files in `task.json`, if it has any, after they were written."""
    path = folder / TASK_FILE
    task = read_json_object(path) if path.is_file() else {}
    if isinstance(files := task.get("files"), dict):
        written = [name for name in names if (folder / name).is_file()]
        files |= {name: size_and_checksum(folder / name) for name in written}
        write_json(path, task)


def check_files(folder: Path, *names: str) -> None:
    """Raise if a file is not what `task.json` says was saved; other folders have no checksums."""
    path = folder / TASK_FILE
    found = read_json_object(path).get("files") if path.exists() else None
    recorded = found if isinstance(found, dict) else {}
    for name in names:
        if name in recorded and (folder / name).is_file():
            with explain_os_errors("read", folder / name):
                saved, size = recorded[name], (folder / name).stat().st_size
                # The size first: a wrong file of gigabytes is refused at once.
                same = isinstance(saved, dict) and saved.get("bytes") == size
                same = same and size_and_checksum(folder / name) == saved
            if not same:
                raise MiniBertError(
                    f"{folder / name} is not the file that was saved: it was damaged or changed "
                    "since. Copy it again from its source; or, if you changed it on purpose, "
                    f'delete "files" from {path}.'
                )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an indented JSON file atomically, and make its folder."""
    make_folder(path.parent)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    # A lone surrogate, which UTF-8 cannot hold, is written as JSON's escape \ud800.
    write_atomic(path, text.encode("utf-8", errors="backslashreplace"))


def check_download(path: Path, start: bytes) -> None:
    """Raise if a file begins as what is often downloaded in its place."""
    if start.startswith(b"version https://git-lfs"):
        raise MiniBertError(
            f"{path} is a Git LFS pointer, not the file; download it: git lfs pull."
        )
    if re.match(
        rb"\s*<(!doctype html|html|head|\?xml)|Entry not found|404: Not Found", start, re.I
    ):
        raise MiniBertError(
            f"{path} is a web page or its error, not the file; download it again (on the hub, by "
            "'download file', whose address has /resolve/, not /blob/)."
        )


def read_small_file(path: Path, *, limit: int = MAX_SMALL_BYTES) -> bytes:
    """Return the content of a file that must be a regular one of at most `limit` bytes.

    Raises:
        MiniBertError: it is larger or not regular (a pipe could block), or cannot be read.
    """
    with explain_os_errors("read", path):
        about = path.stat()
        if stat.S_ISREG(about.st_mode) and about.st_size <= limit:
            content = path.read_bytes()
            check_download(path, content[:64])
            return content
    kind = "is a folder" if path.is_dir() else "is a device or a pipe"
    size = f"has {about.st_size:,} bytes, and {limit:,} are the most for such a file"
    raise MiniBertError(
        f"cannot read {path}: it {size if path.is_file() else kind}; copy the right file there."
    )


def read_json_object(path: Path, *, limit: int = MAX_SMALL_BYTES) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        MiniBertError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(read_small_file(path, limit=limit).decode("utf-8"))
    except MiniBertError:
        raise
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
        MiniBertError: it is not empty, it or a folder above it is a file or a link to nothing, or
            nothing can be written there.
    """
    import tempfile  # which is slow to import

    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise MiniBertError(f"{place} is a file, not a folder; choose another place.")
        check_link(place)
    if new and folder.is_dir() and any(folder.iterdir()):
        raise MiniBertError(f"{folder} exists and is not empty; choose another place.")
    # A new folder is first written beside itself.
    start = folder.absolute().parent if new else folder.absolute()
    nearest = next(place for place in (start, *start.parents) if place.is_dir())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise MiniBertError(
            f"cannot write {folder}: {error.strerror} ({nearest}); choose another place."
        ) from error


def check_link(path: Path) -> None:
    """Raise if a path is a link to nothing."""
    if path.is_symlink() and not path.exists():
        raise MiniBertError(
            f"{path} is a link to {path.readlink()}, which does not exist; delete the link, or "
            "choose another place."
        )


def shell_path(path: Path) -> str:
    """Return a path as it can be typed in a command: quoted, and never taken for an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


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
    with explain_os_errors("write", folder):
        lock = (folder / ".lock").open("w", encoding="utf-8")
    with lock:
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

    A wheel has it inside the package, a clone next to the package.
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
