"""Baselines: what a model must beat.

You can rely on: the bag of words scores what scikit-learn's counts + logistic regression score, in
two languages and for pairs; the result depends on the data alone.
"""

import numpy as np
import pytest

from minibert.data.labelled.examples import Example
from minibert.data.labelled.labels import LabelSet
from minibert.data.labelled.splits import TaskData
from minibert.evaluation.baselines import BagOfWords, baseline_accuracies, words


def task(**splits):
    """A task of lists of (text, label) or (text, text_pair, label)."""
    examples = {
        name: [Example(*texts, label=label) for *texts, label in split]
        for name, split in splits.items()
    }
    labels = LabelSet.from_examples(examples["train"])
    return TaskData(examples, {name: labels.targets(e) for name, e in examples.items()}, labels)


def bag_of_words(train, dev):
    """The accuracy on dev."""
    return baseline_accuracies(task(train=train, dev=dev))["dev"]["bag_of_words"]


def topic_texts(seed, count, classes=4):
    """Sentences of made-up words, each class with its own taste for some of them."""
    rng = np.random.default_rng(seed)
    common = 1 / np.arange(1, 801)
    taste = np.exp(0.7 * np.random.default_rng(99).normal(size=(classes, common.size)))
    chances = common * taste
    chances /= chances.sum(axis=1, keepdims=True)
    labels = rng.integers(0, classes, count).tolist()
    texts = [
        " ".join(f"word{i}" for i in rng.choice(common.size, rng.integers(5, 20), p=chances[c]))
        for c in labels
    ]
    return texts, labels


def test_majority_predicts_the_most_common_training_class():
    train = [("x", "a"), ("y", "b"), ("z", "b")]
    dev, test = [("x", "b"), ("x", "b"), ("x", "a"), ("x", "b")], [("x", "a")]
    scores = baseline_accuracies(task(train=train, dev=dev, test=test))
    assert scores["dev"]["majority"] == 0.75
    assert scores["test"]["majority"] == 0


def test_of_two_equally_common_classes_the_majority_is_the_first():
    scores = baseline_accuracies(task(train=[("x", "b"), ("y", "a")], dev=[("x", "a")]))
    assert scores["dev"]["majority"] == 1


def test_words_are_lower_case_runs_of_letters_and_digits():
    assert words(Example("Don't buy BERT-2!")) == ["don", "t", "buy", "bert", "2"]


def test_chinese_gives_characters_and_neighbours_also_beside_english():
    assert words(Example("用BERT分词")) == ["用", "bert", "分", "词", "分词"]


def test_words_of_a_pair_carry_their_side():
    assert words(Example("Is it?", "it")) == ["a:is", "a:it", "b:it"]


def test_one_telling_word_is_enough():
    train = [("good film", "1"), ("bad film", "0"), ("good", "1"), ("bad", "0")]
    assert bag_of_words(train, [("a good one", "1"), ("bad bad film", "0")]) == 1


def test_the_side_of_a_pair_can_decide():
    pairs = [("cat", "dog", "0"), ("dog", "cat", "1")]
    assert bag_of_words(pairs * 3, pairs) == 1


def test_chinese_words_are_told_apart_by_their_neighbours():
    texts = ["很好看", "不好看", "好看", "不看好", "很好", "不好"]
    train = [(text, "01"[number % 2 == 0]) for number, text in enumerate(texts)]
    assert bag_of_words(train, [("真好看", "1"), ("不行", "0")]) == 1


def test_texts_without_a_known_word_get_the_most_common_class():
    train = [("a", "0"), ("b", "1"), ("b", "1")]
    assert bag_of_words(train, [("", "1"), ("unheard of", "1")]) == 1


def test_texts_without_any_word_are_no_trouble():
    assert bag_of_words([("?", "0"), ("!", "1"), ("!", "1")], [("...", "1")]) == 1


def test_the_same_data_give_the_same_weights_bit_for_bit():
    texts, labels = topic_texts(0, 200)
    examples = [Example(text) for text in texts]
    first, again = (BagOfWords(examples, labels, 4).weight.weight.tolist() for _ in range(2))
    assert first == again


@pytest.mark.parametrize("penalty", [1.0, 10.0])
def test_predictions_equal_scikit_learn_within_a_point(penalty):
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, labels = topic_texts(1, 2000)
    train, test = texts[:1000], texts[1000:]
    counts = CountVectorizer()
    theirs = LogisticRegression(C=1 / penalty, max_iter=1000)
    theirs.fit(counts.fit_transform(train), labels[:1000])
    examples = [Example(text) for text in train]
    ours = BagOfWords(examples, labels[:1000], 4, penalty=penalty)
    predicted = ours.predict([Example(text) for text in test])
    accuracy = np.mean(predicted == labels[1000:])
    assert 0.5 < accuracy < 0.99, "the data must be neither hopeless nor trivial"
    assert accuracy == pytest.approx(theirs.score(counts.transform(test), labels[1000:]), abs=0.01)


def test_tasks_without_one_class_per_text_have_no_baselines():
    numbers = [("a", "1.5"), ("b", "2.5")]
    assert baseline_accuracies(task(train=numbers, dev=numbers)) == {"dev": {}}
