"""What you can rely on: texts with nearly the same words are found, all of them and no others."""

import random

from minibert.data.builtin.library_docs import drop_near_duplicates
from minibert.data.labelled.examples import normalize_text


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
