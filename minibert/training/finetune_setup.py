"""What a fine-tuning starts from: a pretrained folder, or random weights and a vocabulary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from minibert.data.labelled.examples import Example
from minibert.data.labelled.labels import LabelSet
from minibert.errors import MiniBertError
from minibert.model.config import BertConfig
from minibert.model.task_heads import BertForSequenceClassification
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.training.fast_trainer import train_vocabulary_fast
from minibert.tokenization.vocab import MAX_UNKNOWN_RATE, unknown_rate

PRESETS = ("tiny", "mini", "small", "medium", "base", "large")
FEWEST_UPDATES = 300  # from random weights; below that, even the simplest task stays at chance
SHORT = 2000  # updates; in so few a small pretrained model does not get far at the usual rate
VOCABULARY_SIZE = 8192  # learned from the training texts, where no vocabulary is given
ALPHABET_LIMIT = 4000  # characters in it; each takes a piece, or two if words may go on with it


@dataclass(frozen=True)
class Start:
    """What a training begins with."""

    model: BertForSequenceClassification
    tokenizer: BertTokenizer
    pretrained: bool
    note: str  # one sentence that says what it is


def choose_start(
    labels: LabelSet,
    examples: Sequence[Example],
    *,
    default: Path,
    model: str | Path | None = None,
    preset: str | None = None,
    vocabulary: Path | None = None,
    cased: bool = False,
    seed: int = 0,
) -> Start:
    """What the user asked for; else the default weights if their vocabulary can write the texts.

    Args:
        labels: the classes.
        examples: the training examples.
        default: the folder of pretrained weights that is used where nothing is asked for.
        model: see `start_pretrained`.
        preset: this and the rest see `start_at_random`, which each of them asks for.
        vocabulary: likewise.
        cased: likewise.
        seed: of what is random.

    Raises:
        MiniBertError: something cannot be loaded, or both a model and a random start are asked for.
    """
    random = preset or vocabulary or cased
    if model is not None and random:
        raise MiniBertError(
            "--preset, --vocab and --cased are for a random start; leave them out, or --model."
        )
    if model is not None:
        return start_pretrained(model, labels, examples, seed=seed)
    note = ""
    if not random:
        unknown = unknown_rate(BertTokenizer.from_pretrained(default), [e.text for e in examples])
        if unknown <= MAX_UNKNOWN_RATE:
            return start_pretrained(default, labels, examples, seed=seed)
        note = (
            f"{unknown:.0%} of your texts' pieces are unknown to {default}, so nothing pretrained "
            "is used; for better answers, give a --model in their language.\n"
        )
    start = start_at_random(
        preset or "tiny", labels, examples, vocabulary=vocabulary, cased=cased, seed=seed
    )
    return replace(start, note=note + start.note)


def start_pretrained(
    name_or_path: str | Path, labels: LabelSet, examples: Sequence[Example], *, seed: int = 0
) -> Start:
    """Pretrained weights with a new layer for the task on top, and the vocabulary they came with.

    Args:
        name_or_path: a folder or hub name.
        labels: the classes.
        examples: the training examples, for a look at how much of them the vocabulary knows.
        seed: of the new layer.

    Raises:
        MiniBertError: something cannot be loaded.
    """
    torch.manual_seed(seed)
    tokenizer = BertTokenizer.from_pretrained(name_or_path)
    model = BertForSequenceClassification.from_pretrained(
        name_or_path, ignore_mismatched_sizes=True, quiet=True, **_task(labels)
    )
    report = model.load_report
    note = f"start: {name_or_path}, {len(report.loaded) if report else 0} tensors loaded"
    unknown = unknown_rate(tokenizer, [e.text for e in examples])
    if unknown > MAX_UNKNOWN_RATE:
        note += (
            f"; {unknown:.0%} of your texts' pieces are unknown to its vocabulary, which is for "
            "another language: give another --model, or --preset tiny for random weights"
        )
    return Start(model.train(), tokenizer, True, f"{note}.")


def start_at_random(
    preset: str,
    labels: LabelSet,
    examples: Sequence[Example],
    *,
    vocabulary: Path | str | None = None,
    cased: bool = False,
    seed: int = 0,
) -> Start:
    """Random weights.

    Args:
        preset: "tiny" to "large".
        labels: the classes.
        examples: the training examples; a vocabulary is learned from them where none is given.
        vocabulary: a `vocab.txt`.
        cased: keep capitals and accents.
        seed: of the weights.

    Raises:
        MiniBertError: the vocabulary cannot be read, or the preset is unknown.
    """
    if preset not in PRESETS:
        raise MiniBertError(f"the preset is {preset!r}; choose one of {', '.join(PRESETS)}.")
    if vocabulary is None:
        texts = [text for e in examples for text in (e.text, e.text_pair) if text is not None]
        pieces = train_vocabulary_fast(
            texts,
            size=VOCABULARY_SIZE,
            alphabet_limit=ALPHABET_LIMIT,
            do_lower_case=not cased,
        )
        ids = {piece: index for index, piece in enumerate(pieces)}
        tokenizer = BertTokenizer(ids, do_lower_case=not cased)
        source = "learned from the training texts"
    else:
        tokenizer = BertTokenizer(vocabulary, do_lower_case=not cased)
        source = f"from {vocabulary}"
    make = getattr(BertConfig, preset)
    config = make(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **_task(labels))
    torch.manual_seed(seed)
    note = f"start: random weights, size {preset}; {len(tokenizer):,} pieces {source}."
    return Start(BertForSequenceClassification(config), tokenizer, False, note)


def without_pretraining(start: Start, *, seed: int = 0) -> BertForSequenceClassification:
    """A model of the same sizes with random weights: beside it one sees what pretraining adds.

    Args:
        start: what to compare with.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    return BertForSequenceClassification(start.model.config)


