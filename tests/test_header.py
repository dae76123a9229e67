"""What you can rely on: column names are never taken for an example, nor an example for names.

One rule for every file, whatever it is for. Each test is a file as people have it.
"""

import pytest

from minibert.data.labelled.examples import read_examples
from minibert.data.labelled.header import Columns, has_header
from minibert.data.labelled.splits import read_task
from minibert.errors import MiniBertError

QUESTIONS = ["Who is it?\tquestion", "It is me.\tanswer", "Why?\tquestion", "So.\tanswer"]


def rows(*lines):
    return [line.split("|") for line in lines]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # A known name above other values.
        (["text|label", "good|1", "bad|0"], True),
        (["文本|标签", "好|正面", "坏|负面"], True),
        (["label|review", "1|good", "0|bad"], True),
        (["|text|label", "0|good|pos", "1|bad|neg"], True),
        # A value that occurs again in its column is not a name.
        (["Who?|question", "I.|answer", "Why?|question"], False),
        (["title|3", "another text|3", "a third|1"], False),
        (["tweet|review", "a|other", "b|review"], False),
        # A text that spells its column's name does not make the names an example.
        (["text|label", "text|spam", "other|ham"], True),
        (["sentence|label", "a|label", "b|other", "c|label"], True),
        # The names of a second file that was appended.
        (["text|label", "a|1", "text|label", "b|0"], True),
        # A word above numbers: labels, scores, line numbers.
        (["tweet_en|stars_given", "a|5", "b|3", "c|0"], True),
        (["id|satz|art", "1|a|x", "2|b|y"], True),
        (["|satz|art", "0|a|x", "1|b|y"], True),
        (["satz|wert", "a|-0.5", "b|1e3"], True),
        (["satz|flag", "a|1", "b|N/A", "c|0", "d|"], True),
        # Numbers above numbers, words above words.
        (["good film|1", "bad film|0"], False),
        (["one|x", "two|y", "three|x"], False),
        (["no|N/A", "good film|1", "bad film|0"], False),
        (["no|?", "good|?", "bad|?"], False),
        # What R, Excel and pandas write where there are no names.
        (["V1|V2", "a|x", "b|y"], True),
        (["v1|v2|||", "ham|a|||", "spam|b|||"], True),
        (["Column1|Column2", "a|x", "b|y"], True),
        (["Unnamed: 0|0|1", "0|a|x", "1|b|y"], True),
        (["0|1", "a|x", "b|y"], True),
        # A text is too long for a name.
        ([f"{'review ' * 9}|label", "a|x", "b|y"], False),
    ],
)
def test_the_first_line_is_recognized_by_what_is_below_it(lines, expected):
    assert has_header(rows(*lines)) is expected


def test_the_user_decides_before_any_rule():
    known, plain = rows("text|label", "a|1"), rows("a|x", "b|y")
    assert has_header(known, Columns(header=False)) is False
    assert has_header(plain, Columns(header=True)) is True
    assert has_header(known, Columns(text=1, label=2, header=False)) is False


def test_a_column_by_name_means_a_header_and_by_number_none():
    plain = rows("a|x", "b|y", "c|x")
    assert has_header(plain, Columns(text="a")) is True
    assert has_header(plain, Columns(text="1", label=2)) is False
    # One known name is not enough; all chosen cells must be known names.
    assert has_header(rows("What?|question", "So.|answer"), Columns(text=1, label=2)) is False
    assert has_header(rows("text|label", "a|x"), Columns(text=1, label=2)) is True
    assert has_header(rows("note|text|label", "q|a|x"), Columns(text="2", label="3")) is True
    assert has_header(rows("v1|v2||", "ham|a||"), Columns(text=2, label=1)) is True
    # A word above numbers is a name, however the columns were chosen.
    assert has_header(rows("tweet_en|stars", "a|5"), Columns(text=1, label=2)) is True


def test_train_dev_and_test_are_read_by_one_rule_and_each_is_told(tmp_path):
    files = [tmp_path / f"{name}.tsv" for name in ("train", "dev", "test")]
    # Alone, "question" in the first line of dev would be a name: it does not occur again.
    for file, lines in zip(files, (QUESTIONS, QUESTIONS[:2], QUESTIONS[2:]), strict=True):
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    task = read_task(*files)
    assert {name: len(examples) for name, examples in task.splits.items()} == {
        "train": 4,
        "dev": 2,
        "test": 2,
    }
    assert task.labels.names == ("answer", "question")
    for file in files:
        assert f"{file}: text = column 1, label = column 2 (no header" in task.describe()


def test_dev_with_other_names_or_without_any_is_read_by_itself(tmp_path):
    train, dev, plain = (tmp_path / name for name in ("train.csv", "dev.csv", "plain.csv"))
    train.write_text("label,review\npos,a\nneg,b\n", encoding="utf-8")
    dev.write_text("text,label\nc,pos\nd,neg\n", encoding="utf-8")
    plain.write_text("c d,pos\nd e,neg\nf g,neg\n", encoding="utf-8")
    task = read_task(train, dev, plain)
    assert [example.text for example in task.splits["dev"]] == ["c", "d"]
    assert [example.text for example in task.splits["test"]] == ["c d", "d e", "f g"]


def test_files_of_pairs_and_of_single_texts_are_not_mixed(tmp_path):
    train, dev = tmp_path / "train.csv", tmp_path / "dev.csv"
    train.write_text("sentence1,sentence2,label\na,b,1\nc,d,0\n", encoding="utf-8")
    dev.write_text("sentence,label\na,1\n", encoding="utf-8")
    with pytest.raises(MiniBertError, match=r"only one of .* has a second text"):
        read_task(train, dev)


def test_files_for_prediction_are_read_by_the_same_rule(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("\n".join(QUESTIONS), encoding="utf-8")
    assert len(read_examples(path, labelled=False).examples) == 4
    path.write_text("tweet_en\tstars\na b\t5\nb c\t3\n", encoding="utf-8")
    assert [e.text for e in read_examples(path, labelled=False).examples] == ["a b", "b c"]


def test_a_label_like_no_other_is_refused_until_the_user_says_what_it_is(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("utterance_en,kind\nx y,a\ny z,b\nz,a\nw,b\n", encoding="utf-8")
    with pytest.raises(MiniBertError, match=r"--header.*--no-header"):
        read_examples(path)
    assert len(read_examples(path, Columns(header=True)).examples) == 4
    assert len(read_examples(path, Columns(header=False)).examples) == 5


def test_by_number_a_label_like_no_other_is_read_and_pointed_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("utterance_en,kind\nx y,a\ny z,b\nz,a\nw,b\n", encoding="utf-8")
    read = read_examples(path, Columns(text=1, label=2))
    assert [example.label for example in read.examples] == ["kind", "a", "b", "a", "b"]
    assert "Is line 1 a header? No other line has the label 'kind'; pass --header if" in read.note


def test_a_header_in_the_middle_of_a_file_is_refused(tmp_path):
    path = tmp_path / "joined.csv"
    path.write_text("text,label\na,1\ntext,label\nb,0\n", encoding="utf-8")
    with pytest.raises(MiniBertError, match=r"joined\.csv:3: repeats the header"):
        read_examples(path)
