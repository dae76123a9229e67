"""Hide some words, so that there is something to guess: 15 % are picked, 80/10/10 decides how.

    of all tokens      15 %  are picked: the model must guess them      labels = the original id
                       85 %  are not                                    labels = -100
    of the picked      80 %  are shown as [MASK]
                       10 %  are shown as a random word
                       10 %  are shown as they are

The model never knows which of the words it sees are right, so it must have an opinion on all.

`mask_tokens` is for training: it works on whole batches, on their device, and picks anew whenever
a text comes by (RoBERTa's "dynamic" masking). `google_masking` is Google's own way, one text at a
time, draw by draw. They differ in three points: Google picks a fixed number of tokens and not each
with the same chance; Google picks [UNK], too; and Google's random word may be any entry of the
vocabulary, even [CLS], [SEP] or [PAD].

Source: Devlin et al. 2018, section 3.1 and appendix A; `create_masked_lm_predictions` of Google's
`create_pretraining_data.py`; Liu et al. 2019 (RoBERTa), section 4.1.

B batch, S tokens of a sequence, V vocabulary.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from minibert.errors import MiniBertError
from minibert.tokenization.padding import IGNORE_INDEX
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.wordpiece import CONTINUES


@dataclass(frozen=True)
class MaskingRates:
    """How much is hidden, and how.

    Attributes:
        picked: the share of all tokens that must be guessed.
        to_mask: the share *of the picked* that is shown as [MASK].
        to_random: the share *of the picked* that is shown as a random word.
        unchanged: the share *of the picked* that is shown as it is.
    """

    picked: float = 0.15
    to_mask: float = 0.8
    to_random: float = 0.1
    unchanged: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.to_mask, self.to_random, self.unchanged)
        if not 0 < self.picked <= 1 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise MiniBertError(
                f"masking rates are picked={self.picked} and, of the picked, to_mask="
                f"{self.to_mask}, to_random={self.to_random}, unchanged={self.unchanged}; the "
                "first must be above 0 and at most 1, the other three must add up to 1."
            )


class MaskingVocabulary:
    """What masking must know about a vocabulary.

    Attributes:
        mask_id: the id of [MASK].
        special: (V,) bool, True for [CLS], [SEP], [PAD], [MASK] and [UNK], which are never picked.
        continues: (V,) bool, True for pieces that continue a word ("##ing").
        words: (W,) the ids that a random word is drawn from: all but special and [unused] ones.
    """

    def __init__(self, tokenizer: BertTokenizer) -> None:
        tokens = tokenizer.convert_ids_to_tokens(range(tokenizer.vocab_size))
        self.mask_id = tokenizer.mask_token_id
        self.special = torch.zeros(len(tokens), dtype=torch.bool)
        self.special[tokenizer.all_special_ids] = True
        self.continues = torch.tensor([token.startswith(CONTINUES) for token in tokens])
        unused = torch.tensor([token.startswith("[unused") for token in tokens])
        self.words = torch.nonzero(~self.special & ~unused).squeeze(1)  # (W, 1) -> (W,)
        if not len(self.words):
            raise MiniBertError("the vocabulary has special tokens only, so nothing can be masked.")

    def to(self, device: torch.device) -> "MaskingVocabulary":
        """The same tables on another device."""
        moved = object.__new__(MaskingVocabulary)
        moved.mask_id = self.mask_id
        moved.special, moved.continues = self.special.to(device), self.continues.to(device)
        moved.words = self.words.to(device)
        return moved


def mask_tokens(
    input_ids: Tensor,
    vocabulary: MaskingVocabulary,
    *,
    generator: torch.Generator,
    rates: MaskingRates | None = None,
    whole_word: bool = False,
    word_starts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Pick tokens, hide them, and say what they were.

    Every token gets one number between 0 and 1, which decides all. With the usual rates:

        0       0.12    0.135   0.15                                          1
        | [MASK] | random | as is |               not picked                  |

    Args:
        input_ids: (B, S); it is not changed.
        vocabulary: of these ids, on their device.
        generator: where chance comes from, on the device of the ids.
        rates: the paper's, if not given.
        whole_word: pick all pieces of a word or none. A word still is picked with a chance of
            15 %, so just as many tokens are; each piece is then hidden in its own way.
        word_starts: (B, S) bool, True where a word begins, for languages whose pieces do not tell;
            if not given, all pieces that do not begin with "##". Only for `whole_word`.

    Returns:
        The ids with words hidden, and the labels: the original id where a token was picked, -100
        elsewhere. Both (B, S) and new.
    """
    rates = rates or MaskingRates()
    may_be_picked = ~vocabulary.special[input_ids]
    draw = torch.rand(input_ids.shape, generator=generator, device=input_ids.device)
    if whole_word:
        starts = ~vocabulary.continues[input_ids] if word_starts is None else word_starts
        picked, fate = _pick_words(draw, starts, rates.picked)
    else:
        picked, fate = draw < rates.picked, draw / rates.picked
    picked = picked & may_be_picked
    # `fate` of a picked token is even between 0 and 1, and here it is cut in three.
    to_mask = picked & (fate < rates.to_mask)
    to_random = picked & (fate >= rates.to_mask) & (fate < rates.to_mask + rates.to_random)

    choice = torch.randint(
        len(vocabulary.words), input_ids.shape, generator=generator, device=input_ids.device
    )
    shown = torch.where(to_random, vocabulary.words[choice], input_ids)
    shown = shown.masked_fill(to_mask, vocabulary.mask_id)
    return shown, input_ids.masked_fill(~picked, IGNORE_INDEX)


