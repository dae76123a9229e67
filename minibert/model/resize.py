"""Resize a model: more words in the vocabulary, or more (or fewer) positions.

A word that `resize` adds starts as the mean of all words, in the word embeddings and in the bias of
the masked-word head. Random rows can do harm: their logits are around 0, and if a model has learned
to give most words far lower logits, the new words take probability from all of them. The logit of
the mean row is the mean of all logits, and e^mean is at most the mean of e^logit. So no new word
gets more than an average share, and n new words leave the V others at least V / (V + n) of theirs.

Words of your own, given with their pieces, start as the mean of the pieces: `with_new_words` for a
model, `write_new_words` for a folder. `tokenization/training/add_words.py` chooses their ids.

A new position starts as a copy: in a table of P rows, row P is a copy of row 0, row P + 1 of row 1,
and so on. So neighboring positions stay similar, which random rows would have to learn again.

Source: Hewitt 2021, "Initializing new word embeddings for pretrained language models"; Su 2020
(WoBERT), which joins Chinese characters to words; Beltagy et al. 2020 (Longformer), section 5.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from minibert.checkpoints.folder import read_folder, write_folder
from minibert.errors import MiniBertError
from minibert.model.embeddings import Embeddings
from minibert.model.pretrained import PretrainedModel
from minibert.model.pretraining_heads import MaskedLMHead

Model = TypeVar("Model", bound=PretrainedModel)
Pieces = Mapping[int, Sequence[int]]
"""The id of each new word -> the ids of the pieces that it was split into."""

# The tensors with a row for each word.
TABLES = ("bert.embeddings.word_embeddings.weight", "masked_lm.bias")


def resize(
    model: Model, *, vocab_size: int | None = None, max_position_embeddings: int | None = None
) -> Model:
    """Return a copy of a model with another number of words or positions.

    For texts of old ids within the old length, all hidden states stay bit-equal, and so do the
    masked-word logits of old words (their probabilities shrink, as there are more words). A smaller
    table is the beginning of the old one. The tokenizer is not changed.

    Args:
        model: any model of minibert, or one of your own built on them.
        vocab_size: the new number of words; None to keep the old one.
        max_position_embeddings: the new maximum length of a text; None to keep the old one.

    Raises:
        MiniBertError: neither is given, or a size is invalid.

    Example:
        >>> from minibert import BertConfig, BertForMaskedLM
        >>> larger = resize(BertForMaskedLM(BertConfig.tiny(vocab_size=100)), vocab_size=103)
        >>> larger.masked_lm.bias.shape, larger.config.vocab_size
        (torch.Size([103]), 103)
    """
    sizes = {"vocab_size": vocab_size, "max_position_embeddings": max_position_embeddings}
    changes = {name: size for name, size in sizes.items() if size is not None}
    if not changes:
        raise MiniBertError("resize() needs a vocab_size, max_position_embeddings, or both.")
    config = model.config.with_changes(**changes)
    words, positions = config.vocab_size, config.max_position_embeddings
    resized = copy.deepcopy(model)
    for module in resized.modules():
        if isinstance(module, PretrainedModel):
            module.config = config
        elif isinstance(module, Embeddings):
            of_words, of_positions = module.word_embeddings, module.position_embeddings
            of_words.weight = _like(of_words.weight, _with_means(of_words.weight, words))
            of_words.num_embeddings = words
            rows = torch.arange(positions) % len(of_positions.weight)  # 0 1 2 ... 0 1 2 ...
            of_positions.weight = _like(of_positions.weight, of_positions.weight[rows])
            of_positions.num_embeddings = positions
        elif isinstance(module, MaskedLMHead):
            module.bias = _like(module.bias, _with_means(module.bias, words))
    return resized


def with_new_words(model: Model, pieces: Pieces) -> Model:
    """Return a copy of a model in which each new word starts as the mean of its pieces.

    Args:
        model: any model of minibert.
        pieces: by the id of the new word. Ids beyond the end make the tables grow.

    Raises:
        MiniBertError: an id is invalid.

    Example:
        >>> from minibert import BertConfig, BertModel
        >>> bert = BertModel(BertConfig.tiny(vocab_size=100))
        >>> with_new_words(bert, {100: [7, 8]}).config.vocab_size
        101
    """
    _check(pieces, model.config.vocab_size)
    larger = resize(model, vocab_size=max([model.config.vocab_size, *(i + 1 for i in pieces)]))
    with torch.no_grad():
        for module in larger.modules():
            if isinstance(module, Embeddings):
                module.word_embeddings.weight.copy_(
                    mean_rows(module.word_embeddings.weight, pieces)
                )
            elif isinstance(module, MaskedLMHead):
                module.bias.copy_(mean_rows(module.bias, pieces))
    return larger


def write_new_words(folder: Path, pieces: Pieces) -> None:
    """Add words to the weights in a folder, in place, whatever heads they have.

    Raises:
        MiniBertError: the folder cannot be read or written, or an id is invalid.
    """
    checkpoint = read_folder(folder)
    tensors, config = dict(checkpoint.tensors), dict(checkpoint.config)
    _check(pieces, len(tensors[TABLES[0]]))
    tensors |= {name: mean_rows(tensors[name], pieces) for name in TABLES if name in tensors}
    config["vocab_size"] = len(tensors[TABLES[0]])
    write_folder(folder, tensors, config)


def mean_rows(table: Tensor, pieces: Pieces) -> Tensor:
    """Return a copy of a table in which the row of each new word is the mean of its pieces' rows.

    Example:
        >>> mean_rows(torch.tensor([1.0, 3.0, 9.0]), {2: [0, 1], 3: [1, 1]})
        tensor([1., 3., 2., 3.])
    """
    table = table.detach()
    missing = max([0, *(index + 1 - len(table) for index in pieces)])
    larger = torch.cat([table, table.new_zeros(missing, *table.shape[1:])])  # (V, ...) -> (V', ...)
    for index, of_word in pieces.items():
        larger[index] = table[list(of_word)].mean(dim=0)
    return larger


def _with_means(table: Tensor, rows: int) -> Tensor:
    """Return the first rows of a table; any missing rows are the mean of those it has."""
    # In float32 or higher: the sum of 30,000 float16 numbers is not exact in float16.
    precise = table.to(torch.promote_types(table.dtype, torch.float32))
    mean = precise.mean(dim=0, keepdim=True).to(table.dtype)  # (V, ...) -> (1, ...)
    return torch.cat([table[:rows], *[mean] * max(0, rows - len(table))])


def _like(old: Tensor, table: Tensor) -> nn.Parameter:
    return nn.Parameter(table.detach(), requires_grad=old.requires_grad)


def _check(pieces: Pieces, rows: int) -> None:
    """Raise if a word has no pieces or unknown ones, or if the new ids leave a gap."""
    beyond = sorted(index for index in pieces if index not in range(rows))
    if beyond != list(range(rows, rows + len(beyond))):
        raise MiniBertError(f"the ids of new words must continue from {rows:,} without a gap.")
    if any(not of_word or set(of_word) - set(range(rows)) for of_word in pieces.values()):
        raise MiniBertError(f"a new word needs pieces with ids from 0 to {rows - 1:,}.")
