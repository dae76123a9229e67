"""[MASK] -> the words that may stand there, each with its probability.

    filler = MaskFiller.from_pretrained("weights/tiny")
    filler("He opened the [MASK].")[0][0].token        # 'door'

Only "[MASK]" is special in a text. A "[SEP]" that somebody typed stays plain text, as everywhere in
minibert; a second text is given as one.

Several masks are guessed independently, each as if the others stayed hidden, which is how BERT was
trained. The best word of each need not make the best sentence ("[MASK] [MASK]" -> "new york" or
"los angeles", never "new angeles"). `MaskFiller.together` therefore fills the mask that is most
certain, looks again, and so on: greedy, not a search for the best of all combinations.

Source: Devlin et al. 2018, section 3.1, task 1.

S tokens of a sequence, E hidden width, V vocabulary, N masks.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from minibert.errors import MiniBertError
from minibert.inference.load import load_for_inference
from minibert.model.pretraining_heads import BertForMaskedLM
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.truncation import cut
from minibert.tokenization.wordpiece import CONTINUES


@dataclass(frozen=True)
class Candidate:
    """A piece that may stand at a mask.

    Attributes:
        token: the piece; "##ing" continues the word before it.
        id: its id.
        probability: from 0 to 1, among all pieces of the vocabulary.
    """

    token: str
    id: int
    probability: float


@dataclass(frozen=True)
class FilledText:
    """All masks of a text filled together.

    Attributes:
        candidates: what was put at each mask, in reading order; each probability is given what had
            been filled in before.
        order: the masks (from 0) in the order in which they were filled.
        text: the text with its masks filled.
        text_pair: the second text, likewise.
    """

    candidates: tuple[Candidate, ...]
    order: tuple[int, ...]
    text: str
    text_pair: str | None = None


@dataclass(frozen=True)
class MaskFiller:
    """A masked language model with its tokenizer."""

    model: BertForMaskedLM
    tokenizer: BertTokenizer
    max_length: int  # tokens, with [CLS] and [SEP]

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Load a model that was trained to fill in words.

        Raises:
            MiniBertError: a file is missing or damaged, or the folder holds no masked-word head.
        """
        model, tokenizer, max_length = load_for_inference(BertForMaskedLM, folder, device=device)
        if model.load_report is not None and model.load_report.new:
            raise MiniBertError(
                f"{folder} has no trained masked-word head, as is usual after fine-tuning; give a "
                "pretrained folder."
            )
        return cls(model, tokenizer, max_length)

    def __call__(
        self, text: str, text_pair: str | None = None, *, top: int = 5
    ) -> list[list[Candidate]]:
        """Guess every mask, each as if the others stayed hidden.

        Args:
            text: a text with [MASK] where a piece is to be guessed.
            text_pair: a second text; the masks may stand in either.
            top: how many candidates to give.

        Returns:
            For each mask, in reading order, its likeliest candidates, the best first.

        Raises:
            MiniBertError: there is no [MASK], or one lies beyond what the model reads.
        """
        if top < 1:
            raise MiniBertError(f"top is {top}; ask for at least 1 candidate.")
        ids, segments, masks = self._read(text, text_pair)
        return [self._best(row, top) for row in self._probabilities(ids, segments, masks)]

    def together(self, text: str, text_pair: str | None = None) -> FilledText:
        """Fill all masks, the most certain first; each is guessed with those before it in place.

        Takes as many passes through the model as there are masks.

        Raises:
            MiniBertError: there is no [MASK], or one lies beyond what the model reads.
        """
        ids, segments, masks = self._read(text, text_pair)
        found: dict[int, Candidate] = {}  # by the mask's position, in the order of filling
        while open_masks := [position for position in masks if position not in found]:
            probabilities = self._probabilities(ids, segments, open_masks)
            surest = int(probabilities.amax(dim=1).argmax())  # (N, V) -> (N) -> which mask
            candidate = self._best(probabilities[surest], 1)[0]
            ids[open_masks[surest]] = candidate.id
            found[open_masks[surest]] = candidate
        candidates = [found[position] for position in masks]
        first = text.count(self.tokenizer.mask_token)
        return FilledText(
            tuple(candidates),
            tuple(masks.index(position) for position in found),
            self._filled(text, candidates[:first]),
            None if text_pair is None else self._filled(text_pair, candidates[first:]),
        )

    def _read(self, text: str, text_pair: str | None) -> tuple[list[int], list[int], list[int]]:
        """Texts -> the S ids, their segments, and the positions of the N masks."""
        for one in (text, *([] if text_pair is None else [text_pair])):
            if not isinstance(one, str):
                raise MiniBertError(f"a {type(one).__name__} is no text; give one str a call.")
        mask = self.tokenizer.mask_token
        asked = text.count(mask) + (text_pair or "").count(mask)
        if not asked:
            capitals = f" in capitals, not {mask.lower()}," if mask.lower() in text.lower() else ""
            raise MiniBertError(
                f"the text has no {mask}; write {mask}{capitals} where a word is to be guessed: "
                f'"Paris is the {mask} of France."'
            )
        first = self._ids(text)
        second = None if text_pair is None else self._ids(text_pair)
        room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=second is not None)
        is_cut = len(first) + len(second or []) > room
        first, second = cut(
            first,
            second,
            room=room,
            strategy="longest_first",
            side=self.tokenizer.truncation_side,
            stride=0,
            overflow=False,
        )[0]
        ids = self.tokenizer.build_inputs_with_special_tokens(first, second)
        segments = self.tokenizer.create_token_type_ids_from_sequences(first, second)
        masks = [i for i, index in enumerate(ids) if index == self.tokenizer.mask_token_id]
        if len(masks) < asked:
            raise MiniBertError(
                f"{asked - len(masks)} of {asked} {mask} lie beyond the {self.max_length} tokens "
                "that this model reads; give only the sentences around it."
            )
        if is_cut:
            warnings.warn(
                f"the text is longer than the {self.max_length} tokens that this model reads "
                "and was cut.",
                stacklevel=3,
            )
        return ids, segments, masks

    def _ids(self, text: str) -> list[int]:
        """The ids of a text in which [MASK] alone is special, a word of its own wherever it is."""
        parts = text.split(self.tokenizer.mask_token)
        # No part may be longer than the whole, so what is cut here would be cut later anyway.
        encoded = self.tokenizer(
            parts,
            add_special_tokens=False,
            max_length=self.max_length,
            split_special_tokens=True,
        )
        ids: list[int] = list(encoded["input_ids"][0])
        for part in encoded["input_ids"][1:]:
            ids += [self.tokenizer.mask_token_id, *part]
        return ids

    @torch.inference_mode()
    def _probabilities(
        self, ids: Sequence[int], segments: Sequence[int], positions: Sequence[int]
    ) -> Tensor:
        """S ids -> (N, V), the probability of each piece at each position."""
        self.model.eval()
        bert = self.model.bert
        device = self.model.device
        batch = torch.tensor([ids, segments], device=device)[:, None]  # (2, S) -> (2, 1, S)
        hidden = bert(batch[0], token_type_ids=batch[1]).last_hidden_state
        # V is so large that only the masks are scored: (1, S, E) -> (N, E) -> (N, V)
        logits = self.model.masked_lm(
            hidden[0, list(positions)], bert.embeddings.word_embeddings.weight
        )
        # A table that is longer than the vocabulary has rows that stand for no piece.
        probabilities: Tensor = logits[:, : len(self.tokenizer)].cpu().double().softmax(dim=-1)
        return probabilities.cpu()

    def _best(self, probabilities: Tensor, top: int) -> list[Candidate]:
        """(V) -> the likeliest pieces."""
        best = probabilities.topk(min(top, len(probabilities)))
        ids: list[int] = best.indices.tolist()
        tokens = self.tokenizer.convert_ids_to_tokens(ids)
        return [Candidate(*of) for of in zip(tokens, ids, best.values.tolist(), strict=True)]

    def _filled(self, text: str, candidates: Sequence[Candidate]) -> str:
        """The text with a piece in the place of each mask."""
        result, *parts = text.split(self.tokenizer.mask_token)
        for candidate, part in zip(candidates, parts, strict=True):
            if candidate.token.startswith(CONTINUES):
                result = result.rstrip() + candidate.token.removeprefix(CONTINUES) + part
            else:
                result += candidate.token + part
        return result
