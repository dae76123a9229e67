"""Embeddings: the sum of a word, a position and a sentence embedding for each token.

B batch, S sequence length, E hidden width.

Source: Devlin et al. 2018, section 3 ("Input/Output Representations"); Google's
`embedding_postprocessor`.
"""

import torch
from torch import Tensor, nn

from minibert.model.config import BertConfig


class Embeddings(nn.Module):
    """The sum of the embeddings of word, position and token type, normalized.

    Positions are learned too, so a text can have at most `max_position_embeddings` tokens.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        # padding_idx: the embedding of [PAD] gets no gradient, as in transformers.
        self.word_embeddings = nn.Embedding(
            config.vocab_size, width, padding_idx=config.pad_token_id
        )
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Return the embeddings (B, S, E) of ids (B, S); see `BertModel.forward` for the rest."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        embedded = self.word_embeddings(input_ids)  # (B, S) -> (B, S, E)
        embedded = embedded + self.token_type_embeddings(token_type_ids)
        embedded = embedded + self.position_embeddings(position_ids)  # (S,) -> (S, E), for each row
        normalized: Tensor = self.dropout(self.LayerNorm(embedded))
        return normalized
