"""What you can rely on: tags are read from the files that people have, or refused with their line.

Every word of every sentence is in exactly one window, and its first piece has its tag.
"""

import random
from pathlib import Path

import numpy as np
import pytest
from conftest import shared
from tiny_folders import tiny_tokenizer

from minibert.data.labelled.guess_task import guess_task
from minibert.data.labelled.header import Columns
from minibert.data.labelled.tagging import holds_words, read_sentences, read_tagging
from minibert.data.labelled.tags import TagSet
from minibert.data.labelled.word_windows import make_windows
from minibert.errors import MiniBertError

WORDS, TAGS = ["EU", "rejects", "German", "call"], ["B-ORG", "O", "B-MISC", "O"]
KNOWN = TagSet.from_tags([["B-ORG", "O", "B-MISC", "B-PER"]], "IOB2")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def conll(path: Path, *, columns: str = "{word} {tag}", blocks: int = 2) -> Path:
    block = [columns.format(word=w, tag=t) for w, t in zip(WORDS, TAGS, strict=True)]
    return write(path, *[line for _ in range(blocks) for line in [*block, ""]])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("{word} {tag}", "word = column 1, tag = column 2 of 2"),
        ("{word} {tag} 0", "word = column 1, tag = column 2 of 3"),
        ("{word} NNP B-NP {tag}", "word = column 1, tag = column 4 of 4"),
        ("{word}\t{tag}", "word = column 1, tag = column 2 of 2"),
        ("{word} _ _ {tag}", "word = column 1, tag = column 4 of 4"),
    ],
)
def test_the_column_of_the_tags_is_found_by_its_content(tmp_path: Path, columns: str, said: str):
    path = conll(tmp_path / "train.txt", columns=columns)
    found = read_sentences(path)
    assert [(s.words, s.tags) for s in found.sentences] == [(WORDS, TAGS)] * 2
    assert said in found.notes[0]
    assert found.sentences[1].lines == [6, 7, 8, 9]
    assert guess_task(path) == "tagging"


def test_a_column_may_be_asked_for(tmp_path: Path):
    path = conll(tmp_path / "train.txt", columns="{word} NNP {tag}")
    assert read_sentences(path, Columns(label="2")).sentences[0].tags == ["NNP"] * 4
    with pytest.raises(MiniBertError, match=r"has no column '5'.*numbers 1 to 3"):
        read_sentences(path, Columns(label="5"))


def test_docstart_lines_and_comments_are_skipped_but_words_are_not(tmp_path: Path):
    lines = [
        "-DOCSTART- -X- O",
        "",
        "# id 7",
        "# NN O",
        "EU NN B-ORG",
        "",
        "# sent_id = 2",
        "call NN O",
    ]
    found = read_sentences(write(tmp_path / "a.conll", *lines))
    assert [s.words for s in found.sentences] == [["#", "EU"], ["call"]]
    assert "comments skipped: 2" in found.notes[0]


def test_numbered_words_are_read_without_the_lines_of_several_words(tmp_path: Path):
    rest = "\t_" * 6
    lines = [
        "# text = vámonos al",
        *(f"1-2\tvámonos\t_\t_{rest}", f"1\tvamos\tir\tVERB{rest}", f"2\tnos\tnos\tPRON{rest}"),
        f"3\tal\tal\tADP{rest}",
    ]
    found = read_sentences(write(tmp_path / "a.conllu", *lines))
    assert found.sentences[0].words == ["vamos", "nos", "al"]
    assert found.sentences[0].tags == ["VERB", "PRON", "ADP"]
    assert found.sentences[0].lines == [3, 4, 5]
    assert found.scheme is None


