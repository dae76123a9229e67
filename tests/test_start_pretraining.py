"""What you can rely on: a model goes on only with text that was cut as it expects it."""

from pathlib import Path

import pytest
import torch

from minibert import BertConfig, BertForPreTraining, BertTokenizer, MiniBertError
from minibert.data.corpus.build import build_corpus
from minibert.data.corpus.corpus import Corpus
from minibert.training.pretrain_setup import going_on_from

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
        ({"do_lower_case": False}, "model lowers the case and .*corpus keeps it"),
        ({"strip_accents": False}, "model drops accents and .*corpus keeps them"),
        ({"tokenize_chinese_chars": False}, "model makes each Chinese character a word and .*corp"),
    ],
)
def test_a_corpus_of_other_words_is_refused_though_the_vocabulary_is_the_same(
    tmp_path, model, options, message
):
    text = corpus(tmp_path, **options)
    with pytest.raises(MiniBertError, match=rf"{message}.*anew: minibert prepare TEXTS"):
        going_on_from(model, text, max_length=8)


def test_a_model_that_keeps_accents_refuses_a_corpus_without_them(tmp_path, model):
    tokenizer(strip_accents=False).save_pretrained(model)
    with pytest.raises(MiniBertError, match=r"corpus drops accents and .*model keeps them"):
        going_on_from(model, corpus(tmp_path), max_length=8)


def test_what_is_said_and_what_goes_without_saying_are_the_same(tmp_path, model):
    text = corpus(tmp_path, strip_accents=True)
    assert isinstance(going_on_from(model, text, max_length=8), torch.nn.Module)
