"""What you can rely on: docs/map.md and the tables of the README show the files as they are.

python tests/test_map.py        # write them anew, from the first line of each docstring
"""

import ast
import re
from pathlib import Path

from test_layout import CORE_PATH, MODULES, PACKAGE, ROOT, line_count

MAP = ROOT / "docs" / "map.md"
README = ROOT / "README.md"
INTRODUCTION = """\
# Map of the package

One line for each file, from its docstring. Bold files are the core path: BERT itself, in the
order of the [README](../README.md). `python tests/test_map.py` writes this page.
"""


def summary(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")


def folders() -> list[Path]:
    return sorted({p.parent for p in MODULES}, key=lambda f: f.relative_to(PACKAGE).as_posix())


def map_page() -> str:
    """Return the text of docs/map.md."""
    sections = [INTRODUCTION]
    for folder in folders():
        lines = [f"## {folder.relative_to(ROOT).as_posix()}/", "", summary(folder / "__init__.py")]
        rows = []
        for path in (p for p in MODULES if p.parent == folder and p.name != "__init__.py"):
            bold = "**" if path.relative_to(PACKAGE).as_posix() in CORE_PATH else ""
            link = f"{bold}[{path.name}](../{path.relative_to(ROOT).as_posix()}){bold}"
            rows.append(f"| {link} | {summary(path)} |")
        if rows:
            lines += ["", "| file | what it does |", "|---|---|", *rows]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def readme() -> str:
    """Return the README with its tables of the core path and of the folders made anew."""
    core = [
        f"| [{name}](minibert/{name}) | {line_count(PACKAGE / name)} | {summary(PACKAGE / name)} |"
        for name in CORE_PATH
    ]
    core.append(f"| together | {sum(line_count(PACKAGE / name) for name in CORE_PATH):,} | |")
    parts = [
        f"| `{folder.relative_to(ROOT).as_posix()}/` | {summary(folder / '__init__.py')} |"
        for folder in folders()
        if folder.parent == PACKAGE  # those inside them are in docs/map.md
    ]
    text = README.read_text(encoding="utf-8")
    for header, rows in (("| file | lines |.*\n.*\n", core), ("| folder | .*\n.*\n", parts)):
        own_rows = r"(?:\| (?:\[|`minibert/|together).*\n)*"
        table = "\n".join(rows) + "\n"
        text = re.sub(rf"({header.replace('|', chr(92) + '|')}){own_rows}", rf"\g<1>{table}", text)
    return text


def test_the_map_names_every_file_in_its_own_words():
    assert MAP.read_text(encoding="utf-8") == map_page(), "run: python tests/test_map.py"


def test_the_tables_of_the_readme_are_true():
    assert README.read_text(encoding="utf-8") == readme(), "run: python tests/test_map.py"


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


if __name__ == "__main__":
    MAP.write_text(map_page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
