"""What you can rely on: a word is split into the longest tokens from the left, as in Google's code.

The toy vocabulary is that of Google's own test.
"""

import random
import time

import pytest

from minibert.tokenization.wordpiece import WordPiece

TOY = [
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "want",
    "##want",
    "##ed",
    "wa",
    "un",
    "runn",
    "##ing",
    "##aff",
    "##able",
    "low",
    "lo",
    "##w",
    "##est",
]


@pytest.fixture
def toy() -> WordPiece:
    return WordPiece({token: index for index, token in enumerate(TOY)})


def test_a_known_word_is_one_token(toy):
    assert toy.split("want") == ["want"]


def test_an_unknown_word_becomes_its_longest_tokens(toy):
    assert toy.split("unwanted") == ["un", "##want", "##ed"]
    assert toy.split("unaffable") == ["un", "##aff", "##able"]


def test_the_longest_match_wins_over_a_shorter_one(toy):
    assert toy.split("lowest") == ["low", "##est"]


def test_the_greedy_split_never_goes_back(toy):
    """`wa ##nted` is not there, and after `want` nothing begins with `er`: the word is unknown."""
    assert toy.split("wanter") == ["[UNK]"]


def test_one_part_without_match_makes_the_whole_word_unknown(toy):
    assert toy.split("unwantedX") == ["[UNK]"]


def test_a_continuing_token_cannot_begin_a_word(toy):
    assert toy.split("able") == ["[UNK]"]


def test_an_empty_word_has_no_tokens(toy):
    assert toy.split("") == []


def test_a_word_beyond_the_limit_is_unknown_even_if_it_could_be_split():
    vocabulary = {"[UNK]": 0, "a": 1, "##a": 2}
    assert WordPiece(vocabulary).split("a" * 200) == ["a"] + ["##a"] * 199
    assert WordPiece(vocabulary).split("a" * 201) == ["[UNK]"]
    hugging_face = WordPiece(vocabulary, max_characters_per_word=100)
    assert hugging_face.split("a" * 101) == ["[UNK]"]


def test_every_split_is_the_greedy_one():
    """Random vocabularies of every shape, against the definition in another form."""
    rng = random.Random(0)
    for _ in range(300):
        words = ["".join(rng.choices("ab", k=rng.randint(1, 6))) for _ in range(12)]
        tokens = {rng.choice(["", "##"]) + word for word in words}
        wordpiece = WordPiece({token: index for index, token in enumerate(["[UNK]", *tokens])})
        for _ in range(20):
            word = "".join(rng.choices("abc", weights=[9, 9, 1], k=rng.randint(1, 12)))
            assert wordpiece.split(word) == greedy_split(word, tokens)


def greedy_split(word: str, tokens: set[str]) -> list[str]:
    found, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = [e for e in range(start + 1, len(word) + 1) if prefix + word[start:e] in tokens]
        if not ends:
            return ["[UNK]"]
        found.append(prefix + word[start : ends[-1]])
        start = ends[-1]
    return found


def test_the_work_grows_with_the_length_of_a_word_and_not_faster():
    vocabulary = {"[UNK]": 0, **{"##" + "a" * n: n for n in range(1, 20)}, "a": 20}
    wordpiece = WordPiece(vocabulary, max_characters_per_word=10**6)

    def growth() -> float:
        short, long = (best_time(lambda n=n: wordpiece.split("a" * n)) for n in (20_000, 80_000))
        return long / short

    # 4 times the letters; a square would be 16. A busy machine gets several chances.
    assert any(growth() < 8 for _ in range(5))


def best_time(run) -> float:
    times = []
    for _ in range(5):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)
