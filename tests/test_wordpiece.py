"""What you can rely on: a word is cut into the longest pieces from the left, as Google's code does.

The toy vocabulary is that of Google's own test. A damaged vocabulary file is refused with its line.
"""

import random
import time

import pytest
from conftest import shared

from minibert.errors import MiniBertError
from minibert.tokenization.vocab import read_vocabulary
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
    return WordPiece({piece: index for index, piece in enumerate(TOY)})


def test_a_known_word_is_one_piece(toy):
    assert toy.split("want") == ["want"]


def test_an_unknown_word_becomes_its_longest_pieces(toy):
    assert toy.split("unwanted") == ["un", "##want", "##ed"]
    assert toy.split("unaffable") == ["un", "##aff", "##able"]


def test_the_longest_match_wins_over_a_shorter_one(toy):
    assert toy.split("lowest") == ["low", "##est"]


def test_greedy_does_not_turn_back(toy):
    """`wa ##nted` is not there, and after `want` nothing begins with `er`: the word is unknown."""
    assert toy.split("wanter") == ["[UNK]"]


def test_one_gap_makes_the_whole_word_unknown(toy):
    assert toy.split("unwantedX") == ["[UNK]"]


def test_a_piece_that_continues_cannot_begin_a_word(toy):
    assert toy.split("able") == ["[UNK]"]


def test_an_empty_word_has_no_pieces(toy):
    assert toy.split("") == []


def test_a_word_beyond_the_limit_is_unknown_even_if_it_could_be_cut():
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


def test_a_vocabulary_file_gives_line_numbers_as_ids(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("[PAD]\n我\n##ing\n\u2028\n".encode())
    assert read_vocabulary(path) == {"[PAD]": 0, "我": 1, "##ing": 2, "\u2028": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xef\xbb\xbf[PAD]\n[UNK]\n", "line 1 begins with a byte order mark"),
        (b"[PAD]\r\n[UNK]\r\n", "line 1 ends with a carriage return"),
        (b"[PAD]\n[UNK]\nthe\nthe\n", "line 4: 'the' was already on line 3"),
        (b"[PAD]\n\n[UNK]\n", "line 2 is empty"),
        ("[PAD]\nñ\n".encode("latin-1"), "not UTF-8 text at byte 6"),
        ("[PAD]\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_damaged_vocabulary_is_refused_with_file_and_line(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(MiniBertError, match=message) as error:
        read_vocabulary(path)
    assert str(path) in str(error.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nothing.txt", tmp_path):
        with pytest.raises(MiniBertError, match="could not read the vocabulary"):
            read_vocabulary(path)


def test_a_million_lines_are_read(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(map(str, range(1_000_000))), encoding="utf-8")
    assert len(read_vocabulary(path)) == 1_000_000


@pytest.mark.parametrize("name", ["uncased", "cased", "chinese", "multilingual-cased"])
def test_googles_vocabularies_are_read_as_they_are(name):
    sizes = {"uncased": 30522, "cased": 28996, "chinese": 21128, "multilingual-cased": 119547}
    vocabulary = read_vocabulary(shared(f"data/vocab/bert-base-{name}-vocab.txt"))
    assert len(vocabulary) == sizes[name]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert [vocabulary[token] for token in specials] == [0, 100, 101, 102, 103]


def test_the_tutorials_example_of_pieces_is_not_what_the_real_vocabulary_does():
    """`playing` is a word of its own there; `puppeteer` is one that is cut."""
    wordpiece = WordPiece(read_vocabulary(shared("data/vocab/bert-base-uncased-vocab.txt")))
    assert wordpiece.split("playing") == ["playing"]
    assert wordpiece.split("puppeteer") == ["puppet", "##eer"]
