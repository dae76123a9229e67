"""Exercise: hide words for masked language modeling, 80 % [MASK], 10 % random, 10 % unchanged."""

from typing import Any

import torch
from torch import Tensor

from minibert.data.pretraining.masking import MaskingRates
from minibert.learn.compare import Text, Wrong, expect_parts
from minibert.tokenization.padding import IGNORE_INDEX

FUNCTIONS = ("mask_tokens",)
LESSON = "09"
SOLUTION = "minibert/data/pretraining/masking.py, mask_tokens"
HINTS = (
    Text(
        "First decide which tokens are picked (a tensor of bool). The labels follow from that "
        "alone. Then decide, for the picked ones only, what the model sees.",
        "先决定选中哪些词元（一个布尔张量），标签就由它决定了。然后只对选中的词元决定模型看到什么。",
    ),
    Text(
        "One draw per token decides its fate: torch.rand(input_ids.shape, generator=generator). "
        "Below 0.8 [MASK], from 0.8 to 0.9 a random word, else unchanged.",
        "每个词元抽一个随机数决定命运：torch.rand(input_ids.shape, generator=generator)。"
        "小于 0.8 变成 [MASK]，0.8 到 0.9 变成随机词，其余不变。",
    ),
    Text(
        "picked = (rand < 0.15) & ~special[input_ids]; labels = input_ids.masked_fill(~picked, "
        "-100); random words: words[torch.randint(len(words), input_ids.shape, generator=...)], "
        "put in place by torch.where.",
        "picked = (rand < 0.15) & ~special[input_ids]；labels = input_ids.masked_fill(~picked, "
        "-100)；随机词：words[torch.randint(len(words), input_ids.shape, generator=...)]，"
        "用 torch.where 放进去。",
    ),
)
RATES = MaskingRates()
PAD, MASK, FIRST_WORD, SIZE = 0, 4, 5, 100  # ids 0 to 4 are special, and 5 to 99 are words


