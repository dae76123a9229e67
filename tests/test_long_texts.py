"""What you can rely on: of a text that is too long, the parts are read that were asked for.

`minibert finetune` trains with every pooling, every choice for long texts and every fusion; what it
saves predicts the same in a new process.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny_folders import POSITIONS, classifier_folder, pretrained_folder, tiny_tokenizer

from minibert import MiniBertError
from minibert.cli.main import main
from minibert.data.labelled.examples import Example
from minibert.data.labelled.long_texts import (
    MAX_WINDOWS,
    WindowBatches,
    batch_texts,
    describe_long_texts,
    longest_read,
    split_windows,
    truncate,
)
from minibert.inference.text_classification import TextClassifier
from minibert.model.pooling import BertForPooledClassification

WORDS = "the cat sat on a mat paris is capital of france".split()
TEXT = np.arange(100, 120)  # 20 tokens; 100 is [CLS], 119 is [SEP]


@pytest.mark.parametrize(
    ("long_text", "kept"),
    [
        ("head", [100, 101, 102, 103, 104, 105, 106, 119]),
        ("tail", [100, 113, 114, 115, 116, 117, 118, 119]),
        ("head+tail", [100, 101, 102, 115, 116, 117, 118, 119]),
    ],
)
def test_cls_and_sep_stay_around_what_is_read(long_text, kept):
    assert truncate(TEXT, 8, long_text).tolist() == kept
    assert truncate(TEXT[:8], 8, long_text).tolist() == [*range(100, 108)]


def test_of_512_tokens_128_are_from_the_head_and_382_from_the_tail():
    text = np.arange(1000)
    assert truncate(text, 512, "head+tail").tolist() == [*range(129), *range(617, 1000)]


@pytest.mark.parametrize("length", [2, 3, 9, 10, 11, 16, 17, 40])
@pytest.mark.parametrize("size", [3, 4, 10])
def test_windows_read_every_token_and_overlap_by_a_quarter(length, size):
    text = np.arange(length)
    windows = split_windows(text, size)
    inside = [window[1:-1].tolist() for window in windows]
    assert sorted({token for window in inside for token in window}) == [*range(1, length - 1)]
    assert all(window[0] == 0 and window[-1] == length - 1 for window in windows)
    assert all(len(window) == min(length, size) for window in windows)
    starts = [window[0] for window in inside if window]
    step = size - 2 - (size - 2) // 4
    assert all(after - before == step for before, after in pairwise(starts[:-1]))


def test_the_longest_text_that_windows_read_whole_has_the_most_windows():
    longest = longest_read(10, "windows")
    assert len(split_windows(np.arange(longest), 10)) == MAX_WINDOWS
    assert len(split_windows(np.arange(longest + 1), 10)) == MAX_WINDOWS + 1
    assert longest_read(10, "tail") == 10


def window_batches(**options) -> WindowBatches:
    examples = [Example(" ".join(WORDS[:count])) for count in (1, 11, 4, 5, 9)]
    options = {"max_length": 6, "long_text": "windows", "pad_token_id": 0} | options
    return batch_texts(tiny_tokenizer(), examples, [0, 1, 1, 0, 1], **options)


def test_a_batch_holds_all_windows_of_a_text_then_all_of_the_next():
    batch = window_batches().collate([1, 0, 3])
    assert batch["window_counts"].tolist() == [4, 1, 2]
    assert batch["labels"].tolist() == [1, 0, 0]
    tokenizer = tiny_tokenizer()
    rows = [tokenizer.decode(ids, skip_special_tokens=True) for ids in batch["input_ids"].tolist()]
    assert rows == [
        *("the cat sat on", "on a mat paris", "paris is capital of", "is capital of france"),
        "the",
        *("the cat sat on", "cat sat on a"),
    ]
    assert batch["attention_mask"].sum(dim=1).tolist() == [6, 6, 6, 6, 3, 6, 6]


def test_all_texts_are_evaluated_once_in_batches_of_few_windows():
    seen = []
    for indices, batch in window_batches().longest_first(4):
        assert len(batch["input_ids"]) <= 4
        seen += indices
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_a_run_with_windows_of_another_length_is_not_resumed():
    assert window_batches().fingerprint() != window_batches(max_length=5).fingerprint()


def test_the_tail_of_a_text_is_what_the_tokenizer_makes_of_its_last_words():
    batches = window_batches(long_text="tail")
    expected = tiny_tokenizer()(" ".join(WORDS[7:]))["input_ids"]
    assert batches.texts.input_ids[1].tolist() == expected
    assert batches.texts.full_lengths == [3, 13, 6, 7, 11]


def test_the_report_says_what_every_choice_truncates_and_loses():
    told = describe_long_texts([10] * 97 + [100] * 3, max_length=40, long_text="tail", positions=64)
    first, header, at_once, windows, longer = told.splitlines()
    assert first.endswith("truncated to 40: 3 of 100 (3.0%).")
    assert header.split() == ["texts", "truncated", "tokens", "lost"]
    assert at_once.endswith("tail             3 (3.0%)         14.2%")  # 3 * 60 of 1270 tokens
    assert windows.endswith("0 (0.0%)          0.0%")
    assert longer.startswith("--max-length 64 ") and longer.endswith("3 (3.0%)          8.5%")
    assert "\n" not in describe_long_texts([9], max_length=9, long_text="head", positions=64)


def write(path: Path, count: int, seed: int) -> Path:
    """Texts of 1 to 40 words; the last one decides on the label."""
    draw, lines = random.Random(seed), ["text\tlabel"]
    for number in range(count):
        words = [draw.choice(WORDS[:6]) for _ in range(draw.randrange(40))]
        lines.append(f"{' '.join([*words, WORDS[6 + number % 2]])}\t{['city', 'verb'][number % 2]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


CHOICES = {
    **{name: ["--pooling", name] for name in ("pooler", "cls", "mean", "max", "attention", "cnn")},
    **{name: ["--pooling", name] for name in ("lstm", "gru", "last2-concat", "last1-mix")},
    **{name: ["--long-text", name] for name in ("head", "tail", "head+tail", "windows")},
    "features": ["--features-only", "--long-text", "windows", "--pooling", "mean"],
    "max of windows": ["--long-text", "windows", "--fuse", "max", "--pooling", "cls"],
    "attention of windows": ["--long-text", "windows", "--fuse", "attention", "--pooling", "mean"],
    "transformer": ["--long-text", "windows", "--fuse", "transformer", "--pooling", "cnn"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    pretrained_folder(folder / "pretrained")
    write(folder / "train.tsv", 60, 1)
    write(folder / "dev.tsv", 20, 2)
    return folder


@pytest.fixture
def minibert(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    monkeypatch.chdir(place)

    def command(*words: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return ended.value.code, *capsys.readouterr()

    return command


TRAIN = ("finetune", "--train", "train.tsv", "--dev", "dev.tsv", "--max-length", "10")
TRAIN = (*TRAIN, "--epochs", "1", "--model", "pretrained")


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_is_trained_and_what_is_saved_scores_the_same(choice, minibert):
    output = choice.replace(" ", "-")
    code, out, err = minibert(*TRAIN, *CHOICES[choice], "--output", output)
    assert code == 0, err
    assert "--long-text head, tail or head+tail " in out
    code, printed, err = minibert("evaluate", output, "dev.tsv", "--json")
    metrics = json.loads(Path(output, "metrics.json").read_text("utf-8"))
    assert json.loads(printed)["loss"] == metrics["dev"]["loss"]  # to the last bit
    words = CHOICES[choice]
    long_text = words[words.index("--long-text") + 1] if "--long-text" in words else "head"
    assert json.loads(Path(output, "task.json").read_text("utf-8"))["long_text"] == long_text
    assert minibert("predict", output, "the cat sat")[0] == 0


def test_a_new_process_predicts_the_same(place, minibert):
    """After all the runs before, or after one if this test runs alone."""
    if not (place / "windows").is_dir():
        minibert(*TRAIN, "--long-text", "windows", "--output", "windows")
    folders = sorted(path.parent.name for path in place.glob("*/task.json"))
    code = """
