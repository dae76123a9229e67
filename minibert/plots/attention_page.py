"""Every attention head of one text as a page to look around in: one HTML file that opens offline.

`attention_page.html` is the page and `attention_script.html` what moves in it; this file checks the
attentions, packs them and puts all three together. The page loads nothing and sends nothing: it has
no address in it, and a content security policy that would refuse one.

L layers, H heads, S tokens.
"""

import base64
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.files import write_atomic
from minibert.plots.attention_heatmap import checked_attentions

# Above this many probabilities (12 layers of 12 heads: 170 tokens) one byte each must do.
MOST_IN_TWO_BYTES = 2**22


def attention_page(
    tokens: Sequence[str],
    segment_ids: Sequence[int],
    attentions: Sequence[ArrayLike],
    output: Path,
    *,
    title: str = "Attention",
) -> None:
    """Write one self-contained page that shows every layer and head.

    Args:
        tokens: the S tokens, with [CLS] and [SEP]; any characters are safe.
        segment_ids: S times 0 (first text) or 1 (second text).
        attentions: L arrays or tensors (H, S, S) of probabilities, rows look and columns are seen.
        output: the .html file to write, whole or not at all.
        title: the heading, for example the text or the model.

    Raises:
        MiniBertError: shapes or values are no attention of these tokens, or the system refused
            to write.

    Example:
        >>> outputs = model(**batch, output_attentions=True)
        >>> attention_page(tokens, batch["token_type_ids"][0], [a[0] for a in outputs.attentions],
        ...                Path("attention.html"))
    """
    every = checked_attentions(tokens, attentions)
    segments = [int(segment) for segment in segment_ids]
    if len(segments) != len(tokens) or not set(segments) <= {0, 1}:
        raise MiniBertError(
            f"{len(tokens)} tokens need as many segment ids, each 0 or 1, not {segments}."
        )
    bits = 16 if every.size <= MOST_IN_TWO_BYTES else 8
    data = {
        "title": title,
        "tokens": list(tokens),
        "segments": segments,
        "layers": every.shape[0],
        "heads": every.shape[1],
        "bits": bits,
        "probabilities": base64.b64encode(packed(every, bits)).decode("ascii"),
    }
    parts = {
        # Nothing in a token can close the <script> that holds it: no "<" is left.
        "data": json.dumps(data).replace("<", "\\u003c"),
        "script": _template("attention_script.html"),
    }
    # One pass, so that a token that spells {{script}} stays what it is.
    page = re.sub(
        r"\{\{(data|script)\}\}",
        lambda match: parts[match[1]],
        _template("attention_page.html"),
    )
    write_atomic(output, page)


def packed(probabilities: NDArray[np.float64], bits: int) -> bytes:
    """Probabilities as whole numbers from 0 to 2^bits - 1, little-endian, row after row.

    Off by at most half a step: 0.000008 with 16 bits, 0.002 with 8.

    Example:
        >>> packed(np.array([0.0, 0.5, 1.0]), 8).hex(" ")
        '00 80 ff'
    """
    steps = np.rint(probabilities * (2**bits - 1))
    kind = np.dtype({8: "u1", 16: "<u2"}[bits])
    return bytes(steps.astype(kind).tobytes())


def _template(name: str) -> str:
    return resources.files("minibert.plots").joinpath(name).read_text(encoding="utf-8")