def test_spaces_of_unicode_are_words_and_cells_between_tabs_hold_spaces(tmp_path: Path):
    assert read_sentences(write(tmp_path / "a.txt", "\u3000 O", "中 B-LOC")).sentences[0].words == [
        "\u3000", "中"
    ]  # fmt: skip
    path = write(tmp_path / "b.txt", "New York\tB-LOC", "is\tO")
    assert read_sentences(path).sentences[0].words == ["New York", "is"]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.tsv", ["text_a\tlabel", "EU rejects German call\tB-ORG O B-MISC O"]),
        ("a.tsv", ["EU rejects German call\tB-ORG O B-MISC O"] * 2),
        ("a.tsv", ["label\ttext_a", "B-ORG O B-MISC O\tEU rejects German call"]),
        ("a.csv", ["words,tags", "EU rejects German call,B-ORG O B-MISC O"]),
        (
            "a.jsonl",
            [
                '{"id": "0", "tokens": ["EU", "rejects", "German", "call"], "pos_tags": ["N", "V", '
                '"A", "N"], "ner_tags": ["B-ORG", "O", "B-MISC", "O"]}'
            ],
        ),
    ],
)
def test_a_sentence_may_be_a_row_of_a_table(tmp_path: Path, name: str, lines: list[str]):
    path = write(tmp_path / name, *lines)
    found = read_sentences(path)
    assert (found.sentences[-1].words, found.sentences[-1].tags) == (WORDS, TAGS)
    assert found.scheme == "IOB2"
    assert guess_task(path) == "tagging"


def test_a_file_with_a_few_bad_lines_is_still_guessed_to_be_tagged(tmp_path: Path):
    path = write(tmp_path / "a.txt", *["EU B-ORG", "call O"] * 30, "call", "EU B+ORG")
    assert guess_task(path) == "tagging"
    with pytest.raises(MiniBertError, match=r"a\.txt:61: 1 columns") as refused:
        read_sentences(path)
    assert "a.txt:62: 'B+ORG' is not a tag" in str(refused.value)


