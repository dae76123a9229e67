"""Inference with fewer bits: close to float32, and refused where it does not work."""

import numpy as np
import pytest
import torch
from tiny_folders import classifier_folder
from torch import nn

from minibert import MiniBertError
from minibert.inference.sentence_embeddings import SentenceEncoder
from minibert.inference.text_classification import TextClassifier
from minibert.model.int8 import Int8Linear

TEXTS = ["the cat sat on a mat .", "paris is the capital of france", "a cat", "猫"]


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight))
    layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return layer


def test_numbers_on_the_grid_are_multiplied_exactly():
    # 127 steps on either side of 0: of 1 in the first output feature, of 2 in the second.
    layer = Int8Linear(linear([[127.0, -3.0], [254.0, 8.0]], [0.5, -1.0]))
    assert layer.weight.tolist() == [[127, 127], [-3, 4]]
    assert layer.scale.tolist() == [1.0, 2.0]
    assert layer(torch.tensor([[127.0, 2.0]])).tolist() == [[127 * 127 - 6 + 0.5, 254 * 127 + 15]]


def test_each_token_has_its_own_scale():
    layer = Int8Linear(linear([[1.0, 1.0]], [0.0]))
    small, large = layer(torch.tensor([[[0.001, 0.001], [1000.0, 1000.0]]]))[0].tolist()
    assert (small[0], large[0]) == (pytest.approx(0.002), pytest.approx(2000))


def test_a_vector_of_zeros_gives_the_bias():
    assert (
        Int8Linear(linear([[1.0, 2.0]], [3.0]))(torch.zeros(2, 5, 2)).tolist() == [[[3.0]] * 5] * 2
    )


def test_a_random_layer_is_close_to_that_of_float32():
    torch.manual_seed(0)
    layer, tokens = nn.Linear(256, 64), torch.randn(10, 256)
    error = (Int8Linear(layer)(tokens) - layer(tokens)).abs().max() / layer(tokens).abs().max()
    assert error < 0.02


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_predictions_are_close_and_vectors_point_the_same_way(tmp_path, precision):
    folder = classifier_folder(tmp_path / "classifier")
    exact, fast = (
        TextClassifier.from_pretrained(folder, precision=p) for p in ("float32", precision)
    )
    rows = [[p.probabilities["good"] for p in c.predict(TEXTS)] for c in (exact, fast)]
    assert rows[0] != rows[1]
    assert np.allclose(*rows, atol=0.05)
    vectors = [
        SentenceEncoder.from_pretrained(folder, precision=p).encode(TEXTS, normalize=True)
        for p in ("float32", precision)
    ]
    assert ((vectors[0] * vectors[1]).sum(axis=1) > 0.99).all()


def test_only_the_layers_of_the_encoder_have_8_bits(tmp_path):
    model = TextClassifier.from_pretrained(
        classifier_folder(tmp_path / "classifier"), precision="int8"
    ).model
    changed = [name for name, module in model.named_modules() if isinstance(module, Int8Linear)]
    parts = ("attention.query_key_value", "attention.output", "intermediate", "output")
    assert changed == [f"bert.encoder.layer.{i}.{part}" for i in (0, 1) for part in parts]


def test_another_precision_is_refused(tmp_path):
    folder = classifier_folder(tmp_path / "classifier")
    with pytest.raises(MiniBertError, match="precision is 'int4'; choose one of float32, bfloat16"):
        TextClassifier.from_pretrained(folder, precision="int4")
