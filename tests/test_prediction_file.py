"""What you can rely on: a file to predict may have any size, and no text of it is lost or moved.

Every form of file gives the texts that it gives as a whole, in its order; a .txt file is one text
per line. `minibert predict --output` keeps the columns of the file and adds its own.
"""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from tiny_folders import classifier_folder, pretrained_folder

from minibert.cli.main import main
from minibert.data.labelled import prediction_file
from minibert.data.labelled.header import Columns
from minibert.data.labelled.prediction_file import PredictionFile
from minibert.errors import MiniBertError


def texts(path: Path, *columns: str) -> list[str]:
    return [row.text for part in PredictionFile(path, Columns(*columns)).parts() for row in part]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("review\ngood\tfilm\n\nbad\n", ["review", "good\tfilm", "", "bad"]),
        ("one\r\ntwo\rstill two\r\n", ["one", "two\rstill two"]),
        ("one\rtwo\r\rfour\r", ["one", "two", "", "four"]),
        ("\ufefflabel\ttext", ["label\ttext"]),
        ('"quoted"\n"too"\n"all"\n', ['"quoted"', '"too"', '"all"']),
        ("a\x85b\u2028c\x0cd\n", ["a\x85b\u2028c\x0cd"]),
        ("x" * 10**6 + "\ny\n", ["x" * 10**6, "y"]),
    ],
)
def test_a_txt_file_is_one_text_per_line(content, expected, tmp_path):
    file = PredictionFile(written(tmp_path / "t.txt", content))
    assert [row.text for part in file.parts() for row in part] == expected
    assert file.count == len(expected)
    assert file.empty == [i for i, text in enumerate(expected, start=1) if not text]


def test_a_txt_file_has_columns_if_one_is_asked_for(tmp_path):
    path = written(tmp_path / "t.txt", "good\tfilm\nbad\tbook\n")
    assert texts(path, "2") == ["film", "book"]


ROWS = [(f"text {n}, with a ; and a \t", str(n % 7)) for n in range(30)]


def forms() -> dict[str, str]:
    """The same rows in every form; some rows take several lines, some have no text."""
    rows = [("" if n % 9 == 4 else text, label) for n, (text, label) in enumerate(ROWS)]
    multiline = [(text.replace(" with", '\nwith "quotes"'), label) for text, label in rows]

    def table(rows, **options) -> str:
        out = io.StringIO()
        csv.writer(out, **options).writerows([("text", "label"), *rows])
        return out.getvalue()

    objects = [{"text": text, "label": label} for text, label in multiline]
    return {
        "a.csv": table(multiline),
        "b.csv": "sep=;\n" + table(multiline, delimiter=";"),
        "c.csv": table(multiline, quoting=csv.QUOTE_ALL, lineterminator="\n\n"),
        "d.tsv": "".join(f"{t}\t{n}\n" for t, n in [("text", "label"), *no_tabs(rows)]),
        "e.tsv": "".join(f'"{t}"\t"{n}"\n' for t, n in [("text", "label"), *no_tabs(rows)]),
        "f.tsv": "".join(f"__label__{n} {t}\n" for t, n in no_tabs(ROWS)),
        "g.jsonl": "\n\n".join(map(json.dumps, objects)),
        "h.json": json.dumps(objects),
        "j.json": "\n".join(json.dumps(each, indent=1) for each in objects),
        "i.json": json.dumps({"text": [t for t, _ in multiline], "label": [n for _, n in rows]}),
    }


def no_tabs(rows):
    return [(text.replace("\t", " "), label) for text, label in rows]


@pytest.mark.parametrize("name", forms())
def test_parts_of_a_file_give_the_rows_of_the_whole(name, tmp_path, monkeypatch):
    path = written(tmp_path / name, forms()[name])
    whole = [row for part in PredictionFile(path).parts() for row in part]
    assert len(whole) == len(ROWS)
    monkeypatch.setattr(prediction_file, "HEAD", 3)
    monkeypatch.setattr(prediction_file, "PART", 4)
    parts = list(PredictionFile(path).parts())
    assert len(parts) == 1 if name.endswith(".json") else len(parts) > 5
    assert [row for part in parts for row in part] == whole


