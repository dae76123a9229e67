"""What you can rely on: docs/map.md has one line for each file, taken from the file itself.

python tests/test_map.py        write docs/map.md anew
"""

import ast
from pathlib import Path

from test_layout import CORE_PATH, MODULES, PACKAGE, ROOT, line_count

MAP = ROOT / "docs" / "map.md"


def summary(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")


def map_page() -> str:
    """Return the text of docs/map.md."""
    core = {PACKAGE / name for name in CORE_PATH}
    folders = sorted({p.parent for p in MODULES}, key=lambda f: f.relative_to(PACKAGE).as_posix())
    parts = [
        "# Map of the package",
        "One line for each file, from its docstring. **Bold** files are the core path: BERT "
        "itself, in the order of the [README](../README.md). `python tests/test_map.py` writes "
        "this page.",
    ]
    for folder in folders:
        name = folder.relative_to(ROOT).as_posix()
        files = sorted(p for p in MODULES if p.parent == folder and p.name != "__init__.py")
        rows = [
            f"| {'**' * (p in core)}[`{p.name}`](../{p.relative_to(ROOT).as_posix()})"
            f"{'**' * (p in core)} | {line_count(p)} | {summary(p)} |"
            for p in files
        ]
        table = "\n".join(["| file | lines | what it does |", "|---|---:|---|", *rows])
        parts += [f"## {name}/", summary(folder / "__init__.py"), *([table] if rows else [])]
    return "\n\n".join(parts) + "\n"


def test_the_map_names_every_file_in_its_own_words():
    assert MAP.read_text(encoding="utf-8") == map_page(), "run: python tests/test_map.py"


def test_the_map_is_short_enough_to_read():
    assert len(MAP.read_text(encoding="utf-8").splitlines()) <= 250


if __name__ == "__main__":
    MAP.write_text(map_page(), encoding="utf-8")
