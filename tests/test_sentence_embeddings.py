"""Sentence embeddings: pooled over tokens, never over padding, in the order of the texts.

You can rely on: padding, batch size and order never change a vector (beyond rounding); every
pooling mode is what its formula says; a vector of `layer` is made of that layer's hidden states.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_folders import PIECES, classifier_folder, pretrained_folder

from minibert import BertForMaskedLM, BertModel, MiniBertError
from minibert.checkpoints.convert import convert
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


# Folders of sentence-transformers

OLD_CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


def sentence_folder(
    folder: Path,
    pooling: Any,
    *,
    kinds: tuple[str, ...] = ("Pooling", "Normalize"),
    subfolder: str = "",
    **texts: Any,
) -> Path:
    """Make a folder as sentence-transformers saves it; `kinds` are the modules after BERT."""
    pretrained_folder(folder / subfolder)
    paths = {"Transformer": subfolder} | {k: f"{i}_{k}" for i, k in enumerate(kinds, start=1)}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(paths.items())
    ]
    for path in paths.values():
        (folder / path).mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / paths["Pooling"] / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    path = folder / subfolder / "sentence_bert_config.json"
    path.write_text(json.dumps({"max_seq_length": None} | texts), encoding="utf-8")
    return folder


@pytest.mark.parametrize("subfolder", ["", "0_Transformer"])
@pytest.mark.parametrize(
    ("pooling", "mode"),
    [
        (OLD_CLS, "cls"),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}, "max"),
        ({"word_embedding_dimension": 16}, "mean"),
        ({"embedding_dimension": 16, "pooling_mode": "mean"}, "mean"),
        ({"embedding_dimension": 16, "pooling_mode": ["cls"]}, "cls"),
    ],
)
def test_a_folder_of_sentence_transformers_says_how_to_pool_and_options_override_it(
    tmp_path, pooling, mode, subfolder
):
    folder = sentence_folder(tmp_path / "st", pooling, subfolder=subfolder, max_seq_length=6)
    plain = SentenceEncoder.from_pretrained(pretrained_folder(tmp_path / "plain"))
    cut = TEXTS[0].rsplit(" ", 2)[0]  # 4 tokens
    expected = plain.encode([cut, TEXTS[1]], pooling=mode, normalize=True)
    for place in {folder, folder / subfolder}:
        encoder = SentenceEncoder.from_pretrained(place)
        with pytest.warns(UserWarning, match="1 of 2 texts are longer than the 6 tokens"):
            vectors = encoder.encode([TEXTS[0], TEXTS[1]])
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
    chosen = encoder.encode([TEXTS[1]], pooling="pooler", normalize=False)
    np.testing.assert_allclose(chosen, plain.encode([TEXTS[1]], pooling="pooler"), atol=1e-5)


def test_a_folder_may_lower_case_and_put_a_prompt_before_texts(tmp_path):
    folder = sentence_folder(tmp_path, OLD_CLS, kinds=("Pooling",), do_lower_case=True)
    prompts = {"prompts": {"query": "the cat "}, "default_prompt_name": "query"}
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps(prompts), encoding="utf-8")
    encoder = SentenceEncoder.from_pretrained(folder)
    assert (encoder.prompt, encoder.lower_case, encoder.normalize) == ("the cat ", True, False)
    plain = SentenceEncoder(encoder.model, encoder.tokenizer, encoder.max_length, "cls")
    assert np.array_equal(encoder.encode(["SAT"]), plain.encode(["the cat sat"]))


@pytest.mark.parametrize(
    ("pooling", "kinds", "named"),
    [
        ({"pooling_mode_cls_token": True}, ("Pooling",), "mean+cls"),
        ({"pooling_mode": "weightedmean"}, ("Pooling",), "weightedmean"),
        ({"pooling_mode": "mean"}, ("Pooling", "Dense", "Normalize"), "mean and Dense"),
    ],
)
def test_a_pooling_that_minibert_does_not_have_is_refused_unless_another_is_chosen(
    tmp_path, pooling, kinds, named
):
    encoder = SentenceEncoder.from_pretrained(sentence_folder(tmp_path, pooling, kinds=kinds))
    with pytest.raises(MiniBertError) as error:
        encoder.encode(["the cat"])
    assert f"pooling is {named!r}, as the folder says; choose one of cls, mean" in str(error.value)
    assert encoder.encode(["the cat"], pooling="mean").shape == (1, 16)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("modules.json", "{", "not a list of modules"),
        ("modules.json", '["x"]', "not a list of modules"),
        ("modules.json", '[{"type": "a.Pooling", "path": "../x"}]', "outside of its folder"),
        ("sentence_bert_config.json", '{"max_seq_length": "x"}', "does not say how its vectors"),
        ("1_Pooling/config.json", '{"pooling_mode": 3}', "does not say how its vectors"),
        ("1_Pooling/config.json", "[]", "not a JSON object"),
    ],
)
def test_a_damaged_folder_of_sentence_transformers_is_refused(tmp_path, name, content, message):
    (sentence_folder(tmp_path, OLD_CLS) / name).write_text(content, encoding="utf-8")
    with pytest.raises(MiniBertError, match=message):
        SentenceEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("subfolder", ["", "0_Transformer"])
def test_a_converted_folder_gives_the_same_vectors_and_names_what_was_left(tmp_path, subfolder):
    source = sentence_folder(tmp_path / "st", OLD_CLS, subfolder=subfolder, max_seq_length=9)
    (source / subfolder / "README.md").write_text("a card", encoding="utf-8")
    (source / "2_Normalize" / "notes.txt").write_text("kept", encoding="utf-8")
    said = convert(source / subfolder, tmp_path / "new")
    assert "not copied: README.md" in said
    assert (tmp_path / "new" / "2_Normalize" / "notes.txt").is_file()
    before, after = map(SentenceEncoder.from_pretrained, (source, tmp_path / "new"))
    assert (after.pooling, after.normalize, after.max_length) == ("cls", True, 9)
    assert np.array_equal(after.encode(TEXTS[1:2]), before.encode(TEXTS[1:2]))
