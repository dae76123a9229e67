"""What you can rely on: the README is true. CI runs its two commands, and its Python runs.

`test_map.py` checks its tables.
"""

import re
from pathlib import Path

import pytest
from tiny_folders import classifier_folder

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


@pytest.mark.parametrize("page", ["README.md", ".github/CONTRIBUTING.md", "docs/changelog.md"])
def test_every_path_that_a_page_names_exists(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:minibert|tests|docs|examples|weights|\.github|\.ci)/[\w./-]*)`", text)
    named += re.findall(r"\]\(((?!https?:)[\w./-]+)\)", text) if page == "README.md" else []
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
