"""What you can rely on: the attention page holds the probabilities it was given, within the error
that it states; no token can become markup; and the page requests nothing.

The second half opens the page in a headless Chromium, driven over the W3C WebDriver protocol. It is
skipped where chromium and chromedriver are not installed.
"""

import base64
import json
import re

import numpy as np
import pytest
from test_plots import softmax_rows

from minibert.errors import MiniBertError
from minibert.plots.attention_page import MOST_IN_16_BITS, attention_page, quantize

TOKENS = ["[CLS]", "the", "cat", "[SEP]", "那", "猫", "[SEP]"]
TYPE_IDS = [0, 0, 0, 0, 1, 1, 1]
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--",
    "{{script}}",
    "\u2028",
    "a'\"`${1}",
    "&lt;",
]


def embedded(page: str) -> dict:
    """The data in a page, with the probabilities unpacked."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    size, bits = len(data["tokens"]), data["bits"]
    steps = np.frombuffer(base64.b64decode(data["probabilities"]), dtype={8: "u1", 16: "<u2"}[bits])
    shape = (data["layers"], data["heads"], size, size)
    return data | {"probabilities": steps.reshape(shape) / (2**bits - 1)}


def test_probabilities_become_integers():
    assert quantize(np.array([0.0, 0.5, 1.0]), 8).hex(" ") == "00 80 ff"
    assert quantize(np.array([0.0, 0.5, 1.0]), 16).hex(" ") == "00 00 00 80 ff ff"


def test_the_page_holds_what_it_was_given_within_half_a_step():
    attentions = softmax_rows(2, 3, 7)
    data = embedded(attention_page(TOKENS, TYPE_IDS, attentions, title="猫"))
    assert (data["tokens"], data["token_type_ids"], data["title"]) == (TOKENS, TYPE_IDS, "猫")
    assert data["bits"] == 16
    assert np.abs(data["probabilities"] - attentions).max() <= 0.5 / 65535 + 1e-12


def test_a_very_long_text_takes_one_byte_for_each_probability():
    size = 300
    attentions = softmax_rows(1, -(-MOST_IN_16_BITS // size**2), size)
    data = embedded(attention_page(["w"] * size, [0] * size, attentions))
    assert data["bits"] == 8
    assert np.abs(data["probabilities"] - attentions).max() <= 0.5 / 255 + 1e-12


def test_the_page_refers_to_nothing_outside():
    page = attention_page(TOKENS, TYPE_IDS, softmax_rows(1, 1, 7))
    assert not re.search(r"https?:|//[a-z]|\bsrc=|\bhref=|@import|url\(", page)
    assert "default-src 'none'" in page
    assert "{{" not in page


def test_no_token_can_close_the_element_that_holds_it():
    size = len(HOSTILE)
    attentions = softmax_rows(1, 1, size)
    plain = attention_page(["w"] * size, [0] * size, attentions)
    hostile = attention_page(HOSTILE, [0] * size, attentions, title=HOSTILE[0])
    assert embedded(hostile)["tokens"] == HOSTILE
    elements = [re.findall(r"<[a-z!/]+", page) for page in (plain, hostile)]
    assert elements[0] == elements[1]


@pytest.mark.parametrize("type_ids", [[0] * 6, [0] * 6 + [2]])
def test_token_type_ids_that_do_not_fit_are_refused(type_ids):
    with pytest.raises(MiniBertError, match="7 tokens need as many token_type_ids"):
        attention_page(TOKENS, type_ids, softmax_rows(1, 1, 7))


@pytest.fixture(scope="module")
def attentions():
    return softmax_rows(3, 4, len(TOKENS))


@pytest.fixture(scope="module")
def page(attentions, tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "attention.html"
    html = attention_page(TOKENS, TYPE_IDS, attentions, title="the cat | 那猫")
    page.write_text(html, encoding="utf-8")
    return page


READOUT = "document.getElementById('readout').innerText"
HEADING = "document.getElementById('one').textContent"
STRIP = """(() => {
    const canvas = document.getElementById("shades");
    const strip = canvas.getContext("2d").getImageData(0, cell + 3, canvas.width, 1).data;
    return columns.map((_, x) => strip[4 * Math.floor(x * cell + 3)]);
})()"""


def test_the_page_opens_without_a_complaint_and_shows_every_head(browser, page):
    browser.open(page)
    assert browser.run("document.title") == "the cat | 那猫"
    assert browser.run("document.querySelectorAll('#overview button canvas').length") == 12
    assert browser.run(HEADING) == "Layer 0, head 0"
    left = browser.run("Array.from(document.querySelectorAll('#queries span'), e => e.textContent)")
    assert left == TOKENS
    assert browser.complaints() == []


def test_the_browser_reads_the_probabilities_that_were_written(browser, page, attentions):
    browser.open(page)
    read = browser.run("probability(5, 2, 1, 3)")
    assert read == pytest.approx(attentions[1, 3, 5, 2], abs=0.5 / 65535 + 1e-9)


def test_the_matrix_is_darker_where_the_probability_is_higher(browser, page, attentions):
    browser.open(page)
    red = browser.run(STRIP)  # of the second row, near the corners, where no number is written
    assert np.argsort(red).tolist() == np.argsort(-attentions[0, 0, 1]).tolist()


def test_pointing_at_a_token_shows_its_attention_in_both_directions(browser, page, attentions):
    browser.open(page)
    browser.mouse("#queries button:nth-child(3)")
    given, received = attentions[0, 0, 2], attentions[0, 0, :, 2]
    first, second = browser.run(READOUT).split("\n\n")
    assert first.startswith(f"cat attends to {TOKENS[given.argmax()]} {100 * given.max():.0f} %")
    assert second.startswith(
        f"cat is attended to by {TOKENS[received.argmax()]} {100 * received.max():.0f} %"
    )
    browser.mouse("h1")
    assert browser.run(READOUT).startswith("Point at a token")


def test_a_click_pins_a_token_and_escape_releases_it(browser, page):
    browser.open(page)
    browser.mouse("#keys button:nth-child(2)", click=True)
    browser.mouse("h1")
    assert browser.run(READOUT).startswith("the attends to")
    browser.mouse("#overview button:last-of-type", click=True)
    assert browser.run(HEADING) == "Layer 2, head 3"
    assert browser.run(READOUT).startswith("the attends to")
    browser.press("Escape")
    assert browser.run(READOUT).startswith("Point at a token")


def test_everything_can_be_reached_and_used_with_the_keyboard(browser, page):
    browser.open(page)
    focus = "(document.activeElement.id || document.activeElement.parentElement.id)"
    reached = []
    for _ in range(10):
        browser.press("Tab")
        reached.append(browser.run(focus))
    assert reached == [
        *("theme", "overview", "layer", "head", "pair", "hide", "fit"),
        *("queries", "keys", "shades"),
    ]
    browser.press("Right", "Enter")
    browser.run("document.activeElement.blur()")
    assert browser.run(READOUT).startswith("[CLS] attends to [CLS]")
    browser.run("document.querySelector('#overview button').focus()")
    browser.press("Down", "Down", "Right")
    assert browser.run(HEADING) == "Layer 2, head 1"
    assert browser.run("document.activeElement.ariaLabel") == "layer 2, head 1"
    browser.run("document.querySelector('#queries button').focus()")
    browser.press("Down", "Right", "Space")
    assert browser.run("document.activeElement.parentElement.id") == "keys"
    assert browser.run("document.activeElement.ariaPressed") == "true"


def test_the_filters_leave_the_tokens_they_name(browser, page):
    browser.open(page)
    browser.run("(document.getElementById('pair').value = '01', refilter())")
    assert browser.run("[rows, columns]") == [[0, 1, 2, 3], [4, 5, 6]]
    browser.mouse("#hide", click=True)
    assert browser.run("[rows, columns]") == [[1, 2], [4, 5]]
    assert browser.complaints() == []


def test_a_single_text_has_no_filter_for_pairs_and_may_be_hidden_whole(browser, tmp_path):
    html = attention_page(["[CLS]", "[SEP]"], [0, 0], softmax_rows(1, 1, 2))
    (tmp_path / "a.html").write_text(html, encoding="utf-8")
    browser.open(tmp_path / "a.html")
    assert browser.run("document.getElementById('pairLabel').hidden") is True
    browser.mouse("#hide", click=True)
    assert browser.run(READOUT).startswith("No tokens are left")
    assert browser.complaints() == []


def test_hostile_tokens_stay_text(browser, tmp_path):
    size = len(HOSTILE)
    page = tmp_path / "a.html"
    html = attention_page(HOSTILE, [0] * size, softmax_rows(1, 1, size), title=HOSTILE[0])
    page.write_text(html, encoding="utf-8")
    browser.open(page)
    browser.mouse("#queries button:nth-child(1)")
    shown = browser.run("Array.from(document.querySelectorAll('#keys span'), e => e.textContent)")
    assert shown == HOSTILE
    assert browser.run("document.title") == HOSTILE[0]
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.complaints() == []


def test_the_theme_follows_the_system_and_can_be_switched(browser, page):
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.open(page)
    light = browser.run(ground)
    browser.open(page, dark=True)
    assert browser.run(ground) != light
    browser.mouse("#theme", click=True)
    assert browser.run(ground) == light


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_128_tokens_break_no_layout_and_stay_legible(browser, width, tmp_path):
    size = 128
    tokens = ["[CLS]", *(f"word{i}" for i in range(size - 3)), "donaudampfschifffahrt" * 2, "[SEP]"]
    html = attention_page(tokens, [0] * size, softmax_rows(2, 2, size))
    (tmp_path / "long.html").write_text(html, encoding="utf-8")
    browser.open(tmp_path / "long.html", width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    name = "getComputedStyle(document.querySelector('{} span')).fontSize"
    assert all(float(browser.run(name.format(e))[:-2]) >= 11 for e in ("#rowNames", "#queries"))
    assert browser.complaints() == []
