"""Exercise: from the logits of a question answering model to the best answer."""

import math
from collections.abc import Set
from typing import Any

import torch
from torch import Tensor

from minibert.evaluation.question_answering import best_spans
from minibert.learn.compare import Text, Wrong, expect_cases

FUNCTIONS = ("best_span",)
LESSON = "13"
SOLUTION = "minibert/evaluation/question_answering.py, best_spans"
HINTS = (
    Text(
        "The best start and the best end need not make a span. Compare pairs (start, end).",
        "最好的开头和最好的结尾不一定能组成片段。要比较的是一对 (开头, 结尾)。",
    ),
    Text(
        "Two loops: start from first to last, end from start to the smaller of last and "
        "start + max_length - 1. Keep the pair with the highest sum.",
        "两重循环：start 从 first 到 last，end 从 start 到 min(last, start + max_length - 1)。"
        "留下和最大的一对。",
    ),
    Text(
        "max(pairs, key=lambda pair: start_logits[pair[0]] + end_logits[pair[1]]), where pairs = "
        "[(s, e) for s in range(first, last + 1) for e in range(s, min(last, s + max_length - 1) "
        "+ 1)].",
        "max(pairs, key=lambda pair: start_logits[pair[0]] + end_logits[pair[1]])，其中 pairs = "
        "[(s, e) for s in range(first, last + 1) for e in range(s, min(last, s + max_length - 1) "
        "+ 1)]。",
    ),
)
MISTAKES = {
    "apart": Text(
        "start and end are chosen apart from each other, so the end can come before the start.",
        "开头和结尾是各选各的，结尾可能跑到开头前面。",
    ),
    "start first": Text(
        "the best start is chosen first, then an end for it; another start with its end can have "
        "the higher sum.",
        "先选了最好的开头，再给它配结尾；别的开头加结尾，总和可能更高。",
    ),
    "question": Text(
        "the answer may lie in the question or on [SEP]; only first to last are allowed.",
        "答案可能落在问题里或 [SEP] 上；只允许从 first 到 last。",
    ),
    "no last": Text(
        "the last token can never be part of an answer; `last` is inclusive.",
        "最后一个词元永远不会在答案里；`last` 是包含在内的。",
    ),
    "too long": Text(
        "an answer may be longer than max_length tokens.", "答案可能超过 max_length 个词元。"
    ),
    "one more": Text(
        "an answer may have max_length + 1 tokens: from start to end there are end - start + 1.",
        "答案可能有 max_length + 1 个词元：从 start 到 end 共有 end - start + 1 个。",
    ),
    "one less": Text(
        "an answer has at most max_length - 1 tokens: end may be start + max_length - 1.",
        "答案最多只有 max_length - 1 个词元：end 可以到 start + max_length - 1。",
    ),
    "no single": Text(
        "an answer of one token (start = end) is never found.", "找不到只有一个词元的答案。"
    ),
    "product": Text(
        "you multiply the logits; add them (only probabilities are multiplied).",
        "你把 logits 相乘了；应该相加（概率才相乘）。",
    ),
    "above 0": Text(
        "a span whose sum is negative is never found: the best sum starts at -inf, not at 0.",
        "总和为负的片段永远找不到：最好的总和应该从 -inf 开始，不是 0。",
    ),
    "exclusive": Text(
        "the end is one too far: it is the last token of the answer, inclusive.",
        "结尾多了一个：它是答案的最后一个词元（包含在内）。",
    ),
    "relative": Text(
        "the positions count from `first`; count from the start of the sequence.",
        "位置是从 `first` 数起的；应该从序列开头数起。",
    ),
}


def best_span(
    starts: Tensor, ends: Tensor, first: int, last: int, max_length: int, *, mistakes: Set[str]
) -> tuple[int, int]:
    """Return the positions of the best span, with these mistakes."""
    if "question" in mistakes:
        first, last = 0, len(starts) - 1
    last -= "no last" in mistakes
    length = len(starts) if "too long" in mistakes else max_length
    length = max(1, length + ("one more" in mistakes) - ("one less" in mistakes))
    shortest = 1 if "no single" in mistakes else 0
    pairs = [
        (s, e)
        for s in range(first, last + 1)
        for e in range(s + shortest, min(last, s + length - 1) + 1)
    ]
    a, b = starts.tolist(), ends.tolist()
    if "above 0" in mistakes:
        pairs = [(s, e) for s, e in pairs if a[s] + b[e] > 0] or [(first, first)]
    if "apart" in mistakes:
        s = max(range(first, last + 1), key=lambda s: a[s])
        e = max(range(first, last + 1), key=lambda e: b[e])
    elif "start first" in mistakes:
        s = max(range(first, last + 1), key=lambda s: a[s])
        e = max((e for p, e in pairs if p == s), key=lambda e: b[e], default=s)
    elif "product" in mistakes:
        s, e = max(pairs, key=lambda pair: a[pair[0]] * b[pair[1]], default=(-1, -1))
    else:
        s, e = max(pairs, key=lambda pair: a[pair[0]] + b[pair[1]], default=(-1, -1))
    offset = first if "relative" in mistakes else 0
    return s - offset, e - offset + ("exclusive" in mistakes)


def check(student: Any) -> None:
    """Compare the example of the stub, then 60 random ones."""
    example = [0.0, 9, 1, 3, 2, 0, 9], [9.0, 0, 4, 1, 2, 3, 0]
    cases = [(torch.tensor(example[0]), torch.tensor(example[1]), 2, 5, 3)]
    generator = torch.Generator().manual_seed(0)
    for number in range(60):
        starts, ends = torch.randn(2, 12, generator=generator) * 3 - 1
        cases.append((starts, ends, 3, 10 - number % 3, 1 + number % 4))
    given = [student.best_span(*case) for case in cases]
    for answer in given:
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise Wrong(
                f"it returns {answer!r}; return the 2 positions start, end.",
                f"返回的是 {answer!r}；应该返回两个位置 start, end。",
            )
    plain = [(int(start), int(end)) for start, end in given]
    expect_cases(
        plain,
        [_right(*case) for case in cases],
        [f"best_span(..., first={c[2]}, last={c[3]}, max_length={c[4]})" for c in cases],
        cases=[Text("In the example of the stub", "在题目的例子里")]
        + [Text("With random logits", "用随机的 logits")] * 60,
        compute=lambda names: [best_span(*case, mistakes=names) for case in cases],
        mistakes=MISTAKES,
    )


def _right(starts: Tensor, ends: Tensor, first: int, last: int, max_length: int) -> tuple[int, int]:
    """Return the best span of minibert's own function, which has batches and n best."""
    places = torch.arange(len(starts))
    outside = (places < first) | (places > last)
    logits = [tensor.masked_fill(outside, -math.inf)[None] for tensor in (starts, ends)]
    _, start, end = best_spans(logits[0], logits[1], n_best=1, max_answer_length=max_length)
    return int(start), int(end)
