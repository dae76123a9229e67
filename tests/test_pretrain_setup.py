"""What you can rely on: a model continues only on text that was tokenized as it expects."""

from pathlib import Path

import pytest
import torch

from minibert import BertConfig, BertForPreTraining, BertTokenizer, MiniBertError
from minibert.data.corpus.build import build_corpus
from minibert.data.corpus.corpus import Corpus
from minibert.training.pretrain_setup import continue_from

PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] cafe café Cafe 我 爱".split()


def tokenizer(**options) -> BertTokenizer:
    return BertTokenizer({piece: index for index, piece in enumerate(PIECES)}, **options)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    config = BertConfig.tiny(vocab_size=len(PIECES), max_position_embeddings=16)
    BertForPreTraining(config).save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def corpus(folder: Path, **options) -> Corpus:
    (folder / "text.txt").write_text("Café. 我爱.\n\nCafé.\n", encoding="utf-8")
    build_corpus([folder / "text.txt"], tokenizer(**options), folder / "corpus")
    return Corpus.open(folder / "corpus")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"do_lower_case": False}, "model lowercases text and .*corpus does not"),
        ({"strip_accents": False}, "model strips accents and .*corpus does not"),
        ({"tokenize_chinese_chars": False}, "model makes each Chinese character a word and .*corp"),
    ],
)
def test_a_corpus_that_was_normalized_differently_is_refused(tmp_path, model, options, message):
    text = corpus(tmp_path, **options)
    with pytest.raises(
        MiniBertError, match=rf"{message}.*prepare it again: minibert prepare TEXTS"
    ):
        continue_from(model, text, max_length=8)


def test_a_model_with_accents_refuses_a_corpus_without_them(tmp_path, model):
    tokenizer(strip_accents=False).save_pretrained(model)
    with pytest.raises(MiniBertError, match=r"corpus strips accents and .*model does not"):
        continue_from(model, corpus(tmp_path), max_length=8)


def test_an_option_given_explicitly_equals_the_same_default(tmp_path, model):
    text = corpus(tmp_path, strip_accents=True)
    assert isinstance(continue_from(model, text, max_length=8), torch.nn.Module)
