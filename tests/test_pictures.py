"""Pictures: what goes into them is right, and what a run really leaves behind can be drawn.

You can rely on: no warning, also for Chinese names without a Chinese font; no global state of
matplotlib is touched; a picture is written whole; a broken log is named by file and line.
"""

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from minibert.errors import MiniBertError
from minibert.plots import style as drawing
from minibert.plots.attention_heatmap import attention_picture, checked_attentions, mosaic
from minibert.plots.finetuning import (
    confusion_matrix_picture,
    learning_curve,
    read_log,
    smooth,
    spread,
)
from minibert.plots.run_comparison import compare_runs

pytestmark = pytest.mark.filterwarnings("error")

LOG = [
    {"kind": "train", "step": 10, "epoch": 0.5, "loss": 1.5, "learning_rate": 1e-4},
    {"kind": "train", "step": 20, "epoch": 1.0, "loss": 1.0, "learning_rate": 5e-5},
    {"kind": "evaluation", "step": 20, "epoch": 1, "split": "dev", "loss": 1.1, "accuracy": 0.6},
    {"kind": "train", "step": 30, "epoch": 1.5, "loss": 0.8, "learning_rate": 0.0},
]


def is_png(path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def test_smoothing_is_centred_and_narrows_at_the_ends():
    assert smooth([0, 3, 6, 9], 3).tolist() == [1.5, 3, 6, 7.5]
    assert smooth([1, 2, 3], 1).tolist() == [1, 2, 3]
    assert smooth([4, 8], 9).tolist() == [6, 6]


def test_smoothing_steps_over_losses_that_are_not_numbers():
    assert smooth([1, np.nan, 3], 3).tolist() == [1, 2, 3]


def test_labels_are_moved_apart_only_where_they_touch():
    assert spread([1, 1, 5], 2) == [0, 2, 5]
    assert spread([1, 4, 9], 2) == [1, 4, 9]
    assert spread([], 2) == []
    moved = spread([0, 0.5, 0.6, 0.7, 8], 1)
    assert all(b - a >= 1 - 1e-9 for a, b in pairwise(moved))


@pytest.mark.parametrize(
    "log",
    [LOG, LOG[:1], [*LOG, {"kind": "train", "step": 40, "loss": None}], [*LOG, {"note": "done"}]],
    ids=["usual", "one step", "no loss", "other lines"],
)
def test_the_learning_curve_draws_every_stage_of_a_run(log, tmp_path):
    learning_curve(log, tmp_path / "curve.png", baselines={"majority": 0.3, "words": 0.31})
    assert is_png(tmp_path / "curve.png")


def test_the_learning_curve_names_the_last_score_and_the_baselines(tmp_path):
    learning_curve(LOG, tmp_path / "curve.svg", baselines={"majority": 0.25})
    drawn = (tmp_path / "curve.svg").read_text(encoding="utf-8")
    for text in ("accuracy 0.600", "majority 0.250", "step (one epoch = 20 steps)"):
        assert f"<!-- {text} -->" in drawn


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, in place of files."""
    figures = []
    monkeypatch.setattr(drawing, "save", lambda figure, output: figures.append(figure))
    return figures


def write_log(path, *accuracies):
    """A run with an evaluation after each of its epochs."""
    judged = [
        {"kind": "evaluation", "step": 20 * n, "epoch": n, "split": "dev", "accuracy": value}
        for n, value in enumerate(accuracies, start=1)
    ]
    path.write_text("\n".join(map(json.dumps, [*LOG[:2], *judged])), encoding="utf-8")
    return path


def test_two_runs_are_drawn_side_by_side_each_named_with_its_best_score(tmp_path, drawn):
    logs = {
        "pretrained": write_log(tmp_path / "a", 0.5, 0.625, 0.6),
        "random weights": write_log(tmp_path / "b", 0.3, 0.4, None),
    }
    compare_runs(logs, tmp_path / "x.png", baselines={"bag_of_words": 0.5})
    losses, scores = drawn[0].axes
    assert [text.get_text() for text in losses.get_legend().get_texts()] == list(logs)
    places = {text.get_text(): text.xy[1] for text in scores.texts}
    assert list(places) == [
        "random weights, best 0.400",
        "bag of words 0.500",
        "pretrained, best 0.625",
    ]
    # A name stands where its line ends.
    assert places["pretrained, best 0.625"] == pytest.approx(0.6)


def test_two_runs_with_chinese_names_make_a_picture(tmp_path):
    log = write_log(tmp_path / "log.jsonl", 0.6)
    compare_runs({"预训练": log, "two": log}, tmp_path / "x.png")
    assert is_png(tmp_path / "x.png")


def test_runs_are_numbered_where_no_font_has_their_names(tmp_path, drawn, monkeypatch):
    log = write_log(tmp_path / "log.jsonl", 0.6)
    monkeypatch.setattr(drawing, "families_for", lambda texts: None)
    compare_runs({"预训练": log, "随机": log}, tmp_path / "x.png")
    losses, scores = drawn[0].axes
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["run 1", "run 2"]
    assert {text.get_text() for text in scores.texts} == {"run 1, best 0.600", "run 2, best 0.600"}


def test_runs_that_cannot_be_compared_are_refused(tmp_path):
    log = write_log(tmp_path / "log.jsonl", 0.6)
    with pytest.raises(MiniBertError, match="5 runs are too many to tell apart; draw 4"):
        compare_runs({str(n): log for n in range(5)}, tmp_path / "x.png")
    log.write_text("", encoding="utf-8")
    with pytest.raises(MiniBertError, match=r"log\.jsonl has no training steps to draw"):
        compare_runs({"one": log}, tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_a_log_without_evaluations_still_gives_the_loss(tmp_path):
    learning_curve(LOG[:2], tmp_path / "curve.svg", baselines={"majority": 0.25})
    drawn = (tmp_path / "curve.svg").read_text(encoding="utf-8")
    assert "<!-- loss -->" in drawn
    assert "majority" not in drawn


def test_a_log_is_read_from_its_file_up_to_a_line_still_being_written(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, LOG)) + '\n{"kind": "tr', encoding="utf-8")
    assert read_log(log) == LOG
    learning_curve(log, tmp_path / "curve.png")
    assert is_png(tmp_path / "curve.png")


def test_a_broken_log_is_named_by_file_and_line(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1}\nnot json\n{"step": 2}\n', encoding="utf-8")
    with pytest.raises(MiniBertError, match=r"log\.jsonl, line 2"):
        learning_curve(log, tmp_path / "curve.png")
    with pytest.raises(MiniBertError, match="no training log"):
        learning_curve(tmp_path / "none.jsonl", tmp_path / "curve.png")
    with pytest.raises(MiniBertError, match="no training steps"):
        learning_curve([], tmp_path / "curve.png")
    assert not (tmp_path / "curve.png").exists()


@pytest.mark.parametrize("classes", [1, 2, 7, 20])
def test_the_confusion_matrix_draws_up_to_twenty_classes(classes, tmp_path):
    matrix = np.random.default_rng(0).integers(0, 50, (classes, classes))
    matrix[0] = 0  # a class without examples has no shares
    names = [f"a rather long class name {i}" for i in range(classes)]
    confusion_matrix_picture(matrix, names, tmp_path / "matrix.png")
    assert is_png(tmp_path / "matrix.png")


def test_the_confusion_matrix_shows_counts_and_shares_of_the_row(tmp_path):
    confusion_matrix_picture([[3, 1], [0, 4]], ["no", "yes"], tmp_path / "matrix.svg")
    drawn = (tmp_path / "matrix.svg").read_text(encoding="utf-8")
    for text in ("75%", "25%", "100%", "no", "yes", "7 of 8 right (87.5%)"):
        assert f"<!-- {text} -->" in drawn


def test_chinese_names_are_drawn_where_a_font_has_them(tmp_path):
    confusion_matrix_picture([[3, 1], [0, 4]], ["体育", "财经"], tmp_path / "matrix.svg")
    drawn = (tmp_path / "matrix.svg").read_text(encoding="utf-8")
    assert ("<!-- 体育 -->" in drawn) == (drawing.families_for(["体育财经"]) is not None)


def test_chinese_names_become_ids_where_no_font_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "families_for", lambda texts: None)
    confusion_matrix_picture([[3, 1], [0, 4]], ["体育", "财经"], tmp_path / "matrix.svg")
    drawn = (tmp_path / "matrix.svg").read_text(encoding="utf-8")
    assert "体育" not in drawn
    assert "<!-- predicted class id -->" in drawn


def test_characters_that_no_font_has_are_admitted():
    assert drawing.families_for(["plain", "words\nand\tlines"]) == [drawing.DEFAULT_FONT]
    assert drawing.families_for(["\U0010fffd"]) is None


def test_names_that_do_not_fit_and_unknown_formats_are_refused(tmp_path):
    with pytest.raises(MiniBertError, match="3 class names"):
        confusion_matrix_picture([[1, 2], [3, 4]], ["a", "b", "c"], tmp_path / "matrix.png")
    with pytest.raises(MiniBertError, match=r"name it \.png"):
        confusion_matrix_picture([[1, 2], [3, 4]], ["a", "b"], tmp_path / "matrix.docx")
    assert not list(tmp_path.iterdir())


def test_pyplot_and_its_global_state_stay_out_of_it(tmp_path):
    program = """
import pathlib, sys
import minibert.plots.attention_heatmap, minibert.plots.finetuning as pictures
assert "matplotlib" not in sys.modules
pictures.confusion_matrix_picture([[1, 2], [3, 4]], ["a", "b"], pathlib.Path(sys.argv[1]))
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "matrix.png"], check=True)


