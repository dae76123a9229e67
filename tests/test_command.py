"""What you can rely on: a command ends in one sentence and an exit code, never in a traceback.

0 is done, 2 is something that the user can mend, 130 is Ctrl-C; a misspelt option is refused with
the one that was meant, and nothing is guessed.
"""

import argparse
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from minibert.cli.shared import (
    RUN_FILES,
    Parser,
    check_folder,
    choose_output,
    newest_folder,
    resume_command,
    unused_folder,
    whole_number,
)
from minibert.errors import MiniBertError


def script(body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a small command made with `minibert.cli.shared`."""
    start = "from minibert.cli.shared import Parser, run\nfrom minibert.errors import *\n"
    code = start + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True
    )


def minibert(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from minibert.cli.main import main; main()", *arguments],
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
        (
            "import signal\ndef main(): signal.raise_signal(signal.SIGTERM)\nrun(main)",
            143,
            "stopped.\n",
        ),
    ],
)
def test_every_end_has_its_exit_code_and_one_sentence(body, code, said):
    result = script(body)
    assert (result.returncode, result.stderr) == (code, said)


def test_what_the_system_refuses_is_one_sentence_that_names_the_file():
    result = script("run(lambda: open('a' * 300))")
    told = f"error: {'a' * 300}: File name too long; name another file or folder.\n"
    assert (result.returncode, result.stderr) == (2, told)


@pytest.mark.parametrize("mistake", ["KeyError('x')", "OSError('no file in it')"])
def test_a_mistake_of_ours_is_a_traceback(mistake):
    result = script(f"def main(): raise {mistake}\nrun(main)")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_gone_away_is_no_error(lines):
    # `command | head`: standard output is closed at the other end before, or while, we write.
    code = f"from minibert.cli.shared import run\nrun(lambda: print('a line\\n' * {lines}))"
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


def test_what_is_one_too_many_is_refused_with_the_help_of_its_command():
    result = minibert("attention", "folder", "a", "b", "c")
    assert result.returncode == 2
    assert result.stderr.endswith("'c' is one argument too many; see minibert attention --help.\n")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("0", "argument --rounds: 0 is out of range; give at least 1"),
        ("-3", "argument --rounds: -3 is out of range; give at least 1"),
        ("three", "argument --rounds: invalid number value: 'three'"),
    ],
)
def test_a_whole_number_has_a_range(given, told, capsys):
    parser = Parser(prog="x")
    parser.add_argument("--rounds", type=whole_number(1))
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--rounds", given])
    assert (stop.value.code, capsys.readouterr().err) == (2, f"x: {told}\n")
    assert parser.parse_args(["--rounds", "1"]).rounds == 1


def test_a_whole_number_may_have_an_upper_end(capsys):
    assert [whole_number(5, 512)(text) for text in ("5", "512")] == [5, 512]
    with pytest.raises(argparse.ArgumentTypeError, match="513 is out of range; give 5 to 512"):
        whole_number(5, 512)("513")


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


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    for place in (folder, folder / "a" / "b"):
        check_folder(place, new=True)
    for place in (file, file / "a" / "b"):
        with pytest.raises(MiniBertError, match=f"^{file} is a file, not a folder; choose anoth"):
            check_folder(place)
        with pytest.raises(MiniBertError, match=f"^{file} is a file, not a folder; choose anoth"):
            choose_output(place, place, resume=True)
    folder.mkdir()
    check_folder(folder, new=True)
    (folder / "x").touch()
    check_folder(folder)
    with pytest.raises(
        MiniBertError, match=f"^{folder} exists and is not empty; choose another place"
    ):
        check_folder(folder, new=True)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "bert_config.json", "corpus.json"]
)
def test_what_is_no_run_is_never_written_over(file, resume, tmp_path: Path):
    """Not even where a run was, once its checkpoints are deleted."""
    (tmp_path / "training").mkdir()
    assert choose_output(tmp_path, tmp_path, resume=resume) == tmp_path
    (tmp_path / file).touch()
    with pytest.raises(MiniBertError, match=r"holds a (model|corpus); choose another --output"):
        choose_output(tmp_path, tmp_path, resume=resume)


@pytest.mark.parametrize("file", RUN_FILES)
def test_a_file_of_your_own_is_never_written_over(file, tmp_path: Path):
    (tmp_path / "output.txt").touch()  # no run writes this
    assert choose_output(tmp_path, tmp_path, resume=False) == tmp_path
    (tmp_path / file).touch()
    with pytest.raises(MiniBertError, match=f"holds a {file}, which this would write over"):
        choose_output(tmp_path, tmp_path, resume=False)
    (tmp_path / "training" / "step-00000001").mkdir(parents=True)
    assert choose_output(tmp_path, tmp_path, resume=True) == tmp_path


def test_a_run_is_gone_on_with_and_not_begun_again(tmp_path: Path):
    (tmp_path / "training" / "step-00000001").mkdir(parents=True)
    (tmp_path / "model.safetensors").touch()
    assert choose_output(tmp_path, tmp_path, resume=True) == tmp_path
    with pytest.raises(MiniBertError, match="holds a run; go on with it"):
        choose_output(tmp_path, tmp_path, resume=False)


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
        (["bin/minibert", "finetune"], "minibert finetune --output 'my run' --resume"),
        (["minibert/__main__.py", "finetune"], "minibert finetune --output 'my run' --resume"),
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
