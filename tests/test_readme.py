"""What you can rely on: the README is true. Its two commands are the ones that CI runs, its Python
runs, its commands exist, and its map shows every file there is.
"""

import re
from pathlib import Path

import pytest
from tiny_folders import classifier_folder

from minibert.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_it_shows_the_two_commands_that_ci_takes_from_it():
    commands = [line for line in README.splitlines() if line.startswith("pip install -e")]
    assert len(commands) == 2
    assert "examples/finetune_cls.py" in commands[0]
    assert commands[1].endswith("pytest")
    assert r"grep -E '^pip install -e .* && ' README.md" in (ROOT / ".ci/run").read_text("utf-8")


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    classifier_folder(tmp_path / "runs" / "finetune_cls")
    monkeypatch.chdir(tmp_path)
    programs = blocks("python")
    assert programs
    for program in programs:
        exec(compile(program, "README.md", "exec"), {})
    assert "Prediction(label=" in capsys.readouterr().out


def test_its_list_of_commands_is_the_command_line():
    listed = dict(re.findall(r"^minibert (\S+) {2,}(.+)$", README, flags=re.MULTILINE))
    assert listed == COMMANDS


def test_its_map_shows_every_file_and_no_other():
    shown = re.findall(r"^\| `([\w/]+(?:\.py|/))` \|", README, flags=re.MULTILINE)
    assert len(shown) == len(set(shown))
    package = ROOT / "minibert"
    there = {str(path.relative_to(package).as_posix()) for path in package.rglob("*.py")}
    folders = {name for name in shown if name.endswith("/")}
    expected = {
        name
        for name in there
        if not name.endswith("__init__.py") and not any(name.startswith(f) for f in folders)
    }
    assert set(shown) - folders == expected


def test_nothing_is_left_to_fill_in():
    assert "@@" not in README
