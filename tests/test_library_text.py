"""What you can rely on: the text of the libraries can be written to pretrain on, without the
sentences that models are evaluated on.
"""

import runpy
import sys
from pathlib import Path

import pytest

from minibert.data.builtin import library_docs
from minibert.data.labelled.examples import Example

EXAMPLE = Path(__file__).parents[1] / "examples" / "library_text.py"


@pytest.fixture
def library_text(monkeypatch: pytest.MonkeyPatch) -> str:
    """Two documents in place of the libraries, and what is to be written of them."""
    task = {name: [Example(text, label="numpy")] for name, text in (("dev", "D."), ("test", "T."))}

    def paragraphs(*, without):
        assert [example.text for example in without] == ["D.", "T."]
        return [["One. Two.", "Three."], ["Four."]]

    monkeypatch.setattr(library_docs, "library_sentences", lambda: task)
    monkeypatch.setattr(library_docs, "library_paragraphs", paragraphs)
    return "One. Two.\nThree.\n\nFour.\n"


def test_the_text_of_the_libraries_has_a_paragraph_a_line(tmp_path: Path, library_text: str):
    assert library_docs.write_library_text(tmp_path / "docs.txt") == 2
    assert (tmp_path / "docs.txt").read_bytes() == library_text.encode()
    report = library_docs.build_library_corpus(tmp_path / "corpus", vocabulary_size=40)
    assert (report.documents, report.sentences) == (2, 4)


def test_the_example_that_writes_it_spares_what_is_there(
    tmp_path: Path, library_text: str, monkeypatch: pytest.MonkeyPatch, capsys
):
    file = tmp_path / "docs.txt"
    monkeypatch.setattr(sys, "argv", ["library_text.py", "--output", str(file)])
    for code, told in ((0, f"to {file}"), (2, f"{file} exists already")):
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLE), run_name="__main__")
        assert ended.value.code == code
        assert told in "".join(capsys.readouterr())
        assert file.read_text(encoding="utf-8") == library_text
