"""Tables of another size: more words in the vocabulary, or more (or fewer) positions.

A new word starts as the mean of all words, in the token table and in the bias of the masked-word
head. Random rows can do harm: their logits lie around 0, and where a model has learned to give most
words a far lower one, they take probability from all of them before they have learned anything. The
mean's logit is the mean of all logits, and e^mean is at most the mean of e^logit: no new word gets
more than an average share, and with n new words beside V the others keep V / (V + n) of theirs.

A new position starts as a copy: row P of a table of P is row 0, row P + 1 is row 1, and so on. Near
tokens then look as near as before, which random rows would have to learn again.

Left out: a tokenizer for the new words (write a longer vocab.txt), and the training that makes them
mean something.

Source: Hewitt 2021, "Initializing new word embeddings for pretrained language models"; Beltagy et
al. 2020 (Longformer), section 5.
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


def resize(
    model: Model, *, vocab_size: int | None = None, max_position_embeddings: int | None = None
) -> Model:
    """A copy of a model with tables of another size; the model itself stays as it is.

    What stays equal, for texts of old ids within the old length: every hidden state and every
    answer, bit for bit, and the masked-word logits of the old words (their probabilities shrink, as
    there are more words to choose from). A smaller table is the beginning of the old one.

    Args:
        model: any model of minibert, also one of your own built on them.
        vocab_size: how many words there will be; None: as many as before.
        max_position_embeddings: how many tokens a text may have; None: as many as before.

    Raises:
        MiniBertError: neither is given, or a size is impossible.

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
    resized = copy.deepcopy(model)
    for module in resized.modules():
        if isinstance(module, PretrainedModel):
            module.config = config
        elif isinstance(module, Embeddings):
            _replace(
                module.word_embeddings,
                _with_means(module.word_embeddings.weight, config.vocab_size),
            )
            _replace(
                module.position_embeddings,
                _with_copies(module.position_embeddings.weight, config.max_position_embeddings),
            )
        elif isinstance(module, MaskedLMHead):
            bias = _with_means(module.bias, config.vocab_size)
            module.bias = nn.Parameter(bias, requires_grad=module.bias.requires_grad)
    return resized


def _with_means(table: Tensor, rows: int) -> Tensor:
    """The first rows of a table; those that it has not are the mean of those that it has."""
    # In float32 at least: the sum of 30,000 float16 numbers is not exact in float16.
    precise = table.detach().to(torch.promote_types(table.dtype, torch.float32))
    mean = precise.mean(dim=0, keepdim=True).to(table.dtype)  # (V, ...) -> (1, ...)
    missing = max(0, rows - len(table))
    return torch.cat([table.detach()[:rows], *[mean] * missing])


def _with_copies(table: Tensor, rows: int) -> Tensor:
    """The first rows of a table; after its end it starts again from the top."""
    return table.detach()[torch.arange(rows, device=table.device) % len(table)]


def _replace(embedding: nn.Embedding, table: Tensor) -> None:
    embedding.weight = nn.Parameter(table, requires_grad=embedding.weight.requires_grad)
    embedding.num_embeddings = len(table)


# Vectors for new words: each starts as the mean of the vectors of its pieces.
#
# A free place of the vocabulary has a vector that nothing was ever learned for. The mean of the
# pieces is the best guess at hand: from it the model reads about what it read in the pieces before.
# The bias of the masked-word head is treated alike. Then the logit of the new word is the mean of
# its
# pieces' logits; and as e^mean is at most the mean of e^logit, it takes no more probability than
# they
# have on average.
#
# Which word goes where is told by `tokenization/training/add_words.py`.
#
# Source: Su 2020 (WoBERT), which joins Chinese characters to words in this way.


Starts = Mapping[int, Sequence[int]]
"""The id of each new word -> the ids of the pieces that it was cut into."""

TABLES = (
    "bert.embeddings.word_embeddings.weight",
    "masked_lm.bias",
)  # what has a row for each word


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
                module.word_embeddings.weight.copy_(
                    mean_rows(module.word_embeddings.weight, starts)
                )
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
