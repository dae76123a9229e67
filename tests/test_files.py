"""What you can rely on: a file is there whole or as it was before, whatever goes wrong.

Each step of a write is made to fail, one after the other; writers are killed at random moments. The
only exception is a mistake in the code that fills the file, which stays what it is.
"""

import errno
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from conftest import dead_pid
from safetensors import SafetensorError

from minibert import MiniBertError
from minibert.checkpoints.folder import write_safetensors
from minibert.files import (
    atomic_file,
    atomic_folder,
    exclusive_lock,
    read_json_object,
    write_atomic,
    write_json,
)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_is_written_is_what_is_read(tmp_path: Path):
    write_atomic(tmp_path / "a", "grün 绿\n")
    assert (tmp_path / "a").read_bytes() == "grün 绿\n".encode()
    write_atomic(tmp_path / "a", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    assert listing(tmp_path) == ["a"]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path):
    (tmp_path / "usual").touch()
    with atomic_file(tmp_path / "whole") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)  # as safetensors does
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path):
    path = tmp_path / "a"
    write_atomic(path, "old")
    with atomic_file(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
        assert temporary.parent == path.parent  # a rename is one step only on the same disk
    assert path.read_text(encoding="utf-8") == "half"


@pytest.mark.parametrize("kind", [atomic_file, atomic_folder])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_while_filling_leaves_nothing_and_is_not_renamed(kind, error, tmp_path: Path):
    with pytest.raises(error, match="mine"), kind(tmp_path / "a") as temporary:
        if temporary.is_dir():
            (temporary / "part").touch()
        raise error("mine")
    assert listing(tmp_path) == []


def test_a_folder_appears_whole(tmp_path: Path):
    with atomic_folder(tmp_path / "new") as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "a").write_text("1", encoding="utf-8")
        assert not (tmp_path / "new").exists()
    assert listing(tmp_path) == ["new", "new/deep", "new/deep/a"]


def test_a_folder_may_be_the_present_one_or_behind_a_link(tmp_path: Path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "link") as temporary:
        (temporary / "a").touch()
    assert listing(tmp_path) == ["link", "real", "real/a"]
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with atomic_folder(Path()) as temporary:
        (temporary / "b").touch()
    assert (tmp_path / "empty" / "b").exists()


def test_the_root_of_a_disk_is_refused_before_any_work(tmp_path: Path):
    with (
        pytest.raises(MiniBertError, match="/ is the root folder of a disk"),
        atomic_folder(Path("/")),
    ):
        raise AssertionError("never reached")


def test_a_folder_that_holds_something_is_not_replaced(tmp_path: Path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").touch()
    with (
        pytest.raises(MiniBertError, match=f"cannot write {tmp_path / 'there'}"),
        atomic_folder(tmp_path / "there"),
    ):
        pass
    assert listing(tmp_path) == ["there", "there/a"]


@pytest.mark.parametrize("place", ["missing/a", "file/a", "folder"])
def test_a_place_that_cannot_be_written_is_named(place, tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = listing(tmp_path)
    with pytest.raises(MiniBertError, match=f"cannot write {tmp_path / place}: .*; choose"):
        write_atomic(tmp_path / place, "x")
    assert listing(tmp_path) == before


# The calls to the system that a write consists of.
STEPS = ("replace", "fsync", "open", "write", "mkdir", "touch", "chmod")


def break_step(monkeypatch: pytest.MonkeyPatch, step: str, number: int) -> Counter:
    """Make one call of this kind fail as on a full disk, wherever the code makes it.

    Returns:
        The number of calls that were made, under "calls".
    """
    owner, name = {
        "replace": (os, "replace"),
        "fsync": (os, "fsync"),
        "open": (os, "open"),
        "write": (Path, "write_bytes"),
        "mkdir": (os, "mkdir"),
        "touch": (Path, "touch"),
        "chmod": (os, "chmod"),
    }[step]
    original, made = getattr(owner, name), Counter()

    def one_fails(*args, **options):
        made["calls"] += 1
        if made["calls"] == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*args, **options)

    monkeypatch.setattr(owner, name, one_fails)
    return made


def write_a_file(folder: Path) -> None:
    write_atomic(folder / "a.txt", "new")


def write_some_json(folder: Path) -> None:
    write_json(folder / "new" / "a.json", {"new": 1})


def write_a_folder(folder: Path) -> None:
    with atomic_folder(folder / "new") as temporary:
        (temporary / "a.txt").write_bytes(b"new")
        (temporary / "b.txt").write_bytes(b"too")


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        name: (folder / name).read_bytes() for name in listing(folder) if (folder / name).is_file()
    }


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("writer", [write_a_file, write_some_json, write_a_folder])
def test_whichever_step_fails_the_old_or_the_new_is_there_and_nothing_else(
    writer, step, tmp_path: Path
):
    clean = tmp_path / "clean"
    clean.mkdir()
    writer(clean)
    for number in range(1, 50):
        folder = tmp_path / f"fault-{number}"
        folder.mkdir()
        if writer is write_a_file:
            (folder / "a.txt").write_text("old", encoding="utf-8")
        old = files_in(folder)
        with pytest.MonkeyPatch.context() as monkeypatch:
            made = break_step(monkeypatch, step, number)
            try:
                writer(folder)
            except MiniBertError as error:
                assert str(folder) in str(error)
                assert "No space left on device" in str(error)
            else:
                assert made["calls"] < number, "a failure was passed over in silence"
        assert files_in(folder) in (old, files_in(clean))
        assert not [name for name in listing(folder) if name.endswith(".tmp")]
        if made["calls"] < number:
            return
    pytest.fail("the faults never came to an end")


