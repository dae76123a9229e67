"""Two towers: BERT encodes the two texts of a pair on their own and compares their vectors.

    u, v = pool(BERT(first)), pool(BERT(second))
    cosine        logits = w cos(u, v) + b
    difference    logits = W [u; v; |u - v|] + b

`BertForSequenceClassification` reads both texts together and is more accurate, but it has to read
every pair. Here a vector is computed once for each text, so that millions can be searched.

B batch, S sequence length, E hidden width.

Source: Reimers & Gurevych 2019 (Sentence-BERT), section 3.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from minibert.errors import MiniBertError
from minibert.model import input_checks
from minibert.model.bert import BertModel, EncoderInputs
from minibert.model.config import BertConfig
from minibert.model.losses import CLASSIFICATION_LOSSES, problem_type
from minibert.model.outputs import TaskOutput
from minibert.model.pooling import make_pooling
from minibert.model.pretrained import PretrainedModel
from minibert.model.query_positions import encode_first
from minibert.problem_types import COMBINATIONS, TOWER_POOLINGS

STEEPNESS = 10.0  # of the first w for two classes: 0.9 for the cosine 0.72, and 0.1 for 0.28


class BertTwoTowers(PretrainedModel):
    """BERT that compares two texts by their vectors.

    `config.json` keeps the choice, as `pooling` and `combine`.

    Args:
        config: of the model; the labels are those of `BertForSequenceClassification`. The cosine is
            for two classes or for a number.
        pooling: "mean", "cls" or "max"; None: the one in the config, or "mean".
        combine: "cosine" or "difference"; None: the one in the config, or "cosine".

    Example:
        >>> model = BertTwoTowers(BertConfig.tiny(num_labels=2))
        >>> pairs = torch.tensor([[[101, 7592, 102], [101, 2088, 102]]])  # (B, 2, S)
        >>> model(pairs, labels=torch.tensor([1])).logits.shape
        torch.Size([1, 2])
    """

    def __init__(
        self, config: BertConfig, pooling: str | None = None, combine: str | None = None
    ) -> None:
        saved = config.foreign
        self.combine = str(saved.get("combine") or "cosine") if combine is None else combine
        pooling = str(saved.get("pooling") or "mean") if pooling is None else pooling
        if pooling not in TOWER_POOLINGS or self.combine not in COMBINATIONS:
            raise MiniBertError(
                f"two towers pool with {', '.join(TOWER_POOLINGS)} and combine by "
                f"{' or '.join(COMBINATIONS)}, not with {pooling!r:.100} and {self.combine!r:.100}."
            )
        by_cosine = self.combine == "cosine"
        if by_cosine and config.num_labels > 2:
            raise MiniBertError(
                f"the cosine tells two classes apart, and there are {config.num_labels}; use "
                "--combine difference."
            )
        chosen = {"pooling": pooling, "combine": self.combine}
        super().__init__(replace(config, foreign={**saved, **chosen}))
        self.bert = BertModel(self.config, add_pooling_layer=False)
        self.pool: Any = make_pooling(pooling, config)
        width = 1 if by_cosine else 3 * config.hidden_size
        self.classifier = nn.Linear(width, config.num_labels)
        self.init_weights(self.classifier)

    def init_weights(self, module: nn.Module | None = None) -> None:
        """See `PretrainedModel`. A cosine of 0.5 lies between two classes, and a number is it."""
        super().init_weights(module)
        if isinstance(module, nn.Linear) and module.in_features == 1:  # the layer for the cosine
            with torch.no_grad():
                sides = [1.0] if self.config.num_labels == 1 else [-STEEPNESS / 2, STEEPNESS / 2]
                weight = torch.tensor(sides, device=module.weight.device)
                module.weight.copy_(weight[:, None])
                module.bias.copy_(-weight / 2 if len(sides) == 2 else 0 * weight)

    @torch.no_grad()
    def start_from(self, targets: Sequence[float], likeness: Sequence[float]) -> None:
        """Make the last layer fit the training pairs before the first update.

        So training begins with the mean or the range of the numbers, and alike texts get a high
        cosine, whichever class or end of the numbers is theirs.

        Args:
            targets: class ids, or numbers.
            likeness: how alike the texts of each pair are, such as by their common words.
        """
        numbers = torch.tensor(targets, dtype=torch.float32)
        low, high = numbers.min(), numbers.max()
        falls = torch.corrcoef(torch.stack([numbers, torch.tensor(likeness)]))[0, 1] < 0
        if self.combine == "difference":
            if self.config.num_labels == 1:
                self.classifier.bias.fill_(numbers.mean())
        elif self.config.num_labels == 1:  # the cosine 0 is one end of the numbers, and 1 the other
            self.classifier.weight.fill_(low - high if falls else high - low)
            self.classifier.bias.fill_(high if falls else low)
        elif falls:
            self.classifier.weight.neg_()
            self.classifier.bias.neg_()

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Predict the label of each pair.

        Args:
            input_ids: (B, 2, S), a row for each text.
            labels: see `BertForSequenceClassification`.
            **inputs: see `BertModel.forward`; they have this shape too.

        Returns:
            `logits` (B, num_labels), and `loss` if there are labels.
        """
        # All inputs: (B, 2, S) -> (B * 2, S)
        rows = {n: v.flatten(0, 1) if isinstance(v, Tensor) else v for n, v in inputs.items()}
        ids = input_ids.flatten(0, 1)
        first_only = self.config.foreign["pooling"] == "cls"
        encoded = (partial(encode_first, self.bert) if first_only else self.bert)(ids, **rows)
        mask: Any = rows.get("attention_mask")
        mask = torch.ones_like(ids) if mask is None else mask
        vectors = self.pool([encoded.last_hidden_state], mask.bool())  # (B * 2, S, E) -> (B * 2, E)
        first, second = vectors.view(len(input_ids), 2, -1).float().unbind(dim=1)  # (B, E) each
        if self.combine == "cosine":
            features = cosine_similarity(first, second)[:, None]  # (B, 1)
        else:
            features = torch.cat([first, second, (first - second).abs()], dim=1)  # (B, 3 * E)
        logits = self.classifier(features.to(self.dtype))  # -> (B, num_labels)
        loss = None
        if labels is not None:
            loss = CLASSIFICATION_LOSSES[problem_type(self.config, labels)](logits, labels)
        return TaskOutput(
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        ).with_loss(labels=loss)

    def check_labels(self, input_ids: Any = None, **batch: Any) -> None:
        """Raise a MiniBertError if there are not two texts in each row, or a label is invalid."""
        if not isinstance(input_ids, Tensor) or input_ids.dim() != 3 or input_ids.shape[1] != 2:
            raise MiniBertError("two towers read input_ids of the shape (batch, 2, tokens).")
        input_checks.check_labels(self, input_ids[:, 0], **batch)
