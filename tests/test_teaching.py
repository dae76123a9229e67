"""What you can rely on: the pages for teachers name what there is, and their times fit the lessons.

python tests/test_teaching.py            # write the tables of the times anew
"""

import re
from pathlib import Path

import pytest
from test_lessons import LESSONS, PAGES

TEACHING = {"en": LESSONS.parent / "teaching.md", "zh": LESSONS.parent / "teaching.zh.md"}
HEAD = {
    "en": "| lesson | English | Chinese |\n|---|---:|---:|\n",
    "zh": "| 课 | 中文 | 英文 |\n|---|---:|---:|\n",
}
UNIT = {"en": "min", "zh": "分钟"}


def minutes(page: Path) -> int:
    """Return how long a page takes: 150 words, 300 characters or 10 lines of code a minute."""
    text = page.read_text(encoding="utf-8")
    code = "".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    if page.parent.name == "zh":
        reading = len(re.findall("[\u4e00-\u9fff]", prose)) / 300
    else:
        reading = len(prose.split()) / 150
    return round(reading + code.count("\n") / 10)


def table(language: str) -> str:
    """Return the table of the reading times for the page of a language."""
    other = {"en": "zh", "zh": "en"}[language]
    rows, totals = "", [0, 0]
    for page in PAGES:
        if page.parent.name == language:
            title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            times = [minutes(page), minutes(LESSONS / other / page.name)]
            totals = [total + time for total, time in zip(totals, times, strict=True)]
            link = f"[{title}](lessons/{language}/{page.name})"
            rows += f"| {link} | {times[0]} {UNIT[language]} | {times[1]} {UNIT[language]} |\n"
    together = {"en": "together", "zh": "合计"}[language]
    rows += f"| {together} | {totals[0]} {UNIT[language]} | {totals[1]} {UNIT[language]} |\n"
    return HEAD[language] + rows


@pytest.mark.parametrize("language", TEACHING)
def test_the_times_are_those_of_the_lessons_within_three_minutes(language):
    text = TEACHING[language].read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[.*\]\(lessons/(../\S+)\) \| (\d+) .*\| (\d+) ", text, re.MULTILINE)
    named = [name for name, _, _ in rows if name.endswith(".md")]
    assert named == [f"{language}/{page.name}" for page in PAGES if page.parent.name == language], (
        "run: python tests/test_teaching.py"
    )
    other = {"en": "zh", "zh": "en"}[language]
    for name, own, others in rows:
        assert abs(minutes(LESSONS / name) - int(own)) <= 3
        assert abs(minutes(LESSONS / other / Path(name).name) - int(others)) <= 3


@pytest.mark.parametrize("language", TEACHING)
def test_every_link_exercise_bug_and_lesson_that_is_named_exists(language):
    text = TEACHING[language].read_text(encoding="utf-8")
    for link in re.findall(r"\]\(((?!https?:)[^)#]+)", text):
        assert (LESSONS.parent / link).exists(), link
    plans = text.split("\n## ")[3]
    for name in re.findall(r"`([a-z_]+)`", plans):
        assert (LESSONS / "exercises" / f"{name}.py").exists(), name
    museum = (LESSONS / "museum" / "README.md").read_text(encoding="utf-8")
    for bugs in re.findall(r"(?:bugs|错误) ([\d, 、and]+)", plans):
        for number in re.findall(r"\d+", bugs):
            assert f"\n## {number}. " in museum


def test_both_pages_have_the_same_plans_and_misconceptions():
    """Row by row, the same lessons, bugs and exercises."""
    for number in (3, 5):
        english, chinese = (
            [
                set(re.findall(r"\d+|`[a-z_]+`", row))
                for row in re.findall(r"^\|.*\|$", text.split("\n## ")[number], re.MULTILINE)
            ]
            for text in (page.read_text(encoding="utf-8") for page in TEACHING.values())
        )
        assert len(english) > 20
        assert english == chinese


if __name__ == "__main__":
    for language, page in TEACHING.items():
        before, start, rest = page.read_text(encoding="utf-8").partition("<!-- times -->\n")
        end = rest[rest.index("<!-- end -->") :]
        page.write_text(before + start + table(language) + end, encoding="utf-8")
