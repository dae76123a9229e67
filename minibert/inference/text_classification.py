"""A saved folder answers for texts.

    classifier = TextClassifier.from_pretrained("runs/finetune_cls")
    classifier("Returns a view of the array.").label        # 'numpy'

The folder holds all that is needed: weights, config with the label names, vocabulary, and
`task.json`, which says how long texts may be and whether they come in pairs. A folder of
`transformers` works too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from minibert.checkpoints.folder import weights_folder
from minibert.data.labelled.batches import TextClassificationBatches, tokenize_examples
from minibert.data.labelled.examples import Example
from minibert.errors import MiniBertError
from minibert.evaluation.classification import decide, run_classifier
from minibert.files import TASK_FILE, make_folder, read_json_object, write_json
from minibert.inference.load import load_for_inference
from minibert.model.task_heads import BertForSequenceClassification
from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from minibert.tokenization import serialization as saved
from minibert.tokenization.tokenizer import BertTokenizer


@dataclass(frozen=True)
class Answer:
    """What a classifier says about one text.

    Attributes:
        label: the class; a tuple of classes where a text may have several; a number for regression.
        probabilities: of each class; they add up to 1 unless a text may have several. Empty for
            regression.
        cut: whether the text was longer than the model reads, and only its beginning was seen.
    """

    label: str | tuple[str, ...] | float
    probabilities: dict[str, float]
    cut: bool = False


@dataclass(frozen=True)
class TextClassifier:
    """A model with the tokenizer and the settings that it was trained with."""

    model: BertForSequenceClassification
    tokenizer: BertTokenizer
    max_length: int  # tokens, with [CLS] and [SEP]
    pairs: bool | None = None  # whether it was trained on pairs; None: not known

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Load a classifier.

        Raises:
            MiniBertError: a file is missing or damaged, or the folder holds no trained classifier.
        """
        place = weights_folder(folder, more=(TASK_FILE, *saved.FILES))
        model, tokenizer, max_length = load_for_inference(
            BertForSequenceClassification, place, device=device
        )
        if model.load_report is not None and model.load_report.new:
            raise MiniBertError(
                f"{folder} holds no trained classifier ({', '.join(model.load_report.new)} "
                "missing); fine-tune it first: python examples/finetune_cls.py --train FILE "
                "--model FOLDER."
            )
        task = place / TASK_FILE
        settings = read_json_object(task) if task.exists() else {}
        length, pairs = settings.get("max_length", max_length), settings.get("pairs")
        if type(length) is not int or pairs not in (None, True, False):
            raise MiniBertError(
                f"{task} says max_length {length!r} and pairs {pairs!r}; they must be a whole "
                "number, and true or false: put that right, or delete the file."
            )
        return cls(model, tokenizer, min(length, max_length), pairs)

    def save(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained` reads; its answers are bit-equal.

        Raises:
            MiniBertError: the system refused to write.
        """
        folder = Path(folder).expanduser()
        make_folder(folder)
        self.tokenizer.save_pretrained(folder)
        write_json(folder / TASK_FILE, {"max_length": self.max_length, "pairs": self.pairs})
        self.model.save_pretrained(folder)

    def __call__(self, text: str, text_pair: str | None = None) -> Answer:
        """The answer for one text or pair.

        Raises:
            MiniBertError: see `predict`.
        """
        if not isinstance(text, str):
            raise MiniBertError(
                f"this takes one text and got a {type(text).__name__}; for many texts, "
                "classifier.predict([...])."
            )
        return self.predict([text], None if text_pair is None else [text_pair])[0]

    def predict(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        batch_size: int = 64,
    ) -> list[Answer]:
        """The answers for many texts; none depends on what else is asked.

        Args:
            texts: the texts.
            pairs: their second texts, where the classifier was trained on pairs.
            batch_size: how many to run at a time.

        Raises:
            MiniBertError: there are no texts, one is no text, or pairs are given where single texts
                were trained on, or the other way round.
        """
        self._check_pairs(texts, pairs)
        seconds = pairs if pairs is not None else [None] * len(texts)
        examples = [Example(a, b) for a, b in zip(texts, seconds, strict=True)]
        tokenized = tokenize_examples(self.tokenizer, examples, max_length=self.max_length)
        batches = TextClassificationBatches(
            tokenized, pad_token_id=self.tokenizer.pad_token_id, batch_size=batch_size
        )
        self.model.eval()
        logits = run_classifier(self.model, batches, batch_size=batch_size).logits
        return [
            self._answer(row, cut=length > self.max_length)
            for row, length in zip(logits, tokenized.full_lengths, strict=True)
        ]

    def _answer(self, logits: NDArray[np.float32], *, cut: bool) -> Answer:
        names = self.model.config.id2label
        problem = self.model.config.problem_type or (
            REGRESSION if len(names) == 1 else SINGLE_LABEL
        )
        decision = decide(logits[None], problem)[0]
        if problem == REGRESSION:
            return Answer(float(decision), {}, cut)
        probabilities = _sigmoid(logits) if problem == MULTI_LABEL else _softmax(logits)
        named = {names[index]: float(value) for index, value in enumerate(probabilities)}
        if problem == MULTI_LABEL:
            return Answer(tuple(names[i] for i in np.flatnonzero(decision).tolist()), named, cut)
        return Answer(names[int(decision)], named, cut)

    def _check_pairs(self, texts: Sequence[str], pairs: Sequence[str] | None) -> None:
        if isinstance(texts, str) or len(texts) == 0:
            raise MiniBertError("predict takes a list of texts, and at least one.")
        for text in (*texts, *(pairs or ())):
            if not isinstance(text, str):
                raise MiniBertError(
                    f"predict takes texts, and one of them is a {type(text).__name__}; give the "
                    "second texts of pairs as a list of their own: predict(texts, seconds)."
                )
        if pairs is not None and len(pairs) != len(texts):
            raise MiniBertError(f"{len(texts)} texts but {len(pairs)} second texts; give one each.")
        if self.pairs is not None and self.pairs != (pairs is not None):
            raise MiniBertError(
                "this classifier was trained on pairs; give the second text too (--pair)."
                if self.pairs
                else "this classifier was trained on single texts; leave the second text out."
            )


def as_json(text: str, text_pair: str | None, answer: Answer) -> dict[str, Any]:
    """An answer as a JSON object."""
    fields: dict[str, Any] = {"text": text}
    if text_pair is not None:
        fields["text_pair"] = text_pair
    return fields | {
        "label": answer.label,
        "probabilities": answer.probabilities,
        "cut": answer.cut,
    }


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(shifted / shifted.sum())


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))
