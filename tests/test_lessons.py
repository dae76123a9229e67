"""What you can rely on: every lesson is true. Its code runs, and prints what stands below it.

python tests/test_lessons.py            # write excerpts, outputs and figures of all lessons anew
python tests/test_lessons.py 02         # of one lesson

In a lesson, a `python` block is run, in one namespace for the page, and the `text` block below it
is what it prints. A block below `<!-- code: FILE SYMBOL -->` is taken from the package, without
its docstring, and is not run. English and Chinese pages have the same structure and the same code;
only texts and comments in it may differ.
"""

import ast
import contextlib
import io
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LESSONS = ROOT / "docs" / "lessons"
PAGES = sorted(LESSONS.glob("[ez][nh]/[0-9][0-9]_*.md"))
LONGEST = 250  # lines of a lesson
BLOCK = re.compile(
    r"(?:^<!-- code: (?P<file>\S+) (?P<symbol>\S+) -->\n)?"
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


def excerpt(file: str, symbol: str) -> str:
    """Return the source of a function, method or class of the package, without its docstring."""
    source = (ROOT / file).read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for name in symbol.split("."):
        node = next(n for n in ast.iter_child_nodes(node) if getattr(n, "name", None) == name)
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    lines = source.splitlines()
    first, last = node.lineno - 1, node.end_lineno
    skipped = range(0)
    if ast.get_docstring(node):
        skipped = range(node.body[0].lineno - 1, node.body[0].end_lineno or 0)
    kept = [lines[number] for number in range(first, last or 0) if number not in skipped]
    return "\n".join(line[node.col_offset :] for line in kept) + "\n"


def run(page: Path, folder: Path) -> str:
    """Return the page with the excerpts and the outputs that it should have, run in a folder."""
    names: dict[str, object] = {"__name__": "lesson"}

    def renewed(block: re.Match[str]) -> str:
        if block["file"]:
            code = excerpt(block["file"], block["symbol"])
            return f"<!-- code: {block['file']} {block['symbol']} -->\n```python\n{code}```\n"
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block["code"], str(page), "exec"), names)
        output = f"\n```text\n{printed.getvalue()}```\n" if printed.getvalue() else ""
        return f"```python\n{block['code']}```\n{output}"

    with contextlib.chdir(folder):
        return BLOCK.sub(renewed, page.read_text(encoding="utf-8"))


def structure(page: Path) -> list[str]:
    """Return the headings, the excerpts and the code of a page, without texts and comments."""
    text = page.read_text(encoding="utf-8")
    found = [
        (
            block.start(),
            f"code {block['file']} {block['symbol']}" if block["file"] else _shape(block),
        )
        for block in BLOCK.finditer(text)
    ]
    outside = BLOCK.sub(lambda block: "\n" * len(block[0]), text)  # keeps the positions
    marks = r"^(#+) |^!\[.*\]\((.*)\)|^\|---|^\d+\. "
    for mark in re.finditer(marks, outside, re.MULTILINE):
        what = mark[1] or (mark[2] or "").replace(".zh.", ".") or mark[0].strip("0123456789")
        found.append((mark.start(), what))
    return [what for _, what in sorted(found)]


def _shape(block: re.Match[str]) -> str:
    """Return the syntax tree of a block, with every string empty."""
    tree = ast.parse(block["code"])
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return f"{ast.dump(tree)} {'output' if block['output'] else ''}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_lesson_prints_what_stands_below_its_code(page: Path, tmp_path: Path):
    (tmp_path / "figures").mkdir()
    text = page.read_text(encoding="utf-8")
    assert run(page, tmp_path) == text, f"run: python tests/test_lessons.py {page.stem[:2]}"
    shown = {Path(name).name for name in re.findall(r"^!\[.*\]\((.*)\)", text, re.MULTILINE)}
    assert shown == {path.name for path in (tmp_path / "figures").iterdir()}
    assert shown <= {path.name for path in (LESSONS / "figures").iterdir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_lesson_is_short(page: Path):
    assert len(page.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_both_languages_have_the_same_lessons_in_the_same_steps():
    english, chinese = (
        [p for p in PAGES if p.parent.name == language] for language in ("en", "zh")
    )
    assert [page.name for page in english] == [page.name for page in chinese]
    for one, other in zip(english, chinese, strict=True):
        assert structure(one) == structure(other), one.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_link_of_a_lesson_leads_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(((?!https?:)[^)#]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for path in PAGES:
        if path.name.startswith(tuple(sys.argv[1:]) or ""):
            path.write_text(run(path, LESSONS), encoding="utf-8")
