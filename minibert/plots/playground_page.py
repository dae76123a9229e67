"""A page that runs BERT in the browser: one HTML file with the weights, which opens offline.

The files of the page are in `playground/`: `wordpiece.js` and `bert.js` are `tokenization/` and
`reference/numpy_bert.py` in JavaScript, function for function; `page.js` and its helpers draw. The
content security policy forbids every request, and every script but the page's own.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibert.errors import MiniBertError
from minibert.model.config import BertConfig
from minibert.tokenization.tokenizer import BertTokenizer

SCRIPTS = ("wordpiece.js", "bert.js", "words.js", "heatmap.js", "page.js")
CONFIG_FIELDS = (
    *("num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size"),
    *("hidden_act", "layer_norm_eps"),
)
MOST_NUMBERS = 50_000_000  # a page of 133 MB; a larger one is too much for many browsers
MOST_TOKENS = 128  # so that the page answers while one types, and a matrix can be read
PER_TOKEN = ("bert.embeddings.word_embeddings.weight", "masked_lm.bias")


def playground_page(
    tensors: Mapping[str, NDArray[np.floating[Any]]],
    config: BertConfig,
    tokenizer: BertTokenizer,
    *,
    max_length: int = MOST_TOKENS,
    title: str = "BERT",
) -> str:
    """Return a self-contained HTML page that runs a pretrained BERT.

    Args:
        tensors: by minibert's names, rounded to float16; those of the masked-LM head must be
            there, those of the pooler and of next-sentence prediction may be missing.
        config: the config of the model.
        tokenizer: the tokenizer of the model, without additional tokens.
        max_length: the number of tokens that the page reads, [CLS] and [SEP] included.
        title: the name of the model.

    Raises:
        MiniBertError: the model is too large, its numbers are not finite in float16, or its
            tokenizer has additional tokens.
    """
    if tokenizer.added_tokens:
        raise MiniBertError(
            "the page cannot split texts at additional tokens, and this tokenizer has "
            f"{', '.join(tokenizer.added_tokens)[:100]}; give a folder without them."
        )
    count = sum(tensor.size for tensor in tensors.values())
    if count > MOST_NUMBERS:
        raise MiniBertError(
            f"the model has {count:,} numbers, and a page can hold {MOST_NUMBERS:,}; give a "
            "smaller model, such as weights/tiny or weights/mini."
        )
    # The embedding matrix may have more rows than the vocabulary; these are not tokens.
    kept = {name: x[: len(tokenizer)] if name in PER_TOKEN else x for name, x in tensors.items()}
    with np.errstate(over="ignore"):
        halves = np.concatenate([x.astype("<f2").ravel() for x in kept.values()])
    if not np.isfinite(halves).all():
        raise MiniBertError("a weight is not finite in 16 bits; check the model that made it.")
    data = {
        "title": title,
        "config": {name: getattr(config, name) for name in CONFIG_FIELDS},
        "max_length": min(max_length, config.max_position_embeddings, MOST_TOKENS),
        "shapes": [(name, tensor.shape) for name, tensor in kept.items()],
        "vocabulary": tokenizer.convert_ids_to_tokens([*range(len(tokenizer))]),
        "tokenizer": {
            **asdict(tokenizer.normalization),
            **tokenizer.special_tokens_map,
            "max_characters_per_word": tokenizer.max_characters_per_word,
        },
    }
    folder = resources.files("minibert.plots").joinpath("playground")
    names = ("page.html", "page.css", *SCRIPTS)
    page, style, *scripts = (folder.joinpath(name).read_text(encoding="utf-8") for name in names)
    parts = {
        "style": style,
        "script": "".join(scripts),
        # Without "<", no token can close the <script> element that holds the data.
        "data": json.dumps(data).replace("<", "\\u003c"),
        "weights": base64.b64encode(halves.data).decode("ascii"),
    }
    for name in ("style", "script"):
        digest = hashlib.sha256(parts[name].encode("utf-8")).digest()
        parts[f"{name}_hash"] = base64.b64encode(digest).decode("ascii")
    # All are inserted in one pass, so a token that spells {{script}} stays as it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page)
