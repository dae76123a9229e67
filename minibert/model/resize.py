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
from typing import TypeVar

import torch
from torch import Tensor, nn

from minibert.errors import MiniBertError
from minibert.model.embeddings import Embeddings
from minibert.model.pretrained import PretrainedModel
from minibert.model.pretraining import MaskedLMHead

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
            _replace(module.token, _with_means(module.token.weight, config.vocab_size))
            _replace(
                module.position,
                _with_copies(module.position.weight, config.max_position_embeddings),
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
