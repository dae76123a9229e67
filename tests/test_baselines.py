"""Baselines: what a model must beat.

You can rely on: the bag of words scores what scikit-learn's counts + logistic regression score, in
two languages and for pairs; the result depends on the data alone.
"""

import numpy as np
import pytest

from minibert.data.labelled.examples import Example
from minibert.data.labelled.labels import LabelSet
from minibert.data.labelled.splits import TaskData
from minibert.evaluation import baselines
from minibert.evaluation.baselines import BagOfWords, baseline_scores, words


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
    return baseline_scores(task(train=train, dev=dev))["dev"]["bag_of_words"]


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
    scores = baseline_scores(task(train=train, dev=dev, test=test))
    assert scores["dev"]["majority"] == 0.75
    assert scores["test"]["majority"] == 0


def test_of_two_equally_common_classes_the_majority_is_the_first():
    scores = baseline_scores(task(train=[("x", "b"), ("y", "a")], dev=[("x", "a")]))
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


# Several classes, numbers, pairs


def test_the_majority_of_several_classes_are_those_of_over_half_and_of_numbers_the_mean():
    train = [("x", ("a",)), ("y", ("a", "b")), ("z", ())]
    scores = baseline_scores(task(train=train, dev=[("x", ("a",)), ("y", ("b",))]))
    assert scores["dev"]["majority"] == 2 * 1 / (2 + 2)  # micro F1: one of two, one of two
    numbers = [("x", "1.5"), ("y", "2.5"), ("z", "4.0")]
    assert baseline_scores(task(train=numbers, dev=numbers))["dev"]["majority"] == 0


def test_each_of_several_classes_has_its_own_words():
    train = [("rain", ("wet",)), ("ice", ("cold",)), ("rain ice", ("cold", "wet")), ("sun", ())] * 4
    dev = [("ice and rain", ("cold", "wet")), ("much sun", ()), ("an ice", ("cold",))]
    assert baseline_scores(task(train=train, dev=dev))["dev"]["bag_of_words"] == 1


def test_words_add_up_to_a_number():
    train = [("good", "1.5"), ("very good", "2.5"), ("bad", "-1.5"), ("very bad", "-0.5")] * 5
    dev = [("good", "1.5"), ("bad", "-1.5"), ("very", "0.5")]
    assert baseline_scores(task(train=train, dev=dev))["dev"]["bag_of_words"] > 0.98


def test_shared_words_tell_whether_two_texts_mean_the_same():
    """No single word does: each occurs in pairs of both kinds."""
    draw = np.random.default_rng(0)

    def pairs(count):
        for number in range(count):
            first = draw.choice(200, 8, replace=False)
            second = first if number % 2 else draw.choice(200, 8, replace=False)
            texts = (" ".join(f"w{i}" for i in draw.permutation(some)) for some in (first, second))
            yield *texts, "01"[number % 2]

    scores = baseline_scores(task(train=list(pairs(200)), dev=list(pairs(50))))["dev"]
    assert scores["word_overlap"] == 1
    assert scores["bag_of_words"] < 0.8


def test_single_texts_have_no_overlap():
    data = [("x", "a"), ("y", "b")]
    assert set(baseline_scores(task(train=data, dev=data))["dev"]) == {"majority", "bag_of_words"}


@pytest.mark.parametrize("alpha", [1.0, 10.0])
def test_numbers_equal_scikit_learns_ridge(alpha):
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import Ridge

    texts, labels = topic_texts(2, 600)
    numbers = 1000 + 50 * np.array(labels) + [len(text) for text in texts]
    counts = CountVectorizer()
    theirs = Ridge(alpha=alpha).fit(counts.fit_transform(texts[:400]), numbers[:400])
    examples = [Example(text) for text in texts]
    ours = BagOfWords(examples[:400], numbers[:400], 1, penalty=alpha, problem_type="regression")
    expected = theirs.predict(counts.transform(texts[400:]))
    assert ours.predict(examples[400:]) == pytest.approx(expected, abs=0.02 * numbers.std())


def test_several_classes_equal_scikit_learns_one_versus_rest():
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    texts, labels = topic_texts(3, 600)
    targets = np.stack([[c == 0, c < 2, len(t) > 90] for c, t in zip(labels, texts, strict=True)])
    counts = CountVectorizer()
    theirs = OneVsRestClassifier(LogisticRegression(max_iter=1000))
    theirs.fit(counts.fit_transform(texts[:400]), targets[:400].astype(int))
    examples = [Example(text) for text in texts]
    problem_type = "multi_label_classification"
    ours = BagOfWords(examples[:400], targets[:400], 3, problem_type=problem_type)
    agreement = ours.predict(examples[400:]) == theirs.predict(counts.transform(texts[400:]))
    assert agreement.mean() > 0.99


# Size


def test_a_text_of_millions_of_words_is_one_row_of_counts():
    long = [Example("good " * 1_000_000 + "film", label="1"), Example("bad film", label="0")]
    model = BagOfWords(long, [1, 0], 2)
    assert model.predict([Example("good"), Example("bad")]).tolist() == [1, 0]


def test_with_thousands_of_classes_weights_are_counted_as_in_scikit_learns_naive_bayes(monkeypatch):
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    monkeypatch.setattr(baselines, "MAX_TRAINED", 100)
    texts, labels = topic_texts(4, 600)
    counts = CountVectorizer()
    theirs = MultinomialNB().fit(counts.fit_transform(texts[:400]), labels[:400])
    examples = [Example(text) for text in texts]
    ours = BagOfWords(examples[:400], labels[:400], 4)
    predicted = ours.predict(examples[400:])
    assert predicted.tolist() == theirs.predict(counts.transform(texts[400:])).tolist()


def test_of_too_many_words_the_rarest_are_left_out(monkeypatch):
    monkeypatch.setattr(baselines, "MAX_WEIGHTS", 40)
    monkeypatch.setattr(baselines, "MAX_LOGITS", 100)  # several batches
    train = [(f"the{n} word rare{n}{i}", f"{n:02}") for n in range(20) for i in range(5)]
    examples = [Example(text) for text, _ in train]
    model = BagOfWords(examples, [int(label) for _, label in train], 20)
    assert set(model.vocabulary) == {"word", "the0"}
    assert len(model.predict(examples)) == 100