def check(student: Any) -> None:
    """Mask 300 texts of 62 words, with special tokens and padding, and count."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(FIRST_WORD, SIZE, (300, 72), generator=generator)  # (B, S)
    ids[:, 0], ids[:, 63], ids[:, 64:] = 2, 3, PAD  # [CLS] words [SEP] padding
    special = torch.arange(SIZE) < FIRST_WORD
    words = torch.arange(FIRST_WORD, SIZE)

    def run(seed: int) -> tuple[Tensor, Tensor]:
        drawn = torch.Generator().manual_seed(seed)
        given = student.mask_tokens(ids, special, words, MASK, drawn)
        expect_parts(given, ("masked", "labels"))
        for name, tensor in zip(("masked", "labels"), given, strict=True):
            _expect_ids(name, tensor, tuple(ids.shape))
        return given[0], given[1]

    masked, labels = run(1)
    _check_labels(ids, masked, labels, special)
    _check_shares(ids, masked, labels != IGNORE_INDEX)
    again, other = run(1), run(2)
    if not torch.equal(again[0], masked):
        raise Wrong(
            "the same generator gives another result each time: pass generator=generator to every "
            "draw, so that runs can be repeated.",
            "同样的 generator 每次结果不同：每次抽随机数都要传 generator=generator，这样才能复现。",
        )
    if torch.equal(other[0], masked):
        raise Wrong(
            "another seed gives the same result: draw from the generator that is passed in.",
            "换了种子结果还是一样：请从传进来的 generator 里抽随机数。",
        )


def _expect_ids(name: str, tensor: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(tensor, Tensor) or tensor.is_floating_point() or tensor.dtype == torch.bool:
        kind = str(tensor.dtype) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise Wrong(
            f"`{name}` is {kind} instead of a tensor of integers.",
            f"`{name}` 是 {kind}，应该是整数张量。",
        )
    if tuple(tensor.shape) != shape:
        raise Wrong(
            f"`{name}` has the shape {tuple(tensor.shape)}, and {shape} is right.",
            f"`{name}` 的形状是 {tuple(tensor.shape)}，正确的是 {shape}。",
        )


def _check_labels(ids: Tensor, masked: Tensor, labels: Tensor, special: Tensor) -> None:
    """Raise unless labels are the original ids of words, and -100 elsewhere."""
    labelled = labels != IGNORE_INDEX
    if bool(labelled.all()):
        value = int(labels.flatten().mode().values)
        if not (torch.equal(labels, ids) or torch.equal(labels, masked)):
            raise Wrong(
                f"tokens that are not picked have the label {value}; give them -100, which the "
                "loss ignores (0 is the id of [PAD]).",
                f"没被选中的词元标签是 {value}；应该是 -100，损失会忽略它（0 是 [PAD] 的 id）。",
            )
        raise Wrong(
            "every token has a label; all that are not picked get -100, or the model is trained "
            "to copy.",
            "每个词元都有标签；没被选中的应该是 -100，否则模型学到的只是照抄。",
        )
    if float(labelled.float().mean()) > 0.7 and not bool((labelled & (masked != ids)).any()):
        raise Wrong(
            "the labels are the wrong way round: picked tokens keep their id, all others get -100.",
            "标签反了：选中的词元以原来的 id 为标签，其余的才是 -100。",
        )
    if not bool(labelled.any()):
        raise Wrong("no token has a label.", "没有任何词元有标签。")
    if not torch.equal(labels[labelled], ids[labelled]):
        of_masked = torch.equal(labels[labelled], masked[labelled])
        en = "what the model sees (after masking)" if of_masked else "something else"
        zh = "遮盖之后的 id" if of_masked else "别的东西"
        raise Wrong(
            f"the labels are not the original ids but {en}.", f"标签不是原来的 id，而是{zh}。"
        )
    changed = int(((masked != ids) & ~labelled).sum())
    if changed:
        raise Wrong(
            f"{changed} tokens are changed but have no label: the model sees wrong words that it "
            "is never asked about.",
            f"有 {changed} 个词元被改了却没有标签：模型看到了错词，却从不会被问到。",
        )
    if share := float((labelled & special[ids]).sum() / labelled.sum()):
        raise Wrong(
            f"{share:.0%} of the labels are [CLS], [SEP] or [PAD]: these are never picked.",
            f"有 {share:.0%} 的标签是 [CLS]、[SEP] 或 [PAD]：它们永远不应被选中。",
        )


def _check_shares(ids: Tensor, masked: Tensor, picked: Tensor) -> None:
    """Raise unless 15 % of the words are picked, and 80, 10 and 10 % of them treated each way."""
    by_place = picked[:, 1:63].float().mean(0)  # (S,), the share of texts
    if float(by_place.max()) > 0.95 and float(by_place.min()) < 0.05:
        raise Wrong(
            "the same places are picked in every text: draw a number for each token, (B, S).",
            "每段文本选中的位置都一样：应该给每个词元各抽一个随机数，形状 (B, S)。",
        )
    of_words = float(picked.sum() / (ids >= FIRST_WORD).sum())
    if abs(of_words - RATES.picked) > 0.015:
        raise Wrong(
            f"{of_words:.1%} of the words are picked; it should be 15 %.",
            f"选中了 {of_words:.1%} 的词；应该是 15%。",
        )
    seen, original = masked[picked], ids[picked]
    to_mask, same = seen == MASK, seen == original
    random = ~to_mask & ~same
    shares = [float(kind.float().mean()) for kind in (to_mask, random, same)]
    found = "/".join(f"{share:.0%}" for share in shares)
    if any(abs(a - b) > 0.03 for a, b in zip(shares, (0.8, 0.1, 0.1), strict=True)):
        en, zh = _explain_shares(shares)
        raise Wrong(
            f"of the picked tokens, [MASK]/random/unchanged are {found}; it should be 80/10/10. "
            f"{en}".rstrip(),
            f"选中的词元里 [MASK]/随机/不变 的比例是 {found}；应该是 80/10/10。{zh}",
        )
    if bool((seen[random] < FIRST_WORD).any()):
        raise Wrong(
            "some random tokens are special ones such as [CLS]; draw them from `words`.",
            "有些随机词元是 [CLS] 之类的特殊词元；请从 `words` 里抽。",
        )
    if (kinds := len(set(seen[random].tolist()))) < 50:
        raise Wrong(
            f"all random tokens are among {kinds} words; draw one from all of `words` for each.",
            f"随机词元只出现了 {kinds} 种；应该每次都从整个 `words` 里抽。",
        )


def _explain_shares(shares: list[float]) -> Text:
    """Return what the shares of [MASK], random and unchanged tokens have in common with errors."""
    known = (
        ((1.0, 0.0, 0.0), "None stays as it is or becomes random.", "没有保持不变或随机的。"),
        ((0.8, 0.2, 0.0), "None stays as it is.", "没有保持不变的。"),
        ((0.8, 0.0, 0.2), "None becomes random.", "没有变成随机词的。"),
        (
            (0.8, 0.02, 0.18),
            "Your 0.1 is a share of the 20 % that are left; of these, take one half.",
            "你的 0.1 是对剩下的 20% 算的；应该取剩下的一半 (0.5)。",
        ),
        (
            (0.72, 0.1, 0.18),
            "Random words overwrite some [MASK]: use one draw for both, or only the rest.",
            "随机词覆盖了一部分 [MASK]：两步用同一个随机数，或者只在剩下的里面选。",
        ),
        (
            (0.0, 0.9, 0.1),
            "Every [MASK] is overwritten by a random word: is an elif missing?",
            "每个 [MASK] 又被随机词覆盖了：是不是少写了 elif？",
        ),
        ((0.1, 0.8, 0.1), "[MASK] and random are exchanged.", "[MASK] 和随机弄反了。"),
        ((0.1, 0.1, 0.8), "[MASK] and unchanged are exchanged.", "[MASK] 和不变弄反了。"),
    )
    distances = [max(abs(a - b) for a, b in zip(shares, k[0], strict=True)) for k in known]
    nearest = known[distances.index(min(distances))]
    return Text(*nearest[1:]) if min(distances) < 0.025 else Text("", "")
