"""BertModel: ids in, one vector for each token and one for the whole out.

    embeddings -> encoder -> pooler

Source: Devlin et al. 2018; Google's `BertModel`.
"""

from typing import ClassVar, TypedDict, Unpack

import torch
from torch import Tensor, nn

from minibert.model.attention import choose_attention, take
from minibert.model.config import BertConfig
from minibert.model.embeddings import Embeddings
from minibert.model.encoder import Encoder
from minibert.model.input_checks import check_inputs, check_is_batch
from minibert.model.outputs import BertModelOutput
from minibert.model.pretrained import PretrainedModel, initialise


class EncoderInputs(TypedDict, total=False):
    """What every class accepts beside the ids, by keyword; see `BertModel.forward`."""

    attention_mask: Tensor | None
    token_type_ids: Tensor | None
    position_ids: Tensor | None
    output_hidden_states: bool
    output_attentions: bool


class Pooler(nn.Module):
    """One vector for the whole: the first token's, [CLS], through a layer of its own.

    A dense layer and tanh, trained with next-sentence prediction: not the bare [CLS] vector.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, S, E) -> (B, E)."""
        pooled: Tensor = self.dense(hidden[:, 0]).tanh()
        return pooled


class BertModel(PretrainedModel):
    """The encoder, without a task.

    Args:
        config: the sizes and choices.
        attention: "auto" (the fastest that can do what is asked), "eager" or "fused"; the attribute
            of this name may be changed at any time.
        add_pooling_layer: leave the pooler out where a head reads the tokens themselves.

    Example:
        >>> import torch
        >>> bert = BertModel(BertConfig.tiny()).eval()
        >>> bert(torch.tensor([[101, 7592, 2088, 102]])).last_hidden_state.shape
        torch.Size([1, 4, 128])
    """

    prefix: ClassVar[str] = "bert."

    def __init__(
        self, config: BertConfig, *, attention: str = "auto", add_pooling_layer: bool = True
    ) -> None:
        super().__init__(config)
        choose_attention(
            attention, output_attentions=False
        )  # an unknown name fails here, not later
        self.attention = attention
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.apply(lambda module: initialise(module, config))

    def forward(
        self,
        input_ids: Tensor,
        *,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        positions: Tensor | None = None,
    ) -> BertModelOutput:
        """Encode a batch.

        All but the ids are given by name: their order differs from library to library, and a swap
        of mask and segments is silent.

        Args:
            input_ids: (B, S) ids of the vocabulary.
            attention_mask: (B, S), 1 or True for real tokens, 0 or False for padding; None if
                nothing is padding. What stands at padded positions of the result means nothing.
            token_type_ids: (B, S), 0 for sentence A and 1 for sentence B; None means all 0.
            position_ids: (B, S) or (1, S); None means 0, 1, 2, ...
            output_hidden_states: return all L + 1 hidden states.
            output_attentions: return the attention probabilities of each layer.
            positions: (B, K) or (1, K), the tokens whose last vectors will be read, [CLS] first if
                the model has a pooler; None for all. The last layer computes no others, which
                saves a 2-layer model a fifth of a training step.

        Returns:
            `last_hidden_state` (B, S, E), or (B, K, E) with `positions`, `pooler_output` (B, E)
            and what was asked for.

        Raises:
            MiniBertError: an input is one that the model cannot look up; see `check_inputs`.
        """
        check_inputs(
            self.config,
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
        )
        attend = choose_attention(self.attention, output_attentions=output_attentions)
        # The mask takes its inner form here, once: (B, S) -> (B, 1, 1, S), True for real tokens.
        real = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        hidden = self.embeddings(
            input_ids, token_type_ids=token_type_ids, position_ids=position_ids
        )
        show = output_hidden_states or output_attentions  # then of all positions
        hidden_states, attentions = self.encoder(
            hidden,
            real,
            attend,
            keep_all=output_hidden_states,
            positions=None if show else positions,
        )
        last = hidden_states[-1]
        if show and positions is not None:
            last = take(last, positions)
        return BertModelOutput(
            last_hidden_state=last,
            pooler_output=None if self.pooler is None else self.pooler(last),
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


class ModelWithHead(PretrainedModel):
    """What all heads share: they stand on an encoder, `bert`."""

    def __init__(self, config: BertConfig, *, attention: str, pooler: bool) -> None:
        super().__init__(config)
        self.bert = BertModel(config, attention=attention, add_pooling_layer=pooler)

    def encode_first(self, input_ids: Tensor, **inputs: Unpack[EncoderInputs]) -> BertModelOutput:
        """Encode for a head that reads the pooler only: the last layer computes [CLS] alone."""
        check_is_batch(input_ids)
        output: BertModelOutput = self.bert(
            input_ids,
            positions=torch.zeros(1, 1, dtype=torch.long, device=input_ids.device),
            **inputs,
        )
        return output

    @property
    def attention(self) -> str:
        """The encoder's kind of attention; may be changed at any time."""
        return self.bert.attention

    @attention.setter
    def attention(self, name: str) -> None:
        self.bert.attention = name
