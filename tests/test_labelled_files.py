"""What you can rely on: a file is read as it is written, or one error names every bad line and why.

Quotes, commas, tabs, byte order marks and the three kinds of line ends keep their meaning; nothing
is dropped, and nothing is guessed without saying so.
"""

import json
import os
import random
import sys

import pytest
from conftest import shared

from minibert.data.labelled.examples import Example, read_examples
from minibert.data.labelled.guess_task import guess_task
from minibert.data.labelled.header import Columns
from minibert.errors import MiniBertError


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


def examples_of(path, **columns):
    return read_examples(path, Columns(**columns)).examples


def refusal(path, **columns):
    with pytest.raises(MiniBertError) as caught:
        examples_of(path, **columns)
    message = str(caught.value)
    assert path.name in message
    return message


def pairs_of(examples):
    return [(example.text, example.label) for example in examples]


# What can be checked by hand


def test_a_tsv_with_a_header_is_read_by_its_column_names(write):
    path = write("train.tsv", "sentence\tlabel\ngood film\t1\nbad film\t0\n")
    assert examples_of(path) == [Example("good film", label="1"), Example("bad film", label="0")]


def test_a_file_without_a_header_keeps_its_first_line(write):
    path = write("train.txt", "股市上涨\t2\n比赛结束\t7\n股市下跌\t2\n")
    assert pairs_of(examples_of(path)) == [
        ("股市上涨", "2"),
        ("比赛结束", "7"),
        ("股市下跌", "2"),
    ]


def test_without_names_the_column_with_fewer_values_is_the_label_wherever_it_stands(write):
    path = write("train.csv", "1,one text\n2,another\n1,a third\n2,a fourth\n")
    assert pairs_of(examples_of(path))[:2] == [("one text", "1"), ("another", "2")]


def test_quotes_in_a_tsv_are_text_and_in_a_csv_they_hold_commas_and_line_ends(write):
    tab = write("a.tsv", 'text\tlabel\n" he said\t1\n5 " nails\t0\n')
    assert [example.text for example in examples_of(tab)] == ['" he said', '5 " nails']
    comma = write("a.csv", 'text,label\r\n"one, ""two""\r\nthree",1\r\nfour,0\r\n')
    assert pairs_of(examples_of(comma)) == [('one, "two"\r\nthree', "1"), ("four", "0")]


def test_jsonl_keeps_numbers_as_written_and_lists_as_several_labels(write):
    path = write("a.jsonl", '{"text": "x", "label": 1.50}\n{"text": "y", "label": ["b", "a"]}\n')
    assert [example.label for example in examples_of(path)] == ["1.50", ("b", "a")]


def test_every_example_knows_its_line_even_after_a_cell_of_three_lines(write):
    path = write("a.csv", 'text,label\n"1\n2\n3",x\nnext,y\n')
    assert [example.where for example in examples_of(path)] == ["a.csv:2", "a.csv:5"]


def test_where_an_example_stands_does_not_make_it_another_example():
    assert Example("a", where="f:1") == Example("a", where="f:2")


def test_columns_can_be_asked_for_by_name_and_by_number(write):
    path = write("a.tsv", "id\tfirst\tsecond\tanswer\n9\ta\tb\tyes\n")
    expected = [Example("a", "b", "yes")]
    named = {"text": "first", "pair": "second", "label": "answer"}
    assert examples_of(path, **named) == expected
    plain = write("b.tsv", "9\ta\tb\tyes\n")
    assert examples_of(plain, text=2, pair="3", label=4) == expected


def test_a_number_that_is_asked_for_does_not_turn_a_line_with_it_into_a_header(write):
    path = write("a.tsv", "one\t2\ntwo\t2\nthree\t1\n")
    assert len(examples_of(path, text="1", label="2")) == 3


def test_a_known_pair_of_columns_is_found(write):
    path = write("a.jsonl", '{"idx": 1, "sentence1": "a", "sentence2": "b", "label": 0}\n')
    assert examples_of(path) == [Example("a", "b", "0")]


def test_what_was_guessed_is_told_in_one_sentence(write):
    named = read_examples(write("a.tsv", "review\tsentiment\nx\tpos\n"))[1]
    assert "text = column 'review', label = column 'sentiment'" in named
    assert "text and label guessed" in named
    plain = read_examples(write("b.tsv", "x y\t1\nz\t1\n"))[1]
    assert "text = column 1, label = column 2 (no header" in plain


