"""What you can rely on: the playground is `numpy_bert.py` and our tokenizer, in a real browser; it
requests nothing; and all of it can be reached with a keyboard, on a phone, in two languages.

Where chromium and chromedriver are not installed, all but the first tests are skipped.
"""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny_folders import classifier_folder, pretrained_folder, tiny_config, tiny_tokenizer

from minibert import BertForMaskedLM, BertForPreTraining, BertTokenizer
from minibert.cli.main import main
from minibert.errors import MiniBertError
from minibert.plots.playground_page import playground_page
from minibert.reference.numpy_bert import bert

MODELS = ("weights/tiny", "weights/tiny-zh")
PAIRS = {
    "weights/tiny": ("He opened the door.", "Don't you like naïve cafés?"),
    "weights/tiny-zh": ("上海是一座大城市。", "我在学习BERT模型"),
}
TEXTS = (
    "Élan, 我爱BERT! Don't  STOP\tnow…",
    "naïve café — “quotes” €5.00 a+b=c x^2 `code` ~ | <tag> #1 @me",
    "unaffable electroencephalographically zzzzqx 2024-11-28 ½ ﬁne",
    "上海自来水来自海上，ＢＥＲＴ１２３「引号」、龘𠮷𪚥",
    "ひらがなとカタカナ 한국어 Ελληνικός ΟΔΟΣ русский Й ñ ß İ",
    "a\u200bb\u00adc\ufeffd\u00a0e\u3000f\u2028g\x00h\ufffdi",
    "[CLS] is text, [SEP] too; " + "x" * 201,
    "",
)


def page_of(name: str, folder: Path) -> Path:
    """Write the page of a model with the command."""
    page = folder / f"{Path(name).name}.html"
    with pytest.raises(SystemExit) as stop:
        main(["playground", name, "--output", str(page)])
    assert stop.value.code == 0
    return page


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("playground")
    return {name: page_of(name, folder) for name in MODELS}


def weights_of(folder: str | Path) -> tuple[dict[str, np.ndarray], dict]:
    """The tensors of a folder, rounded to 16 bits as in the page, and the config."""
    model = BertForPreTraining.from_pretrained(folder, quiet=True)
    return {n: t.half().float().numpy() for n, t in model.named_tensors().items()}, vars(
        model.config
    )


def run_bert(browser, ids: list[int], types: list[int], heads_off: tuple[str, ...] = ()) -> dict:
    """What bert.js computes: every step by its name, and the log-probabilities of both heads."""
    found = browser.run(
        f"""(() => {{
            const ids = {ids}, options = {{ heads_off: new Set({json.dumps(heads_off)}),
                                            positions: ids.map((_, i) => i) }};
            const {{ steps, ...logs }} = bert(weights, config, ids, {types}, options);
            const plain = ({{ shape, data }}) => ({{ shape, data: Array.from(data) }});
            const all = [...steps, ...Object.entries(logs)];
            return Object.fromEntries(all.map(([name, x]) => [name, plain(x)]));
        }})()"""
    )
    return {name: np.array(x["data"]).reshape(x["shape"]) for name, x in found.items()}


def differences(found: dict, expected) -> dict[str, float]:
    """The largest difference from what numpy_bert computes, for everything that it returns."""
    layers = len(expected.attentions)
    pairs = {
        "bert.embeddings.LayerNorm": expected.hidden_states[0],
        **{
            f"bert.encoder.layer.{n}.output_LayerNorm": expected.hidden_states[n + 1]
            for n in range(layers)
        },
        **{
            f"bert.encoder.layer.{n}.attention.probabilities": expected.attentions[n]
            for n in range(layers)
        },
        "bert.pooler": expected.pooled[None],
        "masked_lm_log_probs": expected.masked_lm_log_probs,
        "next_sentence_log_probs": expected.next_sentence_log_probs[None],
    }
    return {name: float(np.abs(found[name] - array).max()) for name, array in pairs.items()}


def test_the_page_refers_to_nothing_outside_and_allows_only_its_own_script(pages):
    html = pages["weights/tiny"].read_text(encoding="utf-8")
    outside = html[: html.index('id="data"')] + html[html.index("</script>") :]
    assert not re.search(r"https?:|\bsrc=|\bhref=|@import|url\(|fetch\(|import ", outside)
    assert "default-src 'none'" in html
    assert "unsafe" not in html.partition("<title>")[0]
    assert 4e6 < len(html) < 5e6


def test_a_token_or_title_can_be_no_markup():
    model = BertForPreTraining(tiny_config())
    tensors = {name: tensor.numpy() for name, tensor in model.named_tensors().items()}
    hostile = "</script><img src=x onerror=alert(1)>{{weights}}"
    html = playground_page(tensors, model.config, tiny_tokenizer(), title=hostile)
    assert "<img" not in html
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert data["title"] == hostile


