"""The starting point of a pretraining: a new model, or one that continues on new text.

To continue on text of another field, such as medical letters, is called domain-adaptive
pretraining. The corpus has to be tokenized with the model's own vocabulary. This is checked piece
by piece, since with another vocabulary every word would silently mean something else.

Source: Devlin et al. 2018, appendix A.2; Gururangan et al. 2020, "Don't stop pretraining".
"""

import math
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minibert.data.corpus.corpus import Corpus
from minibert.data.pretraining.batches import PretrainingBatches
from minibert.data.pretraining.masking import MaskingRates
from minibert.errors import MiniBertError
from minibert.model.attention import SelfAttention
from minibert.model.config import BertConfig
from minibert.model.pretraining_heads import BertForMaskedLM, BertForPreTraining
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.training.finetune_setup import preset_config

PretrainingModel = BertForPreTraining | BertForMaskedLM

# Up to a hidden size: the learning rate of a new model, and of a trained one that continues.
LEARNING_RATES = ((128, 2e-3, 5e-4), (256, 1e-3, 5e-4), (512, 5e-4, 1e-4), (768, 1e-4, 5e-5))
LEARNING_RATES_BEYOND = (1e-4, 2e-5)

# Options in which tokenizers with the same vocabulary can differ, as a sentence.
NORMALIZATION_OPTIONS = {
    "lower_case": "{} lowercases text and {} does not",
    "strip_accents": "{} strips accents and {} does not",
    "space_chinese": "{} makes each Chinese character a word and {} does not",
}


def new_pretraining_model(
    corpus: Corpus,
    preset: str = "tiny",
    *,
    max_length: int,
    next_sentence: bool = True,
    dropout: float = 0.0,
    seed: int = 0,
) -> PretrainingModel:
    """Return a model with random weights for the vocabulary of a corpus.

    Args:
        corpus: the text.
        preset: "tiny" to "large".
        max_length: tokens of a sequence; the model must have as many positions.
        next_sentence: both pretraining tasks, or masked words only.
        dropout: during pretraining; small models on much text do better without. The config keeps
            the paper's 0.1, for fine-tuning.
        seed: of the weights.
    """
    config = preset_config(preset, corpus.tokenizer)
    # The paper's 0.02 is for a hidden size of 768. A narrower model needs larger initial weights,
    # or its loss stays for a long time where word frequencies alone explain it.
    scale = 0.02 * math.sqrt(768 / config.hidden_size)
    torch.manual_seed(seed)
    model = _model_class(next_sentence)(config.with_changes(initializer_range=scale))
    set_dropout(model, dropout)
    model.masked_positions_only = True
    _check_positions(model, max_length)
    return model


def continue_from(
    name_or_path: str | Path,
    corpus: Corpus,
    *,
    max_length: int,
    next_sentence: bool = True,
    dropout: float | None = None,
    seed: int = 0,
) -> PretrainingModel:
    """Return a trained model after checking that it fits the corpus.

    Arguments are those of `new_pretraining_model`. A `dropout` of None is that of the model's
    config, and `seed` is for a head that the folder does not have.

    Raises:
        MiniBertError: the model cannot be loaded, or the corpus was tokenized with another
            vocabulary or other options.
    """
    _check_vocabulary(name_or_path, BertTokenizer.from_pretrained(name_or_path), corpus)
    torch.manual_seed(seed)
    model = _model_class(next_sentence).from_pretrained(name_or_path)
    model.masked_positions_only = True
    if dropout is not None:
        set_dropout(model, dropout)
    if len(corpus.tokenizer) > model.config.vocab_size:
        raise MiniBertError(
            f"the vocabulary of {name_or_path} has {len(corpus.tokenizer):,} tokens, but its model "
            f"has embeddings for {model.config.vocab_size:,}; copy the vocab.txt that the model "
            "was trained with into the folder."
        )
    _check_positions(model, max_length)
    return model


def set_dropout(model: PretrainingModel, probability: float) -> None:
    """Change the dropout of a model without changing its config."""
    if not 0 <= probability < 1:
        raise MiniBertError(f"the dropout is {probability}; it must be at least 0 and below 1.")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif isinstance(module, SelfAttention):
            module.dropout = probability


def default_learning_rate(config: BertConfig, *, new: bool) -> float:
    """Return a learning rate that works without a search; smaller models need higher ones.

    A new tiny still learns with 3e-3; a new mini learns with 1e-3, but not with 2e-3; base and
    large have the paper's 1e-4. A trained model gets less, to keep what it has learned; Google
    advises 2e-5 to continue with base.
    """
    rates = (row[1:] for row in LEARNING_RATES if config.hidden_size <= row[0])
    return next(rates, LEARNING_RATES_BEYOND)[0 if new else 1]


def data_fingerprint(batches: PretrainingBatches) -> dict[str, Any]:
    """Return what must be the same in the data of a run to resume it.

    Masking is named only where it differs from the paper's.
    """
    fingerprint = {
        "corpus": batches.corpus.fingerprint,
        "batch_size": batches.batch_size,
        "bucket": batches.bucket,
        "max_length": batches.max_length,
        "short_probability": batches.short_seq_prob,
        "next_sentence": batches.next_sentence,
    }
    if batches.whole_word:
        fingerprint["whole_word"] = True
    if batches.rates != MaskingRates():
        fingerprint["masking"] = asdict(batches.rates)
    return fingerprint


def _model_class(next_sentence: bool) -> type[BertForPreTraining] | type[BertForMaskedLM]:
    return BertForPreTraining if next_sentence else BertForMaskedLM


def _check_vocabulary(name: str | Path, theirs: BertTokenizer, corpus: Corpus) -> None:
    """Raise unless the corpus has the vocabulary and the normalization of the model."""
    ours = corpus.tokenizer
    again = f"prepare it again: minibert prepare TEXTS --vocab {name} --output NEW_FOLDER"
    rows = (t.convert_ids_to_tokens(range(t.vocab_size)) for t in (ours, theirs))
    for index, (piece, other) in enumerate(zip_longest(*rows, fillvalue="(nothing)")):
        if piece != other:
            raise MiniBertError(
                f"{corpus.folder} and {name} have different vocabularies: id {index} is {piece} in "
                f"the corpus and {other} in the model; {again}"
            )
    for option, sentence in NORMALIZATION_OPTIONS.items():
        in_corpus, in_model = (getattr(t.normalization, option) for t in (ours, theirs))
        if in_corpus != in_model:
            does, does_not = (corpus.folder, name) if in_corpus else (name, corpus.folder)
            raise MiniBertError(f"{sentence.format(does, does_not)}; {again}")


def _check_positions(model: PretrainingModel, max_length: int) -> None:
    positions = model.config.max_position_embeddings
    if max_length > positions:
        raise MiniBertError(
            f"the model has only {positions} positions, but --max-length is {max_length}; use "
            f"--max-length {positions} or less."
        )
