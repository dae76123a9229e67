"""Exercise: pairs of sentences for next-sentence prediction."""

import random
from collections import Counter
from typing import Any

from minibert.data.pretraining.nsp_pairs import IS_NEXT, IS_RANDOM
from minibert.learn.compare import Text, Wrong

FUNCTIONS = ("make_pairs",)
LESSON = "09"
SOLUTION = "minibert/data/pretraining/nsp_pairs.py, make_sentence_pairs, _swap_second"
HINTS = (
    Text(
        "Two loops: over the documents, and over all sentences of a document but the last. Each "
        "step gives one pair.",
        "两重循环：外层是文档，内层是这个文档里除最后一句以外的句子。每一步得到一个句对。",
    ),
    Text(
        "Toss a coin: rng.random() < 0.5. Heads: B is the next sentence, label 0. Tails: choose "
        "another document, then one of its sentences; label 1.",
        "抛硬币：rng.random() < 0.5。正面：B 是下一句，标签 0。"
        "反面：先选另一个文档，再选其中一句；标签 1。",
    ),
    Text(
        "other = rng.randrange(len(documents) - 1); other += other >= number skips the document "
        "itself. Then rng.choice(documents[other]).",
        "other = rng.randrange(len(documents) - 1)；other += other >= number 就跳过了自己。"
        "然后 rng.choice(documents[other])。",
    ),
)


def check(student: Any) -> None:
    """Make pairs of 200 short documents, then of a few long ones, and look at each pair."""
    sizes = [1, *(2 + number % 5 for number in range(199))]
    documents = [[f"document {d}, sentence {s}" for s in range(n)] for d, n in enumerate(sizes)]
    pairs = student.make_pairs(documents, random.Random(1))
    if not isinstance(pairs, list) or any(len(pair) != 3 for pair in pairs):
        raise Wrong(
            "return a list of triples (A, B, label).", "应该返回三元组 (A, B, 标签) 的列表。"
        )
    place = {s: (d, n) for d, document in enumerate(documents) for n, s in enumerate(document)}
    for pair in pairs:
        _check_pair(tuple(pair), place)
    _check_all([tuple(pair) for pair in pairs], documents, place)
    if student.make_pairs(documents, random.Random(1)) != pairs:
        raise Wrong(
            "the same rng gives other pairs each time: draw only from rng.",
            "同样的 rng 每次得到的句对不同：只能从 rng 里抽随机数。",
        )
    if student.make_pairs(documents, random.Random(2)) == pairs:
        raise Wrong(
            "another rng gives the same pairs: draw from the rng that is passed in.",
            "换了 rng 句对还是一样：请从传进来的 rng 里抽。",
        )
    # In few long documents, a B of the same one and a document that is not random cannot hide.
    for number in (2, 4):
        long = [[f"document {d}, sentence {s}" for s in range(100)] for d in range(number)]
        place = {s: (d, n) for d, document in enumerate(long) for n, s in enumerate(document)}
        sources: dict[int, set[int]] = {d: set() for d in range(number)}
        for pair in student.make_pairs(long, random.Random(number)):
            _check_pair(tuple(pair), place)
            if pair[2] == IS_RANDOM:
                sources[place[pair[0]][0]].add(place[pair[1]][0])
        for document, others in sources.items():
            if len(others) < number - 1:
                raise Wrong(
                    f"all random Bs for document {document} of {number} are from {len(others)} "
                    f"other documents, not from {number - 1}; draw the document anew each time.",
                    f"共 {number} 个文档，文档 {document} 的随机 B 只来自其中 {len(others)} 个，"
                    f"应该来自另外 {number - 1} 个；每次都要重新抽文档。",
                )


def _check_pair(pair: tuple[Any, ...], place: dict[str, tuple[int, int]]) -> None:
    """Raise unless the label of a pair is true."""
    first, second, label = pair
    if first not in place or second not in place:
        raise Wrong(
            f"{pair} does not hold two sentences of the documents, as they are.",
            f"{pair} 里不是文档中原样的两个句子。",
        )
    if type(label) is not int or label not in (IS_NEXT, IS_RANDOM):
        raise Wrong(f"the label {label!r} is not 0 or 1.", f"标签 {label!r} 不是 0 或 1。")
    (document, number), (other, next_number) = place[first], place[second]
    follows = document == other and next_number == number + 1
    shown = f"A '{first}', B '{second}', label {label}"
    shown_zh = f"A '{first}'，B '{second}'，标签 {label}"
    if follows and label == IS_RANDOM:
        raise Wrong(
            f"{shown}: B follows A, and its label says random. In BERT, 0 is 'B follows A'.",
            f"{shown_zh}：B 就是下一句，标签却说是随机的。BERT 里 0 表示“B 是下一句”。",
        )
    if follows:
        return
    if document != other and label == IS_NEXT:
        raise Wrong(
            f"{shown}: B is random, and its label says that it follows. 1 is 'random'.",
            f"{shown_zh}：B 是随机的，标签却说是下一句。1 才表示随机。",
        )
    if document == other:
        en, zh = "B is from the same document as A", "B 和 A 来自同一个文档"
        if label == IS_NEXT:
            raise Wrong(
                f"{shown}: {en} but not its next sentence.", f"{shown_zh}：{zh}，但不是下一句。"
            )
        raise Wrong(
            f"{shown}: {en}; take a random B from another one, or it may even follow A.",
            f"{shown_zh}：{zh}；随机的 B 要从别的文档里取，否则它可能正好是下一句。",
        )


def _check_all(
    pairs: list[tuple[Any, ...]], documents: list[list[str]], place: dict[str, tuple[int, int]]
) -> None:
    """Raise unless each sentence with a next one is A once, and half of the pairs are random."""
    wanted = {s for document in documents for s in document[:-1]}
    counts = Counter(first for first, _, _ in pairs)
    if wrong := [s for s in counts if s not in wanted]:
        raise Wrong(
            f"'{wrong[0]}' is an A, but it is the last of its document: no sentence follows.",
            f"'{wrong[0]}' 当了 A，但它是文档的最后一句，后面没有句子。",
        )
    if missing := [s for s in place if s in wanted and s not in counts]:
        raise Wrong(
            f"'{missing[0]}' is never an A: each sentence with a next one gives a pair "
            f"({len(missing)} are missing).",
            f"'{missing[0]}' 没有当过 A：有下一句的句子都要得到一个句对（缺 {len(missing)} 个）。",
        )
    if repeated := [s for s, count in counts.items() if count > 1]:
        raise Wrong(
            f"'{repeated[0]}' is the A of {counts[repeated[0]]} pairs; each gives one pair.",
            f"'{repeated[0]}' 当了 {counts[repeated[0]]} 次 A；每个句子只要一个句对。",
        )
    share = sum(label == IS_RANDOM for *_, label in pairs) / len(pairs)
    if abs(share - 0.5) > 0.1:
        raise Wrong(
            f"{share:.0%} of the pairs are random; it should be one half.",
            f"{share:.0%} 的句对是随机的；应该是一半。",
        )
    sources = {place[second][0] for _, second, label in pairs if label == IS_RANDOM}
    numbers = {place[second][1] for _, second, label in pairs if label == IS_RANDOM}
    if len(sources) < 100 or numbers == {0}:
        raise Wrong(
            f"the random Bs are from {len(sources)} of 200 documents, and their sentences "
            f"{sorted(numbers)}; draw both the document and the sentence anew each time.",
            f"随机的 B 只来自 200 个文档中的 {len(sources)} 个、其中的第 {sorted(numbers)} 句；"
            "每次都要重新抽文档和句子。",
        )
