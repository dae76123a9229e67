"""Exercise: a CRF, which scores whole sequences of tags: score, log Z, and the best sequence."""

from collections.abc import Callable, Set
from typing import Any

import torch
from torch import Tensor

from minibert.learn.compare import Mistakes, Text, Wrong, expect, expect_cases
from minibert.model.crf import CRF

FUNCTIONS = ("score", "log_partition", "viterbi")
LESSON = "13"
SOLUTION = "minibert/model/crf.py, CRF score log_partition viterbi"
HINTS = (
    Text(
        "alpha has one number for each tag: log_partition keeps the log of the sum over all "
        "sequences that end in it, viterbi the score of the best one. Each word makes a new alpha.",
        "alpha 对每个标签存一个数：log_partition 存以它结尾的全部序列之和的对数，"
        "viterbi 存其中最好的分数。每个词更新一次 alpha。",
    ),
    Text(
        "alpha[:, None] + transitions is (C, C): from (rows) and to (columns). Reduce over rows "
        "(dim=0) by logsumexp or by max, then add the emissions of the word.",
        "alpha[:, None] + transitions 是 (C, C)：行是从哪来，列是到哪去。"
        "对行 (dim=0) 做 logsumexp 或 max，再加上这个词的 emissions。",
    ),
    Text(
        "max(dim=0) also returns where each tag came from: keep it for each word. At the end, "
        "start from (alpha + end).argmax() and follow these backwards, then reverse the list.",
        "max(dim=0) 还会返回每个标签从哪来：每个词都存下来。最后从 (alpha + end).argmax() "
        "开始往回走，再把列表倒过来。",
    ),
)
COMMON = {
    "transposed": Text(
        "transitions is used the wrong way round: transitions[a, b] is from a to b.",
        "transitions 用反了：transitions[a, b] 是从 a 到 b。",
    ),
    "no start": Text(
        "the scores of the first tag (start) are missing.", "缺少首标签的分数 start。"
    ),
    "no end": Text("the scores of the last tag (end) are missing.", "缺少末标签的分数 end。"),
    "no transitions": Text("the transitions are not used.", "没有用 transitions。"),
    "no first": Text("the emissions of the first word are missing.", "缺少第一个词的 emissions。"),
}
PARTITION_MISTAKES = COMMON | {
    "best": Text(
        "this is the score of the best sequence; log Z sums over all of them (logsumexp).",
        "这是最好序列的分数；log Z 要对全部序列求和 (logsumexp)。",
    ),
    "no log": Text("this is Z; return its logarithm.", "这是 Z；应该返回它的对数。"),
    "columns": Text(
        "alpha + transitions adds alpha to the columns; it belongs to the rows: alpha[:, None] + "
        "transitions.",
        "alpha + transitions 把 alpha 加到了列上；应该加到行上：alpha[:, None] + transitions。",
    ),
    "own axis": Text(
        "the sum goes over the next tag; sum over the tag before (dim=0 of alpha[:, None] + "
        "transitions).",
        "求和的方向错了：应该对前一个标签求和（alpha[:, None] + transitions 的 dim=0）。",
    ),
}
VITERBI_MISTAKES = COMMON | {
    "greedy": Text(
        "each word takes its own best tag; the transitions to its neighbors count, too.",
        "每个词各取自己最好的标签；和前后标签之间的转移也要算。",
    ),
    "left to right": Text(
        "each word takes the best tag given the one before; what comes later can change it. Keep "
        "the best score for each tag, and go back at the end.",
        "每个词只看前一个标签就选了；后面的词可能改变选择。应该为每个标签存最好的分数，最后往回走。",
    ),
    "no way back": Text(
        "each word takes the tag with the best score so far; follow back from where the last tag "
        "came.",
        "每一步都取了到此为止分数最高的标签；应该从最后一个标签沿着来路往回走。",
    ),
    "reversed": Text("the sequence is in reverse order.", "序列的顺序反了。"),
}