def made_up_attentions(layers: int, heads: int, size: int) -> np.ndarray:
    scores = np.random.default_rng(0).normal(scale=2, size=(layers, heads, size, size))
    return np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)


def test_the_mosaic_puts_layer_down_and_head_across():
    maps = np.arange(8.0).reshape(2, 1, 2, 2)
    nan = np.nan
    expected = [[0, 1], [2, 3], [nan, nan], [4, 5], [6, 7]]
    np.testing.assert_array_equal(mosaic(maps, 1), expected)
    np.testing.assert_array_equal(mosaic(np.ones((1, 2, 1, 1)), 1), [[1, nan, 1]])


def test_the_attention_picture_names_tokens_layers_and_heads(tmp_path):
    tokens = ["[CLS]", "cat", "[SEP]"]
    attention_picture(
        tokens, made_up_attentions(2, 3, 3), tmp_path / "grid.svg", title="cat", layers=[1]
    )
    drawn = (tmp_path / "grid.svg").read_text(encoding="utf-8")
    assert drawn.count("<!-- [CLS] -->") == 1 + 3  # one layer on the left, three heads below
    assert "<!-- layer 1 -->" in drawn
    assert "<!-- layer 0 -->" not in drawn


@pytest.mark.parametrize("characters", ["中文 分词", "\U0010fffd"], ids=["chinese", "no font"])
def test_the_attention_picture_draws_any_tokens(characters, tmp_path):
    attention_picture([*characters], made_up_attentions(1, 2, len(characters)), tmp_path / "a.png")
    assert is_png(tmp_path / "a.png")


