"""What you can rely on: a model with larger tables answers the old questions as before.

For old ids within the old length everything is equal, and a new word gets no more than an average
share of the probability. The given model is not touched, and the new one can be saved and trained.
"""

import pytest
import torch
from small_models import ANSWERS, small_batch, small_labels, small_model

import minibert
from minibert import BertForMaskedLM, BertModel, MiniBertError
from minibert.model.resize import resize

WORDS, POSITIONS = 50, 12


def answers(model, name: str, **batch) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        outputs = model(**(batch or small_batch(name)))
    return {answer: outputs[answer] for answer in ANSWERS[name]}


def test_a_new_word_is_the_mean_of_all_and_a_new_position_repeats_the_first():
    model = small_model("BertForMaskedLM", vocab_size=3, hidden_size=4, max_position_embeddings=2)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.copy_(
            torch.tensor([[1.0], [2.0], [6.0]]).expand(3, 4)
        )
        model.masked_lm.bias.copy_(torch.tensor([-1.0, 0.0, 4.0]))
        model.bert.embeddings.position_embeddings.weight.copy_(
            torch.tensor([[7.0], [8.0]]).expand(2, 4)
        )
    larger = resize(model, vocab_size=5, max_position_embeddings=5)
    assert larger.bert.embeddings.word_embeddings.weight[:, 0].tolist() == [1, 2, 6, 3, 3]
    assert larger.masked_lm.bias.tolist() == [-1, 0, 4, 1, 1]
    assert larger.bert.embeddings.position_embeddings.weight[:, 0].tolist() == [7, 8, 7, 8, 7]


@pytest.mark.parametrize("name", ANSWERS)
def test_old_texts_get_the_same_answers_from_larger_tables(name):
    model = small_model(name)
    larger = resize(model, vocab_size=WORDS + 7, max_position_embeddings=3 * POSITIONS + 1)
    for answer, before in answers(model, name).items():
        after = answers(larger, name)[answer]
        if "prediction" in answer or name == "BertForMaskedLM":
            assert after.shape[-1] == WORDS + 7
            torch.testing.assert_close(after[..., :WORDS], before, atol=1e-12, rtol=0)
        else:
            assert torch.equal(after, before)
    assert type(larger) is type(model)
    assert (larger.config.vocab_size, larger.config.max_position_embeddings) == (57, 37)


def test_the_old_hidden_states_are_equal_bit_for_bit():
    model = small_model("BertModel", dtype=torch.float32)
    larger = resize(model, vocab_size=WORDS + 7, max_position_embeddings=4 * POSITIONS)
    batch = small_batch("BertModel")
    with torch.no_grad():
        before = model(**batch, output_hidden_states=True).hidden_states
        after = larger(**batch, output_hidden_states=True).hidden_states
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("new", [1, 10, 500])
def test_new_words_get_at_most_an_average_share(new):
    model = small_model("BertForMaskedLM")
    before = answers(model, "BertForMaskedLM")["logits"].softmax(-1)
    after = answers(resize(model, vocab_size=WORDS + new), "BertForMaskedLM")["logits"].softmax(-1)
    share = 1 / (WORDS + new)
    assert after[..., WORDS:].max() <= share + 1e-12
    kept = after[..., :WORDS] / before
    assert kept.min() >= WORDS * share - 1e-12
    assert kept.max() <= 1


def test_new_ids_and_longer_texts_are_accepted_and_not_before():
    model = small_model("BertModel")
    larger = resize(model, vocab_size=WORDS + 1, max_position_embeddings=POSITIONS + 1)
    ids = torch.full((1, POSITIONS + 1), WORDS)
    assert larger(ids).last_hidden_state.isfinite().all()
    for wrong in (ids[:, 1:], ids - 1):
        with pytest.raises(MiniBertError):
            model(wrong)


@pytest.mark.parametrize("name", ANSWERS)
def test_smaller_tables_are_the_beginning_of_the_old_ones(name):
    model = small_model(name)
    smaller = resize(model, vocab_size=40, max_position_embeddings=6)
    batch = small_batch(name)
    batch["input_ids"] = batch["input_ids"] % 40
    for answer, before in answers(model, name, **batch).items():
        after = answers(smaller, name, **batch)[answer]
        words = 40 if "prediction" in answer or name == "BertForMaskedLM" else None
        torch.testing.assert_close(after, before[..., :words], atol=1e-12, rtol=0)


def test_the_given_model_stays_as_it_is_and_shares_no_memory():
    model = small_model("BertForPreTraining")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = model.config
    larger = resize(model, vocab_size=WORDS + 3)
    with torch.no_grad():
        for parameter in larger.parameters():
            parameter.zero_()
    assert model.config is config
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", ANSWERS)
def test_the_result_is_saved_loaded_and_trained_like_any_other(name, tmp_path):
    larger = resize(
        small_model(name, dtype=torch.float32), vocab_size=53, max_position_embeddings=9
    )
    larger.save_pretrained(tmp_path)
    loaded = getattr(minibert, name).from_pretrained(tmp_path, strict=True, quiet=True)
    for answer, value in answers(loaded, name).items():
        assert torch.equal(value, answers(larger, name)[answer])
    labels = small_labels(name)
    if labels:
        larger.train()(**small_batch(name), **labels).loss.backward()
        assert larger.get_submodule("bert.embeddings.word_embeddings").weight.grad.shape[0] == 53


def test_type_freezing_and_the_bare_encoders_missing_pooler_are_kept():
    model = BertModel(small_model("BertModel").config, add_pooling_layer=False).to(torch.bfloat16)
    model.embeddings.word_embeddings.weight.requires_grad_(False)
    larger = resize(model.train(), vocab_size=WORDS + 2)
    assert larger.training
    assert larger.pooler is None
    assert larger.embeddings.word_embeddings.weight.dtype == torch.bfloat16
    assert not larger.embeddings.word_embeddings.weight.requires_grad
    assert larger.embeddings.position_embeddings.weight.requires_grad
    assert larger.embeddings.word_embeddings.padding_idx == model.config.pad_token_id


def test_the_masked_word_head_of_a_frozen_model_stays_frozen():
    model = small_model("BertForMaskedLM").requires_grad_(False)
    assert not any(p.requires_grad for p in resize(model, vocab_size=60).parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "needs a vocab_size"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"max_position_embeddings": -1}, "max_position_embeddings is -1"),
        ({"vocab_size": 2.5}, "whole number"),
    ],
)
def test_an_impossible_size_is_refused(change, message):
    with pytest.raises(MiniBertError, match=message):
        resize(small_model("BertForMaskedLM"), **change)


def test_a_vocabulary_without_its_padding_is_refused():
    model = BertForMaskedLM(small_model("BertForMaskedLM", pad_token_id=40).config)
    with pytest.raises(MiniBertError, match="pad_token_id is 40"):
        resize(model, vocab_size=40)
