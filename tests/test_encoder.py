"""What you can rely on: a layer is attention and feed-forward, each added and then normalised.

The order (residual, then LayerNorm: "post-LN"), the three activations, the pooler, what is kept of
the hidden states, and that the same seed gives the same numbers.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from small_models import small_batch, small_config, small_model

from minibert import BertModel
from minibert.model.attention import eager_attention
from minibert.model.encoder import ACTIVATIONS


def double(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_the_activations_at_points_that_can_be_looked_up():
    # Phi(1) = 0.841345 (a table of the normal distribution); the tanh form is off by 1.5e-4 there.
    at = double(-1, 0, 1)
    torch.testing.assert_close(ACTIVATIONS["relu"]()(at), double(0, 0, 1))
    torch.testing.assert_close(
        ACTIVATIONS["gelu"]()(at), double(-0.158655, 0, 0.841345), atol=1e-6, rtol=0
    )
    inner = math.sqrt(2 / math.pi) * (1 + 0.044715)
    expected = 0.5 * (1 + math.tanh(inner))
    torch.testing.assert_close(
        ACTIVATIONS["gelu_tanh"]()(at), double(expected - 1, 0, expected), atol=1e-12, rtol=0
    )


def test_the_config_chooses_the_activation():
    hidden = torch.linspace(-3, 3, 16, dtype=torch.float64)[None, None]
    outputs = {}
    for name in ("gelu", "gelu_tanh", "relu"):
        layer = small_model("BertModel", hidden_act=name).encoder.layer[0]
        outputs[name], _ = layer(hidden, None, eager_attention)
    assert (outputs["gelu"] - outputs["relu"]).abs().max() > 1e-3
    assert 1e-6 < (outputs["gelu"] - outputs["gelu_tanh"]).abs().max() < 1e-2


def test_feed_forward_works_on_each_token_for_itself():
    layer = small_model("BertModel").encoder.layer[0]
    with (
        torch.no_grad()
    ):  # attention, through which the tokens see each other, adds the same to all
        layer.attention.output.weight.zero_()
    hidden = torch.randn(2, 3, 16, dtype=torch.float64)
    together, _ = layer(hidden, None, eager_attention)
    alone = [layer(token[None, None], None, eager_attention)[0] for token in hidden.flatten(0, 1)]
    torch.testing.assert_close(together.flatten(0, 1), torch.cat(alone).flatten(0, 1))


def test_a_layer_adds_and_then_normalises_twice():
    layer = small_model("BertModel").encoder.layer[0]
    hidden = torch.randn(2, 3, 16, dtype=torch.float64)

    def normalise(vectors, norm):
        mean = vectors.mean(dim=-1, keepdim=True)
        variance = ((vectors - mean) ** 2).mean(dim=-1, keepdim=True)
        return (vectors - mean) / (variance + 1e-12).sqrt() * norm.weight + norm.bias

    attended, _ = layer.attention(hidden, None, eager_attention)
    middle = normalise(hidden + attended, layer.attention_LayerNorm)
    transformed = layer.output(F.gelu(layer.intermediate(middle)))
    expected = normalise(middle + transformed, layer.output_LayerNorm)
    torch.testing.assert_close(layer(hidden, None, eager_attention)[0], expected)


def test_the_number_that_keeps_layer_norm_from_dividing_by_0_is_the_configs():
    model = small_model("BertModel", layer_norm_eps=0.5)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert len(norms) == 1 + 2 * 2
    assert {norm.eps for norm in norms} == {0.5}


def test_with_weights_of_0_a_layer_only_normalises():
    layer = small_model("BertModel").encoder.layer[0]
    with torch.no_grad():
        for linear in (layer.attention.output, layer.output):
            linear.weight.zero_()
            linear.bias.zero_()
        for norm in (layer.attention_LayerNorm, layer.output_LayerNorm):
            norm.weight.fill_(1)
            norm.bias.zero_()
    hidden = torch.randn(1, 2, 16, dtype=torch.float64)
    expected = F.layer_norm(hidden, (16,), eps=1e-12)
    torch.testing.assert_close(layer(hidden, None, eager_attention)[0], expected)


def test_dropout_falls_on_what_is_added_and_never_on_what_it_is_added_to():
    layer = small_model("BertModel", hidden_dropout_prob=1 - 1e-12).encoder.layer[0].train()
    hidden = torch.randn(1, 2, 16, dtype=torch.float64)
    expected = layer.output_LayerNorm(layer.attention_LayerNorm(hidden))  # all else was dropped
    torch.testing.assert_close(layer(hidden, None, eager_attention)[0], expected)


def test_the_hidden_states_are_the_embeddings_and_the_result_of_each_layer():
    model = small_model("BertModel", num_hidden_layers=3)
    batch = small_batch("BertModel")
    outputs = model(**batch, output_hidden_states=True)
    assert len(outputs.hidden_states) == 1 + 3
    for before, layer, after in zip(
        outputs.hidden_states, model.encoder.layer, outputs.hidden_states[1:], strict=False
    ):
        torch.testing.assert_close(layer(before, None, eager_attention)[0], after)
    assert torch.equal(outputs.hidden_states[-1], outputs.last_hidden_state)


def test_what_was_not_asked_for_is_not_kept():
    outputs = small_model("BertModel")(**small_batch("BertModel"))
    assert outputs.hidden_states is None
    assert outputs.attentions is None


def test_the_pooler_is_a_dense_layer_and_tanh_on_the_first_token():
    model = small_model("BertModel")
    outputs = model(**small_batch("BertModel"))
    dense = model.pooler.dense
    expected = torch.tanh(outputs.last_hidden_state[:, 0] @ dense.weight.T + dense.bias)
    torch.testing.assert_close(outputs.pooler_output, expected)


def test_a_model_may_do_without_a_pooler():
    model = BertModel(small_config(), add_pooling_layer=False)
    assert model(torch.tensor([[1, 2]])).pooler_output is None
    assert not any(name.startswith("pooler") for name, _ in model.named_parameters())


def test_evaluation_is_deterministic_and_training_is_not():
    model = small_model("BertModel", hidden_dropout_prob=0.3)
    batch = small_batch("BertModel")

    def run():
        return model(**batch).last_hidden_state

    model.eval()
    assert torch.equal(run(), run())
    model.train()
    assert not torch.equal(run(), run())


@pytest.mark.parametrize("dropout", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_the_same_seed_gives_the_same_dropout(dropout):
    model = small_model("BertModel", **{dropout: 0.3}).train()
    batch = small_batch("BertModel")

    def run(seed: int):
        torch.manual_seed(seed)
        return model(**batch).last_hidden_state

    assert torch.equal(run(5), run(5))
    assert not torch.equal(run(5), run(6))


def test_the_same_seed_gives_the_same_new_model():
    def weights(seed: int):
        torch.manual_seed(seed)
        return BertModel(small_config()).state_dict()

    first, second, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(
        first["embeddings.word_embeddings.weight"], other["embeddings.word_embeddings.weight"]
    )


def test_the_layers_do_not_start_alike():
    torch.manual_seed(0)
    layers = BertModel(small_config()).encoder.layer
    assert not torch.equal(layers[0].intermediate.weight, layers[1].intermediate.weight)


def test_half_precision_gives_half_precision():
    batch = small_batch("BertModel")
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        outputs = small_model("BertModel", dtype=dtype)(**batch, output_hidden_states=True)
        assert outputs.last_hidden_state.dtype == dtype
        assert outputs.pooler_output.dtype == dtype


def test_names_of_parameters_are_those_that_the_readme_and_the_table_of_names_use():
    names = set(small_model("BertForPreTraining").state_dict())
    layer = "bert.encoder.layer.1."
    tables = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    parts = [
        *(f"bert.embeddings.{table}.weight" for table in tables),
        *(
            f"{module}.{kind}"
            for kind in ("weight", "bias")
            for module in (
                "bert.embeddings.LayerNorm",
                f"{layer}attention.query_key_value",
                f"{layer}attention.output",
                f"{layer}attention_LayerNorm",
                f"{layer}intermediate",
                f"{layer}output",
                f"{layer}output_LayerNorm",
                "bert.pooler.dense",
                "masked_lm.dense",
                "masked_lm.LayerNorm",
                "next_sentence",
            )
        ),
        "masked_lm.bias",
    ]
    assert {name.replace("layer.0.", "layer.1.") for name in names} == set(parts)
