"""The picture of text vectors: the components are right, and odd input draws or is refused.

You can rely on: no warning, also for Chinese without a Chinese font; the plane is the one that an
eigenvalue decomposition of the covariance gives.
"""

import numpy as np
import pytest

from minibert.errors import MiniBertError
from minibert.plots import style as drawing
from minibert.plots.text_map import principal_components, vectors_picture

pytestmark = pytest.mark.filterwarnings("error")

RANDOM = np.random.default_rng(0).normal(size=(12, 5)) * [5, 3, 1, 1, 1]


def test_points_on_a_line_have_one_component():
    points, shares = principal_components([[0, 0, 5], [2, 0, 5], [4, 0, 5]])
    assert np.abs(points).round(6).tolist() == [[2, 0], [0, 0], [2, 0]]
    assert shares.round(6).tolist() == [1, 0]


def test_components_are_the_eigenvectors_of_the_covariance():
    points, shares = principal_components(RANDOM)
    values, directions = np.linalg.eigh(np.cov(RANDOM.T))
    expected = (RANDOM - RANDOM.mean(axis=0)) @ directions[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum(), atol=1e-9)


def test_all_components_keep_all_distances():
    points, shares = principal_components(RANDOM, count=5)
    before = np.linalg.norm(RANDOM[:, None] - RANDOM, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(points[:, None] - points, axis=-1), before, atol=1e-9)
    assert shares.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("vectors", "texts"),
    [
        (RANDOM, ["a cat", "那只猫", "x" * 300, "$5 $\\foo{$", *"abcdefgh"]),
        (np.zeros((3, 4)), ["same"] * 3),
        (np.ones((1, 1)), ["alone"]),
        (np.eye(2), ["one", "two"]),
    ],
)
def test_anything_finite_can_be_drawn(vectors, texts, tmp_path):
    vectors_picture(vectors, texts, tmp_path / "a.png", title="猫 $\\foo{$")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_chinese_font_numbers_are_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(drawing, "families_for", lambda texts: None)
    groups = ["猫"] * 6 + ["狗"] * 6
    vectors_picture(RANDOM, ["猫"] * 12, tmp_path / "a.svg", groups=groups, title="猫")
    assert "猫" not in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("vectors", "texts", "groups", "message"),
    [
        (RANDOM, ["a"], None, "1 texts and 1 groups do not fit"),
        (RANDOM, ["a"] * 12, ["g"], "12 texts and 1 groups do not fit"),
        (np.zeros((0, 4)), [], None, "do not fit"),
        (np.zeros(3), ["a"] * 3, None, "do not fit"),
        (RANDOM * np.nan, ["a"] * 12, None, "NaN or infinite"),
    ],
)
def test_what_cannot_be_drawn_is_said(vectors, texts, groups, message, tmp_path):
    with pytest.raises(MiniBertError, match=message):
        vectors_picture(vectors, texts, tmp_path / "a.png", groups=groups)
    assert not list(tmp_path.iterdir())
