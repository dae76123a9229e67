"""What you can rely on: the built-in data are balanced, deterministic and free of give-aways; no
sentence, near duplicate or docstring is in two splits; the cache can only help, never harm.
"""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from minibert.data.builtin import library_docs
from minibert.data.builtin.library_docs import (
    default_cache,
    drop_near_duplicates,
    library_documents,
    library_paragraphs,
    library_sentences,
)
from minibert.data.builtin.prose import reads_as_sentence, sentences
from minibert.data.labelled.examples import normalize_text
from minibert.data.labelled.splits import read_task
from minibert.errors import MiniBertError


@pytest.fixture(scope="session")
def cache():
    """The real libraries, read once for the tests of all files."""
    library_sentences()
    return default_cache()


@pytest.fixture(scope="session")
def splits(cache):
    return library_sentences(cache=cache)


@pytest.fixture
def toy(monkeypatch):
    """Four made-up libraries of 20 docstrings with two sentences; counts how often each is read."""
    scans = Counter()

    def scan(library):
        scans[library] += 1
        return [
            (f"{library}/file.py:{n}", [made_up(library, n, "tower"), made_up(library, n, "river")])
            for n in range(20)
        ]

    monkeypatch.setattr(library_docs, "_scan", scan)
    return scans


def made_up(library, n, place):
    """A sentence with four words of its own, so that none is a near duplicate of another."""
    own = [place + library[::-1] + letter + chr(ord("a") + n) for letter in "wxyz"]
    return "The {} of the {} is for {} and {}.".format(*own)


# The real libraries


def test_every_class_has_the_same_share_of_every_split(splits):
    assert {split: len(examples) for split, examples in splits.items()} == {
        "train": 6400,
        "dev": 800,
        "test": 800,
    }
    for examples in splits.values():
        counts = Counter(example.label for example in examples)
        assert set(counts) == {"matplotlib", "numpy", "python", "torch"}
        assert len(set(counts.values())) == 1


def test_all_of_them_read_as_sentences_and_none_names_a_library(splits):
    names = re.compile("python|numpy|torch|matplotlib|pyplot", re.IGNORECASE)
    for examples in splits.values():
        assert all(reads_as_sentence(example.text) for example in examples)
        assert not [example.text for example in examples if names.search(example.text)]


def test_no_sentence_is_a_near_duplicate_of_another(splits):
    texts = [example.text for examples in splits.values() for example in examples]
    assert len({normalize_text(text) for text in texts}) == len(texts)
    assert len(drop_near_duplicates(texts)) == len(texts)


def test_no_docstring_is_in_two_splits(splits):
    places = [{example.where for example in examples} for examples in splits.values()]
    train, dev, test = places
    assert not train & dev
    assert not train & test
    assert not dev & test


def test_examples_are_not_sorted_by_class(splits):
    labels = [example.label for example in splits["train"]]
    assert sum(a != b for a, b in pairwise(labels)) > len(labels) / 2


def test_a_bag_of_words_finds_the_task_neither_trivial_nor_hopeless(splits):
    text = pytest.importorskip("sklearn.feature_extraction.text")
    bayes = pytest.importorskip("sklearn.naive_bayes")
    words = text.CountVectorizer()
    counts = words.fit_transform(example.text for example in splits["train"])
    model = bayes.MultinomialNB().fit(counts, [example.label for example in splits["train"]])
    held_out = splits["dev"] + splits["test"]
    answers = model.predict(words.transform(example.text for example in held_out))
    right = sum(a == example.label for a, example in zip(answers, held_out, strict=True))
    assert 0.6 < right / len(held_out) < 0.85


def test_paragraphs_for_pretraining_hold_no_sentence_that_is_kept_out(cache, splits):
    held_out = splits["dev"] + splits["test"]
    documents = library_paragraphs(without=held_out, cache=cache)
    kept_out = {normalize_text(example.text) for example in held_out}
    paragraphs = [paragraph for document in documents for paragraph in document]
    assert kept_out.isdisjoint(normalize_text(s) for text in paragraphs for s in sentences(text))
    everything = sum(map(len, library_paragraphs(cache=cache)))
    assert len(held_out) / 2 < everything - len(paragraphs) < 3 * len(held_out)
    assert sum(map(len, paragraphs)) > 1_000_000


# Made-up libraries


def test_the_same_seed_gives_the_same_data_and_another_seed_another(toy):
    first = library_sentences(per_class=30, cache=None)
    assert library_sentences(per_class=30, cache=None) == first
    assert library_sentences(per_class=30, seed=1, cache=None) != first


def test_the_default_task_has_the_same_sets_for_every_seed(toy, monkeypatch, tmp_path):
    """Or the seeds of a benchmark would be tested on what `weights/tiny` has read."""
    monkeypatch.setattr(library_docs, "default_cache", lambda: tmp_path)
    first, other = read_task(seed=0), read_task(seed=1)
    assert first.splits == other.splits


def test_the_smallest_library_sets_the_size_of_all_classes(toy):
    splits = library_sentences(per_class=2000, cache=None)
    assert [len(splits[split]) for split in ("train", "dev", "test")] == [128, 16, 16]


def test_too_few_sentences_are_refused(toy):
    with pytest.raises(MiniBertError, match="4 sentences per class are too few"):
        library_sentences(per_class=4, cache=None)


def test_a_sentence_of_two_libraries_belongs_to_none(toy, monkeypatch):
    both = "This sentence stands in the documents of both."
    scan = library_docs._scan
    monkeypatch.setattr(
        library_docs, "_scan", lambda name: [*scan(name), (f"{name}/x.py:1", [both])]
    )
    splits = library_sentences(cache=None)
    assert both not in {example.text for examples in splits.values() for example in examples}


def test_the_cache_saves_the_second_reading(toy, tmp_path):
    first = library_sentences(cache=tmp_path / "new" / "folder")
    assert library_sentences(cache=tmp_path / "new" / "folder") == first
    assert set(toy.values()) == {1}


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe", None])
def test_a_damaged_cache_is_built_again(toy, tmp_path, damage):
    first = library_documents(cache=tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    flipped = content.replace(b"tower", b"power", 1)
    file.write_bytes(flipped if damage is None else damage)
    assert library_documents(cache=tmp_path) == first
    assert set(toy.values()) == {2}
    assert file.read_bytes() == content


def test_another_release_of_a_library_is_read_anew(toy, tmp_path, monkeypatch):
    library_documents(cache=tmp_path)
    monkeypatch.setattr(library_docs, "library_version", lambda library: "0")
    library_documents(cache=tmp_path)
    assert set(toy.values()) == {2}


def test_a_cache_that_cannot_be_written_is_done_without(toy, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert library_documents(cache=tmp_path / "file") == library_documents(cache=None)


def test_the_cache_lies_where_the_system_keeps_caches(monkeypatch, tmp_path):
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_cache() == tmp_path / ".cache" / "minibert"
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert default_cache() == tmp_path / "local" / "minibert"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "minibert"


def test_without_a_home_there_is_no_cache_and_no_trouble(toy, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert default_cache() is None
    assert len(library_documents()) == 4
