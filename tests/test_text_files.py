"""What you can rely on: a folder stands for the texts in it; what programs have written there is
left out where that is plain, and you are told; and nothing is begun before all files are found.
"""

from pathlib import Path

import pytest

from minibert.data.corpus.build import build_corpus
from minibert.data.corpus.text_files import text_files
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer

TOKENIZER = BertTokenizer({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "one": 5})


def write(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("One.\n", encoding="utf-8")


def test_folders_are_searched_in_a_fixed_order(tmp_path):
    write(*(tmp_path / name for name in ("b/two.md", "a/one.txt", "c.jsonl", "picture.png")))
    assert [path.name for path in text_files([tmp_path], [])] == ["one.txt", "two.md", "c.jsonl"]


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "corpus.json", "vocab.txt"])
def test_a_folder_of_texts_may_hold_files_of_any_name(tmp_path, name):
    write(tmp_path / "project/README.md", tmp_path / "project" / name)
    left_out = []
    assert tmp_path / "project/README.md" in text_files([tmp_path], left_out)
    assert not left_out


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["corpus.json", "tokens.bin", "vocab.txt"], "a corpus"),
        (["config.json", "model.safetensors", "vocab.txt"], "a model"),
        (["config.json", "pytorch_model.bin", "vocab.txt"], "a model"),
        (["bert_config.json", "bert_model.ckpt.index", "vocab.txt"], "a model"),
        (["tokenizer_config.json", "vocab.txt"], "a tokenizer"),
        ([".lock", "log.jsonl"], "records of a training"),
    ],
)
def test_what_programs_have_written_is_left_out_and_named(tmp_path, names, reason):
    write(tmp_path / "text.txt", *(tmp_path / "runs/one" / name for name in names))
    left_out = []
    assert text_files([tmp_path], left_out) == [tmp_path / "text.txt"]
    assert left_out == [f"{tmp_path / 'runs/one'}: {reason}"]
    with pytest.raises(MiniBertError, match=rf"holds no file .* \(left out: .*one: {reason}\)"):
        text_files([tmp_path / "runs"], [])


def test_the_report_of_a_corpus_names_the_folders_that_were_left_out(tmp_path):
    write(tmp_path / "texts/one.txt", tmp_path / "texts/mine/model.safetensors")
    report = build_corpus([tmp_path / "texts"], TOKENIZER, tmp_path / "corpus")
    assert f"folders left out: 1 ({tmp_path / 'texts/mine'}: a model)" in report.in_words()


def test_a_linked_folder_is_not_searched_and_this_is_said(tmp_path):
    write(tmp_path / "texts/one.txt")
    (tmp_path / "texts/again").symlink_to(".", target_is_directory=True)
    left_out = []
    assert text_files([tmp_path / "texts"], left_out) == [tmp_path / "texts/one.txt"]
    assert left_out == [f"{tmp_path / 'texts/again'}: a link"]
    # A link that is named is meant.
    assert len(text_files([tmp_path / "texts/again"], [])) == 1


def test_hidden_files_and_folders_are_not_looked_at(tmp_path):
    write(tmp_path / "one.txt", tmp_path / ".one.txt", tmp_path / ".git/two.txt")
    assert text_files([tmp_path], []) == [tmp_path / "one.txt"]


def test_what_is_no_text_is_refused_in_one_sentence(tmp_path):
    write(tmp_path / "empty/picture.png", tmp_path / "a.docx")
    write(tmp_path / "corpus/corpus.json", tmp_path / "corpus/tokens.bin")
    for name, message in [
        ("absent.txt", "no such file"),
        ("empty", "holds no file"),
        ("a.docx", "cannot tell the format"),
        ("corpus", "give the text itself"),
        ("x" * 300 + ".txt", "could not be read: File name too long"),
    ]:
        with pytest.raises(MiniBertError, match=message):
            text_files([tmp_path / name], [])
    with pytest.raises(MiniBertError, match="give at least one"):
        text_files([], [])


def test_a_folder_that_may_not_be_read_is_named_before_anything_is_begun(tmp_path, monkeypatch):
    write(tmp_path / "texts/one.txt", tmp_path / "texts/locked/two.txt")
    usual = Path.iterdir

    def iterdir(path):  # the tests may run as root, who may read everything
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    begun = []
    monkeypatch.setattr(TOKENIZER, "save_pretrained", begun.append)
    for paths, message in (
        ([tmp_path / "texts"], "locked could not be read: Permission denied"),
        ([tmp_path / "texts/one.txt", tmp_path / "two.txt"], "no such file"),
    ):
        with pytest.raises(MiniBertError, match=message):
            build_corpus(paths, TOKENIZER, tmp_path / "corpus")
    assert not begun
