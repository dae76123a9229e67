"""BERT on one page: the whole forward pass in NumPy, for one text. Read this file first.

A text comes in as S whole numbers, one for each token; `[CLS]` stands in front, `[SEP]` behind each
sentence. Each token becomes a vector of E numbers, the sum of what it is, where it stands and which
sentence it belongs to. Then L times the same two steps: every token gathers from all the others
what it needs (attention), and works on what it has (feed-forward). Neither step replaces a vector;
each adds to it and rescales the sum (a residual connection, then LayerNorm). So a vector starts as
the meaning of a word and ends as the meaning of that word in this text.

BERT learned this by answering two questions about millions of texts, and those are its two heads:
which word was hidden here, and does the second sentence really follow the first? For your own
task you put another small head on the same vectors and train a little more. That is all of it.

    B = 1 text, left out everywhere    S tokens    E hidden width    L layers    V vocabulary
    H heads of D = E / H numbers       F feed-forward width, 4 E

The weights are a plain dictionary under minibert's names; `(out, in)` is the shape of a linear
layer, as in PyTorch. The config is what `config.json` says. No class, no framework, no magic.

Left out: batches, and with them padding and its mask, since one text needs neither; dropout, which
acts only in training; gradients; a `layer_norm_eps` other than BERT's; and every check. The rest
of `minibert/model` is this page for many texts at once, on any device, with gradients; the tests
hold it, `transformers` and numbers from Google's own program against this page.

Source: Devlin et al. 2019 (arXiv 1810.04805), section 3; Vaswani et al. 2017 (arXiv 1706.03762),
section 3; google-research/bert, `modeling.py` and the heads of `run_pretraining.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class Output:
    """Everything that one pass computes, for looking at.

    Attributes:
        hidden_states: L + 1 arrays (S, E): the embeddings, then the result of each layer.
        attentions: L arrays (H, S, S): how much each token (row) takes from each other (column).
        pooled: (E,), the vector of the text as a whole.
        masked_lm_log_probs: (S, V), for each place the logarithms of the chances of each word.
        next_sentence_log_probs: (2,), of "B follows A" and of "B is from elsewhere".
    """

    hidden_states: list[Array]
    attentions: list[Array]
    pooled: Array
    masked_lm_log_probs: Array
    next_sentence_log_probs: Array


def bert(
    weights: Weights,
    config: Mapping[str, Any],
    input_ids: Sequence[int],
    segment_ids: Sequence[int] | None = None,
) -> Output:
    """The model from ids to answers.

    Args:
        weights: arrays by minibert's names; float64 for comparing, float32 as published.
        config: `num_hidden_layers`, `num_attention_heads` and `hidden_act`, see `ACTIVATIONS`.
        input_ids: S ids of tokens, `[CLS]` and `[SEP]` included.
        segment_ids: S times 0 (first sentence) or 1 (second); all 0 if not given.

    Example:
        >>> model = minibert.BertForPreTraining.from_pretrained("weights/tiny")
        >>> weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        >>> tokenizer = minibert.BertTokenizer.from_pretrained("weights/tiny")
        >>> ids = tokenizer("he opened the [MASK].", split_special_tokens=False).input_ids
        >>> answer = bert(weights, model.config.to_dict(), ids)
        >>> guess = answer.masked_lm_log_probs[4].argmax()  # [CLS] he opened the [MASK] . [SEP]
        >>> tokenizer.convert_ids_to_tokens(int(guess))
        'door'
    """
    segment_ids = [0] * len(input_ids) if segment_ids is None else segment_ids
    hidden_states = [embeddings(weights, input_ids, segment_ids)]  # (S, E)
    attentions = []
    for number in range(config["num_hidden_layers"]):
        hidden, probabilities = encoder_layer(weights, config, number, hidden_states[-1])
        hidden_states.append(hidden)  # (S, E)
        attentions.append(probabilities)  # (H, S, S)
    pooled = pooler(weights, hidden_states[-1])  # (S, E) -> (E,)
    return Output(
        hidden_states,
        attentions,
        pooled,
        masked_lm_log_probs(weights, config, hidden_states[-1]),  # (S, E) -> (S, V)
        next_sentence_log_probs(weights, pooled),  # (E,) -> (2,)
    )


# From ids to vectors: three tables, three look-ups, one sum.


def embeddings(weights: Weights, input_ids: Sequence[int], segment_ids: Sequence[int]) -> Array:
    """What each token is + where it stands + which sentence it belongs to."""
    name = "bert.embeddings.{}_embeddings.weight"
    tokens = weights[name.format("word")][list(input_ids)]  # (V, E) -> (S, E)
    positions = weights[name.format("position")][: len(input_ids)]  # (512, E) -> (S, E)
    segments = weights[name.format("token_type")][list(segment_ids)]  # (2, E) -> (S, E)
    return norm(weights, "bert.embeddings.LayerNorm", tokens + positions + segments)  # (S, E)


# From vectors to better vectors: the layer that is repeated L times.


def encoder_layer(
    weights: Weights, config: Mapping[str, Any], number: int, hidden: Array
) -> tuple[Array, Array]:
    """Gather from the others, then work on it alone; add and rescale after each."""
    layer, heads = f"bert.encoder.layer.{number}", config["num_attention_heads"]
    gathered, probabilities = self_attention(weights, layer, heads, hidden)  # (S, E), (H, S, S)
    hidden = norm(weights, f"{layer}.attention_LayerNorm", hidden + gathered)  # (S, E)
    reworked = feed_forward(weights, config, layer, hidden)  # (S, E) -> (S, F) -> (S, E)
    hidden = norm(weights, f"{layer}.output_LayerNorm", hidden + reworked)  # (S, E)
    return hidden, probabilities


def self_attention(weights: Weights, layer: str, heads: int, hidden: Array) -> tuple[Array, Array]:
    """H small attentions side by side, each free to look for something else."""
    joined = linear(weights, f"{layer}.attention.query_key_value", hidden)  # (S, E) -> (S, 3E)
    parts = np.split(joined, 3, axis=-1)  # (S, 3E) -> 3 times (S, E)
    query, key, value = (
        part.reshape(len(hidden), heads, -1).swapaxes(0, 1) for part in parts
    )  # each (S, E) -> (S, H, D) -> (H, S, D)
    context, probabilities = attention(query, key, value)  # (H, S, D), (H, S, S)
    context = context.swapaxes(0, 1).reshape(hidden.shape)  # (H, S, D) -> (S, H, D) -> (S, E)
    return linear(weights, f"{layer}.attention.output", context), probabilities  # (S, E)


def attention(query: Array, key: Array, value: Array) -> tuple[Array, Array]:
    """softmax(Q K^T / sqrt(D)) V: each token asks, each answers, and the best answers count most.

    A query is what a token looks for, a key is what a token offers, and their product is how well
    the two fit. Without the division these products would grow with D, and softmax would pick a
    single token and ignore the rest.
    """
    scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1])  # (H, S, D) -> (H, S, S)
    probabilities = softmax(scores)  # (H, S, S), each row adds up to 1
    return probabilities @ value, probabilities  # (H, S, S) @ (H, S, D) -> (H, S, D)


def feed_forward(weights: Weights, config: Mapping[str, Any], layer: str, hidden: Array) -> Array:
    """Each token by itself: widen, bend, narrow. Without the bend, one matrix would do."""
    bend = ACTIVATIONS[config["hidden_act"]]
    wide = bend(linear(weights, f"{layer}.intermediate", hidden))  # (S, E) -> (S, F)
    return linear(weights, f"{layer}.output", wide)  # (S, F) -> (S, E)


# From vectors to answers: the two heads of pretraining.


def pooler(weights: Weights, hidden: Array) -> Array:
    """The text as one vector: that of `[CLS]`, a token free to stand for the whole."""
    return np.tanh(linear(weights, "bert.pooler.dense", hidden[0]))  # (S, E) -> (E,) -> (E,)


def masked_lm_log_probs(weights: Weights, config: Mapping[str, Any], hidden: Array) -> Array:
    """Which word stands here? The one whose embedding fits the vector best.

    The table that turned ids into vectors also turns vectors into ids: the two are "tied".
    """
    bend = ACTIVATIONS[config["hidden_act"]]
    hidden = bend(linear(weights, "masked_lm.dense", hidden))  # (S, E)
    hidden = norm(weights, "masked_lm.LayerNorm", hidden)  # (S, E)
    table = weights["bert.embeddings.word_embeddings.weight"]  # (V, E)
    return log_softmax(hidden @ table.T + weights["masked_lm.bias"])  # (S, E) -> (S, V)


def next_sentence_log_probs(weights: Weights, pooled: Array) -> Array:
    """Does the second sentence follow the first? Index 0 says yes, as in Google's code."""
    return log_softmax(linear(weights, "next_sentence", pooled))  # (E,) -> (2,)


