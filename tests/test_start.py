"""What you can rely on: a fine-tuning starts from what was asked for, and says from what.

Nothing asked for means the default weights, unless their vocabulary cannot write the texts: then a
vocabulary is learned, because pretrained weights know nothing about pieces they have never seen.
"""

from pathlib import Path

import pytest
import torch
from tiny_folders import pretrained_folder

from minibert import BertConfig, MiniBertError
from minibert.data.labelled.examples import Example
from minibert.data.labelled.labels import LabelSet
from minibert.training.finetune_setup import (
    choose_start,
    start_at_random,
    start_pretrained,
    suggested,
    without_pretraining,
)


def examples(*texts: str) -> list[Example]:
    return [Example(text, None, "ab"[number % 2]) for number, text in enumerate(texts)]


ENGLISH = examples("the cat sat on a mat .", "paris is the capital of france .")
CHINESE = examples("今天下雨了", "米饭很好吃")
LABELS = LabelSet.from_examples(ENGLISH)


@pytest.fixture
def default(tmp_path: Path) -> Path:
    return pretrained_folder(tmp_path / "default")


def test_nothing_asked_for_means_the_default_weights(default: Path):
    start = choose_start(LABELS, ENGLISH, default=default)
    assert start.pretrained
    assert str(default) in start.note
    again = start_pretrained(default, LABELS, ENGLISH)
    for ours, other in zip(start.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(ours, other)


def test_texts_that_the_default_vocabulary_cannot_write_start_at_random_and_this_is_said(
    default: Path,
):
    start = choose_start(LABELS, CHINESE, default=default)
    assert not start.pretrained
    assert "unknown to" in start.note
    assert "learned from the training texts" in start.note
    assert start.tokenizer("今天下雨了")["input_ids"].count(start.tokenizer.unk_token_id) == 0


@pytest.mark.parametrize("first", ["一", "가"])  # a piece a character, or two
def test_texts_with_more_characters_than_the_vocabulary_has_pieces_are_learned_from(first: str):
    rare = "".join(chr(ord(first) + number) for number in range(8_300))
    start = start_at_random("tiny", LABELS, examples(rare, "一二三 가나다 cats " * 99), cased=True)
    assert len(start.tokenizer) <= 8192
    ids = start.tokenizer("一二三 가나다 cats")["input_ids"]
    assert start.tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("asked", [{"preset": "tiny"}, {"cased": True}])
def test_asking_for_a_random_start_is_heeded(default: Path, asked: dict):
    start = choose_start(LABELS, ENGLISH, default=default, **asked)
    assert not start.pretrained
    assert start.note.startswith("start: random weights")
    with pytest.raises(MiniBertError, match="or --model"):
        choose_start(LABELS, ENGLISH, default=default, model=default, **asked)


def test_another_model_than_the_default_is_taken_where_it_is_named(default: Path, tmp_path: Path):
    other = pretrained_folder(tmp_path / "other")
    assert str(other) in choose_start(LABELS, ENGLISH, default=default, model=other).note


def test_without_pretraining_only_the_weights_differ(default: Path):
    start = choose_start(LABELS, ENGLISH, default=default)
    control = without_pretraining(start, seed=3)
    assert control.config == start.model.config
    table = control.bert.embeddings.word_embeddings.weight
    assert not torch.equal(table, start.model.bert.embeddings.word_embeddings.weight)
    assert torch.equal(
        table, without_pretraining(start, seed=3).bert.embeddings.word_embeddings.weight
    )


def test_what_was_asked_for_wins_over_what_is_suggested():
    asked = suggested(
        BertConfig.tiny(), pretrained=True, updates_an_epoch=100, epochs=7, learning_rate=1e-5
    )
    assert (asked.epochs, asked.learning_rate) == (7, 1e-5)


def test_the_larger_the_model_the_lower_the_suggested_rate():
    rates = [
        suggested(getattr(BertConfig, name)(), pretrained=True, updates_an_epoch=100).learning_rate
        for name in ("tiny", "mini", "small", "base", "large")
    ]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_a_small_model_gets_a_higher_rate_for_few_updates(name):
    few, many = (
        suggested(getattr(BertConfig, name)(), pretrained=True, updates_an_epoch=n)
        for n in (200, 2000)
    )
    assert few.learning_rate > many.learning_rate
    assert few.epochs == many.epochs
