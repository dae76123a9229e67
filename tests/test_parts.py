"""Files of any size are computed in parts: an interrupted run is finished with the same bytes, and
several processes write the same file as one.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_distributed import TORCHRUN
from tiny_folders import classifier_folder, pretrained_folder

from minibert import MiniBertError
from minibert.cli import embed, parts, predict
from minibert.cli.parts import write_in_parts
from minibert.cli.shared import Parser

WORDS = ("the", "cat", "sat", "on", "a", "mat", "paris", "is", "france")
TEXTS = 2500  # three parts
NO_HEADER = {"header": lambda: b"", "fingerprint": {"--file": "1"}}


class Stopped(Exception):  # noqa: N818
    pass


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = (" ".join(WORDS[i % j] for j in range(1, 2 + i % 9)) for i in range(TEXTS))
    Path("texts.txt").write_text("\n".join(lines), encoding="utf-8")
    classifier_folder(Path("classifier"))
    pretrained_folder(Path("pretrained"))
    return tmp_path


def call(command, line: str) -> None:
    parser = Parser()
    command.add_arguments(parser)
    command.run(parser.parse_args(line.split()))


def test_parts_are_joined_in_their_order_below_the_header(tmp_path):
    file = tmp_path / "out"
    write_in_parts(file, [1, 2, 3], lambda n: b"%d," % n, header=lambda: b"n:", fingerprint=None)
    assert file.read_bytes() == b"n:1,2,3,"
    assert list(tmp_path.iterdir()) == [file]


def test_a_resumed_run_computes_only_what_is_missing(tmp_path):
    computed, file = [], tmp_path / "out"

    def compute(number: int) -> bytes:
        if number == 3 and 3 not in computed:
            computed.append(3)
            raise Stopped
        computed.append(number)
        return b"%d" % number

    with pytest.raises(Stopped):
        write_in_parts(file, [1, 2, 3, 4], compute, **NO_HEADER)
    assert not file.exists()
    with pytest.raises(MiniBertError, match="an interrupted run; add --resume to finish it, or"):
        write_in_parts(file, [1, 2, 3, 4], compute, **NO_HEADER)
    changed = NO_HEADER | {"fingerprint": {"--file": "2"}, "resume": True}
    with pytest.raises(MiniBertError, match="holds a run with another --file; give the same, or"):
        write_in_parts(file, [1, 2, 3, 4], compute, **changed)
    write_in_parts(file, [1, 2, 3, 4], compute, resume=True, **NO_HEADER)
    assert (file.read_bytes(), computed) == (b"1234", [1, 2, 3, 3, 4])


@pytest.mark.parametrize("fingerprint", [None, {"--file": "1"}])
def test_nothing_is_left_if_there_is_nothing_to_resume(tmp_path, fingerprint):
    def compute(number: int) -> bytes:
        if number == 1 + (fingerprint is None):  # standard input cannot be read again
            raise Stopped
        return b"1"

    with pytest.raises(Stopped):
        write_in_parts(
            tmp_path / "out", [1, 2], compute, header=lambda: b"", fingerprint=fingerprint
        )
    assert list(tmp_path.iterdir()) == []


def test_parts_of_a_killed_run_on_standard_input_are_not_used(tmp_path):
    folder = tmp_path / "out.parts"
    folder.mkdir()
    (folder / "run.json").write_text("{}", encoding="utf-8")
    (folder / "00000000").write_bytes(b"old")
    write_in_parts(tmp_path / "out", [1], lambda _: b"new", header=lambda: b"", fingerprint=None)
    assert (tmp_path / "out").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (predict, "classifier --file texts.txt --output {}.csv"),
        (predict, "classifier --file texts.txt --output {}.jsonl"),
        (embed, "pretrained --file texts.txt --output {}.npy"),
        (embed, "pretrained --file texts.txt --output {}.jsonl"),
    ],
)
def test_an_interrupted_command_ends_with_the_same_file(folder, monkeypatch, command, line):
    call(command, line.format("whole"))
    write, written = parts.write_atomic, []

    def write_two(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 3:
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(parts, "write_atomic", write_two)
        call(command, line.format("resumed"))
    call(command, line.format("resumed") + " --resume")
    whole, resumed = sorted(folder.glob("whole.*")), sorted(folder.glob("resumed.*"))
    assert [whole[0].read_bytes()] == [file.read_bytes() for file in resumed]


def test_two_processes_write_the_file_of_one(folder):
    call(embed, "pretrained --file texts.txt --output one.npy")
    program = [sys.executable, *TORCHRUN, "-m", "minibert", "embed", "pretrained"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run(
        [*program, "--file", "texts.txt", "--output", "two.npy"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote vectors of shape (2500, 16) to two.npy") == 1
    assert Path("two.npy").read_bytes() == Path("one.npy").read_bytes()
    assert np.load("two.npy").shape == (TEXTS, 16)


def test_what_cannot_be_resumed_is_refused(folder):
    with pytest.raises(MiniBertError, match="--resume and several processes need a --file that"):
        call(embed, "pretrained cat --output a.npy --resume")
    with pytest.raises(MiniBertError, match="--figure needs all vectors; draw it in a run of one"):
        call(embed, "pretrained --file texts.txt --output a.npy --figure a.png --resume")
