"""Pooling: one vector for a text from those of its tokens, and a classifier on top of it.

    pool(hidden_states, attention_mask) -> (B, P)

Padding never changes a vector: it has no weight in a mean, is never the maximum, is no part of a
convolution, and a recurrent network does not read it. It may only come after the text.

A text of several windows has a row for each of them; `fuse` makes one vector of theirs, and it is a
pooling, too: of windows instead of tokens.

B batch, R rows (one for each window), S sequence length, W windows, E hidden width, P pooled width.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from minibert.errors import MiniBertError
from minibert.model import input_checks
from minibert.model.bert import EncoderInputs
from minibert.model.config import BertConfig
from minibert.model.encoder import EncoderLayer
from minibert.model.fused_attention import choose_attention
from minibert.model.losses import CLASSIFICATION_LOSSES, problem_type
from minibert.model.outputs import TaskOutput
from minibert.model.query_positions import encode_first
from minibert.model.task_heads import BertForSequenceClassification
from minibert.problem_types import FUSIONS, POOLING_NAMES, POOLINGS

FILTERS, FILTER_WIDTHS = 100, (2, 3, 4)  # Kim 2014 has widths 3 to 5, for words
FUSING_LAYERS = 2  # as in Li et al. 2020 (PARADE)


class Pooling(nn.Module):
    """The base class.

    Attributes:
        size: P.
        layers: how many hidden states are read; 1 is the last one.
    """

    layers = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.size = width

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """Return one vector for each text.

        Args:
            hidden_states: (B, S, E) each, the last one last.
            attention_mask: (B, S) bool, True for real tokens.

        Returns:
            (B, P).
        """
        raise NotImplementedError


class ClsPooling(Pooling):
    """The last hidden state of [CLS], without the dense layer of the pooler."""

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """See `Pooling`."""
        return hidden_states[-1][:, 0]  # (B, S, E) -> (B, E)


class MeanPooling(Pooling):
    """The mean of all tokens, [CLS] and [SEP] included."""

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """See `Pooling`."""
        mask = attention_mask[..., None]  # (B, S) -> (B, S, 1)
        total = hidden_states[-1].masked_fill(~mask, 0).sum(dim=1)  # (B, S, E) -> (B, E)
        return total / mask.sum(dim=1)


class MaxPooling(Pooling):
    """The maximum of each dimension over all tokens."""

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """See `Pooling`."""
        states = hidden_states[-1].masked_fill(~attention_mask[..., None], -math.inf)
        maximum: Tensor = states.amax(dim=1)  # (B, S, E) -> (B, E)
        return maximum


class AttentionPooling(Pooling):
    """A weighted mean; the weights are softmax(u tanh(W h)) over the tokens (Yang et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.dense = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """See `Pooling`."""
        states = hidden_states[-1]
        scores = self.score(self.dense(states).tanh())  # (B, S, E) -> (B, S, 1)
        weights = scores.masked_fill(~attention_mask[..., None], -math.inf).softmax(dim=1)
        mean: Tensor = (states * weights).sum(dim=1)  # (B, S, E) -> (B, E)
        return mean


class CnnPooling(Pooling):
    """The strongest response of each filter over two to four neighboring tokens (Kim 2014)."""

    def __init__(self, width: int) -> None:
        super().__init__(FILTERS * len(FILTER_WIDTHS))
        self.filters = nn.ModuleList(nn.Conv1d(width, FILTERS, n) for n in FILTER_WIDTHS)

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """See `Pooling`."""
        states = hidden_states[-1].masked_fill(~attention_mask[..., None], 0)
        states = states.transpose(1, 2)  # (B, S, E) -> (B, E, S)
        strongest = []
        for n, convolution in zip(FILTER_WIDTHS, self.filters, strict=True):
            # A filter starts at every real token, and reads zeros behind the last one.
            responses = convolution(nn.functional.pad(states, (0, n - 1)))  # (B, FILTERS, S)
            responses = responses.masked_fill(~attention_mask[:, None], -math.inf)
            strongest.append(responses.amax(dim=2).relu())  # (B, FILTERS, S) -> (B, FILTERS)
        return torch.cat(strongest, dim=1)


class RecurrentPooling(Pooling):
    """The last states of an LSTM or GRU that reads the tokens forwards and backwards."""

    def __init__(self, width: int, kind: type[nn.LSTM] | type[nn.GRU]) -> None:
        half = math.ceil(width / 2)
        super().__init__(2 * half)
        self.network = kind(width, half, batch_first=True, bidirectional=True)

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """See `Pooling`."""
        lengths = attention_mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(
            hidden_states[-1], lengths, batch_first=True, enforce_sorted=False
        )
        _, last = self.network(packed)
        states: Tensor = last[0] if isinstance(last, tuple) else last  # an LSTM has cells, too
        return states.transpose(0, 1).flatten(1)  # (2, B, P / 2) -> (B, P)


class LayersPooling(Pooling):
    """[CLS] of the last K layers, joined, or mixed by learned weights that add up to 1."""

    def __init__(self, width: int, layers: int, *, mixed: bool) -> None:
        super().__init__(width if mixed else width * layers)
        self.layers = layers
        self.weights = nn.Parameter(torch.zeros(layers)) if mixed else None

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """See `Pooling`."""
        states = torch.stack([states[:, 0] for states in hidden_states[-self.layers :]], dim=1)
        if self.weights is None:
            return states.flatten(1)  # (B, K, E) -> (B, K * E)
        return (states * self.weights.softmax(dim=0)[:, None]).sum(dim=1)  # (B, K, E) -> (B, E)


class TransformerPooling(Pooling):
    """The first state of two layers of BERT that read a learned vector, then those of a text."""

    def __init__(self, width: int, config: BertConfig) -> None:
        super().__init__(width)
        small = replace(
            config,
            hidden_size=width,
            intermediate_size=4 * width,
            num_attention_heads=math.gcd(width, config.num_attention_heads),
        )
        # In a file, "encoder.layer.0" would be taken for a layer of the BERT below.
        self.blocks = nn.ModuleList(EncoderLayer(small) for _ in range(FUSING_LAYERS))
        self.first = nn.Parameter(torch.zeros(width))

    def forward(self, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """See `Pooling`."""
        states = hidden_states[-1]
        first = self.first.to(states.dtype).expand(len(states), 1, -1)  # (E,) -> (B, 1, E)
        states = torch.cat([first, states], dim=1)  # (B, S, E) -> (B, 1 + S, E)
        mask = nn.functional.pad(attention_mask, (1, 0), value=True)  # (B, S) -> (B, 1 + S)
        attend = choose_attention("auto", output_attentions=False)
        for block in self.blocks:
            states, _ = block(states, mask[:, None, None], attend)
        return states[:, 0]  # (B, 1 + S, E) -> (B, E)


def make_pooling(name: str, config: BertConfig) -> Pooling | None:
    """Return the pooling of a name for `--pooling`; None for "pooler", which is a part of BERT.

    Raises:
        MiniBertError: there is no such pooling, or the model has too few layers for it.
    """
    match = re.fullmatch(POOLINGS, name)
    if match is None:
        raise MiniBertError(f"there is no pooling {name!r:.100}; choose {POOLING_NAMES}.")
    width, layers = config.hidden_size, int(match["layers"] or 1)
    if not 1 <= layers <= config.num_hidden_layers:
        raise MiniBertError(
            f"--pooling {name} reads {layers} layers, but the model has "
            f"{config.num_hidden_layers}; use last{config.num_hidden_layers}-{match['how']}."
        )
    if match["layers"]:
        return LayersPooling(width, layers, mixed=match["how"] == "mix")
    if name in ("lstm", "gru"):
        return RecurrentPooling(width, nn.LSTM if name == "lstm" else nn.GRU)
    plain: dict[str, type[Pooling]] = {
        "cls": ClsPooling,
        "mean": MeanPooling,
        "max": MaxPooling,
        "attention": AttentionPooling,
        "cnn": CnnPooling,
    }
    return plain[name](width) if name in plain else None


def make_fusion(name: str, width: int, config: BertConfig) -> Pooling:
    """Return the pooling over the windows of a text of a name for `--fuse`.

    Raises:
        MiniBertError: there is no such fusion.
    """
    if name not in FUSIONS:
        raise MiniBertError(f"--fuse is {name!r:.100}; choose one of {', '.join(FUSIONS)}.")
    if name == "transformer":
        return TransformerPooling(width, config)
    kinds = {"mean": MeanPooling, "max": MaxPooling, "attention": AttentionPooling}
    return kinds[name](width)


class BertForPooledClassification(BertForSequenceClassification):
    """`BertForSequenceClassification` with another pooling, and for texts of several windows.

    `config.json` keeps the choice, as `pooling` and `fuse`.

    Args:
        config: of the model.
        pooling: a name of `--pooling`; None: the one in the config, or "pooler".
        fuse: a name of `--fuse`, or "" for texts of one window; None: the one in the config, or "".

    Example:
        >>> model = BertForPooledClassification(BertConfig.tiny(), pooling="mean", fuse="max")
        >>> ids = torch.tensor([[101, 7592, 102], [101, 2088, 102], [101, 3899, 102]])
        >>> model(ids, window_counts=torch.tensor([2, 1])).logits.shape  # 2 texts, 3 windows
        torch.Size([2, 2])
    """

    def __init__(
        self, config: BertConfig, pooling: str | None = None, fuse: str | None = None
    ) -> None:
        saved = config.foreign
        pooling = str(saved.get("pooling", "pooler")) if pooling is None else pooling
        fuse = str(saved.get("fuse") or "") if fuse is None else fuse
        chosen = {"pooling": pooling, "fuse": fuse}
        super().__init__(replace(config, foreign={**saved, **chosen}))
        self.pool = make_pooling(pooling, config)
        size = config.hidden_size
        if self.pool is not None:
            self.bert.pooler = None
            self.pool.apply(self.init_weights)
            size = self.pool.size
        self.fuse = make_fusion(fuse, size, config).apply(self.init_weights) if fuse else None
        self.classifier = nn.Linear(size, config.num_labels).apply(self.init_weights)

    def forward(
        self,
        input_ids: Tensor,
        *,
        labels: Tensor | None = None,
        window_counts: Tensor | None = None,
        **inputs: Unpack[EncoderInputs],
    ) -> TaskOutput:
        """Predict the label of each text.

        Args:
            input_ids: (R, S), all windows of the first text, then those of the second, ...
            labels: see `BertForSequenceClassification`.
            window_counts: (B,), the number of windows of each text; None: one each, so B = R.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, num_labels), and `loss` if there are labels.
        """
        mask = inputs.get("attention_mask")
        mask = torch.ones_like(input_ids).bool() if mask is None else mask.bool()
        mask = mask | ~mask.any(dim=1, keepdim=True)  # a row of padding gets a finite vector, too
        kept = inputs.get("output_hidden_states")
        if self.pool is not None and self.pool.layers > 1:
            inputs["output_hidden_states"] = True
        reads_first = self.pool is None or isinstance(self.pool, ClsPooling)
        encode = partial(encode_first, self.bert) if reads_first else self.bert
        encoded = encode(input_ids, **inputs)
        states = encoded.hidden_states or [encoded.last_hidden_state]
        # (R, S, E) -> (R, P)
        vectors: Any = encoded.pooler_output if self.pool is None else self.pool(states, mask)
        if self.fuse is not None:
            counts = [1] * len(vectors) if window_counts is None else window_counts.tolist()
            by_text = list(torch.split(vectors, counts))  # (R, P) -> B times (W, P)
            windows = pad_sequence(by_text, batch_first=True)  # (B, W, P)
            order = torch.arange(windows.shape[1], device=vectors.device)
            real = order < torch.tensor(counts, device=vectors.device)[:, None]  # (B, W)
            vectors = self.fuse([windows], real)  # (B, W, P) -> (B, P)
        logits = self.classifier(self.dropout(vectors))  # (B, P) -> (B, num_labels)
        loss = None
        if labels is not None:
            loss = CLASSIFICATION_LOSSES[problem_type(self.config, labels)](logits, labels)
        return TaskOutput(
            logits=logits,
            hidden_states=encoded.hidden_states if kept else None,
            attentions=encoded.attentions,
        ).with_loss(labels=loss)

    def check_labels(self, input_ids: Any = None, **batch: Any) -> None:
        """Raise a MiniBertError if the labels or the windows do not fit the texts."""
        counts = batch.get("window_counts")
        if counts is not None:
            if self.fuse is None:
                raise MiniBertError("this model reads one window a text; make it with fuse='mean'.")
            if counts.is_cpu and (int(counts.sum()) != len(input_ids) or int(counts.min()) < 1):
                raise MiniBertError(
                    f"window_counts must be at least 1 each and add up to the {len(input_ids)} rows"
                    f" of input_ids; they add up to {int(counts.sum())}."
                )
            input_ids = input_ids[: len(counts)]  # a label for each text, not for each window
        input_checks.check_labels(self, input_ids, **batch)
