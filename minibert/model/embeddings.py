"""From ids to vectors: what the token is + where it stands + which sentence it belongs to.

Source: Devlin et al. 2018, section 3 ("Input/Output Representations"); Google's
`embedding_postprocessor`.
"""

import torch
from torch import Tensor, nn

from minibert.model.config import BertConfig


class Embeddings(nn.Module):
    """The sum of three looked-up vectors, normalised.

    The positions are learned like words are, so there are exactly `max_position_embeddings` of
    them.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        # padding_idx: no gradient flows into [PAD], as in transformers.
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
        *,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Look up and add.

        Args:
            input_ids: (B, S).
            token_type_ids: (B, S); None means segment 0 everywhere.
            position_ids: (B, S) or (1, S); None means 0, 1, 2, ...

        Returns:
            (B, S, E).
        """
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        summed = (
            self.word_embeddings(input_ids)  # (B, S) -> (B, S, E)
            + self.token_type_embeddings(token_type_ids)
            + self.position_embeddings(
                position_ids
            )  # (S,) -> (S, E), the same for each row of the batch
        )
        embedded: Tensor = self.dropout(self.LayerNorm(summed))
        return embedded
