"""An interactive page of all attention heads of one text: one HTML file that opens offline.

`attention_page.html` is the page and `attention_page.js` its script. The page loads and sends
nothing: it has no address in it, and its content security policy forbids every request.

L layers, H heads, S tokens.
"""

import base64
import json
import re
from collections.abc import Sequence
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.plots.attention_heatmap import stack_attentions

# Up to this many probabilities (170 tokens in 12 layers of 12 heads) are stored in 16 bits each,
# more of them in 8 bits.
MOST_IN_16_BITS = 2**22


def attention_page(
    tokens: Sequence[str],
    token_type_ids: Sequence[int],
    attentions: Sequence[ArrayLike],
    *,
    title: str = "Attention",
) -> str:
    """Return a self-contained HTML page that shows every layer and head.

    Args:
        tokens: the S tokens, with [CLS] and [SEP]; every character is safe.
        token_type_ids: S times 0 (first text) or 1 (second text).
        attentions: L arrays or tensors of shape (H, S, S), rows are queries and columns keys.
        title: the heading, for example the text or the model.

    Raises:
        MiniBertError: if the attentions or token type ids do not fit the tokens.

    Example:
        >>> page = attention_page(["[CLS]", "[SEP]"], [0, 0], [np.full((1, 2, 2), 0.5)])
    """
    attention = stack_attentions(tokens, attentions)  # (L, H, S, S)
    type_ids = [int(type_id) for type_id in token_type_ids]
    if len(type_ids) != len(tokens) or not set(type_ids) <= {0, 1}:
        raise MiniBertError(
            f"{len(tokens)} tokens need as many token_type_ids, each 0 or 1, not {type_ids}."
        )
    bits = 16 if attention.size <= MOST_IN_16_BITS else 8
    data = {
        "title": title,
        "tokens": [*tokens],
        "token_type_ids": type_ids,
        "layers": attention.shape[0],
        "heads": attention.shape[1],
        "bits": bits,
        "probabilities": base64.b64encode(quantize(attention, bits)).decode("ascii"),
    }
    folder = resources.files("minibert.plots")
    page, script = (
        folder.joinpath(f"attention_page.{suffix}").read_text(encoding="utf-8")
        for suffix in ("html", "js")
    )
    # Without "<", no token can close the <script> element that holds the data.
    parts = {"data": json.dumps(data).replace("<", "\\u003c"), "script": script}
    # Both are inserted in one pass, so a token that spells {{script}} stays as it is.
    return re.sub(r"\{\{(data|script)\}\}", lambda match: parts[match[1]], page)


def quantize(probabilities: NDArray[np.float64], bits: int) -> bytes:
    """Return probabilities as little-endian integers from 0 to 2^bits - 1, in row-major order.

    The rounding error is at most half a step: 0.000008 with 16 bits, 0.002 with 8.

    Example:
        >>> quantize(np.array([0.0, 0.5, 1.0]), 8).hex(" ")
        '00 80 ff'
    """
    steps = np.rint(probabilities * (2**bits - 1))
    return bytes(steps.astype({8: "u1", 16: "<u2"}[bits]).data)
