"""Tag the words of texts with a fine-tuned folder: names, parts of speech, word boundaries.

    tagger = Tagger.from_pretrained("runs/ner")
    tagger("Peter Blackburn lives in Paris.").entities
    # [Entity(type='PER', text='Peter Blackburn', start=0, end=15), Entity(type='LOC', ...)]

A `BertForTokenClassification` of `transformers` works, too. It has no `task.json`, which stores the
maximum length, the scheme of the tags, and whether the words are single characters.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch

from minibert.data.labelled.tags import SCHEMES, TagSet, find_spans, guess_scheme
from minibert.data.labelled.word_columns import Sentence
from minibert.data.labelled.word_windows import make_windows
from minibert.errors import MiniBertError
from minibert.evaluation.metrics import classification_report
from minibert.evaluation.tagging import entity_report, predict_tags, tagging_metrics
from minibert.inference.load import (
    load_for_inference,
    save_for_inference,
    saved_classes,
    task_settings,
)
from minibert.model.crf import BertCrfForTokenClassification
from minibert.model.task_heads import BertForTokenClassification
from minibert.tokenization.normalize import NormalizeOptions, is_accent, is_chinese, is_punctuation
from minibert.tokenization.offsets import split_words_with_offsets
from minibert.tokenization.tokenizer import BertTokenizer

_ABBREVIATION = re.compile(r"([^\W\d_]\.)+[^\W\d_]")  # U.S, before its last period


class Entity(NamedTuple):
    """A span of a text: `text[start:end]`, of a type such as "PER"."""

    type: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class TaggedText:
    """What a tagger predicts for one text.

    Attributes:
        text: the text; for a list of words, these with spaces between them.
        words: the words that were tagged.
        offsets: the place of each word, `text[start:end]`.
        tags: the tag of each word.
        entities: the spans that the tags mark; none if the tags have no scheme.
    """

    text: str
    words: list[str]
    offsets: list[tuple[int, int]]
    tags: list[str]
    entities: list[Entity]


@dataclass(frozen=True)
class Tagger:
    """A token classifier, with or without a CRF, its tokenizer and its settings."""

    model: BertForTokenClassification
    tokenizer: BertTokenizer
    max_length: int  # tokens of a window, including [CLS] and [SEP]
    tags: TagSet
    by_character: bool = False  # whether each character of a text is a word

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> Self:
        """Load a tagger from a folder or from the hub.

        Raises:
            MiniBertError: a file is missing or damaged, or the folder has no trained tagger.
        """
        crf = BertCrfForTokenClassification
        has_crf = crf.__name__ in saved_classes(name_or_path)
        model, tokenizer, limit = load_for_inference(
            crf if has_crf else BertForTokenClassification,
            name_or_path,
            device=device,
            precision=precision,
            if_untrained="fine-tune it: minibert finetune --task tagging --train FILE",
        )
        names = [model.config.id2label[index] for index in range(model.config.num_labels)]
        task, settings = task_settings(name_or_path)
        max_length = settings.get("max_length", limit)
        scheme = settings.get("scheme", guess_scheme([[name] for name in names]))
        by_character = settings.get("by_character", False)
        if (
            type(max_length) is not int
            or scheme not in (None, *SCHEMES)
            or type(by_character) is not bool
        ):
            raise MiniBertError(
                f"{task} has max_length {max_length!r}, scheme {scheme!r} and by_character "
                f"{by_character!r}, and one of them is invalid; copy the file again."
            )
        return cls(
            model, tokenizer, min(max_length, limit), TagSet(tuple(names), scheme), by_character
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained` reads back with bit-equal predictions."""
        settings = {
            "task": "tagging",
            "max_length": self.max_length,
            "scheme": self.tags.scheme,
            "by_character": self.by_character,
        }
        save_for_inference(folder, self.model, self.tokenizer, settings)

    def __call__(self, text: str | Sequence[str]) -> TaggedText:
        """Return the tags of one text, or of one list of words; see `predict`."""
        return self.predict([text])[0]

    def predict(
        self, texts: Sequence[str | Sequence[str]], *, batch_size: int = 64
    ) -> list[TaggedText]:
        """Return the tags of many texts, or lists of words; every word has one.

        Texts of more than `max_length` tokens are read in several windows.

        Args:
            texts: texts, which are split into words by `split_text`, or lists of words.
            batch_size: number of windows to run at a time.

        Raises:
            MiniBertError: there are no texts, or one of them is neither a str nor words.
        """
        if isinstance(texts, str) or len(texts) == 0:
            raise MiniBertError("predict takes a list of at least one text or list of words.")
        sources: list[tuple[str, list[str], list[tuple[int, int]]]] = []
        for text in texts:
            if isinstance(text, str):
                offsets = split_text(
                    text, self.tokenizer.normalization, by_character=self.by_character
                )
                sources.append((text, [text[start:end] for start, end in offsets], offsets))
            elif all(isinstance(word, str) for word in text):
                ends = accumulate((len(word) for word in text), lambda end, word: end + 1 + word)
                offsets = [(end - len(word), end) for word, end in zip(text, ends, strict=True)]
                sources.append((" ".join(text), list(text), offsets))
            else:
                raise MiniBertError(f"{text!r:.99} is neither a text nor a list of words.")
        tags, _ = self._run([words for _, words, _ in sources], None, batch_size)
        predictions = []
        for (text, words, offsets), found in zip(sources, tags, strict=True):
            spans = find_spans(found) if self.tags.scheme else []
            places = [(s.type, offsets[s.start][0], offsets[s.end - 1][1]) for s in spans]
            entities = [Entity(kind, text[start:end], start, end) for kind, start, end in places]
            predictions.append(TaggedText(text, words, offsets, found, entities))
        return predictions

    def evaluate(
        self, sentences: Sequence[Sentence], *, batch_size: int = 64
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Compare predictions with the tags of sentences, such as those of `read_sentences`.

        Returns:
            The loss and the scores of `tagging_metrics`; and the `entity_report`, or for tags
            without a scheme the `classification_report`.
        """
        true = [sentence.tags for sentence in sentences]
        found, loss = self._run([sentence.words for sentence in sentences], true, batch_size)
        metrics = {"loss": loss, **tagging_metrics(found, true, self.tags.scheme)}
        if self.tags.scheme is not None:
            return metrics, entity_report(found, true)
        label2id = self.tags.label2id
        ours, theirs = ([label2id[tag] for row in rows for tag in row] for rows in (found, true))
        return metrics, classification_report(ours, theirs, self.tags.names)

    def _run(
        self, sentences: list[list[str]], tags: list[list[str]] | None, batch_size: int
    ) -> tuple[list[list[str]], float]:
        """Return the tags of each sentence and the mean loss."""
        windows = make_windows(
            self.tokenizer,
            sentences,
            tags,
            label2id=self.tags.label2id,
            max_length=self.max_length,
        )
        self.model.eval()
        return predict_tags(self.model, windows, self.tags, batch_size=batch_size)


def split_text(
    text: str, options: NormalizeOptions, *, by_character: bool = False
) -> list[tuple[int, int]]:
    """Return the place (start, end) of each word of a text.

    Words are those of the tokenizer, so every Chinese character is one. But a mark inside a word
    or number, such as that of "U.S.", "well-known", "O'Brien" and "1,000", does not split it, as
    in files with a word per line.

    Args:
        text: any text.
        options: of the tokenizer.
        by_character: make every character but spaces a word.

    Example:
        >>> text = "U.S. sales rose 3.5% (1996-08-22), said O'Brien's 北京"
        >>> [text[slice(*place)] for place in split_text(text, NormalizeOptions())]
        ... # doctest: +NORMALIZE_WHITESPACE
        ['U.S.', 'sales', 'rose', '3.5', '%', '(', '1996-08-22', ')', ',', 'said', "O'Brien", "'",
         's', '北', '京']
    """
    if by_character:
        return [(i, i + 1) for i, character in enumerate(text) if not character.isspace()]
    places: list[tuple[int, int]] = []
    for word in split_words_with_offsets(text, options):
        start, end = word[0][1], word[-1][1] + 1
        while end < len(text) and is_accent(text[end]):  # dropped by the tokenizer
            end += 1
        if places and places[-1][1] == start:
            before, mark, after = text[start - 2 : start - 1], text[start - 1], text[start]
            adjacent = len(places) > 1 and places[-2][1] == start - 1 == places[-1][0]
            if adjacent and _is_inside(before, mark, after):
                start = places[-2][0]
                del places[-2:]
            elif text[start:end] == "." and _ABBREVIATION.fullmatch(text[slice(*places[-1])]):
                start = places.pop()[0]
        places.append((start, end))
    return places


def _is_inside(before: str, mark: str, after: str) -> bool:
    """Return whether a mark between two characters is inside a word or a number."""
    if is_chinese(before) or is_chinese(after) or is_punctuation(before) or is_punctuation(after):
        return False
    if mark in ",:":
        return before.isdigit() and after.isdigit()
    return mark in "._-&@/" or (mark in "'’" and after.isupper())
