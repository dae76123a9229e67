"""What you can rely on: the page of NumPy that you read first is BERT, to the last digit.

Each of its functions gives what you can work out on paper. The whole agrees with numbers that
Google's own program computed, and with `transformers` for random weights, every layer and head.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from conftest import shared

from minibert.checkpoints.tensorflow.checkpoint_reader import find_checkpoint, read_tensors
from minibert.reference.numpy_bert import (
    Array,
    attention,
    bert,
    embeddings,
    encoder_layer,
    gelu,
    gelu_tanh,
    layer_norm,
    linear,
    log_softmax,
    pooler,
    softmax,
)

# On paper


def test_softmax_turns_odds_into_chances() -> None:
    np.testing.assert_allclose(softmax(np.array([0.0, math.log(3)])), [0.25, 0.75])
    np.testing.assert_allclose(softmax(np.zeros((2, 4))), np.full((2, 4), 0.25))


def test_softmax_does_not_overflow_and_its_logarithm_does_not_vanish() -> None:
    np.testing.assert_allclose(softmax(np.array([1000.0, 1000.0])), [0.5, 0.5])
    np.testing.assert_allclose(log_softmax(np.array([0.0, math.log(3)])), np.log([0.25, 0.75]))
    np.testing.assert_allclose(log_softmax(np.array([0.0, 2000.0])), [-2000, 0])


def test_layer_norm_gives_mean_0_and_variance_1() -> None:
    plain = {"norm.weight": np.ones(2), "norm.bias": np.zeros(2)}
    np.testing.assert_allclose(layer_norm(plain, "norm", np.array([1.0, 3.0])), [-1, 1])
    two = layer_norm(plain, "norm", np.array([[5.0, 5.0], [0.0, -8.0]]))
    np.testing.assert_allclose(two, [[0, 0], [1, -1]])


def test_a_linear_layer_is_weighted_sums_and_a_constant() -> None:
    weights = {
        "sum.weight": np.array([[1.0, 1.0], [2.0, 0.0], [0.0, -1.0]]),
        "sum.bias": np.ones(3),
    }
    assert linear(weights, "sum", np.array([[3.0, 4.0]])).tolist() == [[8, 7, -3]]


def test_gelu_is_x_times_the_normal_distribution() -> None:
    x = np.array([-100.0, -1.0, 0.0, 1.0, 100.0])
    # 0.8413 of all normal random numbers lie below 1.
    np.testing.assert_allclose(gelu(x), [0, -0.15865525, 0, 0.84134475, 100], atol=1e-8)


def test_googles_gelu_is_the_same_curve_to_three_digits() -> None:
    x = np.linspace(-6, 6, 2001)
    assert 0.0004 < np.abs(gelu(x) - gelu_tanh(x)).max() < 0.0005


def test_attention_to_identical_keys_is_the_mean_of_the_values() -> None:
    query = np.array([[1.0, 2.0], [-3.0, 0.5], [0.0, 0.0]])
    value = np.array([[0.0, 3.0], [3.0, 3.0], [6.0, 0.0]])
    context, probabilities = attention(query, np.ones((3, 2)), value)
    np.testing.assert_allclose(probabilities, np.full((3, 3), 1 / 3))
    np.testing.assert_allclose(context, [[3, 2]] * 3)


def test_attention_to_one_fitting_key_is_the_value_there() -> None:
    key = np.eye(3)
    value = np.array([[10.0], [20.0], [30.0]])
    context, _ = attention(1000 * key[[2, 0, 1]], key, value)
    np.testing.assert_allclose(context, [[30], [10], [20]])


def test_attention_divides_the_scores_by_the_root_of_the_width() -> None:
    query = np.full((1, 4), math.log(3) / 2)  # 4 log(3) / 2, divided by 2, is log 3
    _, probabilities = attention(query, np.array([[0.0] * 4, [1.0] * 4]), np.zeros((2, 4)))
    np.testing.assert_allclose(probabilities, [[0.25, 0.75]])


def test_an_embedding_is_the_sum_of_three_rows_rescaled() -> None:
    weights = {
        "bert.embeddings.word_embeddings.weight": np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]]),
        "bert.embeddings.position_embeddings.weight": np.array(
            [[0.0, 0.0], [0.0, 3.0], [0.0, 9.0]]
        ),
        "bert.embeddings.token_type_embeddings.weight": np.array([[0.0, 0.0], [0.0, 2.0]]),
        "bert.embeddings.LayerNorm.weight": np.array([1.0, 10.0]),
        "bert.embeddings.LayerNorm.bias": np.array([0.5, 0.0]),
    }
    # The sums are [1, 0] and [4, 3 + 2]; rescaled [1, -1] and [-1, 1].
    found = embeddings(weights, [1, 2], [0, 1])
    np.testing.assert_allclose(found, [[1.5, -10], [-0.5, 10]])


WIDTH, WORDS = 4, 7
CONFIG = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "gelu"}


def random_weights(seed: int = 0) -> dict[str, Array]:
    """A model of two layers, two heads and seven words, under minibert's names."""
    generator = np.random.default_rng(seed)

    def linear_layer(name: str, width: int, result: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (result, width), f"{name}.bias": (result,)}

    def norm_layer(name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}

    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (WORDS, WIDTH),
        "bert.embeddings.position_embeddings.weight": (6, WIDTH),
        "bert.embeddings.token_type_embeddings.weight": (2, WIDTH),
        "masked_lm.bias": (WORDS,),
    }
    for layer in ("bert.encoder.layer.0", "bert.encoder.layer.1"):
        shapes |= linear_layer(f"{layer}.attention.query_key_value", WIDTH, 3 * WIDTH)
        shapes |= linear_layer(f"{layer}.attention.output", WIDTH, WIDTH)
        shapes |= linear_layer(f"{layer}.intermediate", WIDTH, 4 * WIDTH)
        shapes |= linear_layer(f"{layer}.output", 4 * WIDTH, WIDTH)
        shapes |= norm_layer(f"{layer}.attention_LayerNorm") | norm_layer(
            f"{layer}.output_LayerNorm"
        )
    shapes |= norm_layer("bert.embeddings.LayerNorm") | norm_layer("masked_lm.LayerNorm")
    shapes |= linear_layer("bert.pooler.dense", WIDTH, WIDTH)
    shapes |= linear_layer("masked_lm.dense", WIDTH, WIDTH)
    shapes |= linear_layer("next_sentence", WIDTH, 2)
    return {name: generator.normal(size=shape) for name, shape in shapes.items()}


