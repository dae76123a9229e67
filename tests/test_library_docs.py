"""What you can rely on: the built-in data are balanced, deterministic and free of give-aways; no
sentence, near duplicate or docstring is in two splits; the cache can only help, never harm.
"""

import random
import re
import runpy
import sys
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
from minibert.data.labelled.examples import Example, normalize_text
from minibert.data.labelled.splits import read_task
from minibert.errors import MiniBertError

ROOT = Path(__file__).parents[1]


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
    some = paragraphs[::5]  # without the rule, one in thirty of them would hold such a sentence
    assert kept_out.isdisjoint(normalize_text(s) for text in some for s in sentences(text))
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


# Near duplicates


def test_order_case_and_punctuation_make_no_difference():
    assert drop_near_duplicates(
        ["Return the last value.", "return: the value, last!", "Keep it."]
    ) == [0, 2]


def test_four_of_five_words_are_enough_and_three_of_five_are_not():
    assert drop_near_duplicates(["a b c d e", "a b c d"]) == [0]
    assert drop_near_duplicates(["a b c d e", "a b c"]) == [0, 1]


def test_a_threshold_of_one_finds_equal_word_sets_only():
    assert drop_near_duplicates(["a b c d e", "a b c d", "e d c b a a"], threshold=1.0) == [0, 1]


def test_texts_without_words_stand_for_themselves():
    assert drop_near_duplicates(["?", "!", "a", "?"]) == [0, 1, 2]


def test_the_shortcut_finds_what_comparing_all_pairs_finds():
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefghij", k=draw.randint(1, 9))) for _ in range(400)]
    for threshold in (0.5, 0.75, 0.8, 1.0):
        words = [frozenset(normalize_text(text).split()) for text in texts]
        kept = []
        for index, text in enumerate(words):
            others = [words[other] for other in kept]
            if all(len(text & w) / len(text | w) < threshold for w in others):
                kept.append(index)
        assert drop_near_duplicates(texts, threshold=threshold) == kept
        assert 1 < len(kept) < 400


# The text to pretrain on


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
            runpy.run_path(str(ROOT / "examples/library_text.py"), run_name="__main__")
        assert ended.value.code == code
        assert told in "".join(capsys.readouterr())
        assert file.read_text(encoding="utf-8") == library_text