# The mathematics, always along the last axis.


def linear(weights: Weights, name: str, x: Array) -> Array:
    """Each new number is a weighted sum of all the old ones, plus a constant."""
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]  # (..., in) -> (..., out)


def norm(weights: Weights, name: str, x: Array) -> Array:
    """LayerNorm, then the scale and shift that were learned for this place."""
    return layer_norm(x) * weights[f"{name}.weight"] + weights[f"{name}.bias"]  # (..., E)


def layer_norm(x: Array, epsilon: float = 1e-12) -> Array:
    """Shift and scale each vector so that its numbers have mean 0 and variance 1."""
    centred: Array = x - x.mean(axis=-1, keepdims=True)  # (..., E)
    variance: Array = (centred**2).mean(axis=-1, keepdims=True)  # (..., 1)
    deviation: Array = np.sqrt(variance + epsilon)  # (..., 1)
    return centred / deviation  # (..., E)


def softmax(x: Array) -> Array:
    """Any numbers -> positive ones that add up to 1, the largest far ahead of the rest."""
    # Subtracting the maximum changes no result, and keeps exp from overflowing.
    powers: Array = np.exp(x - x.max(axis=-1, keepdims=True))  # (..., n)
    total: Array = powers.sum(axis=-1, keepdims=True)  # (..., 1)
    return powers / total  # (..., n)


def log_softmax(x: Array) -> Array:
    """The logarithms of `softmax`, right even for chances that are too small to write down."""
    shifted: Array = x - x.max(axis=-1, keepdims=True)  # (..., n)
    total: Array = np.exp(shifted).sum(axis=-1, keepdims=True)  # (..., 1)
    return shifted - np.log(total)  # (..., n)


def gelu(x: Array) -> Array:
    """A ReLU without the corner: x times the chance that a normal random number is below x."""
    chance: Array = (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2  # (..., F)
    return x * chance  # (..., F)


def gelu_tanh(x: Array) -> Array:
    """The formula that Google's code uses for the same curve; it differs by less than 0.0005."""
    chance: Array = (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2  # (..., F)
    return x * chance  # (..., F)


# By the names in minibert's and in Hugging Face's `config.json`.
ACTIVATIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh}
