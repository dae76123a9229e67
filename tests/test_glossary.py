"""What you can rely on: the glossary names lessons that use its terms, and code that exists."""

import re

import pytest
from test_lessons import LESSONS, excerpt

GLOSSARY = LESSONS.parent / "glossary.md"
ENTRY = re.compile(
    r"^### (?P<term>.+)\n\n(?P<english>.+)\n\n(?P<chinese>.+)\n\n"
    r"\*\[(?P<number>\d\d)\]\(lessons/(?P<page>en/.+)\)"
    r" · \[第 (?P=number) 课\]\(lessons/(?P<chinese_page>zh/.+)\)\*"
    r" · `(?P<file>\S+) (?P<symbol>\S+)`$",
    re.MULTILINE,
)
ENTRIES = list(ENTRY.finditer(GLOSSARY.read_text(encoding="utf-8")))


def test_every_term_has_a_sentence_in_each_language_two_lessons_and_a_symbol():
    text = GLOSSARY.read_text(encoding="utf-8")
    assert len(ENTRIES) == text.count("\n### ") >= 50
    assert len({entry["term"] for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        assert entry["english"].endswith((".", "?"))
        assert entry["chinese"].endswith(("。", "？"))
        assert re.search("[\u4e00-\u9fff]", entry["chinese"])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["term"])
def test_the_lessons_of_a_term_use_it(entry):
    english, _, chinese = entry["term"].partition(" · ")
    assert entry["page"][3:] == entry["chinese_page"][3:]
    assert entry["page"][3:5] == entry["number"]
    for page, word in ((entry["page"], english), (entry["chinese_page"], chinese or english)):
        assert word.lower() in (LESSONS / page).read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["term"])
def test_the_symbol_of_a_term_exists(entry):
    assert excerpt(entry["file"], entry["symbol"])