import sys
from minibert.inference.text_classification import TextClassifier
texts = [" ".join(["the cat sat on a mat paris is"] * n) for n in (1, 2, 5)]
for folder in sys.argv[1:]:
    for prediction in TextClassifier.from_pretrained(folder).predict(texts):
        print(folder, prediction.probabilities)
"""
    command = [sys.executable, "-c", code, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode == 0, done.stderr
    texts = [" ".join(["the cat sat on a mat paris is"] * n) for n in (1, 2, 5)]
    lines = [
        f"{folder} {prediction.probabilities}"
        for folder in folders
        for prediction in TextClassifier.from_pretrained(place / folder).predict(texts)
    ]
    assert done.stdout.splitlines() == lines


def test_windows_read_what_stands_behind_the_head(place, minibert):
    """The last word decides, and the head rarely has it."""
    more = ("--epochs", "30", "--learning-rate", "2e-3", "--seed", "1")
    accuracy = {}
    for choice in ("head", "windows"):
        options = ["--long-text", choice, *(["--fuse", "max"] * (choice == "windows"))]
        minibert(*TRAIN, *more, *options, "--output", f"learned-{choice}")
        metrics = json.loads(Path(f"learned-{choice}", "metrics.json").read_text("utf-8"))
        accuracy[choice] = metrics["dev"]["accuracy"]
    assert accuracy["windows"] > accuracy["head"]


def test_files_are_predicted_by_windows_and_a_note_says_what_was_not_read(place, minibert):
    model = BertForPooledClassification(
        TextClassifier.from_pretrained(classifier_folder(place / "plain")).model.config,
        "mean",
        "attention",
    )
    classifier = TextClassifier(model.eval(), tiny_tokenizer(), 10, False, "windows")
    classifier.save_pretrained(place / "saved")
    texts = [" ".join(WORDS[:6] * n) for n in (1, 5, 9)]
    (place / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    code, _, err = minibert("predict", "saved", "--file", "texts.txt", "--output", "out.jsonl")
    assert code == 0, err
    longest = classifier.longest
    assert f"1 of 3 texts are longer than {longest} tokens" in err and "their beginning" in err
    rows = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    for row, prediction in zip(rows, classifier.predict(texts), strict=True):
        assert row["predicted_label"] == prediction.label
    assert [p.truncated for p in classifier.predict(texts)] == [False, False, True]
    alone = [classifier(text).probabilities["good"] for text in texts]
    together = [p.probabilities["good"] for p in classifier.predict(texts, batch_size=1)]
    assert alone == pytest.approx(together, abs=1e-6)


def test_the_note_names_the_part_that_was_read(place, minibert):
    classifier = TextClassifier.from_pretrained(classifier_folder(place / "other"))
    for long_text, part in (("tail", "end"), ("head+tail", "beginning and end")):
        tail = TextClassifier(classifier.model, classifier.tokenizer, POSITIONS, False, long_text)
        tail.save_pretrained(place / f"note-{long_text}")
        _, _, err = minibert("predict", f"note-{long_text}", " ".join(WORDS * 2))
        assert f"only their {part} was read" in err
    ends = [f"{'the cat sat on a mat ' * 3} {' '.join(WORDS + WORDS[:3])}", " ".join(WORDS * 3)]
    assert tail(ends[0]).probabilities != tail(ends[1]).probabilities


def test_a_report_colors_no_words_of_a_text_whose_head_was_not_read(place, minibert):
    minibert(*TRAIN, "--long-text", "tail", "--output", "reported")
    texts = ["the cat sat", " ".join(WORDS)]
    rows = [f"{text}\t{label}" for text in texts for label in ("city", "verb")]  # one is wrong
    (place / "both.tsv").write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    code, _, err = minibert("report", "reported", "both.tsv")
    assert code == 0, err
    page = Path("reported", "report.html").read_text("utf-8")
    articles = [part.split("</article>")[0] for part in page.split("<article>")[1:]]
    colored = {("france" in text): ('class="for"' in text) for text in articles}
    assert colored == {True: False, False: True}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--pooling", "median"], "there is no 'median'; choose pooler, cls, mean"),
        (["--pooling", "last3-mix"], "reads 3 layers, but the model has 2; use last2-mix"),
        (["--pooling", "lstm", "--features-only"], "pool has weights that are not trained yet"),
        (["--fuse", "max"], "--fuse is for --long-text windows"),
        (["--long-text", "head", "--fuse", "max"], "--fuse is for --long-text windows"),
        (["--long-text", "middle"], "invalid choice: 'middle'"),
        (["--max-length", "2", "--long-text", "windows"], "max_length 2 leaves no room for text"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(words, error, place, minibert):
    code, _, err = minibert(*TRAIN, *words, "--output", "refused")
    assert (code, error in err) == (2, True), err
    assert not (place / "refused").exists()


def test_pairs_have_no_long_text(place, minibert):
    rows = [f"the cat {n}\ta mat {n}\t{n % 2}" for n in range(20)]
    (place / "pairs.tsv").write_text("\n".join(["sentence1\tsentence2\tlabel", *rows]), "utf-8")
    code, _, err = minibert("finetune", "--train", "pairs.tsv", "--long-text", "tail")
    assert code == 2
    assert "--long-text tail is for single texts; these are pairs" in err


def test_a_task_that_contradicts_its_model_is_refused(place):
    folder = classifier_folder(place / "contradicts")
    for long_text in ("windows", "middle", 7):
        task = json.loads((folder / "task.json").read_text("utf-8")) | {"long_text": long_text}
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        with pytest.raises(MiniBertError, match=r"long_text .* was trained with head,"):
            TextClassifier.from_pretrained(folder)
