"""What you can rely on: search finds the nearest sentences, never with vectors of others."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_folders import pretrained_folder

from minibert import BertForPreTraining
from minibert.cli.main import main
from minibert.data.labelled.header import GUESS, Columns
from minibert.data.labelled.prediction_file import PredictionFile
from minibert.inference import search
from minibert.inference.search import Hit, cached_vectors, nearest
from minibert.inference.sentence_embeddings import SentenceEncoder

SENTENCES = ("the cat sat", "paris is the capital of france", "a mat", "", "the cat sat", "猫")


def test_the_nearest_comes_first_and_of_equal_ones_the_earlier():
    vectors = np.array([[0, 1], [1, 0], [0.6, 0.8], [1, 0]], dtype=np.float32)
    query = np.array([[1, 0]], dtype=np.float32)
    hits = nearest(query, vectors, top=9)
    assert hits == [[Hit(1, 1.0), Hit(3, 1.0), Hit(2, 0.6), Hit(0, 0.0)]]
    assert nearest(query, vectors, top=2) == [hits[0][:2]]


def test_chunks_find_what_one_product_finds(monkeypatch):
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(101, 8)).astype(np.float32)
    vectors = np.concatenate([vectors, vectors[::-1]])  # each twice
    queries = draw.normal(size=(3, 8)).astype(np.float32)
    whole = nearest(queries, vectors, top=7)
    by_hand = np.argsort(-(queries @ vectors.T).round(6), axis=1, kind="stable")[:, :7]
    assert [[hit.sentence for hit in hits] for hits in whole] == by_hand.tolist()
    monkeypatch.setattr(search, "CHUNK", 10)
    in_chunks = nearest(queries, vectors, top=7)
    assert [[h.sentence for h in hits] for hits in in_chunks] == by_hand.tolist()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a model, and a file of sentences."""
    sentences = tmp_path / "the [best].txt"
    sentences.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    return pretrained_folder(tmp_path / "model"), sentences


def is_cached(model: Path, sentences: Path, columns: Columns = GUESS, **options) -> bool:
    """Compute the vectors or read them, check them, and return whether they were read."""
    encoder = SentenceEncoder.from_pretrained(model)
    file = PredictionFile(sentences, columns)
    vectors, path, was_there = cached_vectors(encoder, file, **options)
    texts = [row.text for part in file.parts() for row in part]
    fresh = encoder.encode(texts, normalize=True, pooling=options.get("pooling"))
    np.testing.assert_allclose(vectors, fresh, atol=1e-6)
    assert [*path.parent.glob("*.npy")] == [path]  # no older one is left
    return was_there


def test_vectors_are_kept_until_anything_that_makes_them_changes(files):
    model, sentences = files
    assert not is_cached(model, sentences)
    assert is_cached(model, sentences)
    assert not is_cached(model, sentences, pooling="cls")
    assert not is_cached(model, sentences)
    sentences.write_text(sentences.read_text(encoding="utf-8").replace("mat", "cat"), "utf-8")
    assert not is_cached(model, sentences)
    trained = BertForPreTraining.from_pretrained(model, quiet=True)
    with torch.no_grad():
        trained.bert.embeddings.word_embeddings.weight[1] += 1
    trained.save_pretrained(model)
    assert not is_cached(model, sentences)
    vocabulary = (model / "vocab.txt").read_text(encoding="utf-8").splitlines()
    swapped = {"cat": "mat", "mat": "cat"}
    lines = [swapped.get(word, word) for word in vocabulary]
    (model / "tokenizer.json").unlink()
    (model / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert not is_cached(model, sentences)
    assert is_cached(model, sentences)


def test_another_column_of_a_table_has_other_vectors(files, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("one,two\nthe cat,a mat\nparis,france\n")
    assert not is_cached(files[0], table, Columns(text="one"))
    assert not is_cached(files[0], table, Columns(text="two"))


def test_damaged_vectors_are_computed_again(files):
    model, sentences = files
    is_cached(model, sentences)
    [path] = sentences.parent.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-9])
    assert not is_cached(model, sentences)
    path.write_bytes(b"")
    assert not is_cached(model, sentences)


def test_an_interrupted_computation_leaves_nothing_behind(files, monkeypatch):
    def stop(self, texts, **options):
        raise KeyboardInterrupt

    model, sentences = files
    before = sorted(sentences.parent.iterdir())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SentenceEncoder, "encode", stop)
        is_cached(model, sentences)
    assert sorted(sentences.parent.iterdir()) == before


def test_the_command_prints_cosines_lines_and_sentences(files, capsys, tmp_path):
    model, sentences = files

    def minibert(*words: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["search", str(model), *map(str, words)])
        return ended.value.code, *capsys.readouterr()

    code, out, err = minibert("the cat sat", "--file", sentences, "--top", "2")
    assert (code, out.splitlines()) == (
        0,
        ["1.0000  line 1  the cat sat", "1.0000  line 5  the cat sat"],
    )
    assert "the vectors are kept in" in err
    code, out, err = minibert("猫", "the cat", "--file", sentences, "--json", "--top", "99")
    first, second = map(json.loads, out.splitlines())
    assert first["results"][0] == {"score": 1.0, "line": 6, "text": "猫"}
    assert (len(second["results"]), err) == (len(SENTENCES), "")
    index = tmp_path / "new" / "index"
    code, _, err = minibert("the cat", "--file", sentences, "--index", index)
    assert (code, len([*index.glob("*.npy")])) == (0, 1), err
    for words in (
        ("--file", sentences),
        (" ", "--file", sentences),
        ("the cat", "--file", "-"),
        ("the cat", "--file", tmp_path / "absent.txt"),
        ("the cat", "--file", sentences, "--index", sentences),
        ("the cat", "--file", sentences, "--pooling", "sum"),
        ("the cat", "--file", sentences, "--top", "0"),
        ("the cat",),
    ):
        code, out, err = minibert(*words)
        assert (code, out) == (2, ""), words
        assert err.startswith("error: "), words
