"""Vectors for new words: each starts as the mean of the vectors of its pieces.

A free place of the vocabulary has a vector that nothing was ever learned for. The mean of the
pieces is the best guess at hand: from it the model reads about what it read in the pieces before.
The bias of the masked-word head is treated alike. Then the logit of the new word is the mean of its
pieces' logits; and as e^mean is at most the mean of e^logit, it takes no more probability than they
have on average.

Which word goes where is told by `tokenization/new_words.py`.

Source: Su 2020 (WoBERT), which joins Chinese characters to words in this way.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from minibert.checkpoints.folder import read_folder, write_folder
from minibert.errors import MiniBertError
from minibert.model.embeddings import Embeddings
from minibert.model.pretrained import PretrainedModel
from minibert.model.pretraining import MaskedLMHead
from minibert.model.resize import resize

Model = TypeVar("Model", bound=PretrainedModel)
Starts = Mapping[int, Sequence[int]]
"""The id of each new word -> the ids of the pieces that it was cut into."""

TABLES = ("bert.embeddings.token.weight", "masked_lm.bias")  # what has a row for each word


def with_new_words(model: Model, starts: Starts) -> Model:
    """A copy of a model that has a vector for each new word; the model itself stays as it is.

    Args:
        model: any model of minibert.
        starts: new word -> its pieces. The tables grow where an id lies beyond their end.

    Raises:
        MiniBertError: an id is impossible.

    Example:
        >>> tokenizer, added = put_words(tokenizer, ["covid"])
        >>> starts = {w.id: old_tokenizer.convert_tokens_to_ids(w.pieces) for w in added}
        >>> model = with_new_words(model, starts)
    """
    _check(starts, model.config.vocab_size)
    copy = resize(model, vocab_size=max([model.config.vocab_size, *(i + 1 for i in starts)]))
    with torch.no_grad():
        for module in copy.modules():
            if isinstance(module, Embeddings):
                module.token.weight.copy_(mean_rows(module.token.weight, starts))
            elif isinstance(module, MaskedLMHead):
                module.bias.copy_(mean_rows(module.bias, starts))
    return copy


def write_new_words(folder: Path, starts: Starts) -> None:
    """The same for the weights in a folder, whatever heads they have; the folder is changed.

    Args:
        folder: with `model.safetensors` and `config.json`.
        starts: new word -> its pieces.

    Raises:
        MiniBertError: the folder cannot be read or written, or an id is impossible.
    """
    checkpoint = read_folder(folder)
    tensors, config = dict(checkpoint.tensors), dict(checkpoint.config)
    _check(starts, len(tensors[TABLES[0]]))
    for name in TABLES:
        if name in tensors:
            tensors[name] = mean_rows(tensors[name], starts)
    config["vocab_size"] = len(tensors[TABLES[0]])
    write_folder(folder, tensors, config)


def mean_rows(table: Tensor, starts: Starts) -> Tensor:
    """A copy of a table in which each row of `starts` is the mean of the rows of its pieces.

    Example:
        >>> mean_rows(torch.tensor([1.0, 3.0, 9.0]), {2: [0, 1], 3: [1, 1]})
        tensor([1., 3., 2., 3.])
    """
    table = table.detach()
    missing = max([0, *(index + 1 - len(table) for index in starts)])
    larger = torch.cat([table, table.new_zeros(missing, *table.shape[1:])])  # (V, ...) -> (V', ...)
    for index, pieces in starts.items():
        larger[index] = table[list(pieces)].mean(dim=0)
    return larger


def _check(starts: Starts, rows: int) -> None:
    """Each word needs pieces that are there, and new rows follow the old ones without a gap."""
    beyond = sorted(index for index in starts if index not in range(rows))
    if beyond != list(range(rows, rows + len(beyond))):
        raise MiniBertError(f"the ids of the new words leave a gap behind the {rows:,} that exist.")
    if any(not pieces or set(pieces) - set(range(rows)) for pieces in starts.values()):
        raise MiniBertError(f"a new word has no pieces, or one beyond the {rows:,} that exist.")
