"""Turn each text into one vector: pool the hidden states of its tokens.

    encoder = SentenceEncoder.from_pretrained("weights/tiny")
    vectors = encoder.encode(["A cat sleeps.", "A dog barks."], normalize=True)
    vectors[0] @ vectors[1]         # their cosine similarity

No pooling mode is always best. With weights that were not fine-tuned, the mean of all tokens is the
safest choice: the pooler was trained for next-sentence prediction, and the [CLS] vector only as the
pooler's input. All cosine similarities of one BERT are high; compare them with each other, not
with 0. Left out: training for sentence similarity (Reimers & Gurevych 2019).

B batch, S sequence length, E hidden width, L layers, N texts.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from minibert.checkpoints.sentence_modules import SENTENCE_FILES, sentence_settings
from minibert.data.labelled.batches import LabelledBatches, Tokenized, tokenize_examples
from minibert.data.labelled.examples import Example
from minibert.errors import MiniBertError
from minibert.hub import local_folder
from minibert.inference.load import load_for_inference
from minibert.model.bert import BertModel
from minibert.model.input_checks import check_finite
from minibert.tokenization.tokenizer import BertTokenizer

POOLING_MODES = ("cls", "mean", "max", "pooler")


def pool(hidden: Tensor, attention_mask: Tensor, mode: str) -> Tensor:
    """Return one vector per sequence; padding does not change it.

    Args:
        hidden: (B, S, E) hidden states.
        attention_mask: (B, S), 1 for tokens and 0 for padding.
        mode: "cls" takes the first token; "mean" and "max" are over all tokens, including [CLS] and
            [SEP].

    Example:
        >>> hidden = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [100.0, 100.0]]])
        >>> pool(hidden, torch.tensor([[1, 1, 0]]), "mean")
        tensor([[ 2., -3.]])
    """
    mask = attention_mask[..., None]  # (B, S) -> (B, S, 1)
    if mode == "cls":
        return hidden[:, 0]  # (B, S, E) -> (B, E)
    if mode == "mean":
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)  # (B, S, E) -> (B, E)
    return hidden.masked_fill(mask == 0, -torch.inf).amax(dim=1)  # (B, S, E) -> (B, E)


@dataclass(frozen=True)
class SentenceEncoder:
    """A BERT with its tokenizer, and how it makes vectors unless `encode` is told otherwise."""

    model: BertModel
    tokenizer: BertTokenizer
    max_length: int  # tokens, including [CLS] and [SEP]
    pooling: str = "mean"
    normalize: bool = False
    lower_case: bool = False  # every text, whatever the tokenizer does
    prompt: str = ""  # put before every text

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> Self:
        """Load the encoder of any BERT, pretrained or fine-tuned.

        A folder of sentence-transformers also says how to pool, whether to normalize, and how long
        a text may be.

        Raises:
            MiniBertError: a file is missing or damaged.
        """
        folder = Path(name_or_path).expanduser()
        settings = sentence_settings(folder)
        source = settings.pop("folder", name_or_path)
        model, tokenizer, max_length = load_for_inference(
            BertModel, source, device=device, precision=precision
        )
        if not folder.is_dir():
            settings = sentence_settings(local_folder(name_or_path, files=SENTENCE_FILES))
            settings.pop("folder", None)
        max_length = min(max_length, settings.pop("max_length", None) or max_length)
        return cls(model, tokenizer, max_length, **settings)

    def encode(
        self,
        texts: Sequence[str],
        *,
        pooling: str | None = None,
        layer: int = -1,
        batch_size: int = 32,
        normalize: bool | None = None,
        show_progress_bar: bool = False,
    ) -> NDArray[np.float32]:
        """Return one vector per text; they do not depend on how texts are batched.

        Args:
            texts: the texts. Those longer than `max_length` tokens are truncated, with a warning.
            pooling: "cls", "mean", "max", or "pooler" (the [CLS] vector through the model's dense
                layer and tanh). By default what the folder says, else "mean".
            layer: 0 for the embeddings, 1 to L for the layers; -1 is the last.
            batch_size: number of texts, of similar length, to run at a time.
            normalize: scale each vector to length 1, so that a dot product is a cosine similarity.
                By default what the folder says, else False.
            show_progress_bar: show a progress bar if standard error is a terminal.

        Returns:
            (N, E), in the order of the texts.

        Raises:
            MiniBertError: there are no texts, or an option is out of range.
        """
        if isinstance(texts, str) or not hasattr(texts, "__len__") or len(texts) == 0:
            raise MiniBertError("encode takes a list of at least one text.")
        tokenized = self.tokenize(texts)
        if truncated := self.count_truncated(tokenized):
            warnings.warn(self.describe_truncated(truncated, len(texts)), stacklevel=2)
        return self.encode_tokenized(
            tokenized,
            pooling=pooling,
            layer=layer,
            batch_size=batch_size,
            normalize=normalize,
            show_progress_bar=show_progress_bar,
        )

    def tokenize(self, texts: Sequence[str]) -> Tokenized:
        """Return the ids of texts, with the prompt and truncated to `max_length`."""
        texts = [self.prompt + (text.lower() if self.lower_case else text) for text in texts]
        examples = [Example(text) for text in texts]
        return tokenize_examples(self.tokenizer, examples, max_length=self.max_length)

    def count_truncated(self, tokenized: Tokenized) -> int:
        """Return how many of the texts were truncated."""
        return sum(length > self.max_length for length in tokenized.full_lengths)

    def describe_truncated(self, truncated: int, count: int) -> str:
        """Return a sentence that says how many of the texts were truncated."""
        return (
            f"{truncated} of {count} texts are longer than the {self.max_length} tokens that this "
            "model reads; their vectors represent only their beginning."
        )

    @torch.inference_mode()
    def encode_tokenized(
        self,
        tokenized: Tokenized,
        *,
        pooling: str | None = None,
        layer: int = -1,
        batch_size: int = 32,
        normalize: bool | None = None,
        show_progress_bar: bool = False,
    ) -> NDArray[np.float32]:
        """Return one vector per text; the arguments are those of `encode`."""
        if batch_size < 1:
            raise MiniBertError(f"batch_size is {batch_size}; it must be at least 1.")
        pooling = self.pooling if pooling is None else pooling
        normalize = self.normalize if normalize is None else normalize
        self._check_pooling(pooling, layer)
        count = len(tokenized.input_ids)
        batches = LabelledBatches(tokenized, pad_token_id=self.tokenizer.pad_token_id)
        vectors = np.empty((count, self.model.config.hidden_size), dtype=np.float32)
        device, is_last = self.model.device, layer in (-1, self.model.config.num_hidden_layers)
        self.model.eval()
        hide_bar = None if show_progress_bar else True  # None: hide it unless on a terminal
        with tqdm(total=count, unit="text", disable=hide_bar) as bar:
            for indices, batch in batches.longest_first(batch_size):
                inputs = {name: tensor.to(device) for name, tensor in batch.items()}
                outputs = self.model(**inputs, output_hidden_states=not is_last)
                if pooling == "pooler":
                    pooled = outputs.pooler_output
                else:
                    hidden = outputs.last_hidden_state if is_last else outputs.hidden_states[layer]
                    pooled = pool(hidden, inputs["attention_mask"], pooling)
                vectors[indices] = check_finite(pooled.float().cpu()).numpy()
                bar.update(len(indices))
        if normalize:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
        return vectors

    def _check_pooling(self, pooling: str, layer: int) -> None:
        """Raise if this model cannot pool like that."""
        layers = self.model.config.num_hidden_layers
        if pooling not in POOLING_MODES:
            source = ", as the folder says" if pooling == self.pooling else ""
            raise MiniBertError(
                f"pooling is {pooling!r}{source}; choose one of {', '.join(POOLING_MODES)}."
            )
        if not -layers - 1 <= layer <= layers:
            raise MiniBertError(
                f"layer is {layer}; this model has layers 1 to {layers}, and 0 for the embeddings "
                "(-1 is the last)."
            )
        if pooling == "pooler" and layer not in (-1, layers):
            raise MiniBertError(
                f"the pooler reads the last layer only, not layer {layer}; choose pooling cls, "
                "mean or max for another layer."
            )
        new = self.model.load_report.new if self.model.load_report else []
        untrained = self.model.pooler is None or any(n.startswith("bert.pooler") for n in new)
        if pooling == "pooler" and untrained:
            raise MiniBertError(
                "this model was saved without a trained pooler; choose pooling cls, mean or max."
            )
