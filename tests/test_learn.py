"""What you can rely on: the checks of the exercises name the mistake, and pass what is right."""

import importlib
import json
import re
from pathlib import Path

import pytest
from learn_solutions import solutions

from minibert.cli.main import main
from minibert.learn import run
from minibert.learn.compare import Wrong
from minibert.learn.run import EXERCISES, Student, check_file, load

STUBS = Path(__file__).parents[1] / "docs" / "lessons" / "exercises"
ALL = {
    f"{exercise}-{name}": (exercise, solution)
    for exercise in EXERCISES
    for name, solution in solutions(
        importlib.import_module(f"learn_solutions.{exercise}"), load(exercise).FUNCTIONS
    ).items()
}
CHINESE = re.compile("[一-鿿]")


@pytest.mark.parametrize("name", ALL)
def test_a_check_passes_what_is_right_and_names_what_is_wrong(name: str):
    exercise, solution = ALL[name]
    student = Student(solution, load(exercise).FUNCTIONS, "solution.py")
    if solution.message is None:
        load(exercise).check(student)
        return
    with pytest.raises(Wrong, match=re.escape(solution.message)) as found:
        load(exercise).check(student)
    assert CHINESE.search(found.value.text.zh)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_each_check_is_tried_on_three_right_and_five_wrong_solutions(exercise: str):
    of_exercise = [solution for name, solution in ALL.values() if name == exercise]
    right = sum(solution.message is None for solution in of_exercise)
    assert right >= 3
    assert len(of_exercise) - right >= 5


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_stub_is_not_filled_in_yet_and_explained_in_both_languages(exercise: str):
    stub = STUBS / f"{exercise}.py"
    result = check_file(exercise, stub)
    assert result.message is not None
    assert result.message.en.endswith("is not filled in yet.")
    text = stub.read_text(encoding="utf-8")
    assert CHINESE.search(text)
    assert f"minibert learn check {exercise}" in text
    for hint in (hints := load(exercise).HINTS):
        assert CHINESE.search(hint.zh)
        assert not CHINESE.search(hint.en)
    assert len(hints) == 3


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_solution_is_where_the_exercise_says(exercise: str):
    file, names = load(exercise).SOLUTION.split(", ", 1)
    source = (STUBS.parents[2] / file).read_text(encoding="utf-8")
    for name in re.findall(r"\w+", names):
        assert re.search(rf"(def|class) {name}\b", source)


def test_there_is_a_stub_for_each_exercise_and_no_other_file():
    assert {path.stem for path in STUBS.glob("*.py")} == set(EXERCISES)


START = "def attention(query, key, value, attention_mask):\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            f"{START}    scores = query @ key\n",
            "RuntimeError in line 2, `scores = query @ key` ",
        ),
        (f"{START}    return query @ key\n", "query (1, 1, 3, 4), key (1, 1, 3, 4): Expected size"),
        (f"{START}    scores = (query\n", "Python cannot read the file. line 2: "),
        ("def attend(): ...\n", "attention.py does not define `attention`"),
        ("def attention(x): ...\n", "it cannot be called as the stub says"),
        (f"{START}    return 1 +\n", "line 2"),
        (f"{START}    raise SystemExit\n", "SystemExit in line 2"),
        (f"{START}    return attention(query, key, value, None)\n", "RecursionError in line 2"),
        (f"{START}    query = query + 1\n", "it returns nothing: is a `return` missing?"),
        (f"{START}    return value, key.tolist()\n", "`probabilities` is a list instead of a"),
        (f"{START}    while True: query = key\n", "after 0 seconds, in line 2, `while True"),
        ("import helper\n" + START + "    return helper.x\n", "helper"),
        ("attention = 3\n", "does not define `attention`"),
        ("\xff\xfe", "Python cannot read the file"),
    ],
)
def test_a_failing_file_is_explained_with_its_line(code, message, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "TIME_LIMIT", 0.2 if "while" in code else 10.0)
    file = tmp_path / "attention.py"
    file.write_text(code, encoding="latin-1")
    found = check_file("attention", file).message
    assert found is not None
    assert message in found.en
    assert CHINESE.search(found.zh)
    assert [path.name for path in tmp_path.iterdir()] == ["attention.py"]


