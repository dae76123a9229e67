"""Classify texts with a fine-tuned folder.

    classifier = TextClassifier.from_pretrained("runs/finetune_cls")
    classifier("Returns a view of the array.").label        # 'numpy'

A folder of `transformers` works, too. It has no `task.json`, which stores the maximum length, what
is read of longer texts, and whether the classifier was trained on pairs of texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from minibert.checkpoints.sentence_modules import write_modules
from minibert.data.labelled.batches import LabelledBatches, tokenize_groups
from minibert.data.labelled.examples import Example
from minibert.data.labelled.header import is_number
from minibert.data.labelled.labels import LabelSet, Target
from minibert.data.labelled.long_texts import batch_texts, longest_read
from minibert.errors import MiniBertError
from minibert.evaluation.classification import compute_metrics, decide, predict
from minibert.inference.load import (
    load_for_inference,
    save_for_inference,
    saved_classes,
    task_settings,
)
from minibert.model.pooling import BertForPooledClassification
from minibert.model.pretrained import PretrainedModel
from minibert.model.task_heads import BertForSequenceClassification
from minibert.model.two_towers import BertTwoTowers
from minibert.problem_types import LONG_TEXTS, MULTI_LABEL, REGRESSION, SINGLE_LABEL
from minibert.tokenization.tokenizer import BertTokenizer


@dataclass(frozen=True)
class Prediction:
    """What a classifier predicts for one text.

    Attributes:
        label: the class; a tuple of classes in multi-label classification; a number in regression.
        probabilities: of each class, with sum 1 except in multi-label classification. Empty in
            regression.
        truncated: whether a part was not read, as the text is longer than `longest`.
    """

    label: str | tuple[str, ...] | float
    probabilities: dict[str, float]
    truncated: bool = False


@dataclass(frozen=True)
class Evaluation:
    """How a classifier does on N labelled texts.

    Attributes:
        metrics: the loss and the scores, by name.
        predictions: (N,) class ids; (N, C) of 0 and 1 in multi-label; (N,) numbers in regression.
        targets: what is right, likewise.
        labels: the classes as the examples name them: by id, or by name.
        logits: (N, C), or (N, 1) in regression.
        lengths: the tokens of each text before truncation.
        truncated: the number of texts of which a part was not read.
    """

    metrics: dict[str, float]
    predictions: NDArray[Any]
    targets: NDArray[Any]
    labels: LabelSet
    truncated: int
    logits: NDArray[np.float32]
    lengths: Sequence[int]


@dataclass(frozen=True)
class TextClassifier:
    """A sequence classifier with its tokenizer and the settings that it was trained with."""

    model: PretrainedModel  # a BertForSequenceClassification, or BertTwoTowers
    tokenizer: BertTokenizer
    max_length: int  # tokens, including [CLS] and [SEP]
    pairs: bool | None = None  # whether it was trained on pairs of texts; None: unknown
    long_text: str = "head"  # what is read of longer texts: one of LONG_TEXTS

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> Self:
        """Load a classifier from a folder or from the hub.

        Raises:
            MiniBertError: a file is missing or damaged, or the folder has no trained classifier.
        """
        advice = "fine-tune it: minibert finetune --train FILE --model FOLDER"
        saved_by = saved_classes(name_or_path)
        kinds: dict[str, type[PretrainedModel]] = {
            kind.__name__: kind for kind in (BertForPooledClassification, BertTwoTowers)
        }
        kind = next((kinds[name] for name in saved_by if name in kinds), None)
        model, tokenizer, limit = load_for_inference(
            kind or BertForSequenceClassification,
            name_or_path,
            device=device,
            precision=precision,
            if_untrained=advice,
        )
        task, settings = task_settings(name_or_path)
        max_length, pairs = settings.get("max_length", limit), settings.get("pairs")
        if type(max_length) is not int or pairs not in (None, True, False):
            raise MiniBertError(
                f"{task} has max_length {max_length!r} and pairs {pairs!r}; the first must be an "
                "integer and the second true or false. Correct the file or delete it."
            )
        fuses = bool(model.config.foreign.get("fuse")) and kind is BertForPooledClassification
        long_text = settings.get("long_text", "windows" if fuses else "head")
        if long_text not in LONG_TEXTS or fuses != (long_text == "windows"):
            fitting = "windows" if fuses else "head, tail or head+tail"
            raise MiniBertError(
                f"{task} has long_text {long_text!r:.100}, but the model was trained with "
                f"{fitting}; correct the file or delete it."
            )
        return cls(model, tokenizer, min(max_length, limit), pairs, long_text)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained` reads back with bit-equal predictions."""
        settings: dict[str, Any] = {"max_length": self.max_length, "pairs": self.pairs}
        two_towers = isinstance(self.model, BertTwoTowers)
        own = {"task": "matching"} if two_towers else {"long_text": self.long_text}
        save_for_inference(folder, self.model, self.tokenizer, own | settings)
        if two_towers:
            config = self.model.config
            sizes = {"max_length": self.max_length, "width": config.hidden_size}
            folder = Path(folder).expanduser()
            write_modules(folder, pooling=str(config.foreign["pooling"]), **sizes)

    def __call__(self, text: str, text_pair: str | None = None) -> Prediction:
        """Return the prediction for one text or one pair of texts; see `predict`."""
        return self.predict([text], None if text_pair is None else [text_pair])[0]

    def predict(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        *,
        batch_size: int = 64,
    ) -> list[Prediction]:
        """Return the predictions for many texts; they do not depend on how texts are batched.

        Args:
            texts: the texts.
            text_pairs: the second text of each pair, for a classifier that was trained on pairs.
            batch_size: number of texts to run at a time.

        Raises:
            MiniBertError: there are no texts, one of them is not a str, or pairs were given to a
                classifier of single texts, or the other way round.
        """
        self._check_texts(texts, text_pairs)
        seconds = [None] * len(texts) if text_pairs is None else text_pairs
        examples = [Example(*pair) for pair in zip(texts, seconds, strict=True)]
        logits, _, lengths = self._run(examples, None, batch_size)
        scores = torch.from_numpy(logits).double()
        names, kind = self.labels.names, self.labels.problem_type
        probabilities = scores.sigmoid() if kind == MULTI_LABEL else scores.softmax(dim=-1)
        predictions = []
        for decision, row, length in zip(
            decide(logits, kind).tolist(), probabilities.tolist(), lengths, strict=True
        ):
            label: str | tuple[str, ...] | float = decision
            if kind == SINGLE_LABEL:
                label = names[decision]
            elif kind == MULTI_LABEL:
                label = tuple(name for name, chosen in zip(names, decision, strict=True) if chosen)
            named = {} if kind == REGRESSION else dict(zip(names, row, strict=True))
            predictions.append(Prediction(label, named, length > self.longest))
        return predictions

    @property
    def longest(self) -> int:
        """The number of tokens of the longest text that is read whole."""
        return longest_read(self.max_length, self.long_text)

    @property
    def labels(self) -> LabelSet:
        """The classes and the problem type."""
        config = self.model.config
        kind = config.problem_type or (REGRESSION if config.num_labels == 1 else SINGLE_LABEL)
        names = tuple(config.id2label[index] for index in range(config.num_labels))
        return LabelSet(() if kind == REGRESSION else names, kind)

    def evaluate(self, examples: Sequence[Example], *, batch_size: int = 64) -> Evaluation:
        """Compare predictions with the labels of examples, such as those of `read_examples`.

        Raises:
            MiniBertError: an example has no label or one that the model does not know, or it is a
                pair of texts and the classifier was trained on single texts, or the other way
                round.
        """
        labels = self.labels
        if not any(map(is_number, labels.names)) and all(
            isinstance(example.label, str) and example.label.isdecimal() for example in examples
        ):  # ids in place of names
            numbers = tuple(str(number) for number in range(len(labels.names)))
            labels = LabelSet(numbers, labels.problem_type)
        targets = labels.targets(examples)
        pairs = [example.text_pair for example in examples if example.text_pair is not None]
        self._check_texts([example.text for example in examples], pairs or None)
        logits, loss, lengths = self._run(examples, targets, batch_size)
        return Evaluation(
            {"loss": loss, **compute_metrics(logits, targets, labels)},
            decide(logits, labels.problem_type),
            np.asarray(targets),
            labels,
            logits=logits,
            lengths=lengths,
            truncated=sum(length > self.longest for length in lengths),
        )

    def _run(
        self, examples: Sequence[Example], targets: Sequence[Target] | None, batch_size: int
    ) -> tuple[NDArray[np.float32], float, Sequence[int]]:
        """Return the logits (N, labels), the loss, and the full length of each text."""
        options = {"max_length": self.max_length, "pad_token_id": self.tokenizer.pad_token_id}
        batches: LabelledBatches
        if two_towers := isinstance(self.model, BertTwoTowers):
            pairs = [example.separate() for example in examples]
            batches = tokenize_groups(self.tokenizer, pairs, targets, **options)
        else:
            long_text = self.long_text
            batches = batch_texts(self.tokenizer, examples, targets, long_text=long_text, **options)
        self.model.eval()
        predictions = predict(self.model, batches, batch_size=batch_size)
        lengths = batches.texts.full_lengths
        if two_towers:
            lengths = np.reshape(lengths, (-1, 2)).max(axis=1).tolist()
        return predictions.logits, predictions.loss, lengths

    def _check_texts(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> None:
        if isinstance(texts, str) or len(texts) == 0:
            raise MiniBertError("predict takes a list of at least one text.")
        for text in (*texts, *(text_pairs or ())):
            if not isinstance(text, str):
                raise MiniBertError(
                    f"a text must be a str, not {type(text).__name__}; call classifier(text) "
                    "or classifier(text, text_pair) for one prediction, and "
                    "classifier.predict(texts, text_pairs) with two lists for many."
                )
        if text_pairs is not None and len(text_pairs) != len(texts):
            raise MiniBertError(
                f"there are {len(texts)} texts but {len(text_pairs)} second texts; give one for "
                "each text."
            )
        if self.pairs is not None and self.pairs != (text_pairs is not None):
            raise MiniBertError(
                "this classifier was trained on pairs of texts; add the second text (--pair, or "
                "--pair-column for a file)."
                if self.pairs
                else "this classifier was trained on single texts; remove the second text, or name "
                "the one column to read (--text-column)."
            )
