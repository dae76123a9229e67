"""Build the site of docs/: `python docs/site/build.py`, with the extra "docs" installed.

The pages are the Markdown files of the repository, whose links are links between files. Here they
become links of the site, or, for code, links to the repository. The English site is built at the
top and the Chinese one in zh/. Both work from a folder, and ask no server for anything.
"""

import argparse
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REPOSITORY = "https://github.com/minibert/minibert/blob/main/"
LANGUAGES = {"en": "English", "zh": "中文"}
WORKER = "https://unpkg.com/iframe-worker/shim"  # what the theme would load
OWN_WORKER = "worker_from_folder.js"

FENCED = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)
IN_LIST = re.compile(r"^(?= {3})", re.MULTILINE)  # Python-Markdown wants four spaces
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
EXCERPT = re.compile(r"^<!-- code: (\S+) (\S+) -->\n```python$", re.MULTILINE)
OUTPUT = re.compile(r"^(```python.*?^```\n\n)```text$", re.MULTILINE | re.DOTALL)
CHINESE = "[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
BROKEN_LINE = re.compile(f"(?<={CHINESE})\n *(?={CHINESE})")  # would be a space in the page


def navigation(language: str) -> dict[str, list[Path]]:
    """Return the sections of a menu, and the pages of each as paths in the repository."""
    menu = tomllib.loads((HERE / "nav.toml").read_text(encoding="utf-8"))[language]
    return {
        section: [
            path.relative_to(ROOT) for pattern in patterns for path in sorted(ROOT.glob(pattern))
        ]
        for section, patterns in menu.items()
    }


def place(path: Path, language: str) -> str:
    """Return where a page or a figure of the repository lies in the site of a language."""
    name = path.as_posix().removeprefix("docs/").replace(f"lessons/{language}/", "lessons/")
    if path.suffix == ".md":
        name = name.replace(f".{language}.md", ".md").replace("README.md", "index.md")
    return name


def convert(page: Path, language: str, places: dict[str, dict[Path, str]]) -> str:
    """Return the text of a page for the site of a language.

    Args:
        page: the path of the page in the repository.
        language: the language of the site.
        places: for each language, where each file lies in its site. Figures are added.
    """
    here = places[language][page]
    other = next(name for name in LANGUAGES if name != language)
    to_top = "../" * here.count("/") + ("" if language == "en" else "../")
    to_other = to_top + ("" if other == "en" else f"{other}/")

    def link(match: re.Match[str]) -> str:
        target = Path(os.path.relpath(ROOT / page.parent / match[1], ROOT))
        if not (ROOT / target).exists():
            raise SystemExit(f"{page}: the link to {match[1]} leads nowhere")
        if target.suffix == ".png":
            places[language][target] = place(target, language)
        if target in places[language]:
            url = posixpath.relpath(places[language][target], posixpath.dirname(here) or ".")
        elif target in places[other]:
            url = to_other + places[other][target].replace(".md", ".html")
        else:
            url = REPOSITORY + target.as_posix()
        return f"]({url}{match[2] or ''})"

    text = (ROOT / page).read_text(encoding="utf-8")
    text = EXCERPT.sub(r'```python title="\1: \2"', OUTPUT.sub(r"\1``` { .text .output }", text))
    parts = FENCED.split(text)
    parts[::2] = [
        LINK.sub(link, IN_LIST.sub(" ", BROKEN_LINE.sub("", part))) for part in parts[::2]
    ]
    same = here if here in places[other].values() else "index.md"
    head = (
        f"other_page: {to_other}{same.replace('.md', '.html')}\n"
        f"other_language: {other}\n"
        f"other_name: {LANGUAGES[other]}\n"
    )
    return f"---\n{head}---\n\n{''.join(parts)}"


def toml(value: object) -> str:
    """Return a menu of lists, dicts and texts as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"'


def write_sources(folder: Path, language: str, places: dict[str, dict[Path, str]]) -> None:
    """Write the project that Zensical builds: pages, figures, theme and settings."""
    docs = folder / "docs"
    for page, name in list(places[language].items()):
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(convert(page, language, places), encoding="utf-8")
    for path, name in places[language].items():
        if path.suffix == ".png":
            (docs / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, docs / name)
    shutil.copytree(HERE / "assets", docs, dirs_exist_ok=True)
    shutil.copytree(HERE / "theme", folder / "theme")
    menu = [
        {section: [places[language][page] for page in pages]}
        for section, pages in navigation(language).items()
    ]
    settings = (HERE / "zensical.toml").read_text(encoding="utf-8")
    for table, line in {
        "[project]": f"nav = {toml(menu)}",
        "[project.theme]": f'language = "{language}"',
    }.items():
        settings = settings.replace(f"{table}\n", f"{table}\n{line}\n", 1)
    (folder / "zensical.toml").write_text(settings, encoding="utf-8")


def build(output: Path) -> None:
    """Build the sites of both languages into a folder, which is replaced."""
    places = {
        language: {
            page: place(page, language) for pages in navigation(language).values() for page in pages
        }
        for language in LANGUAGES
    }
    with tempfile.TemporaryDirectory() as work:
        for language in LANGUAGES:
            folder = Path(work, language)
            write_sources(folder, language, places)
            command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
            subprocess.run(command, cwd=folder, check=True)
            for page in (folder / "site").rglob("*.html"):
                up = "../" * (len(page.relative_to(folder / "site").parts) - 1)
                html = page.read_text(encoding="utf-8").replace(WORKER, up + OWN_WORKER)
                page.write_text(html, encoding="utf-8")
        shutil.rmtree(output, ignore_errors=True)
        shutil.move(Path(work, "en", "site"), output)
        shutil.move(Path(work, "zh", "site"), output / "zh")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site")
    build(parser.parse_args().output)