def test_solutions_of_two_students_may_import_files_of_the_same_name(tmp_path):
    for student, scale in (("alice", 0.5), ("bob", 1.0)):
        folder = tmp_path / student
        folder.mkdir()
        code = f"def attention(q, k, v, m):\n    p = (q @ k.mT * {scale}).softmax(-1)\n"
        (folder / "mine.py").write_text(f"{code}    return p @ v, p\n", encoding="utf-8")
        (folder / "attention.py").write_text("from mine import attention\n", encoding="utf-8")
    alice, bob = (
        check_file("attention", tmp_path / name / "attention.py").message
        for name in ("alice", "bob")
    )
    assert "batch of 2" in alice.en  # 0.5 is right in the example alone
    assert "not divided" in bob.en


@pytest.fixture
def learn(tmp_path, monkeypatch, capsys):
    """Run `minibert learn` in an empty folder, in English."""
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["learn", *arguments])
        return stop.value.code, *capsys.readouterr()

    return command


RIGHT = "from minibert.model.attention import eager_attention as attention\n"


def test_a_solution_in_the_current_folder_is_checked_and_the_own_one_named(learn):
    Path("attention.py").write_text(f"{RIGHT}print('mine')\n", encoding="utf-8")
    code, out, err = learn("check", "attention")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "mine",
        "attention.py  right",
        "minibert has it in minibert/model/attention.py, eager_attention",
    ]
    assert learn("check", "attention.py") == (code, out, err)


def test_without_a_file_of_ones_own_the_stub_is_checked_and_a_hint_offered(learn, monkeypatch):
    code, out, _ = learn("check", "attention")
    assert code == 1
    assert "exercises/attention.py  not yet: `attention` is not filled in yet.\n" in out
    assert out.endswith("for a hint: minibert learn hint attention\n")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "还没有填写" in learn("check", "attention")[1]
    assert "not filled in" in learn("check", "attention", "--language", "en")[1]


def test_a_class_gets_a_report(learn):
    for student in ("alice", "bob"):
        Path(student).mkdir()
    Path("alice/attention.py").write_text(f"{RIGHT}print('mine')\n", encoding="utf-8")
    code, out, _ = learn("check", "--all", "alice", "bob", "--report", "grades.json")
    assert (code, "mine" in out) == (1, False)
    report = json.loads(Path("grades.json").read_text(encoding="utf-8"))
    assert report["passed"] == 1
    assert len(report["exercises"]) == 2 * len(EXERCISES)
    found = {(row["folder"], row["exercise"]): row for row in report["exercises"]}
    assert found["alice", "attention"]["passed"] is True
    assert found["bob", "attention"] == {
        "folder": "bob",
        "exercise": "attention",
        "passed": False,
        "message": "there is no such file.",
        "seconds": found["bob", "attention"]["seconds"],
    }


def test_hints_and_the_list_are_in_both_languages(learn):
    assert learn("list")[1].startswith(f"{EXERCISES[0]} ")
    english = [learn("hint", "attention", "--level", level)[1] for level in "123"]
    assert len(set(english)) == 3
    assert "行是" in learn("hint", "attention", "--level", "2", "--language", "zh")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("check", "name one exercise"),
        ("check atention", "there is no exercise 'atention'"),
        ("check attention nowhere.py", "nowhere.py is not a file"),
        ("check --all nowhere", "nowhere is not a folder"),
        ("check --all --report grades.txt", "must end in .json"),
        ("hint attention --level 4", "1 to 3"),
        ("hint x", "there is no exercise 'x'"),
    ],
)
def test_a_wrong_command_is_one_sentence(arguments, message, learn):
    code, out, err = learn(*arguments.split())
    assert (code, out) == (2, "")
    assert message in err
    assert not any(Path().iterdir())