def _task(labels: LabelSet) -> dict[str, Any]:
    return {
        "num_labels": len(labels),
        "id2label": labels.id2label or {0: "number"},
        "problem_type": labels.problem_type,
    }


@dataclass(frozen=True)
class Suggestion:
    """Settings that work without search."""

    epochs: int
    learning_rate: float


def suggested(
    config: BertConfig,
    *,
    pretrained: bool,
    updates_an_epoch: int,
    epochs: int | None = None,
    learning_rate: float | None = None,
) -> Suggestion:
    """Settings that work without search: the smaller the model, the higher the rate it bears.

    The paper's rates, 2e-5 to 5e-5, are for base and large; the small models' are Google's (Turc et
    al. 2019), and for short trainings the highest that did well here (docs/results.md). A random
    start has more to learn, and takes a higher rate and more epochs.

    Args:
        config: the model's sizes.
        pretrained: whether it starts from trained weights.
        updates_an_epoch: a small file needs more epochs.
        epochs: what the user asked for; None for the suggestion.
        learning_rate: likewise.
    """
    width = config.hidden_size
    if not pretrained:
        usual = Suggestion(
            epochs=max(5, math.ceil(FEWEST_UPDATES / updates_an_epoch)),
            learning_rate=5e-4 if width <= 512 else 1e-4,
        )
    elif width <= 256:
        short = 4 * updates_an_epoch < SHORT
        highest = 1e-3 if width <= 128 else 5e-4
        usual = Suggestion(epochs=4, learning_rate=highest if short else 3e-4)
    elif width <= 512:
        usual = Suggestion(epochs=4, learning_rate=1e-4)
    else:
        usual = Suggestion(epochs=3, learning_rate=5e-5 if width <= 768 else 2e-5)
    return Suggestion(
        usual.epochs if epochs is None else epochs,
        usual.learning_rate if learning_rate is None else learning_rate,
    )
