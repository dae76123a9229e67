"""What you can rely on: what is held out is never trained on, every class is on both sides, and the
same seed holds out the same; data that are sorted by label do not go unnoticed.
"""

import random
from collections import Counter

import pytest
from conftest import shared

from minibert.data.labelled.examples import Example, normalize_text, read_examples
from minibert.data.labelled.header import Columns
from minibert.data.labelled.splits import (
    read_task,
    remove_overlap,
    stratified_split,
    warn_if_sorted,
)
from minibert.errors import MiniBertError


def labelled(labels):
    return [Example(f"text {n}", label=label, where=f"t.tsv:{n}") for n, label in enumerate(labels)]


def test_a_tenth_of_each_class_is_held_out():
    examples = labelled("a" * 80 + "b" * 20)
    kept, held_out = stratified_split(examples, fraction=0.1, seed=0)
    assert Counter(example.label for example in held_out) == {"a": 8, "b": 2}
    assert sorted(kept + held_out, key=examples.index) == examples
    assert kept == sorted(kept, key=examples.index)


def test_the_seed_alone_decides():
    examples = labelled("ab" * 50)
    assert stratified_split(examples, fraction=0.2, seed=1) == stratified_split(
        examples, fraction=0.2, seed=1
    )
    assert stratified_split(examples, fraction=0.2, seed=1) != stratified_split(
        examples, fraction=0.2, seed=2
    )


def test_a_class_of_two_is_on_both_sides_and_a_class_of_one_is_kept():
    kept, held_out = stratified_split(labelled("aab"), fraction=0.1, seed=0)
    assert sorted(example.label for example in kept) == ["a", "b"]
    assert [example.label for example in held_out] == ["a"]


def test_the_share_that_was_asked_for_is_held_out_also_of_many_small_classes():
    examples = labelled([f"class {n}" for n in range(300)] * 2)
    kept, held_out = stratified_split(examples, fraction=0.1, seed=0)
    assert len(held_out) == 60
    assert len({example.label for example in held_out}) == 60
    assert len({example.label for example in kept}) == 300
    large_and_small = labelled("a" * 190 + "b" * 5 + "c" * 5)
    _, held_out = stratified_split(large_and_small, fraction=0.1, seed=0)
    assert Counter(example.label for example in held_out) == {"a": 18, "b": 1, "c": 1}


def test_sets_of_labels_that_occur_once_can_be_held_out():
    examples = labelled([tuple(f"{n:06b}") for n in range(60)])
    kept, held_out = stratified_split(
        examples, fraction=0.2, seed=0, problem_type="multi_label_classification"
    )
    assert (len(kept), len(held_out)) == (48, 12)


def test_numbers_are_split_as_one_class():
    kept, held_out = stratified_split(labelled([f"{n}.5" for n in range(10)]), fraction=0.2, seed=0)
    assert (len(kept), len(held_out)) == (8, 2)


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1])
def test_a_share_that_is_none_is_refused(fraction):
    with pytest.raises(MiniBertError, match="between 0 and 1"):
        stratified_split(labelled("ab"), fraction=fraction, seed=0)


def test_too_few_examples_to_split_are_refused():
    with pytest.raises(MiniBertError, match=r"label of its own, so none can be held out"):
        stratified_split(labelled("ab"), fraction=0.5, seed=0)


def test_copies_are_found_in_spite_of_case_and_punctuation():
    assert normalize_text("A  Film, twice!") == normalize_text("a film (twice)")
    assert normalize_text("这部电影，很好。") != normalize_text("这部电影，不好。")
    train = [Example("A film!"), Example("other"), Example("?!")]
    assert remove_overlap(train, [Example("a film")], [Example("...")]) == train[1:]


@pytest.mark.parametrize(("text", "other"), [("कुल", "कल"), ("ใกล้", "ใกล"), ("כֵּן", "כן")])
def test_texts_that_differ_in_a_vowel_sign_or_a_tone_mark_are_no_copies(text, other):
    assert remove_overlap([Example(f"{text}!")], [Example(other)]) == [Example(f"{text}!")]
    assert remove_overlap([Example(f"{text}!")], [Example(text)]) == []


def test_a_pair_is_a_copy_only_if_both_texts_are():
    train = [Example("a", "b"), Example("a", "c")]
    assert remove_overlap(train, [Example("A", "B")]) == [Example("a", "c")]


def test_sorted_data_are_noticed_and_shuffled_data_are_not():
    labels = list("0123456789" * 30)
    random.Random(0).shuffle(labels)
    assert warn_if_sorted(labelled(labels)) is None
    told = warn_if_sorted(labelled(sorted(labels)))
    assert told.startswith("t.tsv is sorted by label: the label changes 9 times in 300 lines; ")
    assert "about 270 times" in told


def test_random_order_hardly_ever_looks_sorted():
    alarms = 0
    for seed in range(2000):
        draw = random.Random(seed)
        rare = draw.choice([0.5, 0.2, 0.05])
        labels = ["ab"[draw.random() < rare] for _ in range(draw.choice([100, 300, 1000]))]
        alarms += warn_if_sorted(labelled(labels)) is not None
    assert alarms <= 2


