"""A folder stands for the text files in it, but for subfolders that a program wrote.

The user is told what is skipped. All files are found before any work starts.
"""

from pathlib import Path

import pytest

from minibert.data.corpus.build import build_corpus
from minibert.data.corpus.documents import find_text_files
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer

TOKENIZER = BertTokenizer({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "one": 5})


def write(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("One.\n", encoding="utf-8")


def test_folders_are_searched_in_a_fixed_order(tmp_path):
    write(*(tmp_path / name for name in ("b/two.md", "a/one.txt", "c.jsonl", "picture.png")))
    assert [path.name for path in find_text_files([tmp_path], [])] == [
        "one.txt",
        "two.md",
        "c.jsonl",
    ]


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "corpus.json", "vocab.txt"])
def test_a_folder_of_texts_may_hold_files_of_any_name(tmp_path, name):
    write(tmp_path / "project/README.md", tmp_path / "project" / name)
    skipped = []
    assert tmp_path / "project/README.md" in find_text_files([tmp_path], skipped)
    assert not skipped


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["corpus.json", "tokens.bin", "vocab.txt"], "a corpus"),
        (["config.json", "model.safetensors", "vocab.txt"], "a model"),
        (["config.json", "pytorch_model.bin", "vocab.txt"], "a model"),
        (["bert_config.json", "bert_model.ckpt.index", "vocab.txt"], "a model"),
        (["tokenizer_config.json", "vocab.txt"], "a tokenizer"),
        ([".lock", "log.jsonl"], "a training run"),
    ],
)
def test_subfolders_that_a_program_wrote_are_skipped_and_named(tmp_path, names, reason):
    write(tmp_path / "text.txt", *(tmp_path / "runs/one" / name for name in names))
    skipped = []
    assert find_text_files([tmp_path], skipped) == [tmp_path / "text.txt"]
    assert skipped == [f"{tmp_path / 'runs/one'}: {reason}"]
    with pytest.raises(MiniBertError, match=rf"no file ends in .* \(skipped .*one: {reason}\)"):
        find_text_files([tmp_path / "runs"], [])


def test_the_summary_of_a_corpus_names_the_skipped_folders(tmp_path):
    write(tmp_path / "texts/one.txt", tmp_path / "texts/mine/model.safetensors")
    stats = build_corpus([tmp_path / "texts"], TOKENIZER, tmp_path / "corpus")
    assert f"folders skipped: 1 ({tmp_path / 'texts/mine'}: a model)" in stats.summary()


def test_a_linked_folder_is_skipped_and_named(tmp_path):
    write(tmp_path / "texts/one.txt")
    (tmp_path / "texts/again").symlink_to(".", target_is_directory=True)
    skipped = []
    assert find_text_files([tmp_path / "texts"], skipped) == [tmp_path / "texts/one.txt"]
    assert skipped == [f"{tmp_path / 'texts/again'}: a link"]
    # A link that the user names is searched.
    assert len(find_text_files([tmp_path / "texts/again"], [])) == 1


def test_hidden_files_and_folders_are_ignored(tmp_path):
    write(tmp_path / "one.txt", tmp_path / ".one.txt", tmp_path / ".git/two.txt")
    assert find_text_files([tmp_path], []) == [tmp_path / "one.txt"]


def test_paths_without_text_are_refused(tmp_path):
    write(tmp_path / "empty/picture.png", tmp_path / "a.docx")
    write(tmp_path / "corpus/corpus.json", tmp_path / "corpus/tokens.bin")
    for name, message in [
        ("absent.txt", "does not exist"),
        ("absent", "does not exist"),
        ("empty", "no file ends in"),
        ("a.docx", "no file ends in .* rename plain text"),
        ("corpus", "give the text itself"),
        ("x" * 300 + ".txt", "cannot read .*: File name too long"),
    ]:
        with pytest.raises(MiniBertError, match=message):
            find_text_files([tmp_path / name], [])
    with pytest.raises(MiniBertError, match="give at least one"):
        find_text_files([], [])


def test_an_unreadable_folder_is_refused_before_any_work_starts(tmp_path, monkeypatch):
    write(tmp_path / "texts/one.txt", tmp_path / "texts/locked/two.txt")
    usual = Path.iterdir

    def iterdir(path):  # the tests may run as root, which may read everything
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    started = []
    monkeypatch.setattr(TOKENIZER, "save_pretrained", started.append)
    for paths, message in (
        ([tmp_path / "texts"], "cannot read .*locked: Permission denied"),
        ([tmp_path / "texts/one.txt", tmp_path / "two.txt"], "does not exist"),
    ):
        with pytest.raises(MiniBertError, match=message):
            build_corpus(paths, TOKENIZER, tmp_path / "corpus")
    assert not started