def test_texts_for_prediction_need_no_label(write):
    plain = write("a.txt", "first\nsecond\n")
    assert read_examples(plain, labelled=False)[0] == [Example("first"), Example("second")]
    labelled = write("b.csv", "text,label\nx,1\n")
    assert read_examples(labelled, labelled=False)[0] == [Example("x")]


# The ways a file can be written


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl"])
def test_line_ends_and_byte_order_marks_change_nothing(write, end, mark, last, name):
    cut = {"a.tsv": "\t", "a.csv": ","}.get(name)
    rows = [("text", "label"), ("你好 world", "0"), ("two", "1")]
    if cut:
        lines = [cut.join(row) for row in rows]
    else:
        lines = [json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:]]
    path = write(name, mark + end.join(lines) + end * last)
    assert pairs_of(examples_of(path)) == rows[1:]


def test_characters_that_python_calls_line_ends_stay_inside_a_text(write):
    odd = "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g"
    for name, cut in (("a.tsv", "\t"), ("a.csv", ",")):
        path = write(name, f"text{cut}label\n{odd}{cut}1\n")
        assert examples_of(path) == [Example(odd, label="1")]


def test_blank_lines_are_passed_over_and_still_counted(write):
    for name, row in (("a.tsv", "{}\t{}"), ("a.csv", "{},{}")):
        path = write(
            name, "\n".join(["text label".replace(" ", row[2]), "", "x" + row[2] + "1", "", ""])
        )
        assert [example.where for example in examples_of(path)] == [f"{name}:3"]


def test_a_cell_of_ten_million_characters_is_read_and_the_csv_limit_is_put_back(write):
    import csv

    before = csv.field_size_limit()
    path = write("a.csv", "text,label\n" + "x" * 10_000_000 + ",1\n")
    assert len(examples_of(path)[0].text) == 10_000_000
    assert csv.field_size_limit() == before


def test_half_a_character_in_json_becomes_the_replacement_character(write):
    path = write("a.jsonl", r'{"text": "a\ud83d b \ud83d\ude00", "label": "\udc00"}' + "\n")
    (example,) = examples_of(path)
    assert (example.text, example.label) == ("a\ufffd b 😀", "\ufffd")
    example.text.encode("utf-8")


def test_spaces_around_a_label_are_no_part_of_it(write):
    assert examples_of(write("a.csv", "text,label\n x , pos\n"))[0] == Example(" x ", label="pos")


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl"])
def test_random_texts_come_back_as_they_were_written(write, name):
    import csv
    import io

    random_ = random.Random(name)
    alphabet = 'ab "",,;\\\'{}[]你é😀#\u00a0' + ("" if name == "a.tsv" else "\t\n")
    rows = []
    while len(rows) < 300:
        text = "".join(random_.choices(alphabet, k=random_.randint(1, 12)))
        if text.strip():
            rows.append((text, random_.choice(["x", "y"])))
    if name == "a.tsv":
        content = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)
    elif name == "a.csv":
        buffer = io.StringIO()
        csv.writer(buffer).writerows([("text", "label"), *rows])
        content = buffer.getvalue()
    else:
        content = "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows)
    assert pairs_of(examples_of(write(name, content))) == rows


# Files as programs write them: name, content, the first example, what the note must say

LETTERS = [('good, "very" good', "pos"), ("bad; so bad", "neg"), ("fine", "pos"), ("no", "neg")]


