"""Attribute an output of a classifier to the words of a text, by integrated gradients.

Start from the text with [MASK] in place of every word, go to the text itself in a straight line
through the word embeddings, and average the gradient of the output on the way:

    attribution of a token = (x - x') . mean of d output / d x     (x: its embedding, x': [MASK]'s)

Together, the attributions are the output for the text minus the output for the masked text. They
say what the model has used, not what is right.

S sequence length, E hidden width, C outputs of the model, N steps on the way.

Source: Sundararajan et al. 2017, equation 1. As in Captum, the steps are those of Gauss-Legendre
quadrature, of which fewer suffice than of equal steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from minibert.model.pretrained import PretrainedModel

STEPS = 32
STEPS_AT_ONCE = 8  # rows of a batch; more take more memory


class WordAttribution(NamedTuple):
    """How much a word adds to an output: `text[start:end]` of text 0 or, in a pair, 1."""

    sequence: int
    start: int
    end: int
    score: float


def integrated_gradients(
    model: PretrainedModel,
    input_ids: Tensor,
    baseline_ids: Tensor,
    direction: Tensor,
    *,
    token_type_ids: Tensor | None = None,
    steps: int = STEPS,
) -> Tensor:
    """Return what each token adds to `logits @ direction`: (S,).

    Args:
        model: with logits (B, C), in evaluation mode.
        input_ids: (S,), with [CLS] and [SEP].
        baseline_ids: (S,), the ids to start from, such as [MASK] in place of every word.
        direction: (C,), for example 1 for one class and -1 for another: what speaks for the one and
            against the other.
        token_type_ids: (S,).
        steps: N.
    """
    words = model.get_submodule("bert.embeddings.word_embeddings")
    with torch.no_grad():
        start, end = words(baseline_ids), words(input_ids)  # (S,) -> (S, E)
    places, weights = np.polynomial.legendre.leggauss(steps)  # from -1 to 1; the weights add to 2
    alphas = torch.from_numpy((1 + places) / 2).to(start)[:, None, None]  # (N, 1, 1)
    shares = torch.from_numpy(weights / 2).to(start)[:, None, None]
    total = torch.zeros_like(start)
    for first in range(0, steps, STEPS_AT_ONCE):
        some = slice(first, first + STEPS_AT_ONCE)
        points = start + alphas[some] * (end - start)  # (n, 1, 1), (S, E) -> (n, S, E)
        points.requires_grad_()
        handle = words.register_forward_hook(lambda *_, points=points: points)
        try:
            rows = {"input_ids": input_ids.expand(len(points), -1)}  # (S,) -> (n, S)
            if token_type_ids is not None:
                rows["token_type_ids"] = token_type_ids.expand(len(points), -1)
            with torch.enable_grad():
                outputs = model(**rows).logits @ direction.to(start)  # (n, C) -> (n,)
            (gradients,) = torch.autograd.grad(outputs.sum(), points)
        finally:
            handle.remove()
        total += (shares[some] * gradients).sum(dim=0)  # (n, S, E) -> (S, E)
    attributions: Tensor = ((end - start) * total).sum(dim=-1)  # (S, E) -> (S,)
    return attributions


def attribute_words(
    model: PretrainedModel,
    tokenizer: Callable[..., Any],
    text: str,
    text_pair: str | None,
    direction: Tensor,
    *,
    max_length: int,
    mask_token_id: int,
) -> list[WordAttribution]:
    """Return what each word of a text or pair adds to `logits @ direction`, in reading order.

    Words are those of the tokenizer: punctuation and Chinese characters are words of their own.

    Args:
        model: see `integrated_gradients`.
        tokenizer: a `BertTokenizer`.
        text: the text.
        text_pair: the second text of a pair, or None.
        direction: see `integrated_gradients`.
        max_length: tokens; what is behind them has no attribution.
        mask_token_id: of the tokenizer.
    """
    encoding = tokenizer(text, text_pair, truncation=True, max_length=max_length)
    sequences, words = encoding.sequence_ids(), encoding.word_ids()
    ids = torch.tensor(encoding["input_ids"], device=model.device)
    special = torch.tensor([sequence is None for sequence in sequences], device=model.device)
    scores = integrated_gradients(
        model,
        ids,
        torch.where(special, ids, mask_token_id),
        direction,
        token_type_ids=torch.tensor(encoding["token_type_ids"], device=model.device),
    ).tolist()
    found: dict[tuple[int, int], WordAttribution] = {}
    for index, (sequence, word) in enumerate(zip(sequences, words, strict=True)):
        if sequence is not None:
            start, end = encoding.token_to_chars(index)
            first = found.get((sequence, word), WordAttribution(sequence, start, end, 0.0))
            score = first.score + scores[index]
            found[sequence, word] = first._replace(end=end, score=score)
    return [*found.values()]
