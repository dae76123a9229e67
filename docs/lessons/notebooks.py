"""Write the lessons as Jupyter notebooks: `python docs/lessons/notebooks.py --output notebooks`.

Code becomes cells, with the output that stands below it in the lesson. Excerpts of the package
become text. Figures are inside of the file. The notebooks need minibert, and no other file.
"""

import argparse
import base64
import json
import os
import re
from pathlib import Path
from typing import Any

LESSONS = Path(__file__).resolve().parent
ROOT = LESSONS.parents[1]
REPOSITORY = "https://github.com/minibert/minibert/blob/main/"
BLOCK = re.compile(
    r"^(?:<!-- code: (?P<file>\S+) (?P<symbol>\S+) -->\n)?"
    r"```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
FIRST = {
    "en": "From [{page}]({url}). Run the cells in order. You need minibert:",
    "zh": "本笔记由[{page}]({url})生成。请从上到下依次运行。需要先安装 minibert：",
}
INSTALL = "`pip install git+https://github.com/minibert/minibert`"
SETUP = 'from pathlib import Path\n\nPath("figures").mkdir(exist_ok=True)\n'


def markdown_cell(text: str, page: Path) -> dict[str, Any]:
    """Return a cell of text, which holds its figures."""
    attachments = {}

    def link(match: re.Match[str]) -> str:
        target = (page.parent / match[1]).resolve()
        if target.suffix == ".png":
            png = base64.b64encode(target.read_bytes()).decode("ascii")
            attachments[target.name] = {"image/png": png}
            return f"](attachment:{target.name})"
        if target.parent == page.parent and target.suffix == ".md":
            return f"]({target.stem}.ipynb{match[2] or ''})"
        return f"]({REPOSITORY}{os.path.relpath(target, ROOT)}{match[2] or ''})"

    cell: dict[str, Any] = {"cell_type": "markdown", "metadata": {}}
    cell["source"] = LINK.sub(link, text.strip())
    return cell | ({"attachments": attachments} if attachments else {})


def code_cell(code: str, output: str | None) -> dict[str, Any]:
    """Return a cell of code, with what it prints."""
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    cell: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None}
    return cell | {"source": code.rstrip("\n"), "outputs": outputs}


def notebook(page: Path) -> dict[str, Any]:
    """Return a lesson as a notebook in Jupyter's format, version 4.5."""
    text = page.read_text(encoding="utf-8")
    where = page.relative_to(ROOT).as_posix()
    first = FIRST[page.parent.name].format(page=where, url=REPOSITORY + where)
    cells = [markdown_cell(f"{first} {INSTALL}", page), code_cell(SETUP, None)]
    end = 0
    for block in BLOCK.finditer(text):
        before, end = text[end : block.start()], block.end()
        if block["file"]:
            before += f"`{block['symbol']}` ([{block['file']}]({REPOSITORY}{block['file']})):\n\n"
            before += f"```python\n{block['code']}```\n"
        if before.strip():
            cells.append(markdown_cell(before, page))
        if not block["file"]:
            cells.append(code_cell(block["code"], block["output"]))
    cells.append(markdown_cell(text[end:], page))
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "cells": [{"id": f"cell-{number}"} | cell for number, cell in enumerate(cells)],
    }


def main(arguments: list[str] | None = None) -> None:
    """Write the notebooks of the language that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    chosen = parser.parse_args(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)
    for page in sorted((LESSONS / chosen.language).glob("*.md")):
        text = json.dumps(notebook(page), ensure_ascii=False, indent=1)
        (chosen.output / f"{page.stem}.ipynb").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
