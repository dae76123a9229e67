"""What you can rely on: every line of docs/coming_from_transformers.md does what stands there.

The lines of the first table are run with both libraries and give the same result. In the second,
the left line is run with `transformers`, the one beside it with minibert; where the third column
quotes an error, the left line is also run with minibert and gives that error. Each line of the
third table gives its error, each name of the table in the package a sentence, and the lines at the
end of the page work with the class of examples/own_head.py.
"""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny_folders import classifier_folder

import minibert
from minibert.from_transformers import ALIASES, INSTEAD
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
        public = [n for n in (*minibert.__all__, *ALIASES) if hasattr(library, n)]
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
            "torch": torch,
            "vectors": torch.linspace(-1, 1, batch["input_ids"].numel() * 16).view(2, -1, 16),
        }

    def evaluate(line: str, library: ModuleType, *, how: Callable[..., Any] = eval) -> Any:
        return how(line, names(library))

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


@pytest.mark.parametrize(("line", "error"), rows("What is not there"), ids=lambda cell: cell[:50])
def test_what_is_not_there_is_refused_with_what_stands_for_it(line: str, error: str, run):
    errors = (minibert.MiniBertError, AttributeError, ImportError, TypeError)
    with pytest.raises(errors, match=re.escape(error.strip("`"))):
        run(code(line), minibert, how=exec)


@pytest.mark.parametrize("name", INSTEAD)
def test_every_name_has_its_sentence_where_it_is_used(name: str):
    model = minibert.BertModel(minibert.BertConfig.tiny(vocab_size=9))
    uses: list[Callable[[], Any]] = [
        lambda: getattr(minibert, name),
        lambda: getattr(model.config, name),
        lambda: model(torch.tensor([[5]]), **{name: 1}),
        lambda: minibert.BertConfig(**{name: 1}),
    ]
    if not hasattr(torch.nn.Module, name):
        uses.append(lambda: getattr(model, name))
    for use in uses:
        with pytest.raises(
            (minibert.MiniBertError, AttributeError, ImportError), match=f"no {name}; "
        ) as caught:
            use()
        assert str(caught.value).count(". ") == 0


def test_a_name_that_asks_for_nothing_is_passed_over(run):
    nothing = "head_mask=None, inputs_embeds=None, past_key_values=None, return_dict=None"
    assert_same(run(f"model(ids, {nothing}).logits", minibert), run("model(ids).logits", minibert))


def test_the_head_of_your_own_on_the_page_works(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, page = PAGE.read_text(encoding="utf-8").split("## A head of your own")
    program = re.search(r"```python\n(.*?)```", page, flags=re.DOTALL)[1]
    example = PAGE.parents[1] / "examples" / "own_head.py"
    imported = f"import runpy\nMeanClassifier = runpy.run_path({str(example)!r})['MeanClassifier']"
    check = "assert 'hidden.weight' in model.load_report.loaded and not model.load_report.new"
    run(f"{imported}\n{program}\n{check}", minibert, how=exec)
