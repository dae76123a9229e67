"""What you can rely on: what is held out is never trained on, every class is on both sides, and the
same seed holds out the same; data that are sorted by label do not go unnoticed.
"""

import random
from collections import Counter

import pytest
from conftest import shared

from minibert.data.labelled.examples import Example, read_examples
from minibert.data.labelled.splits import (
    normalised,
    stratified_split,
    warn_if_sorted,
    without_overlap,
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


def test_numbers_are_split_as_one_class():
    kept, held_out = stratified_split(labelled([f"{n}.5" for n in range(10)]), fraction=0.2, seed=0)
    assert (len(kept), len(held_out)) == (8, 2)


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1])
def test_a_share_that_is_none_is_refused(fraction):
    with pytest.raises(MiniBertError, match="between 0 and 1"):
        stratified_split(labelled("ab"), fraction=fraction, seed=0)


def test_too_few_examples_to_split_are_refused():
    with pytest.raises(MiniBertError, match=r"too few .*label of its own"):
        stratified_split(labelled("ab"), fraction=0.5, seed=0)


def test_copies_are_found_in_spite_of_case_and_punctuation():
    assert normalised("A  Film, twice!") == normalised("a film (twice)")
    assert normalised("这部电影，很好。") != normalised("这部电影，不好。")
    train = [Example("A film!"), Example("other"), Example("?!")]
    assert without_overlap(train, [Example("a film")], [Example("...")]) == train[1:]


def test_a_pair_is_a_copy_only_if_both_texts_are():
    train = [Example("a", "b"), Example("a", "c")]
    assert without_overlap(train, [Example("A", "B")]) == [Example("a", "c")]


def test_sorted_data_are_noticed_and_shuffled_data_are_not():
    labels = list("0123456789" * 30)
    random.Random(0).shuffle(labels)
    assert warn_if_sorted(labelled(labels)) is None
    told = warn_if_sorted(labelled(sorted(labels)))
    assert told.startswith("t.tsv is sorted by label: it changes 9 times in 300 lines, about 270")


def test_random_order_hardly_ever_looks_sorted():
    alarms = 0
    for seed in range(2000):
        draw = random.Random(seed)
        rare = draw.choice([0.5, 0.2, 0.05])
        labels = ["ab"[draw.random() < rare] for _ in range(draw.choice([100, 300, 1000]))]
        alarms += warn_if_sorted(labelled(labels)) is not None
    assert alarms <= 2


def test_the_film_reviews_are_known_to_be_sorted():
    assert "sorted by label" in warn_if_sorted(read_examples(shared("data/imdb/train.tsv")))
    assert warn_if_sorted(read_examples(shared("data/glue/SST-2/dev.tsv"))) is None
