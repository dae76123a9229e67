"""What you can rely on: docs/map.md and the tables of the README show the files as they are.

python tests/test_map.py        # write them anew, from the first line of each docstring

docs/paper_map.md is written by hand; the code and the tests that it names exist.
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
            name = path.name.replace("_", r"\_") if "__" in path.name else path.name
            link = f"{bold}[{name}](../{path.relative_to(ROOT).as_posix()}){bold}"
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


def defined(path: Path) -> set[str]:
    """The functions, classes and values of a file, and those in its classes, as "Class.name"."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        found |= set(_names(node))
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            found |= {f"{node.name}.{name}" for name in _names(inner)}
    return found


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [
        name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
    ]


def test_the_code_and_the_tests_of_the_paper_map_exist():
    page = (ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")
    named = re.findall(r"\[`([\w.]+)`\]\(\.\./((?:minibert|tests)/[\w/]+\.py)\)", page)
    assert len(named) > 100
    assert [f"{file} {name}" for name, file in named if name not in defined(ROOT / file)] == []
    rows = [line for line in page.splitlines() if line.startswith("| ") and "| 中文 |" not in line]
    assert [row for row in rows if "](../minibert/" not in row or "](../tests/" not in row] == []


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


if __name__ == "__main__":
    MAP.write_text(map_page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
