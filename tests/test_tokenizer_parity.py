"""What you can rely on: Google's ids on every golden line, and every field of `transformers`.

Google's own output is in `golden/google_tokens`. `transformers.BertTokenizer` is asked for all
that it can give, on random hostile texts; our limit of characters per word is set to its 100 there.
"""

import json
import random
import warnings

import pytest
from conftest import shared

from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer

VOCABULARIES = {
    "uncased": ("bert-base-uncased-vocab.txt", True),
    "cased": ("bert-base-cased-vocab.txt", False),
    "chinese": ("bert-base-chinese-vocab.txt", True),
    "multilingual-cased": ("bert-base-multilingual-cased-vocab.txt", False),
}
WORDS = [
    "hello",
    "the",
    "puppeteer",
    "unaffable",
    "Élan",
    "café",
    "naïve",
    "我爱",
    "北京2024年",
    "don't",
    "e-mail",
    "...",
    "?!",
    "한국어",
    "สวัสดี",
    "[SEP]",
    "[MASK]",
    "[CLS]x",
    "İstanbul",
    "ﬁ",
    "½",
    "Straße",
    "ΑΒΓ",
    "日本語テスト",
    "𝒳",
    "😀👍🏽",
    "ก็",
    "㋿",
    "zzzzqqqq",
    "ｆｕｌｌ",
    "ạ̈",
    ",",
    "，",
    "。",
]
WORDS += ["x\x00y", "a\u200bb", "\u3000", "\u0301", "e\u0301", "\t\n", "a\u0300\u0327b", "\ufffd"]