def test_the_film_reviews_are_known_to_be_sorted():
    assert "sorted by label" in warn_if_sorted(read_examples(shared("data/imdb/train.tsv"))[0])
    assert warn_if_sorted(read_examples(shared("data/glue/SST-2/dev.tsv"))[0]) is None


# Reading a task


@pytest.fixture
def write(tmp_path):
    def write(name, *lines):
        path = tmp_path / name
        path.write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
        return path

    return write


def test_a_tenth_of_the_training_file_is_the_dev_set_if_there_is_none(write):
    task = read_task(write("train.tsv", *(f"text {n}\t{'ab'[n % 2]}" for n in range(40))))
    assert {name: len(examples) for name, examples in task.splits.items()} == {
        "train": 36,
        "dev": 4,
    }
    assert task.targets["dev"] == [task.labels.label2id[e.label] for e in task.splits["dev"]]
    assert "10% of the training examples are held out." in task.describe()
    assert "train      36 examples  a 18  b 18" in task.describe()


def test_what_was_decided_is_told_and_every_decision_can_be_changed(write):
    train = write("train.tsv", *(f"text {n}\t3.{n % 8}" for n in range(40)))
    told = read_task(train).describe()
    assert f"{train}: text = column 'text', label = column 'label' (names from the file" in told
    assert "task: regression (guessed from the labels; --task decides)." in told
    classes = read_task(
        train,
        problem_type="single_label_classification",
        dev_share=0.25,
        columns=Columns(header=True),
    )
    assert "task: classification with 8 classes (as requested)." in classes.describe()
    assert len(classes.splits["dev"]) == 10


def test_classes_that_dev_lacks_and_the_many_classes_are_told(write):
    task = read_task(write("train.tsv", *(f"text {n}\tclass {n % 300:03}" for n in range(600))))
    told = task.describe()
    assert (
        "10% of the training examples are held out. Dev has no example of 240 of the classes"
        in told
    )
    assert "train     540 examples  class 000 " in told
    assert "and 280 more classes" in told


def test_training_texts_that_are_in_dev_or_test_are_counted(write):
    train = write("train.tsv", "one\ta", "two\tb", "three\ta")
    dev, test = write("dev.tsv", "One!\ta"), write("test.tsv", "TWO\tb", "new\ta")
    task = read_task(train, dev, test)
    assert "2 training texts are also in dev or test" in task.describe()
    assert len(task.splits["train"]) == 3  # the user is told, and decides


def test_a_label_that_train_does_not_have_is_refused_before_any_work(write):
    train = write("train.tsv", "one\ta", "two\tb")
    with pytest.raises(MiniBertError, match=r"test\.tsv:2: the label 'c' is not among"):
        read_task(train, train, write("test.tsv", "three\tc"))


def test_ids_get_their_class_names_in_the_order_of_the_file_of_names(write, tmp_path):
    names = tmp_path / "class.txt"
    names.write_text("sports\nfinance\nrealty\n", encoding="utf-8")
    train, dev = write("train.tsv", "one\t1", "two\t0", "three\t1"), write("dev.tsv", "four\t2")
    task = read_task(train, dev, class_names=names)
    assert task.labels.id2label == {0: "sports", 1: "finance", 2: "realty"}
    assert task.targets == {"train": [1, 0, 1], "dev": [2]}
    assert "finance 2  sports 1" in task.describe()
    with pytest.raises(MiniBertError, match=r"test\.tsv:2: the label '3' is not among the classes"):
        read_task(train, dev, write("test.tsv", "five\t3"), class_names=names)
    with pytest.raises(MiniBertError, match="the labels are numbers"):
        read_task(train, dev, class_names=names, problem_type="regression")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("a\n\nb\n", "class.txt:2: the class name '' is empty"),
        ("a\nb\na\n", "class.txt:3: the class name 'a' is repeated"),
        ("a\n2\n", "class.txt:2: the class name '2' is a number"),
        ("a\n", "class.txt has one line"),
    ],
)
def test_a_file_of_class_names_with_a_bad_line_is_refused(content, error, write, tmp_path):
    train = write("train.tsv", "one\t1", "two\t0", "three\t1")
    (tmp_path / "class.txt").write_text(content, encoding="utf-8")
    with pytest.raises(MiniBertError, match=error):
        read_task(train, train, class_names=tmp_path / "class.txt")


def test_a_limit_uses_the_first_training_examples(write):
    train = write("train.tsv", *(f"text {n}\t{'ab'[n % 2]}" for n in range(40)))
    assert [e.text for e in read_task(train, train, limit=2).splits["train"]] == [
        "text 0",
        "text 1",
    ]
    with pytest.raises(MiniBertError, match="the limit is 0"):
        read_task(train, limit=0)


def test_a_dev_file_without_a_training_file_is_refused(write):
    with pytest.raises(MiniBertError, match="no training file"):
        read_task(dev=write("dev.tsv", "one\ta"))