def test_a_long_text_is_drawn_without_token_names(tmp_path):
    attention_picture(["w"] * 64, made_up_attentions(1, 12, 64), tmp_path / "a.svg")
    assert "<!-- w -->" not in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_tensors_are_read_in_any_precision_and_with_a_gradient():
    torch = pytest.importorskip("torch")
    tensors = [torch.full((2, 4, 4), 0.25, dtype=torch.bfloat16, requires_grad=True)]
    assert checked_attentions(["a"] * 4, tensors).tolist() == np.full((1, 2, 4, 4), 0.25).tolist()


@pytest.mark.parametrize(
    ("attentions", "sentence"),
    [
        ([], "not none"),
        ([np.ones((1, 2, 2))], "3 tokens need attentions"),
        ([np.ones((1, 1, 3, 3))], "one text of a batch"),
        ([np.full((1, 3, 3), 0.3), np.full((2, 3, 3), 0.3)], "in every layer"),
        ([np.full((1, 3, 3), -1.0)], "after the softmax"),
        ([np.full((1, 3, 3), np.nan)], "after the softmax"),
    ],
)
def test_what_is_no_attention_of_these_tokens_is_refused(attentions, sentence, tmp_path):
    with pytest.raises(MiniBertError, match=sentence):
        attention_picture(["a", "b", "c"], attentions, tmp_path / "a.png")


def test_a_layer_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(MiniBertError, match="layers 0 to 1"):
        attention_picture(["a"], np.ones((2, 1, 1, 1)), tmp_path / "a.png", layers=[2])


def test_a_dollar_in_a_name_is_a_dollar_and_no_formula(tmp_path):
    names = [r"a $\foo{$", "$5"]
    confusion_matrix_picture([[1, 2], [3, 4]], names, tmp_path / "matrix.png")
    assert (tmp_path / "matrix.png").stat().st_size > 1000
