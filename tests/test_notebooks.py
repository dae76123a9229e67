"""What you can rely on: the notebooks are the lessons, and run from the first cell to the last.

Their form is that of Jupyter's format 4.5, checked here without Jupyter.
"""

import base64
import contextlib
import io
import json
import re
import runpy
from pathlib import Path

import pytest
from test_lessons import BLOCK, PAGES

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "lessons" / "notebooks.py"))
EVERY_PAGE = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}"
)


def source(cells: list[dict], kind: str) -> str:
    return "\n".join(cell["source"] for cell in cells if cell["cell_type"] == kind)


@EVERY_PAGE
def test_every_lesson_becomes_a_notebook_in_the_form_of_version_4_5(page):
    made = json.loads(json.dumps(SCRIPT["notebook"](page)))
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert made["metadata"]["kernelspec"].keys() >= {"name", "display_name"}
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    code = {"id", "cell_type", "metadata", "source", "execution_count", "outputs"}
    text = {"id", "cell_type", "metadata", "source"}
    for cell in made["cells"]:
        assert isinstance(cell["source"], str)
        assert cell["source"].strip()
        if cell["cell_type"] == "code":
            assert cell.keys() == code
            for output in cell["outputs"]:
                assert output.keys() == {"output_type", "name", "text"}
        else:
            assert cell.keys() - {"attachments"} == text


@EVERY_PAGE
def test_a_notebook_has_the_code_the_outputs_and_the_figures_of_its_lesson(page):
    cells = SCRIPT["notebook"](page)["cells"]
    blocks = list(BLOCK.finditer(page.read_text(encoding="utf-8")))
    code = [cell for cell in cells if cell["cell_type"] == "code"][1:]  # after the setup
    assert [cell["source"] for cell in code] == [
        block["code"].rstrip("\n") for block in blocks if not block["file"]
    ]
    assert [output["text"] for cell in code for output in cell["outputs"]] == [
        block["output"] for block in blocks if block["output"]
    ]
    text = source(cells, "markdown")
    assert all(block["code"] in text for block in blocks if block["file"])
    held = {name: png for cell in cells for name, png in cell.get("attachments", {}).items()}
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert shown == [f"attachment:{name}" for name in held]
    for png in held.values():
        assert base64.b64decode(png["image/png"]).startswith(b"\x89PNG")


@EVERY_PAGE
def test_a_notebook_links_to_notebooks_and_to_the_repository_only(page):
    text = source(SCRIPT["notebook"](page)["cells"], "markdown")
    links = re.findall(r"\]\(((?!https?:|#|attachment:)[^)]+)\)", text)
    others = {f"{other.stem}.ipynb" for other in PAGES}
    assert {link.partition("#")[0] for link in links} <= others


def test_a_code_cell_keeps_its_output_and_an_excerpt_is_text(tmp_path):
    page = tmp_path / "docs" / "lessons" / "en" / "01_x.md"
    page.parent.mkdir(parents=True)
    page.write_text(
        "# 01 X\n\n[on](02_y.md) [up](../../a.md)\n\n"
        "```python\nprint(1)\n```\n\n```text\n1\n```\n\n"
        "<!-- code: minibert/a.py f -->\n```python\ndef f(): ...\n```\n\nEnd.\n",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCRIPT["notebook"].__globals__, "ROOT", tmp_path)
        cells = SCRIPT["notebook"](page)["cells"][2:]
    github = "https://github.com/minibert/minibert/blob/main"
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "markdown", "markdown"]
    assert cells[0]["source"] == f"# 01 X\n\n[on](02_y.ipynb) [up]({github}/docs/a.md)"
    assert cells[1]["source"] == "print(1)"
    assert cells[1]["outputs"][0]["text"] == "1\n"
    assert f"`f` ([minibert/a.py]({github}/minibert/a.py)):\n\n```python\ndef" in cells[2]["source"]


@pytest.mark.parametrize(("language", "name"), [("en", "02_wordpiece"), ("zh", "01_text_to_words")])
def test_the_command_writes_notebooks_that_print_what_they_hold(language, name, tmp_path):
    SCRIPT["main"](["--output", str(tmp_path), "--language", language])
    assert len(list(tmp_path.glob("*.ipynb"))) == len(PAGES) // 2
    cells = json.loads((tmp_path / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {"__name__": "__main__"}
    with contextlib.chdir(tmp_path):
        for cell in cells:
            if cell["cell_type"] == "code":
                with contextlib.redirect_stdout(io.StringIO()) as printed:
                    exec(compile(cell["source"], cell["id"], "exec"), names)
                assert printed.getvalue() == "".join(out["text"] for out in cell["outputs"])
    assert list((tmp_path / "figures").glob("*.png"))