def test_a_model_without_a_masked_lm_head_is_refused(tmp_path, capsys):
    folder = classifier_folder(tmp_path / "classifier")
    with pytest.raises(SystemExit) as stop:
        main(["playground", str(folder), "--output", str(tmp_path / "page.html")])
    assert stop.value.code == 2
    assert "no head that predicts masked words" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_what_a_page_cannot_hold_is_refused(monkeypatch):
    model = BertForPreTraining(tiny_config())
    tensors = {name: tensor.numpy() for name, tensor in model.named_tensors().items()}
    tokenizer = tiny_tokenizer()
    wrong = tensors | {"masked_lm.bias": np.full(24, 1e6, dtype=np.float32)}
    with pytest.raises(MiniBertError, match="not finite in 16 bits"):
        playground_page(wrong, model.config, tokenizer)
    more = BertTokenizer(tokenizer.vocab, additional_special_tokens=["<e>"])
    with pytest.raises(MiniBertError, match="additional tokens, and this tokenizer has <e>"):
        playground_page(tensors, model.config, more)
    monkeypatch.setattr("minibert.plots.playground_page.MOST_NUMBERS", 100)
    with pytest.raises(MiniBertError, match="a page can hold 100"):
        playground_page(tensors, model.config, tokenizer)


@pytest.mark.parametrize("name", MODELS)
def test_the_tokenizer_in_javascript_agrees_with_ours(browser, pages, name):
    browser.open(pages[name])
    tokenizer = BertTokenizer.from_pretrained(name)
    for text, pair in [*((text, "") for text in TEXTS), *pairwise(TEXTS[:-1])]:
        row = browser.run(
            f"tokenizer.encode({json.dumps(text)}, {json.dumps(pair)}, 512)"
            ".row.map(piece => [piece.token, piece.id, piece.type])"
        )
        expected = tokenizer(text, pair, split_special_tokens=True)
        assert [piece[0] for piece in row] == expected.tokens(), text
        assert [piece[1] for piece in row] == expected.input_ids
        assert [piece[2] for piece in row] == expected.token_type_ids


def test_a_long_pair_is_truncated_as_ours_is(browser, pages):
    browser.open(pages["weights/tiny"])
    tokenizer = BertTokenizer.from_pretrained("weights/tiny")
    for text, pair in (("a " * 9, "b " * 9), ("a " * 20, "b"), ("a", "b " * 20), ("a " * 30, "")):
        ids = browser.run(f"tokenizer.encode('{text}', '{pair}', 12).row.map(piece => piece.id)")
        assert ids == tokenizer(text, pair, truncation=True, max_length=12).input_ids


@pytest.mark.parametrize("name", MODELS)
def test_every_number_agrees_with_numpy_bert(browser, pages, name):
    browser.open(pages[name])
    encoded = BertTokenizer.from_pretrained(name)(*PAIRS[name])
    ids, types = encoded.input_ids, encoded.token_type_ids
    weights, config = weights_of(name)
    found = differences(run_bert(browser, ids, types), bert(weights, config, ids, types))
    assert len(found) == 1 + 2 + 2 + 3
    assert max(found.values()) < 1e-4, found


@pytest.mark.parametrize("hidden_act", ["gelu_tanh", "relu"])
def test_other_sizes_and_activations_agree_too(browser, tmp_path, hidden_act):
    sizes = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 3}
    folder = pretrained_folder(tmp_path / "model", hidden_act=hidden_act, **sizes)
    browser.open(page_of(str(folder), tmp_path))
    ids, types = [2, 11, 4, 12, 3, 22, 3], [0, 0, 0, 0, 0, 1, 1]
    found = differences(run_bert(browser, ids, types), bert(*weights_of(folder), ids, types))
    assert max(found.values()) < 1e-4, found


def test_a_head_that_is_off_adds_nothing(browser, pages):
    """As if the columns of the output matrix that read this head were 0."""
    browser.open(pages["weights/tiny"])
    ids, types = [2, 331, 2021, 304, 4, 82, 3], [0] * 7
    weights, config = weights_of("weights/tiny")
    weights["bert.encoder.layer.1.attention.output.weight"][:, 64:] = 0  # head 1 of 2
    expected = bert(weights, config, ids, types)
    found = run_bert(browser, ids, types, heads_off=("1.1",))
    assert max(differences(found, expected).values()) < 1e-4
    assert np.abs(found["bert.encoder.layer.1.attention.context"][1]).max() == 0


def test_a_model_without_next_sentences_works(browser, tmp_path):
    folder = pretrained_folder(tmp_path / "model", kind=BertForMaskedLM)
    browser.open(page_of(str(folder), tmp_path))
    browser.run("(document.getElementById('text').value = 'the cat sat', read(), mask(2))")
    assert browser.run("document.querySelectorAll('#guesses li').length") == 5
    assert browser.run("document.getElementById('follows').innerText") == ""
    assert browser.complaints() == []


GUESSES = "Array.from(document.querySelectorAll('#guesses li span'), e => e.textContent)"


