"""Saved folders small enough to be made for a test: random weights, 24 pieces, two layers."""

from pathlib import Path

import torch

from minibert import BertConfig, BertForPreTraining, BertForSequenceClassification, BertTokenizer
from minibert.inference.text_classification import TextClassifier

PIECES = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "]", "sep", "mask", "."),
    *("the", "cat", "sat", "on", "a", "mat", "##s", "paris", "is", "capital", "of", "france"),
    *("猫", "狗"),
)
POSITIONS = 16


def tiny_tokenizer(pieces: tuple[str, ...] = PIECES) -> BertTokenizer:
    return BertTokenizer({piece: index for index, piece in enumerate(pieces)})


def tiny_config(**changes) -> BertConfig:
    sizes = {
        "vocab_size": len(PIECES),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": POSITIONS,
        "initializer_range": 0.5,  # so that differences are seen
    }
    return BertConfig(**(sizes | changes))


def pretrained_folder(folder: Path, kind: type = BertForPreTraining, **changes) -> Path:
    torch.manual_seed(0)
    kind(tiny_config(**changes)).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def classifier_folder(folder: Path, *, pairs: bool | None = False) -> Path:
    torch.manual_seed(0)
    model = BertForSequenceClassification(tiny_config(id2label={0: "good", 1: "bad"}))
    TextClassifier(model, tiny_tokenizer(), POSITIONS, pairs).save_pretrained(folder)
    return folder
