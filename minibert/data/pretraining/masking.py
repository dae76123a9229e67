"""Masked language modeling: pick 15 % of the tokens, hide them, and keep the originals as labels.

Every epoch masks a text anew, RoBERTa's "dynamic masking". `reference/google_pretraining.py` shows
Google's own masking and how it differs.

Source: Devlin et al. 2018, section 3.1 and appendix A.1; Liu et al. 2019 (RoBERTa), section 4.1.

Letters: B batch, S sequence length, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from minibert.tokenization.padding import IGNORE_INDEX
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.wordpiece import CONTINUES


@dataclass(frozen=True)
class MaskingRates:
    """How many tokens are picked, and what the model sees in their places."""

    picked: float = 0.15  # share of all tokens
    to_mask: float = 0.8  # share of the picked tokens that become [MASK]
    to_random: float = 0.1  # share of the picked tokens that become a random token
    unchanged: float = 0.1  # share of the picked tokens that stay


class MaskingVocabulary:
    """What masking needs to know about a vocabulary.

    Attributes:
        mask_id: the id of [MASK].
        special: (V,) True for [CLS], [SEP], [PAD], [MASK] and [UNK], which are never picked.
        starts_word: (V,) False for tokens that continue a word ("##ing").
        words: (W,) the ids to draw random tokens from: all but special and [unused] ones.
    """

    def __init__(self, tokenizer: BertTokenizer, device: torch.device | str = "cpu") -> None:
        tokens = tokenizer.convert_ids_to_tokens(range(tokenizer.vocab_size))
        special, unused = set(tokenizer.all_special_ids), "[unused"
        words = [i for i, t in enumerate(tokens) if i not in special and not t.startswith(unused)]
        self.mask_id = tokenizer.mask_token_id
        self.special = torch.tensor([i in special for i in range(len(tokens))], device=device)
        self.starts_word = torch.tensor(
            [not t.startswith(CONTINUES) for t in tokens], device=device
        )
        self.words = torch.tensor(words, device=device)


def mask_tokens(
    input_ids: Tensor,
    vocabulary: MaskingVocabulary,
    *,
    generator: torch.Generator,
    rates: MaskingRates | None = None,
    word_starts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the masked ids and the labels: the original id where a token was picked, else -100.

    Args:
        input_ids: (B, S) a batch, which is not changed.
        vocabulary: the vocabulary of these ids, on their device.
        generator: the source of randomness, on their device.
        rates: the paper's by default.
        word_starts: (B, S) True where a word starts; given for whole-word masking, which picks all
            tokens of a word or none. A word is picked with a probability of 15 %, so as many
            tokens are. Each token of a picked word is hidden on its own.
    """
    rates = rates or MaskingRates()
    # "The training data generator chooses 15% of the token positions at random for prediction."
    # One uniform number per token decides about the choice; a picked token's, scaled to 0 ... 1,
    # is its `fate` below.
    draw = torch.rand(input_ids.shape, generator=generator, device=input_ids.device)  # (B, S)
    if word_starts is None:
        picked, fate = draw < rates.picked, draw / rates.picked
    else:
        # Each token is picked by the number of the first token of its word. A truncated text may
        # begin with "##ing"; that goes by the number of [CLS].
        position = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        first = position.masked_fill(~word_starts, 0).cummax(dim=1).values  # (B, S)
        picked = draw.gather(1, first) < rates.picked
        fate = torch.where(word_starts, draw / rates.picked, draw)
    picked = picked & ~vocabulary.special[input_ids]

    # "If the i-th token is chosen, we replace the i-th token with (1) the [MASK] token 80% of the
    # time (2) a random token 10% of the time (3) the unchanged i-th token 10% of the time."
    to_mask = picked & (fate < rates.to_mask)
    to_random = picked & (fate >= rates.to_mask) & (fate < rates.to_mask + rates.to_random)
    choice = torch.randint(
        len(vocabulary.words), input_ids.shape, generator=generator, device=input_ids.device
    )
    masked = torch.where(to_random, vocabulary.words[choice], input_ids)
    masked = masked.masked_fill(to_mask, vocabulary.mask_id)
    return masked, input_ids.masked_fill(~picked, IGNORE_INDEX)
