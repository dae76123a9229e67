"""What you can rely on: every bug of docs/lessons/museum can be put in, is seen, and is caught.

python tests/test_museum.py                          # write the symptoms into the pages anew
MINIBERT_MUSEUM=1 pytest tests/test_museum.py        # run the tests on all fifteen broken copies
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parents[1]
MUSEUM = ROOT / "docs" / "lessons" / "museum"
PAGES = ("README.md", "README.zh.md")
SYMPTOM = re.compile(
    r"(<!-- symptom (\d+) -->\n```text\n)(?:.*?)(^```\n)", re.MULTILINE | re.DOTALL
)
SECTION = re.compile(r"^## (\d+)\. (.*?)(?=^## )", re.MULTILINE | re.DOTALL)
EVERY_TIME = (13,)  # its test is quick
BROKEN = range(1, 16) if os.environ.get("MINIBERT_MUSEUM") else EVERY_TIME
# Show all symptoms in the copy, then break it in one way after the other and show that symptom.
SHOW_ALL = """
import json, sys
from pathlib import Path
import inject, symptoms
shown = {number: [show()] for number, show in symptoms.SYMPTOMS.items()}
for bug in inject.read_bugs():
    path = Path(bug["file"])
    sound = path.read_text(encoding="utf-8")
    inject.inject(bug, Path())
    for name in [name for name in sys.modules if name.split(".")[0] in ("minibert", "symptoms")]:
        del sys.modules[name]
    import symptoms
    shown[bug["number"]].append(symptoms.SYMPTOMS[bug["number"]]())
    path.write_text(sound, encoding="utf-8")
print(json.dumps(shown))
"""

specification = importlib.util.spec_from_file_location("inject", MUSEUM / "inject.py")
inject = importlib.util.module_from_spec(specification)
specification.loader.exec_module(inject)
BUGS = inject.read_bugs()


def all_symptoms(copy: Path) -> dict[int, list[str]]:
    """For each bug, the symptom of the sound package and of the broken one."""
    paths = os.pathsep.join(map(str, (copy, MUSEUM)))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", SHOW_ALL]
    printed = subprocess.run(run, cwd=copy, env=environment, check=True, stdout=subprocess.PIPE)
    return {int(number): both for number, both in json.loads(printed.stdout).items()}


def with_symptoms(page: str, symptoms: dict[int, list[str]]) -> str:
    """The page with the symptoms that it should show."""

    def renewed(block: re.Match[str]) -> str:
        sound, broken = symptoms[int(block[2])]
        return f"{block[1]}sound   {sound}\nbroken  {broken}\n{block[3]}"

    return SYMPTOM.sub(renewed, page)


def sections(page: str) -> dict[int, str]:
    return {int(n): text for n, text in SECTION.findall((MUSEUM / page).read_text("utf-8"))}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    inject.make_copy(folder)
    return folder


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: str(bug["number"]))
def test_a_bug_fits_the_sources_in_one_place_and_is_python(bug):
    text = (ROOT / bug["file"]).read_text(encoding="utf-8")
    assert text.count(bug["find"]) == 1
    compile(text.replace(bug["find"], bug["replace"]), bug["file"], "exec")


@pytest.mark.parametrize("page", PAGES)
def test_a_section_shows_the_way_and_hides_the_answer(page):
    assert list(sections(page)) == [bug["number"] for bug in BUGS] == [*range(1, 16)]
    for bug, section in zip(BUGS, sections(page).values(), strict=True):
        shown, answer = section.split("<details markdown>")
        file, test = bug["test"].split("::")
        assert f"<!-- symptom {bug['number']} -->" in shown
        assert file in shown and test not in shown and bug["file"] not in shown
        assert f"`{bug['test']}`" in answer and f"`{bug['file']}`" in answer
        assert [source for source in bug["sources"] if f"]({source})" not in answer] == []


def test_both_pages_name_the_same_threads():
    english, chinese = (
        {n: sorted(re.findall(r"https?://[^)]*", text)) for n, text in sections(page).items()}
        for page in PAGES
    )
    assert english == chinese
    assert {n: len(found) for n, found in english.items()} == {
        bug["number"]: len(bug["sources"]) for bug in BUGS
    }


def test_the_pages_show_the_symptoms_and_each_bug_has_one(copy):
    symptoms = all_symptoms(copy)
    assert [number for number, (sound, broken) in symptoms.items() if sound == broken] == []
    for page in PAGES:
        text = (MUSEUM / page).read_text(encoding="utf-8")
        assert with_symptoms(text, symptoms) == text, "run: python tests/test_museum.py"


@pytest.mark.parametrize("number", BROKEN)
def test_the_test_that_is_named_fails_on_the_broken_copy(number, copy):
    bug = BUGS[number - 1]
    sound = (copy / bug["file"]).read_text(encoding="utf-8")
    inject.inject(bug, copy)
    try:
        run = [sys.executable, "-m", "pytest", "-x", bug["test"]]
        environment = os.environ | {"PYTEST_ADDOPTS": ""}  # it would be run by several processes
        ended = subprocess.run(
            run, cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
    finally:
        (copy / bug["file"]).write_text(sound, encoding="utf-8")
    assert ended.returncode == 1, ended.stdout
    assert f"FAILED {bug['test']}" in ended.stdout


def test_a_folder_that_exists_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["inject.py", "1", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        inject.main()
    assert ended.value.code == 2 and "exists already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        inject.make_copy(Path(folder))
        measured = all_symptoms(Path(folder))
    for name in PAGES:
        path = MUSEUM / name
        path.write_text(with_symptoms(path.read_text("utf-8"), measured), encoding="utf-8")
