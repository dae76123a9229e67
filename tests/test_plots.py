"""What you can rely on: a figure shows the numbers it was given, under the right names.

Each figure is inspected before it is saved: lines, cells, ticks, labels and legends. There is no
warning, also for Chinese without a Chinese font; no global state of matplotlib changes; a file is
written completely or not at all; a broken log is named by file and line.
"""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_folders import tiny_config

from minibert import BertForSequenceClassification
from minibert.data.labelled.batches import LabelledBatches, Tokenized
from minibert.data.labelled.labels import LabelSet
from minibert.errors import MiniBertError
from minibert.plots import report, style
from minibert.plots.attention_heatmap import attention_heatmap, mosaic, stack_attentions
from minibert.plots.confusion_matrix import confusion_matrix_figure
from minibert.plots.embedding_plot import embedding_plot, principal_components
from minibert.plots.few_labels import few_labels_figure, write_few_labels
from minibert.plots.learning_curve import (
    finetuning_curve,
    points,
    pretraining_curve,
    read_log,
    smooth,
)

pytestmark = pytest.mark.filterwarnings("error")

TRAIN = [
    {"kind": "train", "step": 10, "epoch": 0.5, "loss": 1.5, "learning_rate": 1e-4},
    {"kind": "train", "step": 20, "epoch": 1.0, "loss": 1.0, "learning_rate": 5e-5},
    {"kind": "train", "step": 30, "epoch": 1.5, "loss": 0.5, "learning_rate": 0.0},
]