def test_chinese_text_without_spaces_is_read_by_character(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", '{"text": "在北京", "labels": ["O", "B-LOC", "I-LOC"]}')
    assert read_sentences(path).sentences[0].words == ["在", "北", "京"]


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("a.txt", ["EU B-ORG", "call"], "a.txt:2: 1 columns where most lines have 2"),
        (
            "a.txt",
            ["EU B-ORG"] * 30 + ["call OO"],
            "a.txt:31: 'OO' is not a tag such as O or B-PER",
        ),
        ("a.txt", ["EU a b c"] * 3, "cannot tell which column holds the tags; it has 4 columns"),
        ("a.tsv", ["EU x\tB-ORG O"] * 2 + ["EU rejects\tO"], ":3: 2 words but 1 tags"),
        ("a.jsonl", ['{"tokens": ["EU"], "x": 3}'], "cannot tell which column holds the tags"),
        ("a.txt", ["-DOCSTART- O", ""], "holds no words"),
        ("a.txt", ["EU B-ORG", "c\0all O"], "a.txt:2: a NUL character; is the file UTF-16?"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path: Path, name, lines, message):
    with pytest.raises(MiniBertError) as refused:
        read_sentences(write(tmp_path / name, *lines))
    assert message in str(refused.value)


def test_broken_tags_are_repaired_and_counted_or_refused(tmp_path: Path):
    path = write(
        tmp_path / "a.txt", "a B-PER", "b O", "", "c O", "d I-PER", "e I-PER", "", "f B-PER"
    )
    found = read_sentences(path)
    assert found.sentences[1].tags == ["O", "B-PER", "I-PER"]
    assert "1 of 3 sentences are broken, the first in line 5" in found.notes[1]
    with pytest.raises(MiniBertError, match=r"a\.txt:5: the tag 'I-PER' is broken: IOB2 has 'B-P"):
        read_sentences(path, broken_tags="refuse")


def test_another_scheme_is_translated_to_that_of_the_model(tmp_path: Path):
    path = write(tmp_path / "a.txt", "a I-PER", "b I-PER", "c O", "d I-ORG")
    found = read_sentences(path, known=KNOWN, broken_tags="refuse")
    assert found.scheme == "IOB1"
    assert found.sentences[0].tags == ["B-PER", "I-PER", "O", "B-ORG"]
    assert read_sentences(write(path, "a S_PER", "b O"), known=KNOWN).sentences[0].tags == [
        "B-PER",
        "O",
    ]


def test_an_unknown_tag_is_refused_with_its_line(tmp_path: Path):
    path = write(tmp_path / "a.txt", "a B-PER", "b B-LOC")
    with pytest.raises(MiniBertError, match=r"a\.txt:2: the tag 'B-LOC' is not one of the model"):
        read_sentences(path, known=KNOWN)


def test_a_file_to_predict_holds_words_or_texts(tmp_path: Path):
    pos = TagSet(("DT", "NN"), None)
    texts = write(tmp_path / "a.txt", "Peter lives in Paris", "In Paris")
    assert not holds_words(texts, None, KNOWN)
    assert holds_words(conll(tmp_path / "b.txt"), None, KNOWN)
    assert holds_words(write(tmp_path / "c.txt", "the DT", "cat NN"), None, pos)
    words = write(tmp_path / "d.conll", "Peter", "sleeps", "", "Paris")
    assert holds_words(words, None, KNOWN)
    assert read_sentences(words, labelled=False).sentences[0].words == ["Peter", "sleeps"]


def test_dev_sentences_are_held_out_at_random_and_repeated_ones_are_told(tmp_path: Path):
    blocks = [f"w{number} B-PER\nx O\n" for number in range(20)]
    path = write(tmp_path / "a.txt", *blocks)
    data = read_tagging(path, dev_share=0.2, seed=3)
    assert (len(data.splits["train"]), len(data.splits["dev"])) == (16, 4)
    assert read_tagging(path, dev_share=0.2, seed=3).splits == data.splits
    assert read_tagging(path, dev_share=0.2, seed=4).splits != data.splits
    assert "20 training sentences are also in dev" in read_tagging(path, path).describe()
    with pytest.raises(MiniBertError, match="cannot be held out"):
        read_tagging(path, limit=1)


def test_the_real_files_are_read_whole():
    english = read_tagging(shared("data/conll2003/valid.txt"), broken_tags="refuse")
    assert sum(map(len, english.splits.values())) == 3250
    assert (english.tags.scheme, len(english.tags.names)) == ("IOB2", 9)
    assert not english.by_character
    chinese = read_tagging(shared("data/msra_ner/train_small.tsv"), broken_tags="refuse")
    assert sum(map(len, chinese.splits.values())) == 1000
    assert chinese.by_character


def windows_of(sentences: list[list[str]], max_length: int):
    tags = [["B-PER" if word == "cats" else "O" for word in words] for words in sentences]
    label2id = {"O": 0, "B-PER": 1}
    return make_windows(tiny_tokenizer(), sentences, tags, label2id=label2id, max_length=max_length)


def test_the_first_piece_of_a_word_has_its_label():
    windows = windows_of([["the", "cats", "\u200b", "sat"]], 16)
    tokenizer = tiny_tokenizer()
    tokens = tokenizer.convert_ids_to_tokens(windows.batches.texts.input_ids[0].tolist())
    assert tokens == ["[CLS]", "the", "cat", "##s", "[UNK]", "sat", "[SEP]"]
    assert windows.batches.targets[0].tolist() == [-100, 0, 1, -100, 0, 0, -100]
    assert windows.first_pieces[0].tolist() == [1, 2, 4, 5]


def test_a_long_sentence_is_split_after_punctuation_and_no_word_is_lost():
    windows = windows_of([["the", "cat", "sat", ".", "the", "cats", "sat"]], 7)
    assert windows.places == [(0, 0), (0, 4)]
    assert "split into windows: 1 of 1" in windows.describe(7)
    draw = random.Random(0)
    sentences = [
        [draw.choice(["the", "cats", "mats", ".", "\u200b"]) for _ in range(draw.randint(0, 30))]
        for _ in range(50)
    ]
    for max_length in (3, 4, 9):
        windows = windows_of(sentences, max_length)
        seen = {
            (sentence, first + word)
            for (sentence, first), places in zip(windows.places, windows.first_pieces, strict=True)
            for word in range(len(places))
        }
        assert len(seen) == sum(map(len, windows.first_pieces)) == sum(map(len, sentences))
        assert max(windows.batches.lengths) <= max_length
        labels = np.concatenate(windows.batches.targets)
        assert (labels == 1).sum() == sum(words.count("cats") for words in sentences)
    with pytest.raises(MiniBertError, match="leaves no room"):
        windows_of(sentences, 2)
