"""What you can rely on: the site has every page of docs/, in both languages where there are two.

Its links lead somewhere, and it asks no server for anything. The tests that build it are skipped
where Zensical (the extra "docs") is not installed; the one that searches it, without chromium.
"""

import importlib.util
import json
import runpy
import shutil
import time
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Browser

ROOT = Path(__file__).parents[1]
SITE = runpy.run_path(str(ROOT / "docs" / "site" / "build.py"))
navigation, place, convert = SITE["navigation"], SITE["place"], SITE["convert"]


def pages(language: str) -> list[Path]:
    return [page for section in navigation(language).values() for page in section]


def test_every_page_of_the_documentation_is_in_a_menu_once():
    written = {path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md")}
    assert written - {*pages("en"), *pages("zh")} == set(), "add it to docs/site/nav.toml"
    for language in ("en", "zh"):
        assert len(set(pages(language))) == len(pages(language))
        assert all(section for section in navigation(language).values())


def test_a_page_and_its_translation_lie_at_the_same_place():
    english, chinese = (
        {place(page, language) for page in pages(language)} for language in ("en", "zh")
    )
    assert chinese <= english
    assert {"index.md", "lessons/02_wordpiece.md", "tutorial_claims.md"} <= chinese


def converted(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A page docs/lessons/en/x.md of this text, as it is in the English site."""
    for name in ("docs/lessons/en/x.md", "docs/lessons/zh/x.md", "docs/a.md", "docs/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setitem(convert.__globals__, "ROOT", tmp_path)
    english = {Path("docs/lessons/en/x.md"): "lessons/x.md", Path("docs/a.md"): "a.md"}
    chinese = {Path("docs/lessons/zh/x.md"): "lessons/x.md"}
    return convert(Path("docs/lessons/en/x.md"), "en", {"en": english, "zh": chinese})


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("../../a.md#part", "../a.md#part"),
        ("../../a.png", "../a.png"),
        ("../zh/x.md", "../zh/lessons/x.html"),
        ("..", "https://github.com/minibert/minibert/blob/main/docs/lessons"),
        ("https://example.org", "https://example.org"),
        ("#below", "#below"),
    ],
)
def test_a_link_between_files_becomes_one_between_pages_or_to_the_repository(
    link, expected, tmp_path, monkeypatch
):
    assert f"[x]({expected})" in converted(f"[x]({link})", tmp_path, monkeypatch)


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"x\.md: the link to gone\.md leads nowhere"):
        converted("[x](gone.md)", tmp_path, monkeypatch)


def test_code_stays_as_it_is_and_its_source_becomes_its_title(tmp_path, monkeypatch):
    code = "<!-- code: a.py f -->\n```python\nx = [f](gone)\n```\n\n```text\n看\n见\n```\n"
    text = converted(code, tmp_path, monkeypatch)
    assert '```python title="a.py: f"\nx = [f](gone)\n```' in text
    assert "``` { .text .output }\n看\n见\n```" in text


def test_what_belongs_to_a_point_of_a_list_is_inside_of_it(tmp_path, monkeypatch):
    text = converted("1. one\n\n   ```text\n   a\n     b\n   ```\n2. two", tmp_path, monkeypatch)
    assert text.endswith("1. one\n\n    ```text\n    a\n      b\n    ```\n2. two")


def test_a_chinese_sentence_has_no_space_where_its_line_breaks(tmp_path, monkeypatch):
    text = converted("先看\n再猜，\n  然后跑。\n\n另起\nBERT 一行", tmp_path, monkeypatch)
    assert text.endswith("先看再猜，然后跑。\n\n另起\nBERT 一行")


def test_a_page_leads_to_the_same_page_in_the_other_language(tmp_path, monkeypatch):
    text = converted("x", tmp_path, monkeypatch)
    assert "other_page: ../zh/lessons/x.html\nother_language: zh\nother_name: 中文\n" in text


class Links(HTMLParser):
    """The names of a page, what it links to, and what a browser loads with it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.names, self.links, self.loaded = set(), [], []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.names |= {given[key] for key in ("id", "name") if given.get(key)}
        url = given.get("src") or given.get("href")
        if url is not None and tag == "a":
            self.links.append(url)
        elif url is not None and given.get("rel") != "canonical":
            self.loaded.append(url)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if importlib.util.find_spec("zensical") is None:
        pytest.skip('needs Zensical: pip install -e ".[docs]"')
    folder = tmp_path_factory.mktemp("site") / "site"
    SITE["build"](folder)
    return folder


def test_every_link_of_the_site_leads_somewhere_and_nothing_is_loaded_from_outside(site):
    found = {path: Links(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(found) >= len(pages("en")) + len(pages("zh"))
    for page, parsed in found.items():
        for url in parsed.links + parsed.loaded:
            if url.startswith(("https:", "http:")):
                assert url not in parsed.loaded, f"{page} loads {url}"
                continue
            path, _, name = urllib.parse.unquote(url).partition("#")
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            assert target.is_file(), f"{page}: {url}"
            assert not name or name in found[target].names, f"{page}: {url}"


def test_each_site_is_in_its_language_and_can_be_searched_in_it(site):
    for folder, language, word in ((site, "en", "attention"), (site / "zh", "zh", "注意力")):
        assert f'<html lang="{language}"' in (folder / "index.html").read_text(encoding="utf-8")
        index = json.loads((folder / "search.json").read_text(encoding="utf-8"))
        assert any(word in item["title"].lower() for item in index["items"])


def test_a_chinese_word_is_found_in_a_folder_without_a_server(site, tmp_path):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    browser = Browser(tmp_path)
    dialog = "document.activeElement.shadowRoot"
    try:
        browser.open(site / "zh" / "index.html", width=390, dark=True)
        assert browser.run("document.documentElement.scrollWidth") <= 390
        browser.run("document.querySelector('[for=__search]').click()")
        for _ in range(50):
            if browser.run(f"!!{dialog}?.querySelector('input')"):
                break
            time.sleep(0.1)
        browser.run(
            f"((field) => {{ field.value = '注意力';"
            f" field.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
            f"({dialog}.querySelector('input'))"
        )
        for _ in range(50):
            found = browser.run(f"Array.from({dialog}.querySelectorAll('a'), link => link.href)")
            if found:
                break
            time.sleep(0.1)
        assert any("/zh/lessons/06_attention.html" in url for url in found)
        assert any("/zh/glossary.html" in url for url in found)
        requests = "performance.getEntriesByType('resource').map(entry => entry.name)"
        assert [name for name in browser.run(requests) if not name.startswith("file:")] == []
        assert browser.complaints() == []
    finally:
        browser.close()
