"""What you can rely on: a command ends in one sentence and an exit code, never in a traceback.

0 is done, 2 is an error that the user can correct, 130 is Ctrl-C, 143 is `kill`, 129 is a terminal
that was closed. What a text holds cannot command the terminal. A misspelt option is refused with
the one that was meant. A run never overwrites what is not its own.
"""

import argparse
import errno
import json
import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from minibert.cli.shared import (
    KEPT_FILES,
    Parser,
    check_output,
    choose_output,
    int_range,
    resume_command,
)
from minibert.errors import MiniBertError
from minibert.files import check_folder, shell_path


def script(body: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run a small command that is built with `minibert.cli.shared`."""
    imports = "from minibert.cli.process import run\nfrom minibert.errors import *\n"
    return subprocess.run(
        [sys.executable, "-c", imports + textwrap.dedent(body)],
        check=False,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


# How a command ends.


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("run(lambda: print('done'))", 0, ""),
        (
            "def main(): raise MiniBertError('a.tsv, line 3: no label.')\nrun(main)",
            2,
            "error: a.tsv, line 3: no label.\n",
        ),
        ("def main(): raise KeyboardInterrupt\nrun(main)", 130, "stopped.\n"),
        (
            "def main(): raise Interrupted(15, 'saved; continue with --resume')\nrun(main)",
            143,
            "saved; continue with --resume\n",
        ),
        (
            "import signal\ndef main(): signal.raise_signal(signal.SIGTERM)\nrun(main)",
            143,
            "stopped.\n",
        ),
        (
            "run(lambda: open('a' * 300))",
            2,
            f"error: {'a' * 300}: File name too long; choose another file or folder.\n",
        ),
        (
            "import warnings\nrun(lambda: warnings.warn('this is truncated'))",
            0,
            "note: this is truncated\n",
        ),
    ],
)
def test_every_end_has_its_exit_code_and_at_most_one_sentence(body, code, message):
    result = script(body)
    assert (result.returncode, result.stderr) == (code, message)


@pytest.mark.parametrize("bug", ["KeyError('x')", "OSError('no file in it')"])
def test_a_bug_in_minibert_is_a_traceback(bug):
    result = script(f"def main(): raise {bug}\nrun(main)")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_gone_is_no_error(lines):
    # `command | head`: the other end of standard output is closed before, or while, we write.
    reading, writing = os.pipe()
    os.close(reading)
    result = script(f"run(lambda: print('a line\\n' * {lines}))", stdout=writing)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


# Signals and streams.

ROOT = Path(__file__).parents[1]
CTRL_C = "import os, signal, sys\ndef ctrl_c(): os.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.parametrize(
    "body",
    [
        "ctrl_c()",  # before `run`, while the arguments are defined
        """
        def main():
            try:
                import slow  # as a module of PyTorch may
            except BaseException: pass
        run(main)""",
        """
        def main():
            try: ctrl_c()
            finally: ctrl_c()  # the second one 0.0 s later
        run(main)""",
        """
        def main():
            try: ctrl_c()
            except KeyboardInterrupt: raise RuntimeError('turned into another exception')
        run(main)""",
        """
        def main(): raise KeyboardInterrupt
        import atexit
        atexit.register(ctrl_c)
        run(main)""",
    ],
)
def test_ctrl_c_is_never_a_traceback(body, tmp_path, monkeypatch):
    slow = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n"
    (tmp_path / "slow.py").write_text(slow, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{tmp_path}")
    result = script(CTRL_C + textwrap.dedent(body))
    assert (result.returncode, result.stderr) == (130, "stopped.\n")


def test_ctrl_c_after_the_end_is_too_late():
    result = script(f"{CTRL_C}import atexit\natexit.register(ctrl_c)\nrun(lambda: print('done'))")
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


@pytest.mark.parametrize(("before", "code"), [("SIG_DFL", 129), ("SIG_IGN", 0)])
def test_a_closed_terminal_ends_a_command_unless_nohup_started_it(before, code):
    result = script(
        f"import signal\nsignal.signal(signal.SIGHUP, signal.{before})\n"
        "run(lambda: signal.raise_signal(signal.SIGHUP))"
    )
    assert (result.returncode, result.stderr) == (code, "stopped.\n" if code else "")


COMMANDS = ("-m minibert tokenize weights/tiny text", "-m minibert --help", "examples/embed.py -h")


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full", ">&- <&-", "1< /dev/null"])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_written_is_one_sentence(command, redirection):
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    shell = f"{shlex.quote(sys.executable)} {command} {redirection}"
    result = subprocess.run(
        ["sh", "-c", shell], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert result.stderr.startswith("error: ")
    assert "standard output" in result.stderr


def test_a_closed_or_full_standard_error_stops_nothing():
    for stream in ("2>&-", "2>/dev/full" if Path("/dev/full").exists() else "2>&-"):
        shell = f"{shlex.quote(sys.executable)} -m minibert tokenize weights/tiny a[SEP] {stream}"
        result = subprocess.run(["sh", "-c", shell], capture_output=True, cwd=ROOT, check=False)
        assert (result.returncode, result.stdout) == (0, b"a [ se ##p ]\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b[31mred", r"\u001b[2J\u001b[31mred"),
        ("bell \a, delete \x7f, CSI \x9b3m", r"bell \u0007, delete \u007f, CSI \u009b3m"),
        ("over\rwritten", r"over\u000dwritten"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("a\ttab, 猫 and 🙂", "a\ttab, 猫 and 🙂"),
    ],
)
def test_control_characters_are_shown_and_not_sent(text, shown):
    printed = script(f"run(lambda: print({text!r}))")
    assert (printed.stdout, printed.stderr) == (f"{shown}\n", "")
    error = script(f"def main(): raise MiniBertError({text!r})\nrun(main)")
    assert (error.returncode, error.stderr) == (2, f"error: {shown}\n")


def test_a_progress_bar_may_return_to_the_start_of_its_line():
    result = subprocess.run(
        [sys.executable, "-c", "from minibert.cli.process import run\nimport sys\n"
         "run(lambda: print('\\r5 of 9', file=sys.stderr, end='\\r'))"],
        capture_output=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert result.stderr == b"\r5 of 9\r"


def test_a_command_line_is_utf_8_in_any_locale(tmp_path):
    vocabulary = tmp_path / "词表.txt"
    vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n那\n猫\n", encoding="utf-8")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "minibert", "tokenize", vocabulary, "那猫 é", "--cased"],
        capture_output=True, env=os.environ | plain, cwd=ROOT, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode("utf-8") == "那 猫 [UNK]\n"


def test_what_an_encoding_lacks_is_escaped_as_in_json(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = script("import json\nrun(lambda: print(json.dumps('é 猫 🙂', ensure_ascii=False)))")
    assert json.loads(result.stdout) == "é 猫 🙂"


# What the parser accepts.


@pytest.fixture
def parse(capsys):
    """Parse a command line; the result is the options, or what was printed with exit code 2."""
    parser = Parser(prog="minibert")
    command = parser.add_subparsers(required=True, metavar="COMMAND").add_parser("train")
    command.add_argument("folder")
    command.add_argument("--learning-rate", type=float)
    command.add_argument("--epochs", type=int_range(1, 512), default=3)

    def parse(line: str) -> dict | str:
        try:
            return vars(parser.parse_args(line.split()))
        except SystemExit as stop:
            assert stop.code == 2
            return capsys.readouterr().err

    return parse


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "train f --learning-rat 1",
            "unknown option '--learning-rat'; did you mean --learning-rate?",
        ),
        (
            "train f --lerning-rate=1",
            "unknown option '--lerning-rate=1'; did you mean --learning-rate?",
        ),
        ("train f --learn 1", "unknown option '--learn'; did you mean --learning-rate?"),
        ("train f --zzz", "unknown option '--zzz'; see minibert train --help."),
        ("train f g", "unknown extra argument 'g'; see minibert train --help."),
        ("train f --epochs three", "argument --epochs: invalid integer value: 'three'"),
        ("train f --epochs 0", "argument --epochs: 0 is out of range; give 1 to 512"),
        ("train f --epochs 513", "argument --epochs: 513 is out of range; give 1 to 512"),
        ("train f --epochs", "argument --epochs: expected one argument"),
        ("train", "the following arguments are required: folder"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(parse, line, sentence):
    assert parse(line) == f"error: {sentence}\n"


def test_a_correct_command_line_is_accepted(parse):
    options = parse("train f --learning-rate 0.5 --epochs=512")
    assert options == {"folder": "f", "learning_rate": 0.5, "epochs": 512}


def test_an_int_range_may_have_no_upper_end():
    assert int_range(1)("1000000") == 1_000_000
    with pytest.raises(argparse.ArgumentTypeError, match="-3 is out of range; give at least 1"):
        int_range(1)("-3")


# Where a run writes to.


def test_a_run_goes_to_the_next_free_folder_and_resumes_in_the_last_one(tmp_path):
    default = tmp_path / "run"

    def chosen() -> list[str]:
        return [choose_output(None, default, resume=resume).name for resume in (False, True)]

    assert chosen() == ["run", "run"]
    default.mkdir()
    assert chosen() == ["run-2", "run"]
    (tmp_path / "run-2").mkdir()
    assert chosen() == ["run-3", "run-2"]


def test_a_run_is_resumed_and_not_started_again(tmp_path):
    (tmp_path / "training" / "step-00000001").mkdir(parents=True)
    (tmp_path / "model.safetensors").touch()
    assert choose_output(tmp_path, tmp_path, resume=True) == tmp_path
    with pytest.raises(MiniBertError, match="holds a run; continue it with --resume"):
        choose_output(tmp_path, tmp_path, resume=False)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("file", KEPT_FILES)
def test_a_file_that_belongs_to_no_run_is_never_overwritten(file, resume, tmp_path):
    (tmp_path / "training").mkdir()  # the checkpoints of a run have been deleted
    (tmp_path / "output.txt").touch()  # no run writes this
    assert choose_output(tmp_path, tmp_path, resume=resume) == tmp_path
    (tmp_path / file).touch()
    with pytest.raises(MiniBertError, match=f"has a {file}, which would be overwritten"):
        choose_output(tmp_path, tmp_path, resume=resume)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    for place in (folder, folder / "a" / "b"):
        check_folder(place, new=True)
    for place in (file, file / "a" / "b"):
        with pytest.raises(MiniBertError, match=f"^{file} is a file"):
            check_folder(place)
        with pytest.raises(MiniBertError, match=f"^{file} is a file"):
            choose_output(place, place, resume=True)
    folder.mkdir()
    check_folder(folder, new=True)
    (folder / "x").touch()
    check_folder(folder)
    with pytest.raises(MiniBertError, match=f"^{folder} .*choose another"):
        check_folder(folder, new=True)


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
def test_the_command_that_resumes_can_be_typed_as_it_is_shown(typed, to_type, monkeypatch):
    monkeypatch.setattr(sys, "argv", typed)
    assert resume_command(Path("my run")) == to_type


def test_an_output_that_is_a_link_to_nothing_is_refused(tmp_path):
    link = tmp_path / "link.npy"
    link.symlink_to(tmp_path / "gone")
    sentence = "link.npy is a link to .*gone, which does not exist; delete the link"
    for check in (check_folder, check_output):
        with pytest.raises(MiniBertError, match=sentence):
            check(link)
    with pytest.raises(MiniBertError, match=sentence):
        check_folder(link / "new", new=True)


@pytest.mark.parametrize("new", [False, True])
def test_a_place_that_cannot_be_written_is_found_before_any_work(new, tmp_path, monkeypatch):
    def refuse(*, dir: Path) -> None:
        assert dir == tmp_path
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(MiniBertError, match=r"cannot write .*: Read-only file system \(.*\); choo"):
        check_folder(tmp_path / "a" / "b", new=new)
    with pytest.raises(MiniBertError, match="Read-only file system"):
        check_output(tmp_path / "a.npy")


def test_a_folder_that_starts_with_a_dash_can_be_typed_as_it_is_shown():
    assert shell_path(Path("-dash")) == "./-dash"
    assert shell_path(Path("my run")) == "'my run'"
    assert shell_path(Path("runs/mine")) == "runs/mine"
