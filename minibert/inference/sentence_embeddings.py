"""Text -> one vector: what BERT's tokens say, pooled.

    encoder = SentenceEncoder.from_pretrained("weights/tiny")
    vectors = encoder.encode(["A cat sleeps.", "A dog barks."], pool="mean", normalise=True)
    vectors[0] @ vectors[1]         # their cosine

There are four ways to pool, and none is always best. With weights that were never fine-tuned the
mean of all tokens is the safest start: the pooler was trained for next-sentence prediction, and
the [CLS] vector for nothing but the pooler. Cosines between vectors of one BERT are all high;
compare them with each other, not with 0. Left out: training for it (Reimers & Gurevych 2019).

B batch, S tokens of a sequence, E hidden width, L layers, N texts.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from minibert.data.labelled.batches import TextClassificationBatches, Tokenized
from minibert.errors import MiniBertError
from minibert.inference.load import load_for_inference
from minibert.model.bert import BertModel
from minibert.tokenization.tokenizer import BertTokenizer


def pool_cls(hidden: Tensor, real: Tensor) -> Tensor:
    """The first token's vector: (B, S, E) -> (B, E)."""
    return hidden[:, 0]


def pool_mean(hidden: Tensor, real: Tensor) -> Tensor:
    """The mean over the real tokens, [CLS] and [SEP] among them: (B, S, E) -> (B, E)."""
    weights = real.to(hidden.dtype)[..., None]  # (B, S) -> (B, S, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def pool_max(hidden: Tensor, real: Tensor) -> Tensor:
    """The greatest value over the real tokens, for each of the E: (B, S, E) -> (B, E)."""
    return hidden.masked_fill(~real.bool()[..., None], -torch.inf).amax(dim=1)


# Each takes hidden states (B, S, E) and a mask (B, S), 1 for real tokens.
TOKEN_POOLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": pool_cls,
    "mean": pool_mean,
    "max": pool_max,
}
# The pooler is a layer of the model, [CLS] through a dense layer and tanh.
POOLING_MODES = (*TOKEN_POOLS, "pooler")


@dataclass(frozen=True)
class SentenceEncoder:
    """A BERT with its tokenizer."""

    model: BertModel
    tokenizer: BertTokenizer
    max_length: int  # tokens, with [CLS] and [SEP]

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Load the encoder of any folder, pretrained or fine-tuned.

        Raises:
            MiniBertError: a file is missing or damaged.
        """
        return cls(*load_for_inference(BertModel, folder, device=device))

    @torch.inference_mode()
    def encode(
        self,
        texts: Sequence[str],
        *,
        pool: str = "mean",
        layer: int = -1,
        batch_size: int = 32,
        normalise: bool = False,
        show_progress: bool = False,
    ) -> NDArray[np.float32]:
        """One vector for each text; none depends on what else is asked.

        Args:
            texts: the texts; one that is longer than `max_length` tokens is cut, with a warning.
            pool: "cls", "mean", "max" or "pooler".
            layer: 0 for the embeddings, 1 to L for the layers; -1 is the last.
            batch_size: how many texts, of about the same length, to run at a time.
            normalise: divide each vector by its length, so that a dot product is a cosine.
            show_progress: show a bar where standard error is a terminal.

        Returns:
            (N, E), in the order of the texts.

        Raises:
            MiniBertError: there are no texts, or pool, layer or batch_size are impossible.
        """
        if isinstance(texts, str) or not hasattr(texts, "__len__") or len(texts) == 0:
            raise MiniBertError("encode takes a list of texts, and at least one.")
        if batch_size < 1:
            raise MiniBertError(f"batch_size is {batch_size}; it must be at least 1.")
        self._check(pool, layer)
        self.model.eval()
        device = self.model.device
        batches = TextClassificationBatches(
            self._tokenized(texts), pad_token_id=self.tokenizer.pad_token_id
        )
        vectors = np.empty((len(texts), self.model.config.hidden_size), dtype=np.float32)
        with tqdm(total=len(texts), unit="text", disable=None if show_progress else True) as bar:
            for indices, batch in batches.in_order(batch_size):
                inputs = {name: tensor.to(device) for name, tensor in batch.items()}
                vectors[indices] = self._vectors(inputs, pool, layer).float().cpu().numpy()
                bar.update(len(indices))
        if normalise:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
        return vectors

    def _vectors(self, inputs: dict[str, Tensor], pool: str, layer: int) -> Tensor:
        """A batch -> (B, E)."""
        last = layer in (-1, self.model.config.num_hidden_layers)
        outputs: Any = self.model(**inputs, output_hidden_states=not last)
        if pool == "pooler":
            vectors: Tensor = outputs.pooler_output
            return vectors
        hidden = outputs.last_hidden_state if last else outputs.hidden_states[layer]
        return TOKEN_POOLS[pool](hidden, inputs["attention_mask"])

    def _tokenized(self, texts: Sequence[str]) -> Tokenized:
        """The texts as ids, cut to what the model reads."""
        encoded = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_length,
            return_overflowing_tokens=True,
            split_special_tokens=self.tokenizer.split_special_tokens,
        )
        # What is cut off from a text comes as further rows of the same text.
        origins = encoded["overflow_to_sample_mapping"]
        _, first, rows_each = np.unique(origins, return_index=True, return_counts=True)
        number_cut = int((rows_each > 1).sum())
        if number_cut:
            warnings.warn(
                f"{number_cut} of {len(texts)} texts are longer than the {self.max_length} tokens "
                "that this model reads; only their beginning went into their vectors.",
                stacklevel=4,  # through `encode` and its decorator
            )
        ids = [np.asarray(encoded["input_ids"][row], dtype=np.int32) for row in first.tolist()]
        segments = [np.zeros(len(row), dtype=np.int8) for row in ids]
        return Tokenized(ids, segments, [len(row) for row in ids])

    def _check(self, pool: str, layer: int) -> None:
        if pool not in POOLING_MODES:
            raise MiniBertError(f"pool is {pool!r}; choose one of {', '.join(POOLING_MODES)}.")
        layers = self.model.config.num_hidden_layers
        if not -layers - 1 <= layer <= layers:
            raise MiniBertError(
                f"layer is {layer}; this model has the embeddings, 0, and layers 1 to {layers} "
                "(-1 is the last)."
            )
        if pool != "pooler":
            return
        if layer not in (-1, layers):
            raise MiniBertError(
                f"the pooler reads the last layer only, not layer {layer}; choose pool cls, mean "
                "or max for another layer."
            )
        report = self.model.load_report
        missing = report is not None and any(n.startswith("bert.pooler") for n in report.new)
        if missing or self.model.pooler is None:
            raise MiniBertError(
                "this model was saved without a trained pooler; choose pool cls, mean or max."
            )
