"""What you can rely on: a command ends in one sentence and an exit code, never in a traceback.

0 is done, 2 is something that the user can mend, 130 is Ctrl-C; a misspelt option is refused with
the one that was meant, and nothing is guessed.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from minibert.command import Parser, newest_folder, resume_command, unused_folder


def script(body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a small command made with `minibert.command`."""
    start = "from minibert.command import Parser, run\nfrom minibert.errors import *\n"
    code = start + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True
    )


def minibert(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from minibert.cli import main; main()", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("run(lambda: print('done'))", 0, ""),
        (
            "def main(): raise MiniBertError('a.tsv, line 3: no label.')\nrun(main)",
            2,
            "error: a.tsv, line 3: no label.\n",
        ),
        ("def main(): raise KeyboardInterrupt\nrun(main)", 130, "stopped.\n"),
        (
            "def main(): raise Interrupted(15, 'saved; go on with --resume')\nrun(main)",
            143,
            "saved; go on with --resume\n",
        ),
    ],
)
def test_every_end_has_its_exit_code_and_one_sentence(body, code, said):
    result = script(body)
    assert (result.returncode, result.stderr) == (code, said)


def test_a_mistake_of_ours_is_a_traceback():
    result = script("def main(): raise KeyError('x')\nrun(main)")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_gone_away_is_no_error(lines):
    # `command | head`: standard output is closed at the other end before, or while, we write.
    code = f"from minibert.command import run\nrun(lambda: print('a line\\n' * {lines}))"
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


OPTIONS = """
parser = Parser(prog="train")
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--epochs", type=int, default=3)
run(lambda: print(vars(parser.parse_args())))
"""
COMMANDS = """
parser = Parser(prog="minibert")
commands = parser.add_subparsers(required=True, metavar="COMMAND")
commands.add_parser("predict").add_argument("--device")
run(lambda: print(vars(parser.parse_args())))
"""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--learning-rat", "1"], "train: '--learning-rat' is not an option here; did you mean "),
        (["--lerning-rate=1"], "'--lerning-rate=1' is not an option here; did you mean --learning"),
        (["--epoch", "3"], "did you mean --epochs?"),
        (["--zzz"], "see train --help."),
        (["--epochs", "three"], "invalid int value: 'three'"),
        (["--epochs"], "expected one argument"),
    ],
)
def test_a_misspelt_option_is_refused_and_the_like_is_named(arguments, sentence):
    result = script(OPTIONS, *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_options_of_a_command_are_known_too():
    result = script(COMMANDS, "predict", "--devise", "cpu")
    assert result.returncode == 2
    assert "'--devise' is not an option here; did you mean --device?" in result.stderr
    assert script(COMMANDS, "predict", "--device", "cpu").stdout == "{'device': 'cpu'}\n"


def test_what_is_spelt_right_is_taken():
    result = script(OPTIONS, "--learning-rate", "0.5", "--epochs=1")
    assert (result.returncode, result.stderr) == (0, "")
    assert "'learning_rate': 0.5, 'epochs': 1" in result.stdout


def test_options_are_never_abbreviated():
    # "--learn" would be taken by argparse until a second option begins like this
    with pytest.raises(SystemExit) as stop:
        parser = Parser()
        parser.add_argument("--learning-rate")
        parser.parse_args(["--learn", "1"])
    assert stop.value.code == 2


def test_help_is_no_error():
    result = minibert("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "predict" in result.stdout and "tokenize" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["predct"], "invalid choice: 'predct'"),
        (["tokenize"], "required"),
        (["tokenize", "vocab.txt", "text", "--id"], "did you mean --ids?"),
        (["tokenize", "./no/such/folder", "text"], "there is no folder"),
        (["predict", "./no/such/folder", "text"], "there is no folder"),
        (["predict", "."], "at least one text"),
        (["predict", ".", "text", "--device", "toaster"], "toaster"),
    ],
)
def test_what_a_user_can_get_wrong_ends_in_one_line_and_code_2(arguments, words):
    result = minibert(*arguments)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_in_use_is_left_alone_and_the_next_number_taken(tmp_path: Path):
    assert unused_folder(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    assert unused_folder(tmp_path / "run") == tmp_path / "run-2"
    (tmp_path / "run-2").touch()
    assert unused_folder(tmp_path / "run") == tmp_path / "run-3"


@pytest.mark.parametrize(
    ("typed", "to_type"),
    [
        (["train.py"], "python train.py --output 'my run' --resume"),
        (["train.py", "--output", "x y"], "python train.py --output 'x y' --resume"),
        (["train.py", "--output=x"], "python train.py --output=x --resume"),
        (["train.py", "--resume"], "python train.py --resume --output 'my run'"),
    ],
)
def test_the_command_that_goes_on_can_be_typed_as_it_is_shown(typed, to_type, monkeypatch):
    monkeypatch.setattr(sys, "argv", typed)
    assert resume_command(Path("my run")) == to_type


def test_resuming_without_an_output_means_the_newest_run(tmp_path):
    run = tmp_path / "run"
    assert (newest_folder(run), unused_folder(run)) == (run, run)
    run.mkdir()
    assert (newest_folder(run).name, unused_folder(run).name) == ("run", "run-2")
    (tmp_path / "run-2").mkdir()
    assert (newest_folder(run).name, unused_folder(run).name) == ("run-2", "run-3")
