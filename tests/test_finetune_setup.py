"""What you can rely on: fine-tuning starts from what was asked for, and says so.

By default that is the default weights, unless their vocabulary does not know the texts. Then the
weights are random and a vocabulary is learned: pretrained weights know nothing of unseen pieces.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_folders import pretrained_folder

from minibert import BertConfig, BertForSequenceClassification, BertTokenizer, MiniBertError
from minibert.training import finetune_setup
from minibert.training.finetune_setup import FinetuneSetup, default_hyperparameters

ENGLISH = ["the cat sat on a mat .", "paris is the capital of france ."]
CHINESE = ["今天下雨了", "米饭很好吃"]


def setup_finetuning(texts: list[str], default: Path, **asked: Any) -> FinetuneSetup:
    return finetune_setup.setup_finetuning(
        BertForSequenceClassification, texts, defaults=[default], num_labels=2, **asked
    )


@pytest.fixture
def default(tmp_path: Path) -> Path:
    return pretrained_folder(tmp_path / "default")


def test_the_default_weights_are_used_if_nothing_else_is_asked_for(default: Path):
    setup = setup_finetuning(ENGLISH, default)
    assert setup.pretrained
    assert f"initial weights: {default}, " in setup.note
    again = setup_finetuning(ENGLISH, Path("elsewhere"), model=default)
    for ours, other in zip(setup.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(ours, other)


def test_weights_are_random_if_the_default_vocabulary_does_not_know_the_texts(default: Path):
    setup = setup_finetuning(CHINESE, default)
    assert not setup.pretrained
    assert "are unknown to" in setup.note
    assert "tokens from the training texts" in setup.note
    assert setup.tokenizer.unk_token_id not in setup.tokenizer("今天下雨了")["input_ids"]


def test_a_model_that_was_asked_for_is_used_even_if_it_does_not_know_the_texts(default: Path):
    setup = setup_finetuning(CHINESE, Path("elsewhere"), model=default)
    assert setup.pretrained
    assert "unknown to its vocabulary, which is for another language" in setup.note


@pytest.mark.parametrize("first", ["一", "가"])  # a piece per character, or two
def test_a_vocabulary_is_learned_from_more_characters_than_it_has_pieces(first: str):
    rare = "".join(chr(ord(first) + number) for number in range(8_300))
    texts = [rare, "一二三 가나다 cats " * 99]
    setup = setup_finetuning(texts, Path("elsewhere"), cased=True)
    assert len(setup.tokenizer) <= 8192
    ids = setup.tokenizer("一二三 가나다 cats")["input_ids"]
    assert setup.tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("asked", [{"preset": "mini"}, {"cased": True}])
def test_asking_for_random_weights_excludes_a_model(default: Path, asked: dict):
    setup = setup_finetuning(ENGLISH, default, **asked)
    assert not setup.pretrained
    assert setup.note.startswith(f"initial weights: random, preset {asked.get('preset', 'tiny')};")
    with pytest.raises(MiniBertError, match="or remove --model"):
        setup_finetuning(ENGLISH, default, model=default, **asked)


def test_an_unknown_preset_is_refused(default: Path):
    with pytest.raises(MiniBertError, match="the preset is 'huge'; choose one of tiny, mini"):
        setup_finetuning(ENGLISH, default, preset="huge")


def learning_rate(name: str, *, pretrained: bool = True, updates: int = 100) -> float:
    config = getattr(BertConfig, name)()
    return default_hyperparameters(
        config, pretrained=pretrained, updates_per_epoch=updates
    ).learning_rate


def test_larger_models_get_lower_learning_rates():
    rates = [learning_rate(name) for name in ("tiny", "mini", "small", "base", "large")]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_a_small_model_gets_a_higher_learning_rate_for_a_short_training(name):
    assert learning_rate(name, updates=200) > learning_rate(name, updates=2000)


def test_random_weights_get_at_least_300_updates():
    for updates, epochs in ((10, 30), (100, 5)):
        found = default_hyperparameters(
            BertConfig.tiny(), pretrained=False, updates_per_epoch=updates
        )
        assert found == (epochs, 5e-4)


def test_pretrained_weights_get_at_least_30_updates():
    for name, updates, epochs in (
        ("mini", 4, 8),
        ("mini", 13, 4),
        ("base", 10, 3),
        ("base", 2, 15),
    ):
        config = getattr(BertConfig, name)()
        found = default_hyperparameters(config, pretrained=True, updates_per_epoch=updates)
        assert found.epochs == epochs


# Accents: two words of each language differ by nothing else.
TWINS = [
    ("कुल", "कल"),  # Hindi: total, tomorrow
    ("ใกล้", "ใกล"),  # Thai: near, far without its first letter
    ("ma", "má"),  # Vietnamese: ghost, mother
    ("かき", "がき"),  # Japanese: persimmon, brat
    ("мой", "мои"),  # Russian: my, of one and of several
]


@pytest.mark.parametrize(("first", "second"), TWINS)
def test_a_learned_vocabulary_keeps_the_accents_that_tell_words_apart(
    first: str, second: str, default: Path, tmp_path: Path
):
    texts = [first, second] * 20
    setup = setup_finetuning(texts, default, preset="tiny")
    setup.tokenizer.save_pretrained(tmp_path / "saved")
    for tokenizer in (setup.tokenizer, BertTokenizer.from_pretrained(tmp_path / "saved")):
        ids = [tokenizer(word)["input_ids"] for word in (first, second)]
        assert ids[0] != ids[1]
        assert tokenizer.unk_token_id not in [*ids[0], *ids[1]]
    assert "strips accents" not in setup.note


def test_accents_are_stripped_where_they_are_rare(default: Path):
    texts = [*["the cat sat on a mat"] * 60, "a café"]
    tokenizer = setup_finetuning(texts, default, preset="tiny").tokenizer
    assert tokenizer.tokenize("café") == tokenizer.tokenize("cafe")


def test_a_vocabulary_that_strips_accents_that_matter_is_noted(default: Path):
    texts = ["the cat ma", "the cat má"]
    for setup in (
        setup_finetuning(texts, default, model=default),
        setup_finetuning(texts, default, vocab=default / "vocab.txt"),
    ):
        assert "strips accents, but 17% of the words have accents" in setup.note
        assert "'ma' and 'má' are the same" in setup.note or "'má' and 'ma'" in setup.note
    assert "accents" not in setup_finetuning(ENGLISH, default).note