def csv_text(separator="\t", quoting="minimal", rows=(("text", "label"), *LETTERS)):
    import csv
    import io

    buffer = io.StringIO()
    how = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL}[quoting]
    csv.writer(buffer, delimiter=separator, quoting=how, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()


OBJECTS = [{"text": text, "label": label} for text, label in LETTERS]
COLUMNS = {"text": [t for t, _ in LETTERS], "label": [label for _, label in LETTERS]}
R_TABLE = '"text"\t"label"\n' + "".join(
    '"{}"\t"{}"\t"{}"\n'.format(n, text.replace('"', '\\"'), label)
    for n, (text, label) in enumerate(LETTERS, start=1)
)
AS_WRITTEN = {
    "Excel, semicolons": ("a.csv", "\ufeff" + csv_text(";"), "cells separated by semicolons"),
    "Excel, sep=": ("a.csv", "sep=;\r\n" + csv_text(";"), "cells separated by semicolons"),
    "tabs in a .csv": ("a.csv", csv_text("\t"), "cells separated by tabs"),
    "commas in a .txt": ("a.txt", csv_text(","), "a CSV file by its first line"),
    "bars in a .csv": ("a.csv", csv_text("|"), "cells separated by bars"),
    "Excel, Unicode text": (
        "a.txt",
        "".join(f"{t}\t{label}\r\n" for t, label in [("text", "label"), *LETTERS]).encode("utf-16"),
        "utf-16 text",
    ),
    "UTF-32": ("a.csv", csv_text(",").encode("utf-32"), "utf-32 text"),
    "all cells quoted": (
        "a.tsv",
        csv_text("\t", "all"),
        "the quotes around every cell of column 1, 2",
    ),
    "objects of several lines": (
        "a.json",
        "\n".join(json.dumps(row, indent=2) for row in OBJECTS),
        "names from the file",
    ),
    "objects and commas": ("a.jsonl", ",\n".join(map(json.dumps, OBJECTS)), "names from the file"),
    "R's write.table": ("a.tsv", R_TABLE, "the quotes around every cell of column 1, 2, 3"),
    "quotes after a space": (
        "a.csv",
        csv_text(",").replace(",pos", ', "pos"').replace(",neg", ', "neg"'),
        "the quotes around every cell of column 2",
    ),
    "a column of row numbers": (
        "a.csv",
        csv_text(",", rows=[("", "text", "label"), *((n, *row) for n, row in enumerate(LETTERS))]),
        "text = column 'text', label = column 'label' (names from the file",
    ),
    "row numbers and unknown names": (
        "a.csv",
        csv_text(
            ",", rows=[("Unnamed: 0", "satz", "art"), *((n, *r) for n, r in enumerate(LETTERS))]
        ),
        "text = column 'satz', label = column 'art' (names from the file",
    ),
    "the spam file": (
        "a.csv",
        csv_text(",", rows=[("v2", "v1", "", ""), *((*row, "", "") for row in LETTERS)]),
        "text = column 'v2', label = column 'v1' (names from the file",
    ),
    "blank rows of Excel": ("a.csv", csv_text(";") + ";\r\n;\r\n", "semicolons"),
    "fastText": (
        "a.txt",
        "".join(f"__label__{label} {text}\n" for text, label in LETTERS),
        "fastText: __label__NAME",
    ),
    "the text second": (
        "a.tsv",
        "".join(f"{label}\t{text}\n" for text, label in LETTERS),
        "text = column 2, label = column 1 (no header",
    ),
    "a JSON list": ("a.json", json.dumps(OBJECTS, indent=2), "label = column 'label'"),
    "a JSON list in a .jsonl": ("a.jsonl", json.dumps(OBJECTS), "label = column 'label'"),
    "JSON lines in a .json": ("a.json", "\n".join(map(json.dumps, OBJECTS)), "column 'label'"),
    "a list inside an object": (
        "a.json",
        json.dumps({"version": 1, "data": OBJECTS}, indent=1),
        "label = column 'label'",
    ),
    "JSON columns": ("a.json", json.dumps(COLUMNS), "label = column 'label'"),
    "pandas' to_json": (
        "a.json",
        json.dumps({name: dict(enumerate(cells)) for name, cells in COLUMNS.items()}),
        "label = column 'label'",
    ),
}


@pytest.mark.parametrize("program", AS_WRITTEN)
def test_a_file_is_read_as_the_program_that_wrote_it_means_it(write, program):
    name, content, note = AS_WRITTEN[program]
    read = read_examples(write(name, content))
    assert pairs_of(read.examples) == LETTERS
    assert note in read.note


def test_decimal_commas_are_points_where_semicolons_separate_the_cells(write):
    read = read_examples(write("a.csv", "satz;wert\r\ngut, ja;3,5\r\nna ja;2\r\nschlecht;-0,5\r\n"))
    assert pairs_of(read.examples) == [("gut, ja", "3.5"), ("na ja", "2"), ("schlecht", "-0.5")]
    assert "text = column 'satz', label = column 'wert' (names from the file" in read.note
    assert "decimal commas in column 2" in read.note


def test_only_the_chosen_columns_need_a_name_of_their_own(write):
    path = write("a.csv", "v1,v2,,,\nham,hello there,,,\nspam,buy now,,,\nham,see you,,,\n")
    expected = [("hello there", "ham"), ("buy now", "spam"), ("see you", "ham")]
    assert pairs_of(examples_of(path, text="v2", label="v1")) == expected
    assert pairs_of(examples_of(path, text="2", label="1")) == expected
    path = write("b.csv", "id,id,text,label\n1,2,x,a\n")
    assert pairs_of(examples_of(path)) == [("x", "a")]
    path = write("c.csv", "text,text,label\nx,y,a\n")
    assert pairs_of(examples_of(path, text=2)) == [("y", "a")]
    assert "two columns named 'text'" in refusal(path, text="text")


def test_quoted_names_above_numbers_lose_their_quotes_as_well(write):
    path = write("a.tsv", '"text"\t"label"\n"1"\t"good"\t1\n"2"\t"bad"\t0\n')
    assert pairs_of(examples_of(path, label="label")) == [("good", "1"), ("bad", "0")]
    path = write("b.tsv", R_TABLE + '"5"\t"what"\tNA\n')  # R leaves what is missing unquoted
    assert pairs_of(examples_of(path)) == [*LETTERS, ("what", "NA")]
    for names in ('"text"\t"label"\n', ""):  # a single row
        path = write("c.tsv", names + '"good, ""very"" good"\t"pos"\n')
        assert pairs_of(examples_of(path)) == LETTERS[:1]


def test_single_quotes_and_half_quoted_columns_of_a_tsv_stay(write):
    path = write("a.tsv", "text\tlabel\n'x'\t1\n\" y \"\t0\nz\t1\n")
    assert [example.text for example in examples_of(path)] == ["'x'", '" y "', "z"]


def test_pairs_on_which_annotators_disagree_are_left_out_and_counted(write):
    pairs = [{"sentence1": "a", "sentence2": "b", "gold_label": label} for label in "-xy-"]
    read = read_examples(write("snli.jsonl", "\n".join(map(json.dumps, pairs))))
    assert [example.label for example in read.examples] == ["x", "y"]
    assert "2 lines whose gold_label is '-' are left out" in read.note
    read = read_examples(write("snli.jsonl", "\n".join(map(json.dumps, pairs[:3]))))
    assert "1 line whose gold_label is '-' is left out" in read.note


def test_fasttext_lines_with_several_labels_are_lists(write):
    path = write("a.txt", "__label__a __label__b one text\n__label__b another\n")
    assert pairs_of(examples_of(path)) == [("one text", ("a", "b")), ("another", ("b",))]


def test_a_file_in_another_encoding_is_read_once_that_is_named(write):
    path = write("a.csv", "text,label\nça coûte 5 £,spam\n".encode("cp1252"))
    assert "pass --encoding cp1252 or gb18030" in refusal(path)
    assert examples_of_encoding(path, "cp1252") == [("ça coûte 5 £", "spam")]
    chinese = write("b.tsv", "文本\t标签\n很好\t正面\n".encode("gb18030"))
    assert examples_of_encoding(chinese, "gb18030") == [("很好", "正面")]
    utf8 = write("c.csv", "text,label\nété,a\n")
    assert examples_of_encoding(utf8, "cp1252") == [("été", "a")]  # it is UTF-8 after all
    with pytest.raises(MiniBertError, match="nonsense"):
        read_examples(path, encoding="nonsense")


def examples_of_encoding(path, encoding):
    return pairs_of(read_examples(path, encoding=encoding).examples)


@pytest.mark.parametrize("name", ["SMSSpamCollection", "train.data", "cola.raw", "v1.0"])
def test_a_file_of_any_name_is_read_if_its_cells_are_separated_by_tabs(write, name):
    lines = 'ham\tsee you at 5, ok\nspam\tyou won\nham\tthanks, "mom"\nspam\tcall now\n'
    read = read_examples(write(name, lines))
    assert pairs_of(read.examples)[2] == ('thanks, "mom"', "ham")
    assert "separated by tabs" in read.note
    assert "rename the file" in refusal(write(f"other-{name}", lines.replace("\t", " ")))


@pytest.mark.parametrize(
    "classes", [("toxic", "obscene"), ("体育", "财经", "科技"), ("1st", "2nd")]
)
def test_a_column_of_0_and_1_for_each_class_is_told_how_to_list_the_names(write, classes):
    rows = [
        f"{i},text {i}," + ",".join(str((i >> k) & 1) for k in range(3)[: len(classes)])
        for i in range(8)
    ]
    path = write("train.csv", "\n".join([",".join(("id", "comment_text", *classes)), *rows]))
    message = refusal(path)
    assert f"{len(classes)} columns hold 0s and 1s" in message
    assert f'"labels": ["{classes[0]}"]' in message
    assert [e.label for e in examples_of(path, label=classes[1])][:3] == ["0", "0", "1"]


# Files for other tasks: the task is named

TAGGING, ANSWERING, CHOOSING = "tagging", "question-answering", "multiple-choice"
OTHER_TASKS = {
    "CoNLL": ("a.txt", "EU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n", TAGGING),
    "words and tags": ("a.tsv", "EU\tB-ORG\nrejects\tO\nPeter\tB-PER\n", TAGGING),
    "characters and tabs": ("a.tsv", "海\tB-LOC\n钓\tO\n\n在\tO\n海\tB-LOC\n" * 2, TAGGING),
    "three columns": ("a.tsv", "EU\tNNP\tB-ORG\nrejects\tVBZ\tO\n", TAGGING),
    "characters": ("a.txt", "海 B-LOC\n钓 O\n\n在 O\n", TAGGING),
    "sequences": ("a.tsv", "text_a\tlabel\n海 钓\tO O\n厦 门\tB-LOC I-LOC\n", TAGGING),
    "segmentation": ("a.tsv", "text_a\tlabel\n海 钓\tB E\n在\tS\n", TAGGING),
    "lists of tags": ("a.jsonl", '{"text": "EU rejects", "labels": ["B-ORG", "O"]}\n', TAGGING),
    "tokens": ("a.jsonl", '{"tokens": ["EU", "rejects"], "ner_tags": [3, 0]}\n', TAGGING),
    "SQuAD": ("a.json", '{"data": [{"title": "t", "paragraphs": [{"context": "c"}]}]}', ANSWERING),
    "answers": (
        "a.jsonl",
        '{"context": "c", "question": "q", "answers": {"text": ["a"]}}\n',
        ANSWERING,
    ),
    "SWAG": ("a.csv", "id,sent1,sent2,ending0,ending1,label\n1,a,b,c,d,0\n2,a,b,c,d,1\n", CHOOSING),
    "choices": (
        "a.jsonl",
        '{"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 0}\n',
        CHOOSING,
    ),
}


@pytest.mark.parametrize("task", OTHER_TASKS)
def test_a_file_for_another_task_is_refused_and_the_task_is_named(write, task):
    name, content, other = OTHER_TASKS[task]
    message = refusal(write(name, content))
    assert f"train with --task {other}." in message
    assert "Pass its name" not in message


@pytest.mark.parametrize("task", OTHER_TASKS)
def test_the_task_of_a_file_is_guessed(write, task):
    name, content, expected = OTHER_TASKS[task]
    assert guess_task(write(name, content)) == expected


def test_a_file_for_classification_or_of_no_known_form_has_no_other_task(write):
    assert guess_task(write("a.csv", "text,label\nbad,0\ngood,1\n")) is None
    assert guess_task(write("a.jsonl", '{"text": "a", "labels": ["x", "y"]}\n')) is None
    assert guess_task(write("a.json", "[")) is None


@pytest.mark.parametrize("labels", [("A", "B", "O", "AB"), ("E-commerce", "B-movie"), ("I", "O")])
def test_labels_that_only_look_like_tags_are_classes(write, labels):
    path = write(
        "a.csv",
        "text,label\n" + "".join(f"text {i},{labels[i % len(labels)]}\n" for i in range(20)),
    )
    assert {example.label for example in examples_of(path)} == set(labels)


# The ways a file can be wrong: (name, content, what the message must say)

BAD = {
    "empty": ("a.tsv", "", "is empty"),
    "only white space": ("a.csv", "\n \n", "is empty"),
    "a header and no more": ("a.tsv", "text\tlabel\n", "a header and no examples"),
    "a cell too many": (
        "a.tsv",
        "text\tlabel\nx\ty\t1\n",
        "a.tsv:2: 3 cells where the first line has 2",
    ),
    "an unquoted comma": ("a.csv", "text,label\nx,y,1\n", "is there a comma in an unquoted text?"),
    "a cell too few": ("a.tsv", "text\tlabel\nx\nz\t0\n", "a.tsv:2: 1 cells"),
    "half a last line": (
        "a.tsv",
        "text\tlabel\nx\t1\nha",
        "1 cells where the first line has 2; is the file cut short?",
    ),
    "an empty text": ("a.tsv", "text\tlabel\n \t1\n", "a.tsv:2: column 'text' is empty"),
    "an empty label": ("a.tsv", "text\tlabel\nx\t\n", "a.tsv:2: column 'label' is empty"),
    "an open quote": (
        "a.csv",
        'text,label\nx,1\n"y,0\nz,1\n',
        'a.csv:3: a " that opens a cell is never closed',
    ),
    "text after a quote": ("a.csv", 'text,label\n"x"y,1\n', 'a.csv:2: a " in the wrong place'),
    "a NUL": ("a.tsv", "text\tlabel\nx\0y\t1\n", "a.tsv:2: a NUL character"),
    "a NUL in csv": ("a.csv", "text,label\nx\0y,1\n", "a.csv:2: a NUL character"),
    "half of UTF-16": ("a.csv", "text,label\nx,1\n".encode("utf-16")[:-1], "is not UTF-16 (is the"),
    "UTF-16 without a mark": ("a.csv", "text,label\nx,1\n".encode("utf-16-le"), "NUL"),
    "Latin-1": (
        "a.tsv",
        "text\tlabel\nx\t1\ncafé\t1\n".encode("latin-1"),
        "a.tsv:3:4: byte 0xe9 is not UTF-8",
    ),
    "a bad byte after a mark": ("a.tsv", b"\xef\xbb\xbfa\xff\t1\n", "a.tsv:1:2: byte 0xff is not"),
    "GB18030": ("a.tsv", "新闻\t1\n".encode("gb18030"), "a.tsv:1:1: byte 0xd0 is not UTF-8"),
    "gzip under another name": (
        "a.csv",
        b"\x1f\x8b\x08\x00",
        "compressed with gzip; unpack it first",
    ),
    "an Excel sheet": ("a.csv", b"PK\x03\x04rest", "Excel sheet"),
    "a packed file": ("a.csv.gz", "text,label", "unpack it"),
    "an unknown format": ("a.xml", "<a/>", "cannot tell the format"),
    "no JSON": (
        "a.jsonl",
        '{"text": "x", "label": "y"}\n{"text": x}\n{}\n',
        "a.jsonl:2: not JSON (Expecting value, character 10)",
    ),
    "half a JSON line": (
        "a.jsonl",
        '{"text": "x", "label": "y"}\n{"text": "z',
        "is the file cut short?",
    ),
    "a JSON number": ("a.jsonl", "7\n", "a.jsonl:1: not an object"),
    "half a JSON list": (
        "a.json",
        '[{"text": "x", "label": "y"},\n{"text": "z"',
        "a.json:2: not JSON (Expecting ',' delimiter, character 13); is the file cut short?",
    ),
    "a missing key": (
        "a.jsonl",
        '{"text": "x", "label": 1}\n{"text": "z"}\n',
        "a.jsonl:2: column 'label' is missing; found 'text'",
    ),
    "JSON null": (
        "a.jsonl",
        '{"text": "x", "label": null}\n',
        "a.jsonl:1: column 'label' is empty",
    ),
    "a list for a text": (
        "a.jsonl",
        '{"text": ["x"], "label": 1}\n',
        "a list where a text is expected",
    ),
    "an object for a label": (
        "a.jsonl",
        '{"text": "x", "label": {"a": 1}}\n',
        "a.jsonl:1: column 'label' is an object where a text is expected",
    ),
    "multi-hot": (
        "a.jsonl",
        '{"text": "x", "labels": [0.0, 1.0, 0.0]}\n{"text": "y", "labels": [1.0, 0.0, 0.0]}\n',
        "a.jsonl:1: column 'labels' must list the names",
    ),
    "multi-hot of one class": ("a.jsonl", '{"text": "x", "labels": [1.0]}\n', "not numbers from 0"),
    "multi-hot of booleans": ("a.jsonl", '{"text": "x", "labels": [true, false]}\n', "not numbers"),
    "a list in a .csv": ("a.csv", "text,labels\nx,\"['a', 'b']\"\n", "'labels' holds a list"),
    "an empty JSON list": ("a.json", "[]", "a.json holds no examples"),
    "an empty JSON object": ("a.json", "{}", "it has no columns"),
    "a missing value in JSON": ("a.jsonl", '{"text": "x", "label": NaN}\n', "'label' is empty"),
    "a CR among LFs": ("a.tsv", "text\tlabel\na\t1\rb\t0\nc\t1\n", "a carriage return (CR)"),
    "several lists in an object": (
        "a.json",
        '{"train": [{"text": "x"}], "dev": [{"text": "y"}]}',
        "several lists of objects, 'train', 'dev'",
    ),
    "half a last character": ("a.txt", "新闻\t1\n新".encode()[:-1], "is the file cut short?"),
    "0 and 1 for labels": (
        "a.jsonl",
        '{"text": "x", "label": [0, 1, 0]}\n',
        "must list the names of the classes that apply, each once, not numbers from 0 to 1",
    ),
    "text after a list": (
        "a.json",
        '[{"text": "x", "label": "a"},\n{"text": "y", "label": "b"}] {"text": "z"}\n',
        "a.json:2: not JSON (there is more after the end of the list)",
    ),
    "brackets without end": ("a.jsonl", '{"text": ' + "[" * 100_000, "a.jsonl:1"),
    "two columns of one name": (
        "a.tsv",
        "text\ttext\tlabel\nx\ty\t1\n",
        "two columns named 'text'",
    ),
    "nothing like a text": (
        "a.tsv",
        "id\tlabel\tnote\n1\t2\t3\n",
        "which column is the text; it has the columns 'id', 'label', 'note'",
    ),
    "two texts to choose from": (
        "a.tsv",
        "title\tcontent\tlabel\nx\ty\t1\n",
        "Pass its name or its number from 1 (--text-column)",
    ),
    "no label": ("a.tsv", "text\tid\nx\t1\n", "cannot tell which column is the label"),
    "three nameless columns": (
        "a.tsv",
        "a\tb\t1\nc\td\t0\n",
        "3 columns without names (a | b | 1). Pass its name or its number",
    ),
    "one nameless column": ("a.txt", "hello\nworld\n", "cannot tell which column is the label"),
    "semicolons": ("a.tsv", "note;kind\nx;1\n", "Check the separators: tabs in a .tsv"),
    "a header of unknown names": (
        "a.csv",
        "utterance_en,kind\nx,a\ny,b\nz,a\nw,b\n",
        "no other line has the label 'kind'",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_refused_with_its_place_and_reason(write, fault):
    name, content, reason = BAD[fault]
    assert reason in refusal(write(name, content))


def test_all_bad_lines_are_told_at_once_and_the_many_are_counted(write):
    lines = ["text\tlabel"] + ["only"] * 25 + ["x\t1"]
    message = refusal(write("a.tsv", "\n".join(lines)))
    assert message.count("\n") == 10
    assert "a.tsv:2:" in message
    assert "a.tsv:11:" in message
    assert message.endswith("and 15 more")


def test_bad_lines_of_different_kinds_come_in_the_order_of_the_file(write):
    message = refusal(write("a.tsv", "text\tlabel\n\t1\nx\ny\t\n"))
    assert [line.split(":")[-2] for line in message.splitlines()] == ["2", "3", "4"]


def test_a_misspelled_column_is_answered_with_the_one_that_was_meant(write):
    path = write("a.tsv", "sentence\tlabel\nx\t1\n")
    message = refusal(path, text="sentense")
    assert "it has the columns 'sentence', 'label'" in message
    assert "Did you mean 'sentence'?" in message
    assert "has no column '3'" in refusal(path, label=3)
    assert "has no column '0'" in refusal(path, label="0")


def test_one_column_cannot_be_text_and_label(write):
    path = write("a.tsv", "text\tlabel\nx\t1\n")
    assert "must be different" in refusal(path, text="text", label="text")


def test_what_is_no_file_is_said_so(tmp_path):
    (tmp_path / "train.tsv").write_text("text\tlabel\nx\t1\n", encoding="utf-8")
    (tmp_path / "folder.tsv").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder.tsv")
    assert f"Did you mean '{tmp_path / 'train.tsv'}'?" in refusal(tmp_path / "trian.tsv")
    assert "does not exist; check the path" in refusal(tmp_path / "nowhere" / "x.csv")
    assert "cannot read" in refusal(tmp_path / f"{'x' * 300}.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tsv")
    assert "is a pipe" in refusal(tmp_path / "a.tsv")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions work differently on Windows")
def test_gigabytes_of_nothing_are_refused_by_their_beginning(tmp_path):
    path = tmp_path / "a.tsv"
    with path.open("wb") as file:
        file.truncate(2**33)
    assert "begins with NUL characters" in refusal(path)


def test_a_file_that_may_not_be_read_is_one_sentence(write):
    path = write("a.tsv", "text\tlabel\nx\t1\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "cannot read" in refusal(path)


def test_whatever_bytes_a_file_holds_it_is_read_or_refused_in_words(tmp_path):
    pieces = [b"text", b"label", b"\t", b",", b"\n", b"\r", b"\r\n", b'"', b"{", b"}", b"[", b":"]
    pieces += [b'"text"', b'"label"', b"1", b"2.5", b"null", b"\xff", "你".encode(), b"\0", b" "]
    pieces += [b"\xef\xbb\xbf", b"\\ud83d", b'{"text":"x","label":1}\n', b"good\t1\n", b"bad,0\n"]
    draw = random.Random(0)
    read = 0
    for _ in range(3000):
        path = tmp_path / draw.choice(["f.tsv", "f.csv", "f.jsonl"])
        path.write_bytes(b"".join(draw.choices(pieces, k=draw.randint(0, 25))))
        columns = {"label": draw.choice([None, None, 1, "2", "label", 0])}
        try:
            examples = examples_of(path, **columns)
        except MiniBertError as error:
            assert str(path) in str(error)
        else:
            read += 1
            assert examples
            assert all(example.text.strip() and example.text.encode() for example in examples)
    assert read > 20


# Real files


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        (
            "glue/SST-2/dev.tsv",
            872,
            Example("it 's a charming and often affecting journey . ", label="1"),
        ),
        ("glue/MRPC/dev.tsv", 408, None),
        ("glue/STS-B/dev.tsv", 1500, None),
        ("thucnews/dev.txt", 10_000, Example("体验2D巅峰 倚天屠龙记十大创新概览", label="8")),
        ("imdb/train.tsv", 25_000, None),
    ],
)
def test_public_data_sets_are_read_without_any_option(name, count, first):
    examples = examples_of(shared(f"data/{name}"))
    assert len(examples) == count
    assert first is None or examples[0] == first


def test_mrpc_with_its_unquoted_quotes_keeps_all_of_them():
    path = shared("data/glue/MRPC/train.tsv")
    examples = examples_of(path, text="#1 String", pair="#2 String", label="Quality")
    quotes = sum(
        example.text.count('"') + (example.text_pair or "").count('"') for example in examples
    )
    assert quotes == path.read_text(encoding="utf-8").count('"')
    assert {example.label for example in examples} == {"0", "1"}


def test_a_multiple_choice_file_is_read_once_its_columns_are_named():
    examples = examples_of(shared("data/copa/val.jsonl"), text="premise", pair="choice1")
    assert len(examples) == 100
    assert examples[0].label == "1"


@pytest.mark.parametrize("label", ["[1, 0]", "[0, 1]", "[1, 1, 0]", "[0.3, 0.7]", "[0.5]"])
def test_a_vector_of_0_and_1_is_not_taken_for_names(tmp_path, label):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "x", "label": {label}}}\n', encoding="utf-8")
    with pytest.raises(
        MiniBertError,
        match=r"a\.jsonl:1: .*must list the names .* each once, not numbers from 0 to 1",
    ):
        examples_of(path)
