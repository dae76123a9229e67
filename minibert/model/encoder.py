"""The encoder: L layers, each of self-attention and a feed-forward network.

The output of each part is added to its input (a residual connection), and the sum is normalized.
BERT normalizes after the addition ("post-LayerNorm"), like the original Transformer; most later
models normalize the input of each part instead.

B batch, S sequence length, E hidden width, F feed-forward width, L layers.

Source: Devlin et al. 2018, section 3 ("Model Architecture"); Google's `transformer_model`.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from minibert.model.attention import Attend, SelfAttention
from minibert.model.config import BertConfig

# By the config's `hidden_act`; the two GELUs differ by up to 4.7e-4.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,  # x * Phi(x)
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "relu": nn.ReLU,
}


class EncoderLayer(nn.Module):
    """One layer: tokens exchange information, then each is transformed on its own."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACTIVATIONS[config.hidden_act]()
        self.output = nn.Linear(config.intermediate_size, config.hidden_size)
        self.output_LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, hidden: Tensor, attention_mask: Tensor | None, attend: Attend
    ) -> tuple[Tensor, Tensor | None]:
        """Return new hidden states (B, S, E), and what else `SelfAttention.forward` returns."""
        attended, probabilities = self.attention(hidden, attention_mask, attend)
        hidden = self.attention_LayerNorm(hidden + self.dropout(attended))
        transformed = self.activation(self.intermediate(hidden))  # (B, S, E) -> (B, S, F)
        transformed = self.output(transformed)  # (B, S, F) -> (B, S, E)
        hidden = self.output_LayerNorm(hidden + self.dropout(transformed))
        return hidden, probabilities


class Encoder(nn.Module):
    """L layers, one after the other."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))

    def forward(
        self, hidden: Tensor, attention_mask: Tensor | None, attend: Attend, *, keep_all: bool
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Run all layers.

        Args:
            hidden: (B, S, E), the embeddings.
            attention_mask: (B, 1, 1, S) or None; see `eager_attention`.
            attend: `eager_attention` or `fused_attention`.
            keep_all: fill the two lists that are returned.

        Returns:
            The last hidden state (B, S, E); L + 1 hidden states, from the embeddings to the last;
            and L attention probabilities (B, H, S, S).
        """
        hidden_states, attentions = [hidden], []
        for layer in self.layer:
            hidden, probabilities = layer(hidden, attention_mask, attend)
            if keep_all:
                hidden_states.append(hidden)
                attentions.append(probabilities)
        return hidden, hidden_states, attentions
