"""Sentence embeddings: pooled over tokens, never over padding, in the order of the texts.

You can rely on: padding, batch size and order never change a vector (beyond rounding); every
pooling mode is what its formula says; a vector of `layer` is made of that layer's hidden states.
"""

import numpy as np
import pytest
import torch
from tiny_folders import PIECES, classifier_folder, pretrained_folder

from minibert import BertForMaskedLM, BertModel, MiniBertError
from minibert.inference.sentence_embeddings import POOLING_MODES, SentenceEncoder, pool

TEXTS = ["the cat sat on a mat.", "猫", "", "paris is the capital of france.", "a 猫 [SEP] sat"]

# One text of two tokens and one of padding, E = 2.
HIDDEN = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [100.0, 100.0]]])
ATTENTION_MASK = torch.tensor([[1, 1, 0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pretrained_folder(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture(scope="module")
def encoder(folder):
    return SentenceEncoder.from_pretrained(folder)


def test_each_pooling_mode_by_hand():
    assert pool(HIDDEN, ATTENTION_MASK, "cls").tolist() == [[1, -2]]
    assert pool(HIDDEN, ATTENTION_MASK, "mean").tolist() == [[2, -3]]
    assert pool(HIDDEN, ATTENTION_MASK, "max").tolist() == [[3, -2]]


@pytest.mark.parametrize("pooling", POOLING_MODES)
def test_padding_and_batches_never_change_a_vector(encoder, pooling):
    together = encoder.encode(TEXTS, pooling=pooling)
    assert together.dtype == np.float32
    assert together.shape == (len(TEXTS), 16)
    alone = np.concatenate([encoder.encode([text], pooling=pooling) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    for size in (1, 2, 3):
        some = encoder.encode(TEXTS, pooling=pooling, batch_size=size)
        np.testing.assert_allclose(some, together, atol=1e-5)
    turned = encoder.encode(TEXTS[::-1], pooling=pooling)[::-1]
    np.testing.assert_allclose(turned, together, atol=1e-5)


def test_different_texts_have_different_vectors(encoder):
    vectors = encoder.encode(TEXTS)
    assert len(np.unique(vectors.round(3), axis=0)) == len(TEXTS)


@pytest.mark.parametrize("layer", [0, 1, 2, -1, -2, -3])
def test_a_layer_is_the_models_hidden_state(encoder, folder, layer):
    model = BertModel.from_pretrained(folder, quiet=True)
    ids = torch.tensor([encoder.tokenizer.encode(TEXTS[0])])
    hidden = model(ids, output_hidden_states=True).hidden_states[layer][0].detach().numpy()
    for pooling, expected in (("cls", hidden[0]), ("mean", hidden.mean(0)), ("max", hidden.max(0))):
        vector = encoder.encode(TEXTS[:1], pooling=pooling, layer=layer)[0]
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_the_pooler_is_the_models_own(encoder, folder):
    model = BertModel.from_pretrained(folder, quiet=True)
    ids = torch.tensor([encoder.tokenizer.encode(TEXTS[0])])
    expected = model(ids).pooler_output[0].detach().numpy()
    for layer in (-1, 2):
        vector = encoder.encode(TEXTS[:1], pooling="pooler", layer=layer)[0]
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_normalized_vectors_have_length_1_and_the_same_direction(encoder):
    plain, normalized = encoder.encode(TEXTS), encoder.encode(TEXTS, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(normalized, axis=1), 1, atol=1e-6)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(normalized * lengths, plain, atol=1e-5)


def test_a_long_text_is_cut_with_a_warning_and_the_others_are_not(encoder):
    long = "cat " * 5000
    with pytest.warns(UserWarning, match=r"2 of 3 texts are longer than the 16 tokens"):
        vectors = encoder.encode([long, "the cat", long + "mat"])
    np.testing.assert_allclose(vectors[1], encoder.encode(["the cat"])[0], atol=1e-5)
    np.testing.assert_allclose(vectors[0], encoder.encode(["cat " * 14])[0], atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_text_that_just_fits_is_not_cut(encoder):
    encoder.encode(["cat " * 14])


def test_any_folder_with_an_encoder_will_do(tmp_path):
    vectors = SentenceEncoder.from_pretrained(classifier_folder(tmp_path)).encode(
        TEXTS, pooling="pooler"
    )
    assert vectors.shape == (len(TEXTS), 16)


def test_a_pooler_that_was_never_trained_is_refused(tmp_path):
    encoder = SentenceEncoder.from_pretrained(pretrained_folder(tmp_path, BertForMaskedLM))
    assert encoder.encode(["the cat"]).shape == (1, 16)
    with pytest.raises(MiniBertError, match="without a trained pooler"):
        encoder.encode(["the cat"], pooling="pooler")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "men"}, "pooling is 'men'; choose one of cls, mean, max, pooler"),
        ({"layer": 3}, "layer is 3; this model has layers 1 to 2, and 0 for the embeddings"),
        ({"layer": -4}, "layer is -4"),
        ({"layer": 1, "pooling": "pooler"}, "reads the last layer only"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_impossible_options_are_refused(encoder, options, message):
    with pytest.raises(MiniBertError, match=message):
        encoder.encode(["the cat"], **options)


@pytest.mark.parametrize("texts", [[], "the cat"])
def test_texts_are_a_list_and_not_empty(encoder, texts):
    with pytest.raises(MiniBertError, match="takes a list of at least one text"):
        encoder.encode(texts)


def test_texts_may_come_as_an_array(encoder):
    texts = ["the cat", "a mat"]
    assert np.array_equal(encoder.encode(np.array(texts)), encoder.encode(texts))


def test_a_vocabulary_longer_than_the_models_table_is_refused(tmp_path):
    pretrained_folder(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("\n".join([*PIECES, "dog"]), encoding="utf-8")
    with pytest.raises(MiniBertError, match="has 25 tokens, but its model has embeddings for 24"):
        SentenceEncoder.from_pretrained(tmp_path)