def test_content_reaches_the_disk_before_its_name_does(tmp_path: Path, monkeypatch):
    # A rename that overtakes the content is the empty file after a power cut.
    steps = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(handle):
        steps.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def seen_replace(source, target):
        steps.append("rename")
        replace(source, target)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to see which file is forced to the disk")
    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    write_atomic(tmp_path / "a.txt", "new")
    content, rename, folder = steps
    assert content.startswith(".a.txt.")
    assert rename == "rename"
    assert folder == tmp_path.name


WRITER = """
import sys
from pathlib import Path
from minibert.files import write_atomic, atomic_folder
base = Path(sys.argv[1])
print("ready", flush=True)
for number in range(1_000_000):
    write_atomic(base / "file", f"{number % 10}" * 200_000)
    with atomic_folder(base / f"folder-{number}") as temporary:
        for name in "ab":
            (temporary / name).write_text(f"{number % 10}" * 1000, encoding="utf-8")
"""


def test_a_killed_writer_never_leaves_a_half(tmp_path: Path):
    moments = random.Random(0)
    kills = 30
    for batch in range(0, kills, 6):  # six writers side by side: most of the time is starting up
        writers = []
        for number in range(batch, batch + 6):
            folder = tmp_path / str(number)
            folder.mkdir()
            command = [sys.executable, "-c", WRITER, str(folder)]
            writers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            time.sleep(moments.uniform(0.002, 0.03))
            writer.kill()
            writer.communicate()
    written = 0
    for number in range(kills):
        folder = tmp_path / str(number)
        if (folder / "file").exists():
            content = (folder / "file").read_text(encoding="utf-8")
            assert len(content) == 200_000 and len(set(content)) == 1
            written += 1
        for inner in folder.glob("folder-*"):
            assert [len(path.read_bytes()) for path in sorted(inner.iterdir())] == [1000, 1000]
    assert written > kills / 2


def test_what_a_killed_writer_left_is_not_taken_for_anything(tmp_path: Path):
    # Its temporary keeps a name with a dot in front, and the next write does not trip over it.
    (tmp_path / f".a.{os.getpid()}.tmp").write_text("half", encoding="utf-8")
    write_atomic(tmp_path / "a", "whole")
    assert listing(tmp_path) == ["a"]
    (tmp_path / f".b.{os.getpid()}.tmp").mkdir()
    (tmp_path / f".b.{os.getpid()}.tmp" / "half").touch()
    with atomic_folder(tmp_path / "b") as temporary:
        assert list(temporary.iterdir()) == []