def variant(
    kind: str, arguments: tuple[Tensor, ...], tags: list[int], *, mistakes: Set[str]
) -> Any:
    """Return the result of one of the functions by trying all sequences, with these mistakes."""
    emissions, transitions, start, end = arguments
    count, size = emissions.shape
    transitions = transitions.T if "transposed" in mistakes else transitions
    transitions = 0 * transitions if "no transitions" in mistakes else transitions
    start = 0 * start if "no start" in mistakes else start
    end = 0 * end if "no end" in mistakes else end
    if "no first" in mistakes:
        emissions = torch.cat([0 * emissions[:1], emissions[1:]])

    def scores(y: Tensor) -> Tensor:  # (M, N) -> (M,)
        total = start[y[:, 0]] + emissions[torch.arange(count), y].sum(1) + end[y[:, -1]]
        return total + transitions[y[:, :-1], y[:, 1:]].sum(1)

    if kind == "score":
        return scores(torch.tensor([tags]))[0]
    sequences = torch.cartesian_prod(*[torch.arange(size)] * count).view(-1, count)
    if kind == "log_partition":
        result = scores(sequences).logsumexp(0)
        if mistakes & {"columns", "own axis"}:
            alpha, columns = start + emissions[0], "columns" in mistakes
            for row in emissions[1:]:
                both = (alpha if columns else alpha[:, None]) + transitions
                alpha = both.logsumexp(0 if columns else 1) + row
            result = (alpha + end).logsumexp(0)
        result = scores(sequences).max() if "best" in mistakes else result
        return result.exp() if "no log" in mistakes else result
    if mistakes & {"greedy", "left to right", "no way back"}:
        best = start + emissions[0]
        found = [int(best.argmax())]
        for row in emissions[1:]:
            best = (best[:, None] + transitions).max(0).values + row
            choices = {"greedy": row, "left to right": transitions[found[-1]] + row}
            found.append(int(choices.get(min(mistakes & {*choices}, default=""), best).argmax()))
        if "no way back" in mistakes and not {"greedy", "left to right"} & mistakes:
            found[-1] = int((best + end).argmax())
    else:
        found = sequences[scores(sequences).argmax()].tolist()
    return found[::-1] if "reversed" in mistakes else found


def check(student: Any) -> None:
    """Compare with sums over all sequences for short sentences, then with long ones."""
    generator = torch.Generator().manual_seed(0)

    def draw(words: int, tags: int) -> tuple[Tensor, ...]:
        shapes = ((words, tags), (tags, tags), (tags,), (tags,))
        return tuple(torch.randn(*s, generator=generator) * 2 for s in shapes)

    example = (
        torch.tensor([[1.0, 0], [2, 1]]),
        torch.tensor([[0.0, 3], [1, 0]]),
        torch.tensor([0.5, 0]),
        torch.tensor([0, 0.25]),
    )
    cases = [(example, [0, 1]), (draw(1, 3), [2]), *((draw(4, 3), [0, 2, 1, 1]) for _ in range(6))]
    texts = [Text("In the example of the stub", "在题目的例子里")]
    texts += [
        Text(f"With {len(tags)} word{'s' * (len(tags) > 1)}", f"对 {len(tags)} 个词的句子")
        for _, tags in cases[1:]
    ]
    known: dict[str, Mistakes] = {
        "score": COMMON,
        "log_partition": PARTITION_MISTAKES,
        "viterbi": VITERBI_MISTAKES,
    }
    for kind, mistakes in known.items():
        function: Callable[..., Any] = getattr(student, kind)
        given = [
            function(a[0], tags, *a[1:]) if kind == "score" else function(*a) for a, tags in cases
        ]
        if kind == "viterbi":
            given = [_as_list(answer) for answer in given]
        else:
            for answer in given:
                expect(answer, answer if _is_number(answer) else torch.tensor(0.0), f"{kind}(...)")
            given = [torch.as_tensor(answer, dtype=torch.float32) for answer in given]
        expect_cases(
            given,
            [_right(kind, a, tags) for a, tags in cases],
            [f"{kind}(...)"] * len(cases),
            cases=texts,
            compute=lambda names, kind=kind: [  # type: ignore[misc]
                variant(kind, a, tags, mistakes=names) for a, tags in cases
            ],
            mistakes=mistakes,
        )
    large = draw(30, 4)
    large = (large[0] * 50, *large[1:])
    for kind in ("log_partition", "viterbi"):
        answer = getattr(student, kind)(*large)
        right = _right(kind, large, [])
        if kind == "log_partition" and not bool(torch.as_tensor(answer).isfinite()):
            raise Wrong(
                "with large scores, e to their power overflows, and the result is inf or NaN; use "
                "logsumexp in every step.",
                "分数很大时，e 的幂会溢出，结果是 inf 或 NaN；每一步都要用 logsumexp。",
            )
        answer = _as_list(answer) if kind == "viterbi" else torch.as_tensor(answer)
        case = Text("With 30 words and large scores", "对 30 个词、分数很大的句子")
        expect(answer, right, f"{kind}(...)", case=case)


def _is_number(answer: Any) -> bool:
    return isinstance(answer, float) or (isinstance(answer, Tensor) and answer.dim() == 0)


def _as_list(answer: Any) -> Any:
    if isinstance(answer, Tensor):
        return answer.tolist()
    return [int(tag) for tag in answer] if isinstance(answer, list | tuple) else answer


def _right(kind: str, arguments: tuple[Tensor, ...], tags: list[int]) -> Any:
    """Return the result of minibert's own CRF."""
    emissions, transitions, start, end = arguments
    crf = CRF(len(start))
    mask = torch.ones(1, len(emissions), dtype=torch.bool)
    with torch.no_grad():
        for parameter, value in zip(crf.parameters(), (transitions, start, end), strict=True):
            parameter.copy_(value)
        if kind == "score":
            return crf.score(emissions[None], torch.tensor([tags]), mask)[0]
        if kind == "log_partition":
            return crf.log_partition(emissions[None], mask)[0]
        return crf.viterbi(emissions[None], mask)[0].tolist()
