"""The stack of layers: attention gathers, the feed-forward network thinks; what comes out of each
is added to what went in (a residual connection) and normalised.

BERT normalises *after* adding the residual (post-LayerNorm), as the first Transformer did; most
later models normalise before.

Source: Devlin et al. 2018, section 3 ("Model Architecture"); Google's `transformer_model`.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from minibert.model.attention import Attend, SelfAttention, take
from minibert.model.config import BertConfig

# The layers that `hidden_act` names in the config.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "relu": nn.ReLU,
}


class EncoderLayer(nn.Module):
    """One layer: attention and feed-forward, each added to what came in and then normalised."""

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
        self,
        hidden: Tensor,
        real: Tensor | None,
        attend: Attend,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """(B, S, E) -> (B, S, E), and the attention probabilities where they are formed.

        With `positions`, (B, K) or (1, K), only these are computed: -> (B, K, E). They look at all.
        """
        gathered, probabilities = self.attention(hidden, real, attend, positions)
        if positions is not None:
            hidden = take(hidden, positions)
        hidden = self.attention_LayerNorm(hidden + self.dropout(gathered))
        expanded = self.activation(self.intermediate(hidden))  # (B, S, E) -> (B, S, F)
        hidden = self.output_LayerNorm(hidden + self.dropout(self.output(expanded)))
        return hidden, probabilities


class Encoder(nn.Module):
    """L layers, one after the other."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))

    def forward(
        self,
        hidden: Tensor,
        real: Tensor | None,
        attend: Attend,
        *,
        keep_all: bool = False,
        positions: Tensor | None = None,
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        """Run the layers.

        Args:
            hidden: (B, S, E), the embeddings.
            real: (B, 1, 1, S), True for real tokens; None if all are.
            attend: `eager_attention` or `fused_attention`.
            keep_all: return what goes into each layer too, and not only what leaves the last one.
            positions: (B, K) or (1, K), those that the last layer computes; None for all.

        Returns:
            Hidden states (B, S, E), the last layer's output (B, K, E) at the end; and the L
            attention probabilities, where they are formed.
        """
        hidden_states = []
        attentions = []
        for layer in self.layer:
            if keep_all:
                hidden_states.append(hidden)
            is_last = layer is self.layer[-1]
            hidden, probabilities = layer(hidden, real, attend, positions if is_last else None)
            attentions.append(probabilities)
        return [*hidden_states, hidden], attentions
