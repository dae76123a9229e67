"""What you can rely on: `minibert report` writes a page that shows a run and opens offline.

Texts, labels and names in a run may hold anything; none of it becomes markup.
"""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from tiny_folders import POSITIONS, tiny_config, tiny_tokenizer

from minibert import BertForSequenceClassification
from minibert.cli.main import main
from minibert.evaluation.classification import losses_by_example
from minibert.files import write_json
from minibert.inference.text_classification import TextClassifier
from minibert.model.losses import CLASSIFICATION_LOSSES
from minibert.model.two_towers import BertTwoTowers
from minibert.plots import report_page
from minibert.plots.report_page import WrongExample, bars, table, wrong_examples
from minibert.problem_types import MULTI_LABEL, PROBLEM_TYPES, REGRESSION, SINGLE_LABEL

HOSTILE = "</div><script>alert(1)</script><img src=x onerror=alert(1)>\"'&lt;{{title}}"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


WORDS = ("for", "against")


class Page(HTMLParser):
    """The tags of a page, and its text by heading."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.sections: dict[str, str] = {}
        self.heading, self.inside = "", ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag

    def handle_data(self, data):
        if self.inside == "h2" and data.strip():
            self.heading, self.inside = data, ""
        elif self.heading:
            self.sections[self.heading] = self.sections.get(self.heading, "") + data


def run_folder(
    folder: Path,
    kind: type = BertForSequenceClassification,
    *,
    pairs: bool = False,
    metric: str = "accuracy",
    **config,
) -> Path:
    """A run of `minibert finetune` as it is left behind, with random weights."""
    torch.manual_seed(0)
    model = kind(tiny_config(**config))
    TextClassifier(model, tiny_tokenizer(), POSITIONS, pairs).save_pretrained(folder)
    baselines = {"majority": 0.5, "bag_of_words": 0.7, "split": "dev"}
    write_json(folder / "metrics.json", {"dev": {metric: 0.75}, "baselines": baselines})
    saved = {"fingerprint": {"epochs": 3, "learning_rate": 0.001}, "environment": {"device": "cpu"}}
    write_json(folder / "training/step-00000010-epoch-1/state.json", saved)
    for name in ("confusion_matrix.png", "learning_curve.png"):
        (folder / name).write_bytes(PNG)
    return folder


@pytest.fixture
def report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["report", *arguments])
        return (stop.value.code, *capsys.readouterr())

    return command


def test_a_run_shows_settings_scores_baselines_and_pictures(report):
    run_folder(Path("mine"), id2label={0: "good", 1: "bad"})
    assert report("mine") == (0, "wrote mine/report.html; open it in a browser\n", "")
    page = Page(Path("mine/report.html"))
    assert [*page.sections] == [
        "Settings",
        "accuracy on dev",
        "Scores",
        "Learning curve",
        "Confusion matrix",
    ]
    assert re.search(r"num hidden layers\s*2.*epochs\s*3.*device\s*cpu", page.sections["Settings"])
    compared = page.sections["accuracy on dev"]
    assert re.search("most common answer.*0.5000.*linear bag of words.*0.7000.*0.7500", compared)
    assert "This BERT beats the best of the others, linear bag of words." in compared
    shown = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert shown == [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"] * 2


def test_a_file_adds_classes_confusion_lengths_and_the_worst_errors(report):
    folder = run_folder(Path("mine"), id2label={0: "good", 1: "bad"})
    texts = ["the cat", "paris", "the mat sat on a cat .", "猫"]
    classifier = TextClassifier.from_pretrained(folder)
    first, *others = [prediction.label for prediction in classifier.predict(texts)]
    wrong = {"good": "bad", "bad": "good"}[first]
    lines = [f"{text}\t{label}" for text, label in zip(texts, [wrong, *others], strict=True)]
    Path("dev.tsv").write_text("\n".join(["text\tlabel", *lines]), encoding="utf-8")
    code, out, err = report("mine", "dev.tsv", "--output", "page.html")
    assert (code, out) == (0, "wrote page.html; open it in a browser\n")
    assert "note: dev.tsv: text = column 'text'" in err
    page = Page(Path("page.html"))
    assert [*page.sections][3:] == [
        "Learning curve",
        "dev.tsv: 4 examples",
        "By class",
        "Confusion matrix",
        "Accuracy by length",
        "Most wrong examples",
    ]
    assert "0.7500" in page.sections["dev.tsv: 4 examples"]
    lengths = page.sections["Accuracy by length"]
    assert "3 to 3 tokens (2 texts)1.0000" in lengths and "4 to 4 tokens (1 texts)0.0000" in lengths
    errors = page.sections["Most wrong examples"]
    assert "1 of 4 are wrong" in errors and "the cat" in errors and "paris" not in errors
    assert re.search(rf"label {wrong}\s*predicted {first}\s*loss \d.\d+, dev.tsv:2", errors)
    words = [attributes for tag, attributes in page.tags if attributes.get("class") in WORDS]
    assert len(words) == 2 and any("--share: 1.00" in word["style"] for word in words)
    report("mine", "dev.tsv", "--output", "page.html", "--examples", "0")
    assert "Most wrong examples" not in Page(Path("page.html")).sections


@pytest.mark.parametrize(
    ("config", "rows", "shown"),
    [
        (
            {"id2label": {0: "a", 1: "b"}, "problem_type": "multi_label_classification"},
            [{"text": "the cat", "labels": ["a"]}, {"text": "paris", "labels": []}],
            ["By class", "Accuracy by length"],
        ),
        (
            {"num_labels": 1},
            [{"text": "the cat", "label": 1.5}, {"text": "paris", "label": -2.5}],
            ["Mean absolute error by length", "Most wrong examples"],
        ),
        (
            {"id2label": {0: "a", 1: "b"}, "pairs": True},
            [{"sentence1": "the cat", "sentence2": "a", "label": x} for x in "ab"],
            ["Confusion matrix", "Most wrong examples"],
        ),
        (
            {"id2label": {i: f"c{i}" for i in range(50)}},
            [{"text": "the cat", "label": f"c{i}"} for i in range(50)],
            ["By class", "Confusion matrix", "Most wrong examples"],
        ),
    ],
    ids=["several labels", "numbers", "pairs", "many classes"],
)
def test_every_kind_of_classifier_has_a_page(report, config, rows, shown):
    run_folder(Path("mine"), **config)
    Path("dev.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    code, _, _ = report("mine", "dev.jsonl", "--examples", "3")
    assert code == 0
    page = Page(Path("mine/report.html"))
    assert set(shown) <= {*page.sections}


def test_two_towers_show_their_errors_without_colors(report):
    run_folder(Path("mine"), BertTwoTowers, pairs=True, num_labels=1)
    lines = ["sentence1\tsentence2\tscore", "the cat\ta mat\t4.5", "paris\tfrance\t0.5"]
    Path("dev.tsv").write_text("\n".join(lines), encoding="utf-8")
    assert report("mine", "dev.tsv")[0] == 0
    page = Page(Path("mine/report.html"))
    errors = page.sections["Most wrong examples"]
    assert re.search("label 4.500.*the cat.*a mat.*label 0.500.*paris", errors, re.DOTALL)
    assert "Orange" not in errors and "mine: matching" in page.source
    assert not any(attributes.get("class") in WORDS for _, attributes in page.tags)


@pytest.fixture
def hostile_page(report) -> Path:
    """The page of a run in which every name and text tries to become markup."""
    names = {0: HOSTILE, 1: "\u202egood\x00"}
    run_folder(Path("a<b>&"), id2label=names, metric="<i>accuracy")
    metrics = json.loads(Path("a<b>&/metrics.json").read_text(encoding="utf-8"))
    metrics[HOSTILE] = {HOSTILE: 0.5, "text": HOSTILE, "nan": float("nan"), "list": [1]}
    write_json(Path("a<b>&/metrics.json"), metrics)
    rows = [{"text": f"the cat {HOSTILE}\ud800", "label": name} for name in names.values()]
    Path("<u>.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert report("a<b>&", "<u>.jsonl", "--output", "page.html")[0] == 0
    return Path("page.html").resolve()


def test_nothing_in_a_run_becomes_markup_and_the_page_requests_nothing(hostile_page):
    page = Page(hostile_page)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "u", "i", "a", "link", "iframe", "object", "base"}
    allowed = {"class", "style", "title", "dir", "alt", "src", "lang", "name", "content", "charset"}
    assert {name for _, attributes in page.tags for name in attributes} - allowed == {"http-equiv"}
    assert not re.search(r"https?:|//[a-z]|url\(|@import", page.source)
    assert "default-src 'none'" in page.source and "{{sections}}" not in page.source
    assert page.source.count("{{title}}") == page.source.count("&amp;lt;{{title}}") > 2
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, False)])
def test_a_browser_shows_the_page_without_a_complaint_and_within_its_width(
    hostile_page, request, width, dark
):
    opened = request.getfixturevalue("browser")
    opened.open(hostile_page, width=width, dark=dark)
    assert opened.run("document.documentElement.scrollWidth") <= width
    assert opened.run("document.querySelectorAll('section').length") == 8
    assert HOSTILE in opened.run("document.body.innerText")
    assert opened.run("getComputedStyle(document.body).color") == (
        "rgb(228, 233, 240)" if dark else "rgb(28, 36, 48)"
    )
    assert opened.complaints() == []


def test_other_tasks_show_what_they_have(report):
    folder = Path("ner")
    write_json(folder / "metrics.json", {"dev": {"entity_f1": 0.8, "accuracy": 0.9}})
    write_json(folder / "task.json", {"task": "tagging", "scheme": "BIO", "files": {}})
    (folder / "errors.png").write_bytes(PNG)
    (folder / "other.png").write_text("no picture", encoding="utf-8")
    assert report("ner")[0] == 0
    page = Page(folder / "report.html")
    assert [*page.sections] == ["Settings", "Scores", "Errors"]
    assert "schemeBIO" in page.sections["Settings"]
    assert "0.8000" in page.sections["Scores"]
    assert "<title>ner: tagging</title>" in page.source


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none"], "none has no metrics.json; give the --output of a finished minibert finetune."),
        (["mine", "--output", "page.pdf"], "its name must end in .html"),
        (["mine", "none.tsv"], "none.tsv does not exist"),
        (["mine", "wrong.tsv"], "wrong.tsv:2: the label 'ugly' is not among"),
        (["ner", "wrong.tsv"], "ner is for tagging, and only classifiers are looked at in detail"),
    ],
)
def test_what_cannot_be_shown_is_refused(report, arguments, sentence):
    run_folder(Path("mine"), id2label={0: "good", 1: "bad"})
    Path("wrong.tsv").write_text("the cat\tgood\nparis\tugly\n", encoding="utf-8")
    write_json(Path("ner/metrics.json"), {})
    write_json(Path("ner/task.json"), {"task": "tagging"})
    code, out, err = report(*arguments)
    assert (code, out) == (2, "") and sentence in err
    assert not [*Path().rglob("*.html")]


@pytest.mark.parametrize("kind", PROBLEM_TYPES)
def test_the_mean_of_the_losses_of_examples_is_the_loss(kind):
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    targets = {
        SINGLE_LABEL: torch.tensor([0, 1, 2, 0, 1, 2]),
        REGRESSION: torch.arange(6.0),
        MULTI_LABEL: torch.tensor([[0.0, 1.0, 1.0]] * 6),
    }[kind]
    logits = logits[:, :1] if kind == REGRESSION else logits
    losses = losses_by_example(logits.numpy(), targets.numpy(), kind)
    assert losses.shape == (6,)
    mean = CLASSIFICATION_LOSSES[kind](logits, targets).mean().item()
    assert losses.mean() == pytest.approx(mean, rel=1e-6)


def test_numbers_are_aligned_and_bars_stay_in_their_place():
    assert "<th>name</th><th class=number>count</th>" in table(["name", "count"], [["a", 1_000]])
    shares = re.findall(r"--share: ([\d.a-z-]+)", bars({"a": 2.0, "b": -0.5, "c": float("nan")}))
    assert shares == ["1.000", "0.000", "0.000"]
    assert "--share: 0.500" in bars({"a": 2.0}, unit=4)


def test_words_that_share_a_character_show_it_once():
    words = [report_page.WordAttribution(0, *place, 1.0) for place in ((0, 1), (1, 2), (1, 2))]
    shown = wrong_examples([WrongExample("", ("a½b",), "x", "y", 1.0, words)])
    assert re.sub("<[^>]*>", "", shown).endswith("a½b")