def test_a_click_masks_a_piece_and_a_switched_off_head_shows_both_lists(browser, pages):
    browser.open(pages["weights/tiny"])
    assert browser.complaints() == []
    browser.run("example(['he opened the door.', 'it was dark.', ''])")
    assert browser.run(GUESSES) == []
    browser.mouse("#words [data-position='4']", click=True)
    weights, config = weights_of("weights/tiny")
    tokenizer = BertTokenizer.from_pretrained("weights/tiny")
    encoded = tokenizer("he opened the [MASK].", "it was dark.", split_special_tokens=False)
    output = bert(weights, config, encoded.input_ids, encoded.token_type_ids)
    best = np.argsort(-output.masked_lm_log_probs[4])[:5]
    assert browser.run(GUESSES) == tokenizer.convert_ids_to_tokens(best.tolist())
    shares = browser.run("Array.from(document.querySelectorAll('#follows b'), e => e.textContent)")
    probabilities = np.exp(output.next_sentence_log_probs)
    assert [float(share[:-2]) for share in shares] == pytest.approx(100 * probabilities, abs=0.1)
    browser.mouse("#heads [data-head='0.1']", click=True)
    assert len(browser.run(GUESSES)) == 10
    assert browser.run("document.querySelector('#guesses h4:last-of-type').textContent")
    browser.mouse("#allOn", click=True)
    browser.mouse("#words [data-position='4']", click=True)
    assert browser.run(GUESSES) == []


def test_a_typed_mask_is_a_mask_and_other_special_tokens_are_text(browser, pages):
    browser.open(pages["weights/tiny"])
    browser.run("(document.getElementById('text').value = 'the [MASK] [SEP] sat', read())")
    tokens = browser.run("state.encoded.row.map(piece => piece.token)")
    assert tokens[:3] == ["[CLS]", "the", "[MASK]"]
    assert tokens.count("[SEP]") == 1
    assert len(browser.run(GUESSES)) == 5


def test_a_step_opens_its_matrix_and_the_arrow_keys_read_its_numbers(browser, pages):
    browser.open(pages["weights/tiny"])
    browser.mouse("[data-step='bert.encoder.layer.0.attention_LayerNorm']", click=True)
    browser.run("document.querySelector('#map canvas').focus()")
    browser.press("Down", "Down", "Right")
    name = "bert.encoder.layer.0.attention_LayerNorm"
    value = browser.run(f"answer.steps.get('{name}').data[128 + 1]")
    readout = browser.run("document.querySelector('.readout').textContent")
    assert readout == f"he → number 1:  {value:.3f}".replace("-", "−")
    assert browser.run("document.getElementById('stepName').textContent") == name


def test_everything_can_be_reached_with_the_keyboard(browser, pages):
    browser.open(pages["weights/tiny"])
    focus = (
        "(e => e.id || e.closest('[id]')?.id + (e.tagName === 'SUMMARY' ? ' summary' : ''))"
        "(document.activeElement)"
    )
    reached = []
    for _ in range(60):
        browser.press("Tab")
        reached.append(browser.run(focus))
    order = [*dict.fromkeys(reached)]
    expected = ["language", "theme", "text", "pair", "examples", "words", "heads"]
    assert order[: len(expected)] == expected
    assert {"stepHeads", "map", "selected", "groups summary", "groups"} <= {*order}
    browser.run("document.querySelector('#words button').focus()")
    browser.press("Space")
    assert browser.run("document.activeElement.ariaPressed") == "true"  # the focus stays
    assert browser.run("document.activeElement.dataset.position") == "1"


def test_the_language_follows_the_browser_and_can_be_switched(browser, pages):
    headings = {"zh-CN": "BERT 是怎样读一段文字的", "en": "How BERT reads a text"}
    for language, heading in headings.items():
        settings = {"userAgent": "test", "acceptLanguage": language}
        browser.command("Emulation.setUserAgentOverride", settings)
        browser.open(pages["weights/tiny"])
        assert browser.run("document.querySelector('h1').textContent") == heading
        assert browser.run("document.documentElement.lang") == language
    browser.mouse("#language", click=True)
    assert browser.run("document.documentElement.lang") == "zh-CN"
    assert browser.run("Object.keys(WORDS.en)") == browser.run("Object.keys(WORDS.zh)")


@pytest.mark.parametrize(("width", "dark"), [(375, False), (375, True), (1280, False)])
def test_no_layout_breaks_and_no_type_is_tiny(browser, pages, width, dark):
    browser.open(pages["weights/tiny-zh"], width=width, dark=dark)
    text = "他说：" + "很长的一句话，" * 5 + "donaudampfschifffahrt" * 2
    browser.run(f"(document.getElementById('text').value = {json.dumps(text)}, read())")
    for step in ("attention.probabilities", "intermediate"):
        browser.run(f"document.querySelector('[data-step$=\"0.{step}\"]').click()")
        assert browser.run("document.documentElement.scrollWidth") <= width
    sizes = browser.run(
        "Array.from(document.querySelectorAll('body *'), e => e.innerText ? "
        "parseFloat(getComputedStyle(e).fontSize) : 99)"
    )
    assert min(sizes) >= 13
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 200) is dark
    assert browser.complaints() == []