LEAVES = """
import sys, time
from pathlib import Path
from minibert.files import atomic_file, atomic_folder
base = Path(sys.argv[1])
with atomic_folder(base / "corpus") as corpus, atomic_file(base / "curve.png") as picture:
    (corpus / "tokens.bin").write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_the_next_write_removes_what_a_killed_process_left_but_nothing_of_a_living_one(
    tmp_path: Path,
):
    def start() -> subprocess.Popen:
        command = [sys.executable, "-c", LEAVES, str(tmp_path)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        return writer

    killed, living = start(), start()
    try:
        killed.kill()
        if Path("/proc").exists():  # as in a container, where nobody notices that it has ended
            os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        else:
            killed.wait()
        left = listing(tmp_path)
        assert sum(f"-{killed.pid}.tmp" in name for name in left) == 3
        elsewhere = f".corpus.00c0ffee-{killed.pid}.tmp"  # on another machine, where it may live
        (tmp_path / elsewhere).mkdir()
        foreign = [".vimrc.tmp", ".corpus.tmp", f".other.{killed.pid}.tmp"]  # not of minibert
        for name in foreign:
            (tmp_path / name).touch()
        before = [name for name in left if f"-{living.pid}.tmp" in name]
        write_atomic(tmp_path / "another", "whole")
        assert listing(tmp_path) == sorted([*before, elsewhere, *foreign, "another"])
    finally:
        for process in (killed, living):
            process.kill()
            process.communicate()


def test_what_the_safetensors_library_would_leave_has_a_name_that_tells_whose_it_is(
    tmp_path: Path, monkeypatch
):
    def fail(_tensors: object, path: Path, **_: object) -> None:
        (path.parent / ".tmpAbCdEf").touch()  # as the library names it
        left.append(path.parent)
        raise KeyboardInterrupt

    left: list[Path] = []
    monkeypatch.setattr("minibert.checkpoints.folder.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        write_safetensors(tmp_path / "model.safetensors", {"a": torch.zeros(1)})
    assert listing(tmp_path) == []
    [folder] = left
    killed = folder.with_name(folder.name.replace(f"-{os.getpid()}.", f"-{dead_pid()}."))
    killed.mkdir()
    (killed / ".tmpAbCdEf").touch()
    write_atomic(tmp_path / "a", "whole")
    assert listing(tmp_path) == ["a"]


def test_a_full_disk_is_told_with_what_is_free_and_needed_and_with_the_real_name(
    tmp_path: Path, monkeypatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    free = r"No space left on device \([\d,]+\.\d MB are free, {} needed\); free some space"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(
            MiniBertError, match=f"write {tmp_path}/a: " + free.format("0.5 MB are")
        ):
            write_atomic(tmp_path / "a", "x" * 500_000)
        # A folder is named as it would be called, and not the temporary one nor a file in it.
        with (
            pytest.raises(MiniBertError, match=f"write {tmp_path}/b: " + free.format("more are")),
            atomic_folder(tmp_path / "b") as temporary,
        ):
            write_json(temporary / "c.json", {})
    with monkeypatch.context() as patch:
        patch.setattr(
            "minibert.checkpoints.folder.save_file",
            lambda *_, **__: (_ for _ in ()).throw(SafetensorError("I/O (os error 28)")),
        )
        with pytest.raises(
            MiniBertError, match=f"write {tmp_path}/d: " + free.format("4.0 MB are")
        ):
            write_safetensors(tmp_path / "d", {"a": torch.zeros(1_000_000)})
    assert listing(tmp_path) == []


def test_an_error_of_reading_inside_a_folder_is_not_taken_for_one_of_writing_it(tmp_path: Path):
    with (
        pytest.raises(MiniBertError, match=f"cannot read {tmp_path}/none.json"),
        atomic_folder(tmp_path / "a"),
    ):
        read_json_object(tmp_path / "none.json")


ENTERS = """
import sys
from pathlib import Path
from minibert.errors import MiniBertError
from minibert.files import exclusive_lock
try:
    with exclusive_lock(Path(sys.argv[1])):
        print("in", flush=True)
        sys.stdin.read()
except MiniBertError as error:
    print(f"out: {error}", flush=True)
"""


def enter(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", ENTERS, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_only_one_process_is_let_in_and_the_next_after_it_was_killed(tmp_path: Path):
    pytest.importorskip("fcntl")
    folder = tmp_path / "run"
    first = enter(folder)
    assert first.stdout is not None and first.stdout.readline() == "in\n"
    second = enter(folder)
    said, _ = second.communicate(timeout=60)
    assert said.startswith("out: another run is writing to")
    assert str(folder) in said
    first.kill()
    first.communicate()
    with exclusive_lock(folder):
        pass
    with exclusive_lock(folder):  # and it is left again
        pass


def test_a_disk_without_locks_can_be_written_to(tmp_path: Path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with exclusive_lock(tmp_path / "run"):
        (tmp_path / "run" / "a").touch()
    assert listing(tmp_path / "run") == [".lock", "a"]


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_place_that_cannot_be_locked_is_named(place, tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(MiniBertError, match=str(tmp_path / "file")),
        exclusive_lock(tmp_path / place),
    ):
        pass


def test_json_is_written_for_people_too_and_its_folder_made(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "a.json"
    write_json(path, {"b": "绿", "a": [1]})
    assert path.read_text(encoding="utf-8") == '{\n  "b": "绿",\n  "a": [\n    1\n  ]\n}\n'
    assert read_json_object(path) == {"b": "绿", "a": [1]}


def test_json_in_a_place_that_cannot_be_made_is_refused_with_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(MiniBertError, match=str(tmp_path / "file")):
        write_json(tmp_path / "file" / "a.json", {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a JSON file"),
        (b"{'a': 1}", "is not a JSON file"),
        (b'{"a": "\xe9"}', "is not a JSON file"),
        (b"\xef\xbb\xbf{}", "is not a JSON file"),
        (b"[" * 100_000, "is not a JSON file"),
        (b'{"a": ' + b"1" * 5000 + b"}", "is not a JSON file"),
        (b"[]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
    ],
)
def test_what_is_no_json_object_is_refused_by_its_name(content, words, tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(MiniBertError, match=words) as caught:
        read_json_object(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_missing_or_a_folder_is_refused_by_its_name(tmp_path: Path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(MiniBertError, match=f"cannot read {path}: "):
            read_json_object(path)


def test_what_cannot_be_json_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert listing(tmp_path) == ["a.json"]