@pytest.mark.parametrize("backend", ["python", "rust"])
@pytest.mark.parametrize("name", VOCABULARIES)
def test_ids_are_googles_on_every_golden_line(name, backend):
    file, lower = VOCABULARIES[name]
    tokenizer = BertTokenizer(shared(f"data/vocab/{file}"), lower, backend=backend)
    golden = shared(f"golden/google_tokens/{name}.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in golden.splitlines()]
    assert len(lines) == 2278
    texts, wanted = [line["text"] for line in lines], [line["ids"] for line in lines]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some lines are longer than 512 tokens
        ids = tokenizer(texts, add_special_tokens=False)
        # Offsets are slow: every fourth line, of each language and kind of text.
        placed = tokenizer(texts[::4], add_special_tokens=False, return_offsets_mapping=True)
    assert ids.input_ids == wanted
    assert placed.input_ids == wanted[::4]


@pytest.mark.parametrize("name", ["uncased", "multilingual-cased"])
def test_every_field_is_that_of_transformers(name):
    transformers = pytest.importorskip("transformers")
    file, lower = VOCABULARIES[name]
    path = shared(f"data/vocab/{file}")
    rng = random.Random(name)
    compared = refused = 0
    for chinese, accents in [(True, None), (True, not lower), (False, None), (False, lower)]:
        options = {"tokenize_chinese_chars": chinese, "strip_accents": accents}
        theirs = transformers.BertTokenizer(str(path), do_lower_case=lower, **options)
        ours = [
            BertTokenizer(
                path,
                lower,
                backend=backend,
                max_characters_per_word=100,
                model_max_length=10**9,
                **options,
            )
            for backend in ("python", "rust")
        ]
        for _ in range(60):
            text, pair, arguments = random_call(rng)
            side = rng.choice(["left", "right"])
            wanted = call(theirs, text, pair, arguments, side)
            for tokenizer in ours:
                found = call(tokenizer, text, pair, arguments, side)
                context = (tokenizer.backend, text, pair, arguments, side)
                assert (wanted is None) == (found is None), context
                if wanted is None:
                    refused += 1
                    continue
                compared += 1
                assert dict(wanted) == dict(found), context
                for row in range(rows_of(wanted)):
                    assert wanted.tokens(row) == found.tokens(row), context
                    assert wanted.word_ids(row) == found.word_ids(row), context
                    assert wanted.sequence_ids(row) == found.sequence_ids(row), context
    assert compared > 3 * refused


def random_call(rng):
    """A text or a batch, perhaps with second texts, and arguments of every kind."""
    words = rng.random() < 0.3

    def one():
        if words:
            return rng.choices(WORDS, k=rng.randint(1, 8))
        return rng.choice([" ", "", "  "]).join(rng.choices(WORDS, k=rng.randint(0, 12)))

    count = rng.randint(1, 4)
    is_batch, has_pair = rng.random() < 0.7, rng.random() < 0.5
    text = [one() for _ in range(count)] if is_batch else one()
    pair = ([one() for _ in range(count)] if is_batch else one()) if has_pair else None
    arguments = {
        "is_split_into_words": words,
        "add_special_tokens": rng.random() < 0.8,
        "padding": rng.choice([False, True, "longest", "max_length", "do_not_pad"]),
        "truncation": rng.choice(
            [None, False, True, "longest_first", "only_first", "only_second", "do_not_truncate"]
        ),
        "max_length": rng.choice([8, 12, 20, 5]),
        "pad_to_multiple_of": rng.choice([None, None, 4]),
        "padding_side": rng.choice(["left", "right", None]),
        "return_overflowing_tokens": rng.random() < 0.5,
        "return_special_tokens_mask": rng.random() < 0.5,
        "return_offsets_mapping": rng.random() < 0.6,
        "return_length": rng.random() < 0.3,
        "split_special_tokens": rng.random() < 0.5,
    }
    # A stride that leaves a window of some texts no progress makes the library panic.
    arguments["stride"] = rng.choice([0, 1, 2]) if arguments["max_length"] > 8 and not pair else 0
    return text, pair, arguments


def call(tokenizer, text, pair, arguments, side):
    """The encoding, or None where the arguments are refused."""
    tokenizer.truncation_side = side
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return tokenizer(text, pair, **arguments)
        except MiniBertError:
            return None
        except Exception:  # whatever type the library chose
            if isinstance(tokenizer, BertTokenizer):
                raise
            return None


def rows_of(encoding):
    ids = encoding["input_ids"]
    return len(ids) if ids and isinstance(ids[0], list) else 1


def test_decoding_is_that_of_transformers():
    transformers = pytest.importorskip("transformers")
    path = shared("data/vocab/bert-base-uncased-vocab.txt")
    theirs, ours = transformers.BertTokenizer(str(path)), BertTokenizer(path)
    rng = random.Random(0)
    sentence = ours("Don't do it's, ok? he'll we've U.S. 3.5 ##x #hash i'm").input_ids
    for ids in [sentence, *(rng.choices(range(30522), k=20) for _ in range(200))]:
        for skip in (False, True):
            for clean in (False, True):
                options = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean}
                assert theirs.decode(ids, **options) == ours.decode(ids, **options)


def test_tensors_are_those_of_transformers():
    transformers = pytest.importorskip("transformers")
    path = shared("data/vocab/bert-base-uncased-vocab.txt")
    texts, options = ["Hello there", "Hi"], {"padding": True, "return_offsets_mapping": True}
    for kind in ("pt", "np"):
        theirs = transformers.BertTokenizer(str(path))(texts, return_tensors=kind, **options)
        ours = BertTokenizer(path)(texts, return_tensors=kind, **options)
        assert list(theirs) == list(ours)
        for name, value in theirs.items():
            assert value.dtype == ours[name].dtype
            assert value.tolist() == ours[name].tolist()


def test_transformers_reads_what_we_save_and_we_read_what_it_saves(tmp_path):
    transformers = pytest.importorskip("transformers")
    path = shared("data/vocab/bert-base-cased-vocab.txt")
    ours = BertTokenizer(path, do_lower_case=False, strip_accents=True, model_max_length=128)
    ours.save_pretrained(tmp_path / "ours")
    theirs = transformers.BertTokenizer.from_pretrained(str(tmp_path / "ours"))
    theirs.save_pretrained(str(tmp_path / "theirs"))
    again = BertTokenizer.from_pretrained(tmp_path / "theirs")
    text = "Élan vital, 我爱 Wörter"
    assert dict(theirs(text)) == dict(ours(text)) == dict(again(text))
    assert theirs.model_max_length == again.model_max_length == 128
