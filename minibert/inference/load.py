"""A saved folder -> a model and the tokenizer that it was trained with, checked to fit."""

from pathlib import Path
from typing import TypeVar

import torch

from minibert.errors import MiniBertError
from minibert.model.pretrained import PretrainedModel
from minibert.tokenization.tokenizer import BertTokenizer

Model = TypeVar("Model", bound=PretrainedModel)


def load_for_inference(
    kind: type[Model], folder: str | Path, *, device: str | torch.device = "cpu"
) -> tuple[Model, BertTokenizer, int]:
    """Load what is needed to answer for texts.

    Args:
        kind: the class of the model, for example `BertForMaskedLM`.
        folder: a folder of ours, Google's or Hugging Face's, or a hub name.
        device: where the model shall compute.

    Returns:
        The model in evaluation mode, its tokenizer, and the most tokens a text may have with [CLS]
        and [SEP].

    Raises:
        MiniBertError: a file is missing or damaged, vocabulary and model do not belong together, or
            the folder is a corpus.

    Example:
        >>> model, tokenizer, max_length = load_for_inference(BertForMaskedLM, "weights/tiny")
    """
    model = kind.from_pretrained(folder, quiet=True)
    tokenizer = BertTokenizer.from_pretrained(folder)
    # Said here, because on a GPU an id without a row is a crash without a reason. A table that is
    # longer than the vocabulary is fine: some round it up.
    if len(tokenizer) > model.config.vocab_size:
        raise MiniBertError(
            f"{folder} does not fit together: its vocabulary has {len(tokenizer):,} pieces, but "
            f"the model knows {model.config.vocab_size:,}; copy the vocab.txt there that the model "
            "was trained with."
        )
    max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    return model.to(device), tokenizer, max_length
