"""Turn sentences of words into windows of word pieces for a token classifier.

    words      EU       rejects          German
    tokens     [CLS]    eu     reject    ##s     german    [SEP]
    labels     -100     3      0         -100    5         -100

The first piece of a word stands for it. A sentence of more than `max_length` tokens is split into
several windows, so that every word is in one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minibert.data.labelled.batches import Ids, LabelledBatches, Tokenized
from minibert.errors import MiniBertError
from minibert.tokenization.normalize import is_punctuation
from minibert.tokenization.padding import IGNORE_INDEX
from minibert.tokenization.tokenizer import BertTokenizer


@dataclass(frozen=True)
class WordWindows:
    """The windows of N sentences, ready for a model.

    Attributes:
        batches: the windows as ids, with labels if the sentences have tags.
        places: of each window, its sentence and the number of its first word.
        first_pieces: of each window, the place of the first piece of each word among its tokens.
        word_counts: of each sentence.
    """

    batches: LabelledBatches
    places: list[tuple[int, int]]
    first_pieces: list[Ids]
    word_counts: list[int]

    def describe(self, max_length: int) -> str:
        """Return a sentence that says how many sentences are split."""
        split = len({sentence for sentence, first in self.places if first > 0})
        return (
            f"sentences of more than {max_length} tokens, split into windows: {split:,} of "
            f"{len(self.word_counts):,}."
        )


def make_windows(
    tokenizer: BertTokenizer,
    sentences: Sequence[Sequence[str]],
    tags: Sequence[Sequence[str]] | None = None,
    *,
    label2id: Mapping[str, int],
    max_length: int,
    batch_size: int = 32,
    seed: int = 0,
) -> WordWindows:
    """Return the windows of sentences.

    Args:
        tokenizer: that of the model.
        sentences: the words of each; a sentence may be empty and then has no window.
        tags: of each word; None without labels.
        label2id: the class of each tag; other tags have none, and add nothing to the loss.
        max_length: tokens of a window, with [CLS] and [SEP]. A word of more pieces is truncated.
        batch_size: windows per batch.
        seed: of the order of the batches.

    Raises:
        MiniBertError: `max_length` leaves no room for a word.
    """
    room = max_length - 2
    if room < 1:
        raise MiniBertError(f"max_length {max_length} leaves no room for a word; use 3 or more.")
    unique = list({word: None for words in sentences for word in words})
    ids = tokenizer(unique, add_special_tokens=False)["input_ids"] if unique else []
    # A word without a visible character has no piece, but has a tag, too.
    pieces = {
        w: (row or [tokenizer.unk_token_id])[:room] for w, row in zip(unique, ids, strict=True)
    }
    input_ids: list[Ids] = []
    targets: list[Ids] = []
    places: list[tuple[int, int]] = []
    first_pieces: list[Ids] = []
    for number, words in enumerate(sentences):
        lengths = np.array([len(pieces[word]) for word in words], dtype=np.int64)
        start = 0
        while start < len(words):
            end = _end_of_window(words, lengths, start, room)
            window = [piece for word in words[start:end] for piece in pieces[word]]
            row = [tokenizer.cls_token_id, *window, tokenizer.sep_token_id]
            first = 1 + np.cumsum(lengths[start:end]) - lengths[start:end]  # after [CLS]
            input_ids.append(np.array(row, dtype=np.int32))
            places.append((number, start))
            first_pieces.append(first)
            if tags is not None:
                labels = np.full(len(row), IGNORE_INDEX, dtype=np.int16)
                labels[first] = [label2id.get(tag, IGNORE_INDEX) for tag in tags[number][start:end]]
                targets.append(labels)
            start = end
    batches = LabelledBatches(
        Tokenized(
            input_ids,
            [np.zeros(len(row), dtype=np.int8) for row in input_ids],
            [len(row) for row in input_ids],
        ),
        None if tags is None else targets,
        pad_token_id=tokenizer.pad_token_id,
        batch_size=batch_size,
        seed=seed,
    )
    return WordWindows(batches, places, first_pieces, [len(words) for words in sentences])


def _end_of_window(words: Sequence[str], lengths: Ids, start: int, room: int) -> int:
    """Return the word before which a window ends: after punctuation, if some is in its last half.

    Example:
        >>> _end_of_window("I came , I saw .".split(), np.ones(6, dtype=int), 0, 5)
        3
    """
    pieces = np.cumsum(lengths[start : start + room])  # each word has at least one
    end = start + int(np.searchsorted(pieces, room, side="right"))
    if end == len(words):
        return end
    for index in range(end, start + (end - start) // 2, -1):
        if len(words[index - 1]) == 1 and is_punctuation(words[index - 1]):
            return index
    return end