def write_log(path: Path, records: list[dict]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def finetuning_log(path: Path, *accuracies: float | None) -> Path:
    """A log with an evaluation after each epoch; the loss on dev is 2 - accuracy."""
    evaluations = [
        {"kind": "evaluation", "step": 20 * n, "epoch": n, "split": "dev", "accuracy": value}
        | ({} if value is None else {"loss": 2 - value})
        for n, value in enumerate(accuracies, start=1)
    ]
    return write_log(path, [*TRAIN, *evaluations])


def lines(axes) -> dict[str, list[list[float]]]:
    """The labelled lines of a plot: label -> [x, y]."""
    return {
        line.get_label(): np.array(line.get_data()).round(6).tolist()
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def ticks(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.fixture
def no_fonts(monkeypatch):
    monkeypatch.setattr(style, "fonts_for", lambda texts: None)


# Saving and fonts.


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_the_suffix_is_the_format(suffix, start, tmp_path):
    figure = confusion_matrix_figure([[1, 2], [3, 4]], ["a", "b"])
    style.save_figure(figure, tmp_path / f"figure.{suffix}")
    assert (tmp_path / f"figure.{suffix}").read_bytes().startswith(start)


def test_an_unknown_format_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(MiniBertError, match=r"figure\.docx as a figure; .* \.pdf, .*\.png"):
        style.save_figure(style.new_figure(1, 1), tmp_path / "figure.docx")
    assert not list(tmp_path.iterdir())


def test_a_dollar_sign_is_never_a_formula(tmp_path):
    figure = confusion_matrix_figure([[1, 2], [3, 4]], [r"a $\foo{$", "$5"])
    style.save_figure(figure, tmp_path / "figure.svg")
    assert r"<!-- a $\foo{$ -->" in (tmp_path / "figure.svg").read_text(encoding="utf-8")


def test_pyplot_is_never_imported_and_matplotlib_only_to_draw(tmp_path):
    program = """
import pathlib, sys
from minibert.plots import attention_page, confusion_matrix, learning_curve, style, embedding_plot
assert "matplotlib" not in sys.modules
figure = confusion_matrix.confusion_matrix_figure([[1, 2], [3, 4]], ["a", "b"])
style.save_figure(figure, pathlib.Path(sys.argv[1]))
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "matrix.png"], check=True)


def test_characters_that_no_font_has_are_reported():
    assert style.fonts_for(["plain", "words\nand\tlines"]) == [style.DEFAULT_FONT]
    assert style.fonts_for(["\U0010fffd"]) is None


def test_a_font_with_the_missing_characters_is_used_for_every_text(tmp_path, monkeypatch):
    from fontTools.fontBuilder import FontBuilder
    from fontTools.ttLib.tables._g_l_y_f import Glyph
    from matplotlib import font_manager

    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "cat"])
    font.setupCharacterMap({ord("猫"): "cat"})
    font.setupGlyf({".notdef": Glyph(), "cat": Glyph()})
    font.setupHorizontalMetrics({".notdef": (500, 0), "cat": (500, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Cat Sans", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / "cat.ttf")
    entry = font_manager.FontEntry(fname=str(tmp_path / "cat.ttf"), name="Cat Sans")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [entry])
    figure = confusion_matrix_figure([[1]], ["猫"])
    style.set_fonts(figure)
    assert ticks(figure.axes[0].xaxis) == ["猫"]
    assert figure.axes[0].title.get_fontfamily() == [style.DEFAULT_FONT, "Cat Sans"]
    # One that was installed after matplotlib has made its list is found, too.
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "cat.ttf")])
    assert style.fonts_for(["a 猫"]) == [style.DEFAULT_FONT, "Cat Sans"]


# Learning curves.


def test_smoothing_is_centred_and_narrower_at_the_ends():
    assert smooth([0, 3, 6, 9], 3).tolist() == [1.5, 3, 6, 7.5]
    assert smooth([1, 2, 3], 1).tolist() == [1, 2, 3]
    assert smooth([4, 8], 9).tolist() == [6, 6]


def test_points_leave_out_what_is_missing_or_not_a_number():
    values = [1, None, float("nan"), float("inf"), 5]
    records = [{"kind": "train", "step": n, "loss": value} for n, value in enumerate(values)]
    assert points([*records, {"kind": "train", "step": 9}], "train", "step", "loss").tolist() == [
        [0, 4],
        [1, 5],
    ]
    assert points(records, "evaluation", "step", "loss").shape == (2, 0)


def test_a_log_is_read_up_to_a_line_that_is_still_being_written(tmp_path):
    log = write_log(tmp_path / "log.jsonl", TRAIN)
    assert read_log(log) == TRAIN
    with log.open("a", encoding="utf-8") as file:
        file.write('{"kind": "tr')
    assert read_log(log) == TRAIN


@pytest.mark.parametrize(
    "line",
    [
        *(b"not json", b"", b"5", b'{"step": 1}', b"[" * 100_000, b'{"kind": 5}', b"\xff\xfe{}"),
        '{"kind": "train", "x": "ü"}'.encode()[:-3],  # cut in the middle of a character
        '{"kind": "train"}'.encode("utf-16-le"),
        b'{"kind": "train", "step": "5"}',
        b'{"kind": "train", "step": true}',
        b'{"kind": "train", "epoch": null, "loss": 1}',
        b'{"kind": "train", "step": 5, "loss": [1]}',
        b'{"kind": "train", "step": 1e300, "loss": 1}',
        b'{"kind": "train", "step": ' + b"9" * 999 + b"}",
        b'{"kind": "train", "step": ' + b"9" * 9999 + b"}",
    ],
)
def test_a_damaged_line_of_a_log_is_skipped_with_a_note(line, tmp_path):
    log = write_log(tmp_path / "log.jsonl", TRAIN)
    log.write_bytes(line + b"\n" + log.read_bytes())
    with pytest.warns(UserWarning, match=rf"{log}: 1 of {len(TRAIN) + 1} lines .* line 1\."):
        assert read_log(log) == TRAIN


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(MiniBertError, match=r"training log .*none\.jsonl"):
        read_log(tmp_path / "none.jsonl")


def test_the_finetuning_curve_shows_losses_scores_and_baselines(tmp_path):
    log = finetuning_log(tmp_path / "log.jsonl", 0.5, 0.75, 0.625)
    baselines = {"majority": 0.25, "bag_of_words": 0.7}
    losses, scores = finetuning_curve({"mine": log}, baselines=baselines).axes
    assert lines(losses) == {
        "mine, train": [[0.5, 1, 1.5], [1.5, 1, 0.5]],
        "mine, dev": [[1, 2, 3], [1.5, 1.25, 1.375]],
    }
    assert lines(scores) == {
        "mine, best 0.750": [[1, 2, 3], [0.5, 0.75, 0.625]],
        "majority 0.250": [[0, 1], [0.25, 0.25]],
        "bag of words 0.700": [[0, 1], [0.7, 0.7]],
    }
    assert legend(scores) == ["bag of words 0.700", "mine, best 0.750", "majority 0.250"]
    assert [axes.get_ylabel() for axes in (losses, scores)] == ["loss", "accuracy on dev"]
    assert {axes.get_xlabel() for axes in (losses, scores)} == {"epoch"}


def test_a_long_training_is_smoothed_over_the_raw_losses(tmp_path):
    records = [
        {"kind": "train", "step": n, "epoch": n / 10, "loss": float(n % 2)} for n in range(1, 31)
    ]
    log = write_log(tmp_path / "log.jsonl", records)
    losses, _ = finetuning_curve({"mine": log}).axes
    raw, smoothed = (line.get_ydata() for line in losses.lines)
    assert raw.tolist() == [record["loss"] for record in records]
    np.testing.assert_allclose(smoothed, smooth(raw, 3))


def test_runs_are_compared_in_one_figure_in_different_colors(tmp_path):
    logs = {
        "pretrained": finetuning_log(tmp_path / "a", 0.5, 0.625, 0.6),
        "random weights": finetuning_log(tmp_path / "b", 0.3, 0.4, None),
    }
    losses, scores = finetuning_curve(logs).axes
    assert legend(losses) == [f"{name}, {part}" for name in logs for part in ("train", "dev")]
    assert lines(scores) == {
        "pretrained, best 0.625": [[1, 2, 3], [0.5, 0.625, 0.6]],
        "random weights, best 0.400": [[1, 2], [0.3, 0.4]],
    }
    assert [line.get_color() for line in scores.lines] == [style.BLUE, style.ORANGE]


def test_another_metric_can_be_drawn_and_may_be_negative(tmp_path):
    evaluation = {"kind": "evaluation", "epoch": 1, "pearson": -0.5, "accuracy": 0.9}
    log = write_log(tmp_path / "log.jsonl", [*TRAIN, evaluation])
    _, scores = finetuning_curve({"mine": log}, metric="pearson").axes
    assert lines(scores) == {"mine, best -0.500": [[1], [-0.5]]}
    assert scores.get_ylabel() == "pearson on dev"


def test_a_log_without_evaluations_still_shows_the_training_loss(tmp_path):
    losses, scores = finetuning_curve({"mine": finetuning_log(tmp_path / "log")}).axes
    assert [*lines(losses)] == ["mine, train"]
    assert lines(scores) == {}


@pytest.mark.usefixtures("no_fonts")
def test_runs_are_numbered_where_no_font_has_their_names(tmp_path, capsys):
    log = finetuning_log(tmp_path / "log.jsonl", 0.6)
    losses, scores = finetuning_curve({"预训练": log, "随机": log}).axes
    assert re.search(
        "no installed font has 机 练 训 随 预; .* fonts-noto-cjk", capsys.readouterr().err
    )
    assert legend(losses) == ["run 1, train", "run 1, dev", "run 2, train", "run 2, dev"]
    assert legend(scores) == ["run 1, best 0.600", "run 2, best 0.600"]


def test_runs_that_cannot_be_drawn_are_refused(tmp_path):
    log = write_log(tmp_path / "log.jsonl", [])
    with pytest.raises(MiniBertError, match="5 runs are too many for one figure; draw at most 4"):
        finetuning_curve({str(n): log for n in range(5)})
    with pytest.raises(MiniBertError, match=r"log\.jsonl has no training steps to draw"):
        finetuning_curve({"one": log})


PRETRAINING = [
    {"kind": "evaluation", "step": 0, "tokens": 0, "loss": 4.0, "masked_lm_accuracy": 0.0},
    *({"kind": "train", "step": step, "loss": 4.0 - step / 10} for step in (5, 10, 20, 30)),
    {"kind": "evaluation", "step": 20, "tokens": 2e6, "loss": 3.0, "masked_lm_accuracy": 0.3},
]
PAIRS = (
    [{"next_sentence_loss": 0.7, "next_sentence_accuracy": 0.5}]
    + [{}] * 4
    + [{"next_sentence_loss": 0.5, "next_sentence_accuracy": 0.8}]
)


def test_the_pretraining_curve_is_drawn_over_the_tokens_seen(tmp_path):
    records = [record | pair for record, pair in zip(PRETRAINING, PAIRS, strict=True)]
    log = write_log(tmp_path / "log.jsonl", records)
    figure = pretraining_curve(log, majority=0.54)
    losses, scores = figure.axes
    # Steps 5, 10 and 20 lie before the last evaluation; one step is 100,000 tokens.
    assert lines(losses) == {
        "train": [[5e5, 1e6, 2e6], [3.5, 3.0, 2.0]],
        "held out": [[0, 2e6], [4.7, 3.5]],
        "held out, masked LM only": [[0, 2e6], [4.0, 3.0]],
    }
    assert lines(scores) == {
        "masked LM 0.300": [[0, 2e6], [0.0, 0.3]],
        "next sentence 0.800": [[0, 2e6], [0.5, 0.8]],
        "next sentence, more common answer 0.540": [[0, 1], [0.54, 0.54]],
    }
    figure.draw_without_rendering()
    assert "1M" in ticks(losses.xaxis)


def test_without_next_sentences_only_the_masked_lm_is_drawn(tmp_path):
    losses, scores = pretraining_curve(write_log(tmp_path / "log.jsonl", PRETRAINING)).axes
    assert [*lines(losses)] == ["train", "held out"]
    assert [*lines(scores)] == ["masked LM 0.300"]


@pytest.mark.parametrize("kind", ["train", "evaluation"])
def test_a_pretraining_that_has_just_begun_has_no_curve_yet(kind, tmp_path):
    log = write_log(tmp_path / "log.jsonl", [r for r in PRETRAINING if r["kind"] == kind])
    with pytest.raises(MiniBertError, match="train for longer"):
        pretraining_curve(log)


# The confusion matrix.


def cells(axes) -> dict[tuple[int, int], str]:
    """The text of each cell, by row and column."""
    return {text.get_position()[::-1]: text.get_text() for text in axes.texts}


def test_the_confusion_matrix_shows_counts_and_shares_of_the_row():
    axes = confusion_matrix_figure([[3, 1], [0, 4]], ["no", "yes"]).axes[0]
    assert cells(axes) == {(0, 0): "3\n75%", (0, 1): "1\n25%", (1, 0): "0\n0%", (1, 1): "4\n100%"}
    assert ticks(axes.xaxis) == ticks(axes.yaxis) == ["no", "yes"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_title(loc="left") == "7 of 8 correct (87.5%)"


def test_correct_cells_are_blue_errors_orange_and_empty_cells_white():
    axes = confusion_matrix_figure([[1, 0], [1, 0]], ["no", "yes"]).axes[0]
    colors = axes.images[0].get_array()
    assert colors[0, 0].tolist() == pytest.approx([0.03, 0.35, 0.60])
    assert colors[1, 0].tolist() == pytest.approx([0.80, 0.33, 0.0])
    assert colors[0, 1].tolist() == colors[1, 1].tolist() == [1, 1, 1]


def test_a_large_confusion_matrix_leaves_out_zeros_and_shortens_names():
    matrix = np.eye(20, dtype=int) * 500
    matrix[0, 1] = 1
    axes = confusion_matrix_figure(
        matrix, [f"a rather long class name {n}" for n in range(20)]
    ).axes[0]
    assert cells(axes)[0, 1] == "1\n<1%"
    assert len(axes.texts) == 21
    assert ticks(axes.xaxis)[0] == "a rather long class nam…"


def test_a_class_without_examples_has_no_shares():
    assert cells(confusion_matrix_figure([[0]], ["a"]).axes[0]) == {(0, 0): "0\n0%"}


def test_the_picture_of_many_classes_is_bounded(tmp_path):
    """Of 40 classes with names, of more without; never more than 2,000 points wide."""
    draw = np.random.default_rng(0)
    sizes = {}
    for classes in (40, 41, 1500):
        counts = draw.integers(0, 9, (classes, classes)) + np.eye(classes, dtype=int) * 50
        figure = confusion_matrix_figure(counts, [f"c{i}" for i in range(classes)])
        sizes[classes] = figure.get_size_inches() * figure.dpi
        numbers = cells(figure.axes[0])
        assert len(numbers) <= 400
        assert bool(numbers) == (classes == 40)
    assert max(map(max, sizes.values())) <= 2000
    assert figure.axes[0].images[0].get_array().shape == (375, 375, 3)  # 4 classes per point
    assert figure.axes[0].get_xlabel() == "predicted class id, 4 per point"


@pytest.mark.usefixtures("no_fonts")
def test_ids_replace_class_names_where_no_font_has_them(capsys):
    axes = confusion_matrix_figure([[3, 1], [0, 4]], ["体育", "财经"]).axes[0]
    assert re.search("such texts .here 2.*apt install fonts-noto-cjk", capsys.readouterr().err)
    assert ticks(axes.xaxis) == ["0", "1"]
    assert axes.get_xlabel() == "predicted class id"


def test_only_the_names_that_cannot_be_drawn_are_replaced_and_control_characters_are_shown(capsys):
    names = ["no\x1b[31m", "\U0010fffd"]
    axes = confusion_matrix_figure([[3, 1], [0, 4]], names).axes[0]
    assert re.search("here 1.*install a font that has them", capsys.readouterr().err)
    assert ticks(axes.xaxis) == ["no\ufffd[31m", "1"]
    assert axes.get_xlabel() == "predicted class (or id)"


def test_names_that_do_not_fit_the_matrix_are_refused():
    with pytest.raises(MiniBertError, match=r"3 class names do not fit .* \(2, 2\)"):
        confusion_matrix_figure([[1, 2], [3, 4]], ["a", "b", "c"])


# The heat map of attention.


def softmax_rows(layers: int, heads: int, size: int) -> np.ndarray:
    scores = np.random.default_rng(0).normal(scale=2, size=(layers, heads, size, size))
    return np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)


def test_the_mosaic_puts_layers_down_and_heads_across():
    maps = np.arange(8.0).reshape(2, 1, 2, 2)
    nan = np.nan
    expected = [[0, 1], [2, 3], [nan, nan], [4, 5], [6, 7]]
    np.testing.assert_array_equal(mosaic(maps, 1), expected)
    np.testing.assert_array_equal(mosaic(np.ones((1, 2, 1, 1)), 1), [[1, nan, 1]])


def test_the_heat_map_shows_the_chosen_heads_with_their_tokens():
    tokens, attention = ["[CLS]", "cat", "[SEP]"], softmax_rows(2, 3, 3)
    figure = attention_heatmap(tokens, attention, title="a cat", layers=[1], heads=[2, 0])
    axes = figure.axes[0]
    np.testing.assert_array_equal(
        axes.images[0].get_array().filled(np.nan), mosaic(attention[[1]][:, [2, 0]], 1)
    )
    assert ticks(axes.yaxis) == tokens
    assert ticks(axes.xaxis) == tokens * 2
    assert axes.get_xticks().tolist() == [0, 1, 2, 4, 5, 6]
    assert [text.get_text() for text in axes.texts] == ["head 2", "head 0", "layer 1"]
    assert axes.get_title(loc="left") == "a cat"


@pytest.mark.usefixtures("no_fonts")
def test_positions_replace_tokens_where_no_font_has_them(capsys):
    axes = attention_heatmap([*"中文"], softmax_rows(1, 2, 2), title="中文").axes[0]
    assert re.search("no installed font has 中 文; .*fonts-noto-cjk", capsys.readouterr().err)
    assert ticks(axes.yaxis) == ["0", "1"]
    assert axes.get_title(loc="left") == ""


def test_a_long_text_is_drawn_without_tokens():
    axes = attention_heatmap(["w"] * 64, softmax_rows(1, 12, 64)).axes[0]
    assert ticks(axes.xaxis) == ticks(axes.yaxis) == []


def test_tensors_are_read_in_any_precision_and_with_a_gradient():
    tensors = [torch.full((2, 4, 4), 0.25, dtype=torch.bfloat16, requires_grad=True)]
    np.testing.assert_array_equal(stack_attentions(["a"] * 4, tensors), np.full((1, 2, 4, 4), 0.25))


@pytest.mark.parametrize(
    ("attentions", "sentence"),
    [
        ([], r"not \[\]"),
        ([np.ones((1, 2, 2))], "3 tokens need attentions"),
        ([np.ones((1, 1, 3, 3))], "select one text"),
        ([np.full((1, 3, 3), 0.3), np.full((2, 3, 3), 0.3)], "in every layer"),
        ([np.full((1, 3, 3), -1.0)], "after the softmax"),
        ([np.full((1, 3, 3), np.nan)], "after the softmax"),
    ],
)
def test_attentions_that_do_not_fit_the_tokens_are_refused(attentions, sentence):
    with pytest.raises(MiniBertError, match=sentence):
        attention_heatmap(["a", "b", "c"], attentions)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"layers": [2]}, r"layers is \[2\]; choose from 0 to 1"),
        ({"heads": []}, r"heads is \[\]; choose from 0 to 0"),
    ],
)
def test_layers_and_heads_that_do_not_exist_are_refused(chosen, sentence):
    with pytest.raises(MiniBertError, match=sentence):
        attention_heatmap(["a"], np.ones((2, 1, 1, 1)), **chosen)


# The plot of embeddings.

VECTORS = np.random.default_rng(0).normal(size=(12, 5)) * [5, 3, 1, 1, 1]


def test_points_on_a_line_have_one_component():
    found, shares = principal_components([[0, 0, 5], [2, 0, 5], [4, 0, 5]])
    assert np.abs(found).round(6).tolist() == [[2, 0], [0, 0], [2, 0]]
    assert shares.round(6).tolist() == [1, 0]


def test_components_are_the_eigenvectors_of_the_covariance():
    found, shares = principal_components(VECTORS)
    values, directions = np.linalg.eigh(np.cov(VECTORS.T))
    expected = (VECTORS - VECTORS.mean(axis=0)) @ directions[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum(), atol=1e-9)


def test_all_components_together_keep_all_distances():
    found, shares = principal_components(VECTORS, count=5)
    before = np.linalg.norm(VECTORS[:, None] - VECTORS, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(found[:, None] - found, axis=-1), before, atol=1e-9)
    assert shares.sum() == pytest.approx(1)


def test_the_embedding_plot_shows_each_text_at_its_point_in_the_color_of_its_group():
    texts, groups = [f"text {n}" for n in range(12)], ["one", "two", "one"] * 4
    axes = embedding_plot(VECTORS, texts, groups=groups, title="a map").axes[0]
    expected, shares = principal_components(VECTORS)
    of_two = [n for n in range(12) if groups[n] == "two"]
    np.testing.assert_allclose(axes.collections[1].get_offsets(), expected[of_two])
    assert [text.get_text() for text in axes.texts] == texts
    np.testing.assert_allclose([text.xy for text in axes.texts], expected)
    color = {"one": style.BLUE, "two": style.ORANGE}
    assert [text.get_color() for text in axes.texts] == [color[group] for group in groups]
    assert legend(axes) == ["one", "two"]
    assert axes.get_xlabel() == f"first component: {shares[0]:.0%} of the variance"
    assert axes.get_title(loc="left") == "a map"


def test_no_label_of_the_embedding_plot_covers_another():
    axes = embedding_plot(VECTORS, [f"text number {n}" for n in range(12)]).axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize(
    ("vectors", "texts"),
    [
        (VECTORS, ["a cat", "那只猫", "x" * 300, "$5 $\\foo{$", *"abcdefgh"]),
        (np.zeros((3, 4)), ["same"] * 3),
        (np.ones((1, 1)), ["alone"]),
        (np.eye(2), ["one", "two"]),
    ],
)
def test_any_finite_vectors_and_any_texts_can_be_drawn(vectors, texts, tmp_path):
    style.save_figure(embedding_plot(vectors, texts, title="猫 $\\foo{$"), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_long_texts_are_shortened_in_the_embedding_plot():
    axes = embedding_plot(np.eye(2), ["x" * 300, "short"]).axes[0]
    assert axes.texts[0].get_text() == "x" * 35 + "…"


@pytest.mark.usefixtures("no_fonts")
def test_numbers_replace_texts_where_no_font_has_them(capsys):
    axes = embedding_plot(np.eye(2), ["猫", "狗"], groups=["动", "物"], title="猫").axes[0]
    assert re.search("no installed font has 动 物 狗 猫; .*fonts-noto-cjk", capsys.readouterr().err)
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert axes.get_legend() is None
    assert axes.get_title(loc="left") == ""


@pytest.mark.parametrize(
    ("vectors", "texts", "groups", "message"),
    [
        (VECTORS, ["a"], None, "found 1 texts, 1 groups and vectors"),
        (VECTORS, ["a"] * 12, ["g"], "found 12 texts, 1 groups"),
        (np.zeros((0, 4)), [], None, "for each text"),
        (np.zeros(3), ["a"] * 3, None, "for each text"),
        (VECTORS * np.nan, ["a"] * 12, None, "NaN or infinite"),
    ],
)
def test_vectors_that_cannot_be_drawn_are_refused(vectors, texts, groups, message):
    with pytest.raises(MiniBertError, match=message):
        embedding_plot(vectors, texts, groups=groups)


def test_no_report_and_no_picture_fails_a_run_whose_weights_are_saved(
    tmp_path, monkeypatch, capsys
):
    def fail(*_, **__):
        raise RuntimeError("no such font")

    texts = Tokenized([np.array([2, 5, 3])] * 4, [np.zeros(3, int)] * 4, [3] * 4)
    data = LabelledBatches(texts, [0, 1, 0, 1], pad_token_id=0, batch_size=4)
    labels = LabelSet(("good", "bad"))
    torch.manual_seed(0)
    model = BertForSequenceClassification(tiny_config(num_labels=2)).eval()
    baselines = {"dev": {"majority": 0.5, "bag_of_words": 0.5}}
    (tmp_path / "training").mkdir()
    write_log(tmp_path / "training" / "log.jsonl", TRAIN)
    report.write_report(tmp_path, model, {"dev": data}, labels, baselines)
    whole = capsys.readouterr().out.rstrip()
    assert whole.endswith("metrics.json, learning_curve.png, confusion_matrix.png")
    for path in tmp_path.glob("*.*"):
        path.unlink()
    (tmp_path / "training" / "log.jsonl").write_bytes(b"\xff" * 99)
    for name in ("confusion_matrix_figure", "write_json"):
        monkeypatch.setattr(report, name, fail)
    with pytest.warns(UserWarning) as notes:
        report.write_report(tmp_path, model, {"dev": data}, labels, baselines)
    rest = capsys.readouterr().out.rstrip()
    assert rest.rsplit("\n", 1)[0] == whole.rsplit("\n", 1)[0]
    said = [str(note.message) for note in notes]
    for name in ("metrics.json", "learning_curve.png", "confusion_matrix.png"):
        assert sum(f"{tmp_path / name} could not be made: " in note for note in said) == 1


FEW = {
    "100": {"pretrained": 0.6, "random": 0.25, "bag_of_words": 0.4},
    "400": {"pretrained": 0.76, "random": 0.35, "bag_of_words": 0.5},
}


def test_few_labels_are_one_line_for_each_method_over_the_number_of_texts():
    axes = few_labels_figure(FEW, split="dev").axes[0]
    assert lines(axes) == {
        "pretrained BERT": [[100, 400], [0.6, 0.76]],
        "linear bag of words": [[100, 400], [0.4, 0.5]],
        "BERT from random weights": [[100, 400], [0.25, 0.35]],
    }
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["100", "400"]
    assert axes.get_ylabel() == "dev accuracy"


def test_few_labels_join_the_metrics_with_the_scores_of_all_texts(tmp_path: Path):
    metrics = {
        "test": {"accuracy": 0.8},
        "from_random_weights": {"accuracy": 0.5},
        "baselines": {"bag_of_words": 0.6, "split": "test"},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    table = write_few_labels(tmp_path, {100: FEW["100"]}, train_size=1600)
    added = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    with_all = {"pretrained": 0.8, "random": 0.5, "bag_of_words": 0.6}
    assert added == metrics | {"few_labels": {"100": FEW["100"], "1600": with_all}}
    assert table.splitlines()[1].split() == ["100", "1,600"]
    assert table.splitlines()[4].split() == ["pretrained", "BERT", "0.600", "0.800"]
    assert (tmp_path / "few_labels.png").read_bytes()[:4] == b"\x89PNG"
