"""Load a saved folder for inference: the model and its tokenizer, checked to fit each other."""

from pathlib import Path
from typing import TypeVar

import torch

from minibert.errors import MiniBertError
from minibert.model.pretrained import PretrainedModel
from minibert.tokenization.tokenizer import BertTokenizer

Model = TypeVar("Model", bound=PretrainedModel)


def load_for_inference(
    model_class: type[Model],
    name_or_path: str | Path,
    *,
    device: str | torch.device = "cpu",
    if_untrained: str | None = None,
) -> tuple[Model, BertTokenizer, int]:
    """Load a model and its tokenizer.

    Args:
        model_class: for example `BertForMaskedLM`.
        name_or_path: a folder that minibert, Hugging Face or Google wrote, or a hub name.
        device: the device to run the model on.
        if_untrained: what to advise when the folder lacks weights of the model. None accepts that.

    Returns:
        The model in evaluation mode, its tokenizer, and the maximum number of tokens of a text,
        including [CLS] and [SEP].

    Raises:
        MiniBertError: a file is missing or damaged, weights are missing, or the vocabulary does not
            fit the model.
    """
    model = model_class.from_pretrained(name_or_path, quiet=True)
    if if_untrained and model.load_report and model.load_report.new:
        raise MiniBertError(
            f"{name_or_path} is not a trained {model_class.__name__}: it has no weights for "
            f"{', '.join(model.load_report.new)}; {if_untrained}."
        )
    tokenizer = BertTokenizer.from_pretrained(name_or_path)
    # On a GPU, an id without an embedding would crash without a reason. The embedding matrix may
    # have more rows than the vocabulary: some models round its size up.
    if len(tokenizer) > model.config.vocab_size:
        raise MiniBertError(
            f"the vocabulary of {name_or_path} has {len(tokenizer):,} tokens, but its model has "
            f"embeddings for {model.config.vocab_size:,}; copy the vocab.txt that the model was "
            "trained with into the folder."
        )
    max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    return model.to(device), tokenizer, max_length