def _pick_words(draw: Tensor, starts: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Pick by the draw of each word's first token; and the fate of each token.

    That first draw was spent on the choice, and when the word was picked it lies below `share`, so
    it is stretched to 0 ... 1 again. The draws of the other pieces are still unspent.
    """
    # A cut text may begin with "##ing". It then goes by the draw of [CLS], as good as any other.
    places = torch.arange(starts.shape[1], device=starts.device).expand_as(starts)
    first = places.masked_fill(~starts, 0).cummax(dim=1).values  # where each token's word began
    return draw.gather(1, first) < share, torch.where(starts, draw / share, draw)


@dataclass(frozen=True)
class MaskedText:
    """A text with hidden words.

    Attributes:
        input_ids: what the model sees.
        positions: the places that must be guessed, ascending.
        original_ids: what stood there.
    """

    input_ids: list[int]
    positions: list[int]
    original_ids: list[int]


def google_masking(
    input_ids: Sequence[int],
    tokenizer: BertTokenizer,
    rng: random.Random,
    *,
    share: float = 0.15,
    most: int = 20,
    whole_word: bool = False,
) -> MaskedText:
    """Mask one text as Google's code does: the same draws in the same order.

    Args:
        input_ids: [CLS] a [SEP] b [SEP].
        tokenizer: of these ids.
        rng: where chance comes from.
        share: of all tokens, special ones included, that is picked; at least one token is.
        most: never pick more tokens than this (`max_predictions_per_seq`).
        whole_word: pick all pieces of a word or none; a word too long for what is left is skipped.
    """
    words: list[list[int]] = []
    for position, token in enumerate(tokenizer.convert_ids_to_tokens(input_ids)):
        if token in (tokenizer.cls_token, tokenizer.sep_token):
            continue
        if whole_word and words and token.startswith(CONTINUES):
            words[-1].append(position)
        else:
            words.append([position])
    rng.shuffle(words)

    shown = list(input_ids)
    positions: list[int] = []
    wanted = min(most, max(1, round(len(input_ids) * share)))
    for word in words:
        if len(positions) >= wanted:
            break
        if len(positions) + len(word) > wanted:
            continue
        for position in word:
            if rng.random() < 0.8:
                shown[position] = tokenizer.mask_token_id
            elif rng.random() >= 0.5:  # half of the remaining 20 % stay as they are
                # Any entry of the vocabulary, so [CLS] or [PAD], too.
                shown[position] = rng.randint(0, tokenizer.vocab_size - 1)
            positions.append(position)
    positions.sort()
    return MaskedText(shown, positions, [input_ids[position] for position in positions])
