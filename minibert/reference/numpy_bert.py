"""BERT on one page: the whole forward pass in NumPy, for one text. Read this file first.

The input is S ids, one for each token, with `[CLS]` in front and `[SEP]` after each sentence. Each
token becomes a vector of E numbers: the sum of an embedding of the word, one of its position and
one of its sentence. Then two steps are repeated L times: in attention, each token collects
information from all tokens; in the feed-forward network, it is transformed on its own. The result
of a step is added to its input, and the sum is normalized (a residual connection, then LayerNorm).
So a vector starts as the meaning of a word and ends as the meaning of that word in this text.

BERT is pretrained on two questions about millions of texts, with one head for each: which word was
masked here, and does the second sentence follow the first? For a task of your own, put another
small head on the same vectors and continue training.

    B = 1 text, omitted everywhere     S sequence length    E hidden width    L layers
    H heads of width D = E / H         F feed-forward width, 4 E              V vocabulary

The weights are a plain dictionary with minibert's names; the weight of a linear layer is (out, in),
as in PyTorch. The config is the content of `config.json`.

Left out: batches, and with them padding and its mask; dropout; gradients; any `layer_norm_eps` but
BERT's; all checks. By default `minibert/model` runs instead, for many texts at once and on any
device. The tests compare it, `transformers` and Google's program with this page.

Source: Devlin et al. 2019 (arXiv 1810.04805), section 3; Vaswani et al. 2017 (arXiv 1706.03762),
section 3; google-research/bert, `modeling.py` and the heads of `run_pretraining.py`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class Output:
    """Everything that one forward pass computes."""

    hidden_states: list[Array]  # L + 1 of (S, E): the embeddings, then the result of each layer
    attentions: list[Array]  # L of (H, S, S): how much each token (row) attends to each
    pooled: Array  # (E,), the text as one vector
    masked_lm_log_probs: Array  # (S, V), for each position the log-probability of each word
    next_sentence_log_probs: Array  # (2,), of "B follows A" and of "B is from elsewhere"


def bert(
    weights: Weights,
    config: Mapping[str, Any],
    input_ids: Sequence[int],
    token_type_ids: Sequence[int] | None = None,
) -> Output:
    """Run the model, from ids to the answers of both heads.

    Args:
        weights: arrays by minibert's names; float32 as published, or float64 to compare exactly.
        config: `num_hidden_layers`, `num_attention_heads` and `hidden_act`, see `ACTIVATIONS`.
        input_ids: S ids, `[CLS]` and `[SEP]` included.
        token_type_ids: S numbers, 0 in the first sentence and 1 in the second; None for all 0.

    Example:
        >>> model = minibert.BertForPreTraining.from_pretrained("weights/tiny")
        >>> weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        >>> tokenizer = minibert.BertTokenizer.from_pretrained("weights/tiny")
        >>> ids = tokenizer("he opened the [MASK].", split_special_tokens=False).input_ids
        >>> output = bert(weights, model.config.to_dict(), ids)
        >>> best = output.masked_lm_log_probs[4].argmax()  # [CLS] he opened the [MASK] . [SEP]
        >>> tokenizer.convert_ids_to_tokens(int(best))
        'door'
    """
    token_type_ids = [0] * len(input_ids) if token_type_ids is None else token_type_ids
    hidden_states = [embeddings(weights, input_ids, token_type_ids)]  # (S, E)
    attentions = []
    for number in range(config["num_hidden_layers"]):
        hidden, probabilities = encoder_layer(weights, config, number, hidden_states[-1])
        hidden_states.append(hidden)  # (S, E)
        attentions.append(probabilities)  # (H, S, S)
    pooled = pooler(weights, hidden_states[-1])  # (S, E) -> (E,)
    words = masked_lm_log_probs(weights, config, hidden_states[-1])  # (S, E) -> (S, V)
    follows = log_softmax(linear(weights, "next_sentence", pooled))  # (E,) -> (2,)
    return Output(hidden_states, attentions, pooled, words, follows)


# From ids to vectors


def embeddings(weights: Weights, input_ids: Sequence[int], token_type_ids: Sequence[int]) -> Array:
    """Return the normalized sum of the embeddings of word, position and sentence."""
    # Each token selects a row of each table: (V, E), (512, E) and (2, E) -> (S, E)
    words = weights["bert.embeddings.word_embeddings.weight"][list(input_ids)]
    positions = weights["bert.embeddings.position_embeddings.weight"][: len(input_ids)]
    token_types = weights["bert.embeddings.token_type_embeddings.weight"][list(token_type_ids)]
    return layer_norm(weights, "bert.embeddings.LayerNorm", words + positions + token_types)


# From vectors to vectors in context: the layer that is repeated L times


def encoder_layer(
    weights: Weights, config: Mapping[str, Any], number: int, hidden: Array
) -> tuple[Array, Array]:
    """Apply attention and the feed-forward network; add and normalize after each."""
    layer, heads = f"bert.encoder.layer.{number}", config["num_attention_heads"]
    attended, probabilities = self_attention(weights, layer, heads, hidden)  # (S, E), (H, S, S)
    hidden = layer_norm(weights, f"{layer}.attention_LayerNorm", hidden + attended)  # (S, E)
    activation = ACTIVATIONS[config["hidden_act"]]
    transformed = activation(linear(weights, f"{layer}.intermediate", hidden))  # (S, E) -> (S, F)
    transformed = linear(weights, f"{layer}.output", transformed)  # (S, F) -> (S, E)
    hidden = layer_norm(weights, f"{layer}.output_LayerNorm", hidden + transformed)  # (S, E)
    return hidden, probabilities


def self_attention(weights: Weights, layer: str, heads: int, hidden: Array) -> tuple[Array, Array]:
    """Run H attention heads in parallel, each with its own queries, keys and values."""
    joined = linear(weights, f"{layer}.attention.query_key_value", hidden)  # (S, E) -> (S, 3E)
    query, key, value = (
        part.reshape(len(hidden), heads, -1).swapaxes(0, 1)  # (S, E) -> (S, H, D) -> (H, S, D)
        for part in np.split(joined, 3, axis=-1)  # (S, 3E) -> 3 times (S, E)
    )
    context, probabilities = attention(query, key, value)  # (H, S, D), (H, S, S)
    context = context.swapaxes(0, 1).reshape(hidden.shape)  # (H, S, D) -> (S, H, D) -> (S, E)
    return linear(weights, f"{layer}.attention.output", context), probabilities  # (S, E)


def attention(query: Array, key: Array, value: Array) -> tuple[Array, Array]:
    """Return softmax(Q K^T / sqrt(D)) V, and the probabilities.

    A query is what a token looks for, a key is what a token offers, and their product is how well
    the two match. Without the division these products would grow with D, and softmax would pick a
    single token and ignore the rest.
    """
    scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1])  # (H, S, D) -> (H, S, S)
    probabilities = softmax(scores)  # (H, S, S), each row adds up to 1
    return probabilities @ value, probabilities  # (H, S, S) @ (H, S, D) -> (H, S, D)


# From vectors to answers: the two heads of pretraining


def pooler(weights: Weights, hidden: Array) -> Array:
    """Return one vector for the whole text, computed from the vector of `[CLS]`."""
    return np.tanh(linear(weights, "bert.pooler.dense", hidden[0]))  # (S, E) -> (E,)


def masked_lm_log_probs(weights: Weights, config: Mapping[str, Any], hidden: Array) -> Array:
    """Return the log-probability of each word at each position.

    The table of word embeddings also serves as the output matrix: the two weights are tied.
    """
    activation = ACTIVATIONS[config["hidden_act"]]
    hidden = activation(linear(weights, "masked_lm.dense", hidden))  # (S, E)
    hidden = layer_norm(weights, "masked_lm.LayerNorm", hidden)  # (S, E)
    table = weights["bert.embeddings.word_embeddings.weight"]  # (V, E)
    return log_softmax(hidden @ table.T + weights["masked_lm.bias"])  # (S, E) -> (S, V)


# Building blocks, always along the last axis


def linear(weights: Weights, name: str, x: Array) -> Array:
    """Return x W^T + b: each output is a weighted sum of the inputs, plus a bias."""
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]  # (..., in) -> (..., out)


def layer_norm(weights: Weights, name: str, x: Array) -> Array:
    """Give each vector mean 0 and variance 1, then apply the learned scale and shift."""
    centered: Array = x - x.mean(axis=-1, keepdims=True)  # (..., E)
    variance: Array = (centered**2).mean(axis=-1, keepdims=True)  # (..., 1)
    normalized: Array = centered / np.sqrt(variance + 1e-12)  # (..., E)
    return normalized * weights[f"{name}.weight"] + weights[f"{name}.bias"]  # (..., E)


def softmax(x: Array) -> Array:
    """Return exp(x) / sum(exp(x)): scores become positive numbers that add up to 1."""
    # Subtracting the maximum does not change the result and keeps exp from overflowing.
    powers: Array = np.exp(x - x.max(axis=-1, keepdims=True))  # (..., n)
    total: Array = powers.sum(axis=-1, keepdims=True)  # (..., 1)
    return powers / total  # (..., n)


def log_softmax(x: Array) -> Array:
    """Return log(softmax(x)), also where softmax(x) would underflow to 0."""
    shifted: Array = x - x.max(axis=-1, keepdims=True)  # (..., n)
    total: Array = np.exp(shifted).sum(axis=-1, keepdims=True)  # (..., 1)
    return shifted - np.log(total)  # (..., n)


def gelu(x: Array) -> Array:
    """Return x times the probability that a standard normal number is below x."""
    probability: Array = (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2
    return x * probability


def gelu_tanh(x: Array) -> Array:
    """Return the approximation of `gelu` in Google's code, which differs by less than 0.0005."""
    probability: Array = (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    return x * probability


# By the `hidden_act` of minibert's and of Hugging Face's `config.json`.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": lambda x: np.maximum(x, 0),
}
