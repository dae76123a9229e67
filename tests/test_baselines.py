"""Baselines: what a model must beat.

You can rely on: the bag of words scores what scikit-learn's counts + logistic regression score, in
two languages and for pairs; the result depends on the data alone.
"""

import numpy as np
import pytest

from minibert.errors import MiniBertError
from minibert.evaluation.baselines import bag_of_words, majority, words


def topic_texts(seed: int, count: int, classes: int = 4) -> tuple[list[str], list[int]]:
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


def test_majority_answers_the_most_common_training_class():
    scores = majority([0, 1, 1], [1, 1, 0, 1])
    assert scores["accuracy"] == 0.75
    assert scores["f1_macro"] == pytest.approx((0 + 6 / 7) / 2)


def test_majority_may_be_wrong_everywhere():
    assert majority([2, 2, 0], [0, 1, 1])["accuracy"] == 0


def test_words_are_lower_case_runs_of_letters_and_digits():
    assert words("Don't buy BERT-2!") == ["don", "t", "buy", "bert", "2"]


def test_chinese_gives_characters_and_neighbours_also_beside_english():
    assert words("用BERT分词") == ["用", "bert", "分", "词", "分词"]


def test_words_of_a_pair_carry_their_side():
    assert words(("Is it?", "it")) == ["a:is", "a:it", "b:it"]
    assert words(("it", None)) == ["a:it"]


def test_one_telling_word_is_enough():
    scores = bag_of_words(
        ["good film", "bad film", "good", "bad"],
        [1, 0, 1, 0],
        ["a good one", "bad bad film"],
        [1, 0],
    )
    assert scores["accuracy"] == 1


def test_the_side_of_a_pair_can_decide():
    pairs = [("cat", "dog"), ("dog", "cat")]
    assert bag_of_words(pairs * 3, [0, 1] * 3, pairs, [0, 1])["accuracy"] == 1


def test_chinese_words_are_told_apart_by_their_neighbours():
    train = ["很好看", "不好看", "好看", "不看好", "很好", "不好"]
    scores = bag_of_words(train, [1, 0, 1, 0, 1, 0], ["真好看", "不行"], [1, 0])
    assert scores["accuracy"] == 1


def test_texts_without_a_known_word_get_the_most_common_class():
    scores = bag_of_words(["a", "b", "b"], [0, 1, 1], ["", "unheard of"], [1, 1])
    assert scores["accuracy"] == 1


def test_the_same_data_give_the_same_scores_bit_for_bit():
    texts, labels = topic_texts(0, 300)
    runs = [bag_of_words(texts[:200], labels[:200], texts[200:], labels[200:]) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("penalty", [1.0, 10.0])
def test_scores_equal_scikit_learn_within_a_point(penalty):
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, labels = topic_texts(1, 2000)
    train, train_labels, test, test_labels = (
        texts[:1000],
        labels[:1000],
        texts[1000:],
        labels[1000:],
    )
    counts = CountVectorizer()
    theirs = LogisticRegression(C=1 / penalty, max_iter=1000)
    theirs.fit(counts.fit_transform(train), train_labels)
    ours = bag_of_words(train, train_labels, test, test_labels, penalty=penalty)
    assert 0.5 < ours["accuracy"] < 0.99, "the data must be neither hopeless nor trivial"
    assert ours["accuracy"] == pytest.approx(
        theirs.score(counts.transform(test), test_labels), abs=0.01
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([], [], ["a"], [0]), "needs labelled examples"),
        ((["a"], [0], [], []), "needs labelled examples"),
        ((["a", "b"], [0], ["a"], [0]), "2 training texts have 1 labels"),
        ((["a"], [-100], ["a"], [0]), "training label -100"),
    ],
)
def test_missing_labels_are_named(arguments, sentence):
    with pytest.raises(MiniBertError, match=sentence):
        bag_of_words(*arguments)
