"""BertModel: from ids to a vector for each token and one for the whole text.

    embeddings -> encoder -> pooler

B batch, S sequence length, E hidden width, H heads, L layers.

Source: Devlin et al. 2018; Google's `BertModel`.
"""

from typing import ClassVar, TypedDict

from torch import Tensor, nn

from minibert.model.config import BertConfig
from minibert.model.embeddings import Embeddings
from minibert.model.encoder import Encoder
from minibert.model.fused_attention import choose_attention
from minibert.model.outputs import BertModelOutput
from minibert.model.packing import encode_packed, packs
from minibert.model.pretrained import PretrainedModel
from minibert.model.query_positions import encode_at


class EncoderInputs(TypedDict, total=False):
    """The keyword arguments that all models accept; see `BertModel.forward`."""

    attention_mask: Tensor | None
    token_type_ids: Tensor | None
    position_ids: Tensor | None
    output_hidden_states: bool
    output_attentions: bool


class Pooler(nn.Module):
    """One vector for the whole text: that of [CLS], after a dense layer and tanh.

    The dense layer is pretrained with next-sentence prediction. This is not the plain [CLS] vector.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the pooled vector: (B, S, E) -> (B, E)."""
        pooled: Tensor = self.dense(hidden[:, 0]).tanh()  # (B, S, E) -> (B, E)
        return pooled


class BertModel(PretrainedModel):
    """BERT without a head: embeddings, encoder and pooler.

    Args:
        config: the sizes and options.
        add_pooling_layer: False for a model that needs only the vectors of the tokens.

    Example:
        >>> import torch
        >>> bert = BertModel(BertConfig.tiny()).eval()
        >>> bert(torch.tensor([[101, 7592, 2088, 102]])).last_hidden_state.shape
        torch.Size([1, 4, 128])
    """

    prefix: ClassVar[str] = "bert."

    def __init__(self, config: BertConfig, *, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.may_pack = True  # see packing.py: the same, but faster
        self.apply(self.init_weights)

    def forward(
        self,
        input_ids: Tensor,
        *,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        query_positions: Tensor | None = None,
    ) -> BertModelOutput:
        """Encode a batch.

        All arguments but the ids are keyword-only: libraries differ in the order, and swapping
        `attention_mask` and `token_type_ids` would raise no error.

        Args:
            input_ids: (B, S) ids of the vocabulary.
            attention_mask: (B, S), 1 or True for real tokens, 0 or False for padding; None if
                there is no padding. Outputs at padded positions are meaningless.
            token_type_ids: (B, S), 0 for sentence A and 1 for sentence B; None for all 0.
            position_ids: (B, S) or (1, S); None for 0, 1, 2, ...
            output_hidden_states: return all L + 1 hidden states.
            output_attentions: return the attention probabilities of each layer.
            query_positions: (B, K) or (1, K), the positions at which to compute the last hidden
                state, [CLS] first; None for all. See `query_positions.py`.

        Returns:
            `last_hidden_state` (B, S, E), or (B, K, E) with `query_positions`; `pooler_output`
            (B, E); and the hidden states and attentions if requested.
        """
        keep_all = output_hidden_states or output_attentions
        if self.may_pack and not keep_all and packs(attention_mask, self._attention):
            inputs = {"token_type_ids": token_type_ids, "position_ids": position_ids}
            return encode_packed(self, input_ids, attention_mask, query_positions, **inputs)
        if attention_mask is not None:
            attention_mask = attention_mask.bool()[:, None, None, :]  # (B, S) -> (B, 1, 1, S)
        attend = choose_attention(self._attention, output_attentions=output_attentions)
        hidden = self.embeddings(input_ids, token_type_ids, position_ids)  # (B, S) -> (B, S, E)
        arguments = (hidden, attention_mask, attend)
        if query_positions is None:
            encoded = self.encoder(*arguments, keep_all=keep_all)
        else:
            encoded = encode_at(query_positions, self.encoder, *arguments, keep_all=keep_all)
        hidden, hidden_states, attentions = encoded
        return BertModelOutput(
            last_hidden_state=hidden,
            pooler_output=None if self.pooler is None else self.pooler(hidden),
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )
