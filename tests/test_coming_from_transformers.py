"""What you can rely on: every line of docs/coming_from_transformers.md does what stands there.

The lines of the first table are run with both libraries and give the same result. In the second,
the left line is run with `transformers`, the one beside it with minibert; where the third column
quotes an error, the left line is also run with minibert and gives that error.
"""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny_folders import classifier_folder

import minibert
from minibert.model.resize import resize

transformers = pytest.importorskip("transformers")
PAGE = Path(__file__).parents[1] / "docs" / "coming_from_transformers.md"
CODE = re.compile(r"`(.*)`")


def rows(section: str) -> list[list[str]]:
    """Return the cells of a section's table, below its header."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n", 1)[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def code(cell: str) -> str:
    return CODE.search(cell)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier_folder(tmp_path_factory.mktemp("model") / "folder")


@pytest.fixture(scope="module")
def run(folder: Path):
    """Return a function that evaluates a line with one of the libraries."""

    def names(library: ModuleType) -> dict[str, Any]:
        fast = library is transformers
        tokenizer_class = library.BertTokenizerFast if fast else library.BertTokenizer
        model_class = library.BertForSequenceClassification
        choice = {"attn_implementation": "eager"} if fast else {}
        tokenizer = tokenizer_class.from_pretrained(folder)
        texts = ["The cat sat.", "the cat sat on a mat"]
        batch = dict(tokenizer(texts, padding=True, return_tensors="pt"))
        public = [name for name in minibert.__all__ if hasattr(library, name)]
        return {name: getattr(library, name) for name in public} | {
            "BertTokenizer": tokenizer_class,
            "folder": str(folder),
            "tokenizer": tokenizer,
            "model": model_class.from_pretrained(folder, **choice).eval(),
            "texts": texts,
            "batch": batch,
            "ids": batch["input_ids"],
            "mask": batch["attention_mask"],
            "labels": torch.tensor([0, 1]),
            "resize": resize,
        }

    def evaluate(line: str, library: ModuleType) -> Any:
        return eval(line, names(library))

    return evaluate


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(ours, torch.Tensor):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    else:
        assert ours == theirs


@pytest.mark.parametrize("line", [code(row[0]) for row in rows("The same")])
def test_the_same_line_gives_the_same(line: str, run):
    assert_same(run(line, minibert), run(line, transformers))


@pytest.mark.parametrize(
    ("theirs", "ours", "why"), rows("What differs, and why"), ids=lambda cell: cell[:40]
)
def test_what_differs_does_what_the_page_says(theirs: str, ours: str, why: str, run):
    assert_same(run(code(ours), minibert), run(code(theirs), transformers))
    if error := re.search(r"Error: \*(.*?)\*", why):
        with pytest.raises((minibert.MiniBertError, AttributeError, TypeError), match=error[1]):
            run(code(theirs), minibert)
