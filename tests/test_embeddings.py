"""What you can rely on: a token's first vector is the normalised sum of three looked-up vectors.

What it is + where it stands + which sentence it belongs to, each learned, nothing else; so a text's
length has a fixed limit, and the order of the words counts.
"""

import pytest
import torch
from small_models import small_config, small_model

from minibert import BertConfig, BertModel, MiniBertError
from minibert.model.embeddings import Embeddings


def embeddings_of_width_two() -> Embeddings:
    """3 words, 2 positions, 2 segments, width 2, with numbers for checking on paper."""
    config = BertConfig(
        vocab_size=3,
        max_position_embeddings=2,
        hidden_size=2,
        num_attention_heads=1,
        num_hidden_layers=1,
        intermediate_size=2,
    )
    embeddings = Embeddings(config).double().eval()
    with torch.no_grad():
        embeddings.word_embeddings.weight.copy_(torch.tensor([[0, 0], [1, 2], [5, 1]]))
        embeddings.position_embeddings.weight.copy_(torch.tensor([[0, 1], [-1, 0]]))
        embeddings.token_type_embeddings.weight.copy_(torch.tensor([[0, 0], [4, 0]]))
    return embeddings


def test_layer_norm_of_one_and_three_is_minus_one_and_one():
    # mean 2, deviation 1: (1 - 2) / 1 and (3 - 2) / 1
    norm = embeddings_of_width_two().LayerNorm
    normalised = norm(torch.tensor([1.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(normalised, torch.tensor([-1.0, 1.0], dtype=torch.float64))


def test_the_three_vectors_are_added_and_normalised():
    # word 1 at 0 in A: (1, 2) + (0, 1) + (0, 0) = (1, 3); word 2 at 1 in B: (5, 1) + (-1, 0) +
    # (4, 0) = (8, 1)
    embedded = embeddings_of_width_two()(
        torch.tensor([[1, 2]]), token_type_ids=torch.tensor([[0, 1]])
    )
    expected = torch.tensor([[[-1.0, 1.0], [1.0, -1.0]]], dtype=torch.float64)
    torch.testing.assert_close(embedded, expected)


def test_what_is_not_given_is_segment_a_and_positions_from_0():
    embeddings = small_model("BertModel").embeddings
    ids = torch.tensor([[3, 4, 5], [6, 7, 8]])
    given = embeddings(
        ids,
        token_type_ids=torch.zeros_like(ids),
        position_ids=torch.tensor([[0, 1, 2], [0, 1, 2]]),
    )
    assert torch.equal(embeddings(ids), given)
    assert torch.equal(embeddings(ids, position_ids=torch.tensor([[0, 1, 2]])), given)


@pytest.mark.parametrize("argument", ["token_type_ids", "position_ids"])
def test_another_segment_or_position_gives_another_vector_in_that_place_only(argument):
    embeddings = small_model("BertModel").embeddings
    ids = torch.tensor([[3, 3, 3]])
    usual = {"token_type_ids": [[0, 0, 0]], "position_ids": [[0, 1, 2]]}
    changed = usual | {argument: [[0, 1, 5 if argument == "position_ids" else 0]]}
    before, after = (
        embeddings(ids, **{name: torch.tensor(value) for name, value in inputs.items()})
        for inputs in (usual, changed)
    )
    moved = (before - after).abs().amax(dim=-1)[0] > 1e-6
    expected = [False, False, True] if argument == "position_ids" else [False, True, False]
    assert moved.tolist() == expected


def test_the_first_hidden_state_is_the_embeddings():
    model = small_model("BertModel")
    ids = torch.tensor([[3, 4, 5]])
    outputs = model(ids, output_hidden_states=True)
    assert torch.equal(outputs.hidden_states[0], model.embeddings(ids))


def test_a_text_may_be_as_long_as_the_table_of_positions_and_no_longer():
    model = BertModel(small_config(max_position_embeddings=7))
    assert model(torch.ones(1, 7, dtype=torch.long)).last_hidden_state.shape == (1, 7, 16)
    with pytest.raises(MiniBertError, match="8 tokens long but the model has 7 positions"):
        model(torch.ones(1, 8, dtype=torch.long))


def test_looking_up_the_padding_token_teaches_it_nothing():
    embeddings = small_model("BertModel", pad_token_id=4).embeddings
    embeddings(torch.tensor([[4, 5, 4]])).square().sum().backward()
    touched = embeddings.word_embeddings.weight.grad.abs().sum(dim=1).nonzero().flatten()
    assert touched.tolist() == [5]


def test_the_padding_tokens_vector_starts_at_zero_and_all_others_at_random():
    table = Embeddings(small_config(pad_token_id=4))
    model = BertModel(small_config(pad_token_id=4))
    for weight in (table.word_embeddings.weight, model.embeddings.word_embeddings.weight):
        zero = (weight == 0).all(dim=1).nonzero().flatten()
        assert zero.tolist() == [4]


def test_dropout_comes_last_so_that_dropped_numbers_are_0():
    embeddings = Embeddings(small_config(hidden_dropout_prob=0.25)).train()
    torch.manual_seed(0)
    embedded = embeddings(torch.ones(50, 10, dtype=torch.long))
    assert (embedded == 0).double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert (embeddings.eval()(torch.ones(50, 10, dtype=torch.long)) != 0).all()


def test_initial_weights_have_the_deviation_that_the_config_says():
    torch.manual_seed(0)
    model = BertModel(small_config(vocab_size=5000, initializer_range=0.05))
    table = model.embeddings.word_embeddings.weight[1:]
    assert table.std().item() == pytest.approx(0.05, rel=0.02)
    assert table.mean().abs().item() < 0.001
    for name, parameter in model.named_parameters():
        if name.endswith("LayerNorm.weight"):
            assert (parameter == 1).all(), name
        elif name.endswith("bias"):
            assert (parameter == 0).all(), name
        else:
            assert parameter.std().item() == pytest.approx(0.05, rel=0.25), name