def test_a_layer_that_learned_nothing_only_rescales() -> None:
    """The residual connections carry every vector past attention and feed-forward."""
    weights = {name: np.zeros_like(array) for name, array in random_weights().items()}
    for name in ("attention_LayerNorm", "output_LayerNorm"):
        weights[f"bert.encoder.layer.0.{name}.weight"] = np.ones(WIDTH)
    hidden = np.array([[1.0, 3.0, 1.0, 3.0], [0.0, 0.0, 2.0, -2.0]])
    found, probabilities = encoder_layer(weights, CONFIG, 0, hidden)
    expected = layer_norm(weights, "bert.encoder.layer.0.output_LayerNorm", hidden)
    np.testing.assert_allclose(found, expected, atol=1e-11)
    np.testing.assert_allclose(probabilities, np.full((2, 2, 2), 0.5))


def test_a_model_that_knows_nothing_finds_all_words_equally_likely() -> None:
    weights = {name: np.zeros_like(array) for name, array in random_weights().items()}
    answer = bert(weights, CONFIG, [1, 2, 3])
    np.testing.assert_allclose(answer.masked_lm_log_probs, np.full((3, WORDS), -math.log(WORDS)))
    np.testing.assert_allclose(answer.next_sentence_log_probs, [-math.log(2)] * 2)


def test_without_positions_a_text_is_a_bag_of_words() -> None:
    """Attention itself knows no order: only the table of positions brings it in."""
    weights = random_weights()
    ids, order = [1, 5, 2, 6], [2, 0, 3, 1]
    shuffled = [ids[place] for place in order]
    changed = bert(weights, CONFIG, shuffled).hidden_states[-1]
    assert not np.allclose(changed, bert(weights, CONFIG, ids).hidden_states[-1][order])
    weights["bert.embeddings.position_embeddings.weight"][:] = 0
    same = bert(weights, CONFIG, shuffled).hidden_states[-1]
    np.testing.assert_allclose(same, bert(weights, CONFIG, ids).hidden_states[-1][order])


def test_the_pooler_looks_at_the_first_token_alone() -> None:
    weights = random_weights()
    hidden = np.random.default_rng(1).normal(size=(3, WIDTH))
    pooled = pooler(weights, hidden)
    hidden[1:] = 0
    assert np.array_equal(pooler(weights, hidden), pooled)


def test_every_result_has_the_shape_and_the_meaning_it_promises() -> None:
    answer = bert(random_weights(), CONFIG, [1, 5, 2], [0, 0, 1])
    assert [hidden.shape for hidden in answer.hidden_states] == [(3, WIDTH)] * 3
    assert [chances.shape for chances in answer.attentions] == [(2, 3, 3)] * 2
    assert answer.pooled.shape == (WIDTH,)
    for chances in (
        *answer.attentions,
        np.exp(answer.masked_lm_log_probs),
        np.exp(answer.next_sentence_log_probs),
    ):
        np.testing.assert_allclose(chances.sum(axis=-1), 1)


def test_segments_are_the_first_unless_given() -> None:
    weights, ids = random_weights(), [1, 5, 2]
    first = bert(weights, CONFIG, ids).pooled
    assert np.array_equal(first, bert(weights, CONFIG, ids, [0, 0, 0]).pooled)
    assert not np.allclose(first, bert(weights, CONFIG, ids, [0, 0, 1]).pooled)


# Against other programs

