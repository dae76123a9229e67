"""Turn questions about contexts into windows of tokens: [CLS] question [SEP] part [SEP].

A context that is too long is split into windows that overlap, as in Google's `run_squad.py`.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from minibert.data.labelled.batches import LabelledBatches, Tokenized
from minibert.data.labelled.question_answering import QuestionExample
from minibert.data.sampler import Batch
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer

MAX_QUESTION = 64  # tokens, as in Google's code; the rest of a longer question is dropped


@dataclass(frozen=True)
class Windows(Tokenized):
    """Questions with parts of their contexts, as ids.

    Attributes:
        example: the index of the question of each window.
        first: the position of the first token of the context.
        offsets: the characters of each token of the context in this window, (N, 2).
        max_context: (N,), whether no other window shows more text on both sides of a token.
        targets: the positions of the first and the last token of the answer; (0, 0), which is
            [CLS], if the window does not hold all of it.
    """

    example: Sequence[int]
    first: Sequence[int]
    offsets: Sequence[NDArray[np.int64]]
    max_context: Sequence[NDArray[np.bool_]]
    targets: Sequence[tuple[int, int]]

    def describe(self) -> str:
        """Return a sentence that says how many windows there are and how long they are."""
        empty = sum(end == 0 for _, end in self.targets) / len(self.targets)
        return (
            f"{max(self.example) + 1:,} questions make {len(self.example):,} windows of up to "
            f"{max(self.full_lengths):,} tokens; {empty:.0%} of the windows do not hold the answer."
        )


def make_windows(
    tokenizer: BertTokenizer,
    examples: Sequence[QuestionExample],
    *,
    max_length: int,
    doc_stride: int,
) -> Windows:
    """Split contexts that are too long into windows that overlap.

    Args:
        tokenizer: the model's.
        examples: the questions.
        max_length: tokens of a window, with the question and the special tokens.
        doc_stride: tokens from the beginning of a window to that of the next. (In `transformers`,
            `stride` is the number of tokens that they share.)

    Raises:
        MiniBertError: there is no room for a context, or the stride is too small.
    """
    if max_length < 8 or doc_stride < 1:
        raise MiniBertError(
            f"windows of {max_length} tokens with a stride of {doc_stride} hold no question and "
            "context; use --max-length 8 or more and --doc-stride 1 or more."
        )
    max_question = min(MAX_QUESTION, max_length // 2 - 2)
    questions = list(dict.fromkeys(example.question for example in examples))
    contexts = list(dict.fromkeys(example.context for example in examples))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # windows are made of what is too long
        ids = tokenizer(questions, add_special_tokens=False)["input_ids"]
        question_ids = {q: row[:max_question] for q, row in zip(questions, ids, strict=True)}
        context_tokens = {}
        for context in contexts:
            encoded = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
            offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
            context_tokens[context] = np.array(encoded["input_ids"], dtype=np.int32), offsets
    cls, sep = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    known: dict[tuple[str, int], list[tuple[int, int, NDArray[np.bool_]]]] = {}
    columns: list[tuple[Any, ...]] = []
    for index, example in enumerate(examples):
        prefix = [*cls, *question_ids[example.question], *sep]
        tokens, offsets = context_tokens[example.context]
        size = max_length - len(prefix) - 1
        if (example.context, size) not in known:
            known[example.context, size] = list(window_spans(len(tokens), size, doc_stride))
        first_token, last_token = -1, -1
        if span := example.span:  # the tokens that overlap with the answer
            first_token = int(np.searchsorted(offsets[:, 1], span[0], side="right"))
            last_token = int(np.searchsorted(offsets[:, 0], span[1])) - 1
        for begin, end, max_context in known[example.context, size]:
            ids = np.array([*prefix, *tokens[begin:end], *sep], dtype=np.int32)
            token_type_ids = (np.arange(len(ids)) >= len(prefix)).astype(np.int8)
            target = (0, 0)
            # As in Google's code, windows without the answer are trained to point at [CLS]. Hugging
            # Face does so, too; a label of -100 would let their scores be anything.
            if begin <= first_token <= last_token < end:
                shift = len(prefix) - begin
                target = first_token + shift, last_token + shift
            place = (index, len(prefix), offsets[begin:end], max_context)
            columns.append((ids, token_type_ids, len(ids), *place, target))
    return Windows(*map(list, zip(*columns, strict=True)))


def window_spans(
    length: int, size: int, stride: int
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Yield the windows over a context: begin, end, and which tokens have their maximum context.

    A token at a window's edge is seen with half its context. It counts in the window where the
    smaller of the numbers of tokens on its left and right is largest.

    Source: `_check_is_max_context` of Google's `run_squad.py`.

    Example:
        >>> [(begin, end, mask.tolist()) for begin, end, mask in window_spans(5, 4, 2)]
        [(0, 4, [True, True, True, False]), (2, 5, [False, True, True])]
    """
    stride = min(size, stride)
    count = 1 + max(0, -(-(length - size) // stride))
    spans = [(i * stride, min(i * stride + size, length)) for i in range(count)]
    best, owner = np.full(length, -1.0), np.zeros(length, dtype=np.int64)
    for number, (begin, end) in enumerate(spans):
        place = np.arange(end - begin)
        score = np.minimum(place, place[::-1]) + 0.01 * (end - begin)
        better = score > best[begin:end]
        best[begin:end][better], owner[begin:end][better] = score[better], number
    for number, (begin, end) in enumerate(spans):
        yield begin, end, owner[begin:end] == number


@dataclass
class QuestionBatches(LabelledBatches):
    """Batches of windows; the targets are those of the windows."""

    texts: Windows

    def collate_targets(self, targets: Sequence[tuple[int, int]]) -> Batch:
        """Return the `start_positions` and `end_positions` (B,) of the answers."""
        starts, ends = torch.tensor(targets).unbind(1)  # (B, 2) -> 2 times (B,)
        return {"start_positions": starts, "end_positions": ends}
