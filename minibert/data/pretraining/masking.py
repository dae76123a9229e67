"""Masked language modeling: pick 15 % of the tokens, replace them, and keep them as labels.

Every epoch masks a text differently, which RoBERTa calls dynamic masking. Google's own masking is
in `reference/google_pretraining.py`, with a list of the differences.

Source: Devlin et al. 2018, section 3.1 and appendix A.1; Liu et al. 2019 (RoBERTa), section 4.1.

Letters: B batch, S sequence length, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from minibert.tokenization.padding import IGNORE_INDEX
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.wordpiece import SUBWORD_PREFIX


@dataclass(frozen=True)
class MaskingRates:
    """How many tokens are picked, and what replaces them."""

    picked: float = 0.15  # share of all tokens
    to_mask: float = 0.8  # share of the picked tokens that become [MASK]
    to_random: float = 0.1  # share of the picked tokens that become a random token
    unchanged: float = 0.1  # share of the picked tokens that stay


class MaskingVocabulary:
    """The properties of a vocabulary that masking uses.

    Attributes:
        mask_id: the id of [MASK].
        special: (V,) True for [CLS], [SEP], [PAD], [MASK] and [UNK], which are never picked.
        starts_word: (V,) False for tokens that continue a word ("##ing").
        words: (W,) the ids that random tokens are drawn from: all except special and [unused] ones.
    """

    def __init__(self, tokenizer: BertTokenizer, device: torch.device | str = "cpu") -> None:
        tokens = tokenizer.convert_ids_to_tokens(range(tokenizer.vocab_size))
        special_ids = set(tokenizer.all_special_ids)
        special = [i in special_ids for i in range(len(tokens))]
        starts_word = [not token.startswith(SUBWORD_PREFIX) for token in tokens]
        unused = [token.startswith("[unused") for token in tokens]
        words = [i for i in range(len(tokens)) if not special[i] and not unused[i]]
        self.mask_id = tokenizer.mask_token_id
        self.special = torch.tensor(special, device=device)
        self.starts_word = torch.tensor(starts_word, device=device)
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
        input_ids: (B, S), which is not modified.
        vocabulary: the vocabulary of these ids, on the same device.
        generator: the source of randomness, on the same device.
        rates: the masking rates; those of the paper by default.
        word_starts: (B, S), True where a word starts. If given, either all tokens of a word are
            picked, with a probability of 15 %, or none. Each is still replaced independently.
    """
    rates = rates or MaskingRates()
    # "The training data generator chooses 15% of the token positions at random for prediction."
    # A token is picked if its `draw` is below 0.15. Then draw / 0.15 is uniform between 0 and 1
    # again: this is its `fate`, which decides below what replaces it.
    draw = torch.rand(input_ids.shape, generator=generator, device=input_ids.device)  # (B, S)
    if word_starts is None:
        picked, fate = draw < rates.picked, draw / rates.picked
    else:
        # The draw of its first token decides for all tokens of a word. If a truncated text begins
        # with "##ing", the draw of [CLS] decides.
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
