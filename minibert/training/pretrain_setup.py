"""What a pretraining starts from: a new model for a corpus, or one that goes on with new text.

Going on (on a hospital's letters, say) is called domain-adaptive pretraining. It needs a corpus
that was tokenized with the model's own vocabulary, which is checked piece by piece: with another
one every word would silently mean something else.

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
from minibert.training.finetune_setup import PRESETS

PretrainingModel = BertForPreTraining | BertForMaskedLM

# Up to which width: the learning rate of a new model, and that of one that goes on.
RATES = ((128, 2e-3, 5e-4), (256, 1e-3, 5e-4), (512, 5e-4, 1e-4), (768, 1e-4, 5e-5))

# What two tokenizers of one vocabulary may disagree on, and how to say it.
OPINIONS = {
    "lower_case": "lowers the case and {} keeps it",
    "strip_accents": "drops accents and {} keeps them",
    "space_chinese": "makes each Chinese character a word and {} does not",
}


def new_model_for(
    corpus: Corpus,
    preset: str = "tiny",
    *,
    max_length: int,
    next_sentence: bool = True,
    dropout: float = 0.0,
    seed: int = 0,
) -> PretrainingModel:
    """Random weights, as many as the corpus's vocabulary asks for.

    Args:
        corpus: the text.
        preset: "tiny" to "large".
        max_length: tokens of a sequence, to check that there are positions for them.
        next_sentence: both tasks, or masked words only.
        dropout: small models on much text do better without. The config keeps the paper's 0.1:
            what is saved is fine-tuned with it.
        seed: of the weights.

    Raises:
        MiniBertError: the preset is unknown, or the sequences are too long.
    """
    if preset not in PRESETS:
        raise MiniBertError(f"the preset is {preset!r}; choose one of {', '.join(PRESETS)}.")
    config: BertConfig = getattr(BertConfig, preset)(
        vocab_size=len(corpus.tokenizer),
        pad_token_id=corpus.tokenizer.pad_token_id,
    )
    # The paper's 0.02 is for a width of 768; a narrow model starts with larger numbers, or the
    # loss stays for long at what the mere frequency of words explains.
    scale = 0.02 * math.sqrt(768 / config.hidden_size)
    torch.manual_seed(seed)
    model = _kind(next_sentence)(config.with_changes(initializer_range=scale))
    set_dropout(model, dropout)
    model.masked_positions_only = True
    _check_positions(model, max_length)
    return model


def going_on_from(
    name_or_path: str | Path,
    corpus: Corpus,
    *,
    max_length: int,
    next_sentence: bool = True,
    dropout: float | None = None,
    seed: int = 0,
) -> PretrainingModel:
    """A trained model, checked to fit the corpus.

    Args:
        name_or_path: a folder or hub name.
        corpus: made with the vocabulary of that model.
        max_length: tokens of a sequence, to check that there are positions for them.
        next_sentence: both tasks, or masked words only.
        dropout: while it is trained here; None for that of its config, which is saved in any case.
        seed: of a head that the folder does not have.

    Raises:
        MiniBertError: the model cannot be loaded, the corpus was made with another vocabulary or
            another opinion on capitals, accents or Chinese, or the sequences are too long.
    """
    _check_vocabulary(name_or_path, BertTokenizer.from_pretrained(name_or_path), corpus)
    torch.manual_seed(seed)
    model = _kind(next_sentence).from_pretrained(name_or_path)
    model.masked_positions_only = True
    if dropout is not None:
        set_dropout(model, dropout)
    if len(corpus.tokenizer) > model.config.vocab_size:
        raise MiniBertError(
            f"{name_or_path} does not fit together: its vocabulary has {len(corpus.tokenizer):,} "
            f"pieces, but the model knows {model.config.vocab_size:,}; copy the vocab.txt there "
            "that the model was trained with."
        )
    _check_positions(model, max_length)
    return model


def set_dropout(model: PretrainingModel, probability: float) -> None:
    """Train with this dropout, and leave the config as it is.

    Raises:
        MiniBertError: it is no probability below 1.
    """
    if not 0 <= probability < 1:
        raise MiniBertError(f"the dropout is {probability}; it must be from 0 to below 1.")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif isinstance(module, SelfAttention):
            module.dropout = probability


def usual_learning_rate(config: BertConfig, *, new: bool) -> float:
    """A rate to begin with: the smaller the model, the higher the rate it bears.

    Of new models tiny learns with 3e-3 still, while mini stays where it guesses by frequency with
    2e-3, and does not with 1e-3; the paper trained base and large with 1e-4. A trained model has
    something to lose and gets a fraction of it. Google's advice for going on with base is 2e-5.

    Args:
        config: the model's sizes.
        new: whether the model starts at random.
    """
    for width, of_new, of_trained in RATES:
        if config.hidden_size <= width:
            return of_new if new else of_trained
    return 1e-4 if new else 2e-5


def identity_of(batches: PretrainingBatches) -> dict[str, Any]:
    """What makes a run another run, beside its model and settings: the text and how it is cut.

    How words are masked is named only where it is not as in the paper.
    """
    unusual = {
        "whole_word": True if batches.whole_word else None,
        "masking": None if batches.rates == MaskingRates() else asdict(batches.rates),
    }
    return {
        "corpus": batches.corpus.fingerprint,
        "batch_size": batches.batch_size,
        "bucket": batches.bucket,
        "max_length": batches.max_length,
        "short_probability": batches.short_seq_prob,
        "next_sentence": batches.next_sentence,
    } | {name: value for name, value in unusual.items() if value is not None}


def _kind(next_sentence: bool) -> type[BertForPreTraining] | type[BertForMaskedLM]:
    return BertForPreTraining if next_sentence else BertForMaskedLM


def _check_vocabulary(name: str | Path, theirs: BertTokenizer, corpus: Corpus) -> None:
    """The corpus must have been made with the model's pieces, from words cut as for the model."""
    ours = corpus.tokenizer
    again = f"minibert prepare TEXTS --vocabulary {name} --output NEW_FOLDER"
    rows = (t.convert_ids_to_tokens(range(t.vocab_size)) for t in (ours, theirs))
    for index, (piece, other) in enumerate(zip_longest(*rows, fillvalue="(nothing)")):
        if piece != other:
            raise MiniBertError(
                f"{corpus.folder} was made with another vocabulary than that of {name}: id {index} "
                f"is {piece} in the one and {other} in the other; make it anew: {again}"
            )
    for option, words in OPINIONS.items():
        in_corpus, in_model = (getattr(t.normalization, option) for t in (ours, theirs))
        if in_corpus != in_model:
            does, does_not = (corpus.folder, name) if in_corpus else (name, corpus.folder)
            raise MiniBertError(
                f"{does} {words.format(does_not)}, so they do not fit; make the corpus "
                f"anew: {again}"
            )


def _check_positions(model: PretrainingModel, max_length: int) -> None:
    if max_length > model.config.max_position_embeddings:
        raise MiniBertError(
            f"the model has {model.config.max_position_embeddings} positions, too few for "
            f"sequences of {max_length} tokens; give --max-length "
            f"{model.config.max_position_embeddings} or less."
        )