def test_quotes_that_end_in_a_later_part_stay_in_all(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_file, "PART", 5)
    lines = [*(f'"text {n}"\t"x"' for n in range(20)), 'the "last"\tx']
    path = written(tmp_path / "t.tsv", "text\tlabel\n" + "\n".join(lines))
    assert texts(path)[:2] == ['"text 0"', '"text 1"']


BAD = [
    ("a.csv", 'text,label\na,1\n"never closed,2\n', 'a.csv:3: a " that opens a cell is never'),
    ("a.tsv", "text\tlabel\n" + "a\t1\n" * 2000 + "b\n", "a.tsv:2002: 1 cells where the first"),
    ("a.jsonl", '{"text": "a"}\n' * 2000 + "{\n", "a.jsonl:2001: not JSON"),
    ("b.jsonl", '{"text": "a"}\n{"txt": "b"}\n', "b.jsonl:2: column 'text' is missing"),
    ("c.jsonl", '{"text": "a"}\n{"text": ["b"]}\n', "c.jsonl:2: column 'text' holds a list"),
    ("a.txt", "a\n" * 2000 + "b\0", "a.txt:2001: a NUL character"),
    ("b.txt", b"a\n\xff\n", "b.txt:2:1: byte 0xff is not UTF-8"),
    ("c.txt", "", "c.txt is empty"),
    ("a.txt.gz", b"\x1f\x8b", "cannot tell the format from the name"),
    ("d.txt", b"\x1f\x8b", "compressed with gzip"),
    ("b.csv", "text,label\n", "b.csv holds no texts"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BAD)
def test_a_bad_line_is_found_before_anything_is_predicted(name, content, sentence, tmp_path):
    with pytest.raises(MiniBertError) as error:
        PredictionFile(written(tmp_path / name, content))
    assert sentence in str(error.value)


@pytest.fixture
def minibert(tmp_path, monkeypatch, capsys):
    """Run a command in a folder that holds a classifier of texts and one of pairs."""
    monkeypatch.chdir(tmp_path)
    classifier_folder(tmp_path / "cls")
    classifier_folder(tmp_path / "pairs", pairs=True)

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        return (stop.value.code, *capsys.readouterr())

    return command


def test_predictions_keep_the_columns_and_the_order_of_a_csv_file(minibert):
    written(Path("in.csv"), 'n,text,n\n1,the cat,x\n2,,y\n3,"two\nlines, ""q""",z\n')
    code, out, err = minibert("predict", "cls", "--file", "in.csv", "--output", "out.csv")
    assert (code, out) == (0, "wrote 3 predictions to out.csv\n")
    assert "note: empty texts: 1 (line 3); they keep their place" in err
    rows = list(csv.DictReader(io.StringIO(Path("out.csv").read_text(encoding="utf-8"))))
    own = ["predicted_label", "probability_good", "probability_bad"]
    assert list(rows[0]) == ["n (column 1)", "text", "n (column 3)", *own]
    assert [row["text"] for row in rows] == ["the cat", "", 'two\nlines, "q"']
    for row in rows:
        good, bad = float(row["probability_good"]), float(row["probability_bad"])
        assert good + bad == pytest.approx(1, abs=1e-5)
        assert row["predicted_label"] == ("good" if good > bad else "bad")
    # What was predicted before is kept when it is predicted once more.
    assert minibert("predict", "cls", "--file", "out.csv", "--output", "again.csv")[0] == 0
    [again, *_] = csv.DictReader(io.StringIO(Path("again.csv").read_text(encoding="utf-8")))
    assert again.items() >= rows[0].items()
    assert again["predicted_label_2"] == again["predicted_label"]


def test_a_json_line_stays_as_it_is_written(minibert):
    line = '{"text": "the cat", "meta": {"a": [1, 2.50, null]}, "big": 12345678901234567890}'
    written(Path("in.jsonl"), f"{line}\n\n{{}}\n".replace("{}", '{"text": "猫"}'))
    code, _, err = minibert("predict", "cls", "--file", "in.jsonl", "--output", "out.jsonl")
    assert (code, "note: blank lines skipped: 1" in err) == (0, True)
    first, second = Path("out.jsonl").read_text(encoding="utf-8").splitlines()
    assert first.startswith(line[:-1] + ', "predicted_label": "')
    assert json.loads(second)["text"] == "猫"
    assert minibert("predict", "cls", "--file", "in.jsonl", "--output", "out.csv")[0] == 0
    [row, _] = csv.DictReader(io.StringIO(Path("out.csv").read_text(encoding="utf-8")))
    assert (row["meta"], row["big"]) == ('{"a": [1, 2.5, null]}', "12345678901234567890")


def test_pairs_and_standard_input_are_predicted_too(minibert, monkeypatch):
    written(Path("in.tsv"), "sentence1\tsentence2\nthe cat\tparis\n猫\t狗\n")
    code, out, _ = minibert("predict", "pairs", "--file", "in.tsv")
    assert code == 0
    assert out.endswith("  猫  |  狗\n")
    assert "second text" in minibert("predict", "cls", "--file", "in.tsv")[2]
    assert (
        "--pair-column" in minibert("predict", "pairs", "--file", "in.tsv", "--text-column", "1")[2]
    )
    for content, code, words in (
        (b"the cat\n\nparis", 0, ""),
        (b"", 2, "standard input holds no texts"),
        (b"a\n\xff\n", 2, "standard input is not UTF-8 at byte 0xff"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        result = minibert("predict", "cls", "--file", "-", "--output", f"{len(content)}.csv")
        assert (result[0], words in result[2]) == (code, True)
    assert len(Path("14.csv").read_text(encoding="utf-8").splitlines()) == 4
    assert not Path("0.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--file in.txt --output in.txt", "must end in .csv or .jsonl"),
        ("--file in.txt --output old.csv", "old.csv exists already"),
        ("--file in.txt --output no/new.csv", "no does not exist; create it"),
        ("--file in.txt --output new.csv --json", "--json prints"),
        ("--file in.txt text", "give texts or --file, not both"),
        ("--file nowhere.txt", "nowhere.txt does not exist"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_model_is_loaded(minibert, arguments, words):
    written(Path("in.txt"), "the cat\n")
    written(Path("old.csv"), "mine")
    Path("no-weights").mkdir()
    written(Path("no-weights/config.json"), "{}")
    code, out, err = minibert("predict", "no-weights", *arguments.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert Path("old.csv").read_text(encoding="utf-8") == "mine"


def test_a_text_takes_one_line_of_output(minibert):
    code, out, _ = minibert("predict", "cls", "two\nlines", "\x1b[31mred")
    assert code == 0
    assert [line.split("  ")[-1] for line in out.splitlines()] == [r"two\nlines", r"\u001b[31mred"]


def test_fill_mask_takes_several_texts_and_files(minibert, tmp_path):
    pretrained_folder(tmp_path / "lm")
    code, out, _ = minibert("fill-mask", "lm", "the [MASK]", "[MASK] cat", "--top-k", "1")
    lines = out.splitlines()
    assert (code, len(lines), lines[0], lines[2]) == (0, 4, "the [MASK]", "[MASK] cat")
    written(Path("in.txt"), "the [MASK]\n\n[MASK]\tcat\n")
    code, out, err = minibert("fill-mask", "lm", "--file", "in.txt", "--json", "--top-k", "1")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["text"] for answer in answers] == ["the [MASK]", "", "[MASK]\tcat"]
    assert [len(answer["masks"]) for answer in answers] == [1, 0, 1]
    assert "empty texts: 1 (line 2)" in err
    assert minibert("fill-mask", "lm", "the [MASK]", "a cat")[2].startswith(
        "error: text:2: the text"
    )


def test_embed_gives_every_line_a_vector(minibert, tmp_path):
    written(Path("in.txt"), "review\nthe\tcat\n\nparis\n")
    code, out, err = minibert("embed", "cls", "--file", "in.txt")
    assert code == 0
    assert [json.loads(line)["text"] for line in out.splitlines()] == [
        "review",
        "the\tcat",
        "",
        "paris",
    ]
    assert "empty texts: 1 (line 3); they keep their place" in err
