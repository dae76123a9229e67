"""What a fine-tuning starts from: a pretrained folder, or random weights and a vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from minibert.data.labels import LabelSet
from minibert.data.readers import Example
from minibert.errors import MiniBertError
from minibert.model.config import BertConfig
from minibert.model.tasks import BertForSequenceClassification
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.train_vocab_fast import train_vocabulary_fast

PRESETS = ("tiny", "mini", "small", "medium", "base", "large")
VOCABULARY_SIZE = 8192  # learned from the training texts, where no vocabulary is given


@dataclass(frozen=True)
class Suggestion:
    """Settings that work without search."""

    epochs: int
    learning_rate: float


def start_classifier(
    name_or_path: str | None,
    labels: LabelSet,
    examples: Sequence[Example],
    *,
    preset: str = "mini",
    vocabulary: Path | str | None = None,
    cased: bool = False,
    seed: int = 0,
) -> tuple[BertForSequenceClassification, BertTokenizer]:
    """A model with a new classifier on top, and its tokenizer.

    Args:
        name_or_path: a folder or hub name with pretrained weights; None starts at random.
        labels: the classes.
        examples: the training examples; a vocabulary is learned from them where none is given.
        preset: the size of a random start, "tiny" to "large".
        vocabulary: a `vocab.txt` for a random start.
        cased: keep capitals and accents, for a random start.
        seed: of the random weights.

    Raises:
        MiniBertError: something cannot be loaded, or the preset is unknown.
    """
    torch.manual_seed(seed)
    task: dict[str, Any] = {
        "num_labels": len(labels),
        "id2label": labels.id2label or {0: "number"},
        "problem_type": labels.problem_type,
    }
    if name_or_path is not None:
        tokenizer = BertTokenizer.from_pretrained(name_or_path)
        model = BertForSequenceClassification.from_pretrained(
            name_or_path, ignore_mismatched_sizes=True, **task
        )
        return model.train(), tokenizer
    if preset not in PRESETS:
        raise MiniBertError(f"the preset is {preset!r}; choose one of {', '.join(PRESETS)}.")
    if vocabulary is None:
        texts = [text for e in examples for text in (e.text, e.text_pair) if text is not None]
        pieces = train_vocabulary_fast(texts, size=VOCABULARY_SIZE, do_lower_case=not cased)
        tokenizer = BertTokenizer(
            {piece: index for index, piece in enumerate(pieces)}, do_lower_case=not cased
        )
    else:
        tokenizer = BertTokenizer(vocabulary, do_lower_case=not cased)
    make = getattr(BertConfig, preset)
    config = make(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **task)
    return BertForSequenceClassification(config), tokenizer


def suggested(config: BertConfig, *, pretrained: bool) -> Suggestion:
    """Settings that work without search: the smaller the model, the higher the rate it bears.

    The paper's rates, 2e-5 to 5e-5, are for base and large; the small models' are Google's (Turc et
    al. 2019). A random start has more to learn, and takes a higher rate and more epochs.
    """
    width = config.hidden_size
    if not pretrained:
        return Suggestion(epochs=5, learning_rate=5e-4 if width <= 512 else 1e-4)
    if width <= 256:
        return Suggestion(epochs=4, learning_rate=3e-4)
    if width <= 512:
        return Suggestion(epochs=4, learning_rate=1e-4)
    return Suggestion(epochs=3, learning_rate=5e-5 if width <= 768 else 2e-5)
