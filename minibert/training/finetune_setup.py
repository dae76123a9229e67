"""The starting point of a fine-tuning: model, tokenizer, and default hyperparameters.

It is a pretrained folder, or random weights with a vocabulary learned from the training texts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from minibert.errors import MiniBertError
from minibert.model.config import BertConfig
from minibert.model.config_files import split_arguments
from minibert.model.pretrained import PretrainedModel
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.training.train_vocabulary import describe_accents, train_vocabulary
from minibert.tokenization.vocab import MAX_UNKNOWN_RATE, unknown_rate

PRESETS = ("tiny", "mini", "small", "medium", "base", "large")
# What to start from by default: the first that knows the language of the texts. To compare texts
# takes more than tiny has learned.
DEFAULT_WEIGHTS = ("weights/tiny", "weights/tiny-zh")
DEFAULT_WEIGHTS_FOR_PAIRS = ("weights/mini", "weights/tiny-zh")
MIN_UPDATES = 300  # from random weights; after fewer, even a simple task is still at chance
MIN_PRETRAINED_UPDATES = 30  # with 100 texts, 32 updates give 6 points more than 16
SHORT_TRAINING = 2000  # updates; in fewer, a small pretrained model needs a higher learning rate
VOCABULARY_SIZE = 8192  # learned from the training texts
ALPHABET_LIMIT = 4000  # characters; each takes a token, or two if a word can continue with it


Model = TypeVar("Model", bound=PretrainedModel)


@dataclass(frozen=True)
class FinetuneSetup(Generic[Model]):
    """What a fine-tuning starts from."""

    model: Model
    tokenizer: BertTokenizer
    pretrained: bool
    note: str  # for the user


def setup_finetuning(
    model_class: type[Model],
    texts: Sequence[str],
    *,
    defaults: Sequence[str | Path],
    model: str | Path | None = None,
    preset: str | None = None,
    vocab: Path | None = None,
    cased: bool = False,
    seed: int = 0,
    **config: Any,
) -> FinetuneSetup[Model]:
    """Return what the user asked for; otherwise the first default that knows the language.

    Args:
        model_class: the model of the task.
        texts: those of the training examples.
        defaults: the pretrained folders to choose from if nothing else is asked for. If no
            vocabulary of them knows the texts, the weights are random.
        model: a pretrained folder or hub name.
        preset: the size of random weights, "tiny" to "large".
        vocab: a `vocab.txt` for random weights; None learns one from the texts.
        cased: keep capitals and accents, with random weights.
        seed: of all weights that are not pretrained.
        **config: fields of the config, such as `num_labels`, and arguments of the model class.

    Raises:
        MiniBertError: a file cannot be loaded, the preset is unknown, or both a model and random
            weights are asked for.
    """
    random = bool(preset or vocab or cased)
    if model is not None and random:
        raise MiniBertError(
            "--preset, --vocab and --cased are for random weights and cannot be used with --model; "
            "remove them, or remove --model."
        )
    accents = describe_accents(texts)
    note = ""
    for source in () if random else (model,) if model is not None else defaults:
        tokenizer = BertTokenizer.from_pretrained(source)
        unknown = unknown_rate(tokenizer, texts)
        if model is not None or unknown <= MAX_UNKNOWN_RATE:
            torch.manual_seed(seed)
            setup = _from_pretrained(model_class, source, tokenizer, unknown, config)
            return replace(setup, note=note + setup.note + _describe_loss(tokenizer, accents))
        note += f"{unknown:.0%} of the tokens of your texts are unknown to {source}.\n"
    if note:
        note += (
            "So training starts from random weights; a --model for their language would do better."
            "\n"
        )
    # A vocabulary that is learned here keeps the accents that tell words apart.
    strip_accents = not cased and (vocab is not None or accents is None)
    learned: dict[str, int] = {}
    if vocab is None:
        tokens = train_vocabulary(
            texts,
            size=VOCABULARY_SIZE,
            do_lower_case=not cased,
            strip_accents=strip_accents,
            alphabet_limit=ALPHABET_LIMIT,
        )
        learned = {token: index for index, token in enumerate(tokens)}
    tokenizer = BertTokenizer(
        vocab or learned, do_lower_case=not cased, strip_accents=strip_accents
    )
    fields, own = split_arguments(config, model_class, BertConfig.__dataclass_fields__)
    new_config = preset_config(preset or "tiny", tokenizer, **fields)
    torch.manual_seed(seed)
    note += (
        f"initial weights: random, preset {preset or 'tiny'}; {len(tokenizer):,} tokens from "
        f"{vocab or 'the training texts'}.{_describe_loss(tokenizer, accents)}"
    )
    return FinetuneSetup(model_class(new_config, **own), tokenizer, False, note)


class Hyperparameters(NamedTuple):
    """The hyperparameters that depend on the size of the model and of the data."""

    epochs: int
    learning_rate: float


def default_hyperparameters(
    config: BertConfig, *, pretrained: bool, updates_per_epoch: int
) -> Hyperparameters:
    """Return epochs and learning rate that work without a search.

    A smaller model needs a higher learning rate, and so does a short training. The values for base
    and large are the paper's; those of small models are from Turc et al. 2019 and, for short
    trainings, from docs/experiments.md. Random weights have more to learn, and with few texts an
    epoch is only a few updates.
    """
    width = config.hidden_size
    if not pretrained:
        epochs = max(5, math.ceil(MIN_UPDATES / updates_per_epoch))
        return Hyperparameters(epochs, 5e-4 if width <= 512 else 1e-4)
    epochs = max(4 if width <= 512 else 3, math.ceil(MIN_PRETRAINED_UPDATES / updates_per_epoch))
    if width <= 256:
        highest = 1e-3 if width <= 128 else 5e-4
        learning_rate = highest if epochs * updates_per_epoch < SHORT_TRAINING else 3e-4
    elif width <= 512:
        learning_rate = 1e-4
    else:
        learning_rate = 5e-5 if width <= 768 else 2e-5
    return Hyperparameters(epochs, learning_rate)


def preset_config(preset: str, tokenizer: BertTokenizer, **changes: Any) -> BertConfig:
    """Return the config of a size, "tiny" to "large", for the vocabulary of a tokenizer."""
    if preset not in PRESETS:
        raise MiniBertError(f"the preset is {preset!r}; choose one of {', '.join(PRESETS)}.")
    config: BertConfig = getattr(BertConfig, preset)(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **changes
    )
    return config


def _from_pretrained(
    model_class: type[Model],
    source: str | Path,
    tokenizer: BertTokenizer,
    unknown: float,
    config: dict[str, Any],
) -> FinetuneSetup[Model]:
    model = model_class.from_pretrained(source, ignore_mismatched_sizes=True, quiet=True, **config)
    report = model.load_report
    note = f"initial weights: {source}, {len(report.loaded) if report else 0} tensors loaded"
    if unknown > MAX_UNKNOWN_RATE:
        note += (
            f"; {unknown:.0%} of the tokens of your texts are unknown to its vocabulary, which is "
            "for another language. Use another --model, or --preset tiny for random weights"
        )
    return FinetuneSetup(model.train(), tokenizer, True, f"{note}.")


def _describe_loss(tokenizer: BertTokenizer, accents: str | None) -> str:
    if accents is None or not tokenizer.normalization.strip_accents:
        return ""
    return (
        f"\nits tokenizer strips accents, but {accents}; to keep them, use a cased --model, or "
        "--preset tiny for random weights."
    )
