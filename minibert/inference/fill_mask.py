"""Predict the tokens that [MASK] hides, each with its probability.

    filler = MaskFiller.from_pretrained("weights/tiny")
    filler("He opened the [MASK].")[0][0].token        # 'door'

Only "[MASK]" is special in a text; a "[SEP]" in it is plain text, and a second text is passed as
`text_pair`.

A call predicts each mask independently, with all others still hidden, as BERT was trained. The best
token of each may not make the best sentence: "[MASK] [MASK]" may be "new york" or "los angeles",
but never "new angeles". `MaskFiller.fill_all` therefore fills one mask at a time, the most
confident first, and then predicts the others again. This is greedy decoding, not a search for the
most probable combination.

Source: Devlin et al. 2018, section 3.1, task 1.

S sequence length, E hidden width, V vocabulary, N masks.
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
from minibert.model.input_checks import check_finite
from minibert.model.pretraining_heads import BertForMaskedLM
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.truncation import truncate
from minibert.tokenization.wordpiece import SUBWORD_PREFIX


@dataclass(frozen=True)
class Candidate:
    """A token predicted for a mask."""

    token: str  # "##ing" continues the word before it
    id: int
    probability: float  # among all tokens of the vocabulary


@dataclass(frozen=True)
class FilledText:
    """A text with all of its masks filled.

    Each probability is conditional on the masks that were filled before, so that their product is
    the joint probability of all tokens that were filled in.
    """

    candidates: tuple[Candidate, ...]  # one for each mask, in reading order
    order: tuple[int, ...]  # the indices of the masks, as they were filled
    text: str
    text_pair: str | None = None


@dataclass(frozen=True)
class MaskFiller:
    """A masked language model with its tokenizer."""

    model: BertForMaskedLM
    tokenizer: BertTokenizer
    max_length: int  # tokens, including [CLS] and [SEP]

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, device: str | torch.device = "cpu"
    ) -> Self:
        """Load a masked language model from a folder or from the Hugging Face hub.

        Raises:
            MiniBertError: a file is missing or damaged, or the folder has no masked-LM head.
        """
        advice = "fine-tuning drops that head, so give a pretrained folder"
        return cls(
            *load_for_inference(BertForMaskedLM, name_or_path, device=device, if_untrained=advice)
        )

    def __call__(
        self, text: str, text_pair: str | None = None, *, top_k: int = 5
    ) -> list[list[Candidate]]:
        """Predict each mask independently.

        Args:
            text: a text with [MASK] in place of each hidden token.
            text_pair: a second text; masks may be in either.
            top_k: number of candidates per mask.

        Returns:
            For each mask, in reading order, its most probable candidates, the best first.

        Raises:
            MiniBertError: there is no [MASK], or one is beyond the model's maximum length.
        """
        if top_k < 1:
            raise MiniBertError(f"top_k is {top_k}; it must be at least 1.")
        ids, token_type_ids, masks = self._encode(text, text_pair)
        return [self._best(row, top_k) for row in self._probabilities(ids, token_type_ids, masks)]

    def fill_all(self, text: str, text_pair: str | None = None) -> FilledText:
        """Fill all masks one after another, the most confident first.

        Runs the model once per mask.

        Raises:
            MiniBertError: there is no [MASK], or one is beyond the model's maximum length.
        """
        ids, token_type_ids, masks = self._encode(text, text_pair)
        filled: dict[int, Candidate] = {}  # by the position of the mask, in the order of filling
        while hidden := [position for position in masks if position not in filled]:
            probabilities = self._probabilities(ids, token_type_ids, hidden)
            index = int(probabilities.amax(dim=1).argmax())  # (N, V) -> (N,) -> one mask
            [filled[hidden[index]]] = self._best(probabilities[index], 1)
            ids[hidden[index]] = filled[hidden[index]].id
        candidates = [filled[position] for position in masks]
        first = text.count(self.tokenizer.mask_token)
        return FilledText(
            tuple(candidates),
            tuple(masks.index(position) for position in filled),
            self._insert(text, candidates[:first]),
            None if text_pair is None else self._insert(text_pair, candidates[first:]),
        )

    def _encode(self, text: str, text_pair: str | None) -> tuple[list[int], list[int], list[int]]:
        """Return the S ids, their token type ids, and the positions of the N masks."""
        mask = self.tokenizer.mask_token
        texts = [text] if text_pair is None else [text, text_pair]
        for one in texts:
            if not isinstance(one, str):
                raise MiniBertError(f"a text must be a str, not {type(one).__name__}.")
        expected = sum(one.count(mask) for one in texts)
        if not expected:
            lower = any(mask.lower() in one.lower() for one in texts)
            capitals = f" in capitals, not {mask.lower()}," if lower else ""
            raise MiniBertError(
                f"the text has no {mask}; write {mask}{capitals} where a word is hidden: "
                f'"Paris is the {mask} of France."'
            )
        sequences: list[list[int]] = []
        for one in texts:
            # Each part is truncated to the maximum of the whole, so that a huge text costs little.
            parts = self.tokenizer(
                one.split(mask),
                add_special_tokens=False,
                max_length=self.max_length,
                split_special_tokens=True,
            )["input_ids"]
            sequences.append(list(parts[0]))
            for part in parts[1:]:
                sequences[-1] += [self.tokenizer.mask_token_id, *part]
        first, second = sequences[0], sequences[1] if text_pair is not None else None
        room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=second is not None)
        truncated = sum(map(len, sequences)) > room
        side = self.tokenizer.truncation_side
        first, second = truncate(first, second, max_length=room, side=side)[0]
        ids = self.tokenizer.build_inputs_with_special_tokens(first, second)
        token_type_ids = self.tokenizer.create_token_type_ids_from_sequences(first, second)
        masks = [i for i, index in enumerate(ids) if index == self.tokenizer.mask_token_id]
        if len(masks) < expected:
            raise MiniBertError(
                f"{expected - len(masks)} of {expected} {mask} are beyond the {self.max_length} "
                "tokens that this model reads; give only the sentences around them."
            )
        if truncated:
            warnings.warn(
                f"the text is longer than the {self.max_length} tokens that this model reads and "
                "was truncated.",
                stacklevel=3,
            )
        return ids, token_type_ids, masks

    @torch.inference_mode()
    def _probabilities(
        self, ids: Sequence[int], token_type_ids: Sequence[int], positions: Sequence[int]
    ) -> Tensor:
        """Return the probability of each token at each of N positions. -> (N, V)."""
        self.model.eval()
        bert = self.model.bert
        embeddings = bert.embeddings.word_embeddings.weight  # (V, E)
        batch = torch.tensor([ids, token_type_ids], device=self.model.device)  # (2, S)
        hidden = bert(batch[:1], token_type_ids=batch[1:]).last_hidden_state  # (1, S, E)
        # V is large, so only the masked positions are scored: (1, S, E) -> (N, E) -> (N, V)
        logits = self.model.masked_lm(hidden[0, list(positions)], embeddings)
        # The embedding matrix may have more rows than the vocabulary; these are not tokens.
        return check_finite(logits[:, : len(self.tokenizer)].cpu()).double().softmax(dim=-1)

    def _best(self, probabilities: Tensor, top_k: int) -> list[Candidate]:
        """Return the most probable tokens. (V,) -> top_k of them."""
        best = probabilities.topk(min(top_k, len(probabilities)))
        ids: list[int] = best.indices.tolist()
        tokens = self.tokenizer.convert_ids_to_tokens(ids)
        return [Candidate(*item) for item in zip(tokens, ids, best.values.tolist(), strict=True)]

    def _insert(self, text: str, candidates: Sequence[Candidate]) -> str:
        """Return the text with a token in place of each mask."""
        result, *parts = text.split(self.tokenizer.mask_token)
        for candidate, part in zip(candidates, parts, strict=True):
            if candidate.token.startswith(SUBWORD_PREFIX):
                result = result.rstrip()
            result += candidate.token.removeprefix(SUBWORD_PREFIX) + part
        return result