# Hugging Face's name of a part -> ours, in the order in which they are replaced.
PARTS = {
    "embeddings.word_embeddings": "embeddings.word_embeddings",
    "embeddings.position_embeddings": "embeddings.position_embeddings",
    "embeddings.token_type_embeddings": "embeddings.token_type_embeddings",
    "embeddings.LayerNorm": "embeddings.LayerNorm",
    "encoder.layer.": "encoder.layer.",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_LayerNorm",
    "intermediate.dense": "intermediate",
    "output.dense": "output",
    "output.LayerNorm": "output_LayerNorm",
    "cls.predictions.transform.dense": "masked_lm.dense",
    "cls.predictions.transform.LayerNorm": "masked_lm.LayerNorm",
    "cls.predictions.bias": "masked_lm.bias",
    "cls.seq_relationship": "next_sentence",
}


def from_hugging_face(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Our names, with query, key and value joined, all in float64."""
    weights: dict[str, Array] = {}
    for name, array in tensors.items():
        for theirs, ours in PARTS.items():
            name = name.replace(theirs, ours)  # noqa: PLW2901
        weights[name] = np.asarray(array, dtype=np.float64)
    for name in [name for name in weights if "self.query" in name]:
        parts = [weights.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        weights[name.replace("self.query", "query_key_value")] = np.concatenate(parts)
    return weights


def from_google(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Google's names to Hugging Face's, and those to ours; a kernel is turned to (out, in)."""
    endings = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
    endings |= {"output_weights": "weight", "output_bias": "bias"}
    renamed = {}
    for name, array in tensors.items():
        *path, last = name.replace("layer_", "layer/").split("/")
        path.append(f"{last}.weight" if last.endswith("embeddings") else endings.get(last, last))
        renamed[".".join(path)] = array.T if last == "kernel" else array
    return from_hugging_face(renamed)


@pytest.mark.parametrize("row", range(4))
def test_every_step_agrees_with_googles_own_program(row: int) -> None:
    folder = shared("golden/google_tiny/bert_config.json").parent
    # What Google's file calls "gelu" is the tanh form in Google's code.
    config = json.loads((folder / "bert_config.json").read_text(encoding="utf-8"))
    config |= {"hidden_act": "gelu_tanh"}
    weights = from_google(read_tensors(find_checkpoint(folder)))
    golden = np.load(folder / "reference.npz")
    length = golden["batches/input_mask"][0, row].sum()
    answer = bert(
        weights,
        config,
        golden["batches/input_ids"][0, row, :length],
        golden["batches/segment_ids"][0, row, :length],
    )
    steps = ("embedding_output", "layer_0", "layer_1")
    for step, found in zip(steps, answer.hidden_states, strict=True):
        np.testing.assert_allclose(found, golden[f"forward/{step}"][row, :length], atol=2e-6)
    np.testing.assert_allclose(answer.pooled, golden["forward/pooled_output"][row], atol=2e-6)
    slots = golden["batches/masked_lm_positions"][0, row]
    np.testing.assert_allclose(
        answer.masked_lm_log_probs[slots],
        golden["forward/mlm_log_probs"].reshape(4, len(slots), -1)[row],
        atol=2e-6,
    )
    np.testing.assert_allclose(
        answer.next_sentence_log_probs, golden["forward/next_sentence_log_probs"][row], atol=2e-6
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("gelu", "gelu"),
        ("gelu_tanh", "gelu_new"),
        ("gelu_pytorch_tanh", "gelu_new"),
        ("relu", "relu"),
    ],
)
def test_every_step_agrees_with_transformers(ours: str, theirs: str) -> None:
    """Also in a padded batch there: what has no padding needs no mask."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sizes: dict[str, Any] = {
        "vocab_size": 50,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "max_position_embeddings": 20,
    }
    model = transformers.BertForPreTraining(
        transformers.BertConfig(**sizes, hidden_act=theirs, attn_implementation="eager")
    )
    model = model.double().eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        # Also the biases and the scales of LayerNorm, which would be 0 and 1 and show nothing.
        parameter.data.normal_(0, 0.3, generator=generator)
    weights = from_hugging_face({name: p.detach().numpy() for name, p in model.named_parameters()})

    ids = torch.randint(1, 50, (3, 11), generator=generator)
    segments = torch.randint(0, 2, (3, 11), generator=generator)
    lengths = [11, 6, 1]
    mask = torch.tensor([[1] * length + [0] * (11 - length) for length in lengths])
    with torch.no_grad():
        expected = model(
            ids,
            attention_mask=mask,
            token_type_ids=segments,
            output_hidden_states=True,
            output_attentions=True,
        )
    for row, n in enumerate(lengths):
        answer = bert(
            weights, sizes | {"hidden_act": ours}, ids[row, :n].tolist(), segments[row, :n].tolist()
        )
        pairs = [
            *zip(answer.hidden_states, [h[row, :n] for h in expected.hidden_states], strict=True),
            *zip(answer.attentions, [a[row, :, :n, :n] for a in expected.attentions], strict=True),
            (answer.masked_lm_log_probs, expected.prediction_logits[row, :n].log_softmax(-1)),
            (answer.next_sentence_log_probs, expected.seq_relationship_logits[row].log_softmax(-1)),
        ]
        assert len(pairs) == 4 + 3 + 2
        for found, theirs_found in pairs:
            np.testing.assert_allclose(found, theirs_found, rtol=0, atol=1e-6)
