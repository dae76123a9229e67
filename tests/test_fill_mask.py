"""Filling in [MASK]: the probabilities are the model's own, and what is filled jointly is greedy.

You can rely on: every candidate's probability is the softmax of the model's logits at the mask;
only "[MASK]" is special in a text; no mask is lost in silence where a text is cut.
"""

import dataclasses

import pytest
import torch
from tiny_folders import PIECES, classifier_folder, pretrained_folder, tiny_tokenizer

from minibert import BertForMaskedLM, MiniBertError
from minibert.inference.fill_mask import Candidate, MaskFiller

MASK = PIECES.index("[MASK]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pretrained_folder(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture(scope="module")
def filler(folder):
    return MaskFiller.from_pretrained(folder)


class ByTheBook(MaskFiller):
    """Knows two towns: york is a little surer than new, but after york new is certain."""

    def _probabilities(self, ids, token_type_ids, positions):
        rows = []
        for position in positions:
            row = torch.zeros(len(TOWNS))
            if position == 1:
                row[TOWNS.index("new")] = 0.99 if ids[2] == TOWNS.index("##york") else 0.3
                row[TOWNS.index("los")] = 0.4
            else:
                row[TOWNS.index("##york")] = 0.5
                row[TOWNS.index("##angeles")] = 0.45
            rows.append(row)
        return torch.stack(rows)


TOWNS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "new", "los", "##york", "##angeles", ".")


def test_masks_alone_are_guessed_independently_and_jointly_the_surest_goes_first():
    filler = ByTheBook(None, tiny_tokenizer(TOWNS), 16)
    alone = [mask[0].token for mask in filler("[MASK] [MASK]. New")]
    assert alone == ["los", "##york"]
    filling = filler.fill_all("[MASK] [MASK]. New")
    assert filling.order == (1, 0)
    assert [c.token for c in filling.candidates] == ["new", "##york"]
    assert [c.probability for c in filling.candidates] == pytest.approx([0.99, 0.5])
    assert filling.text == "newyork. New"
    assert filling.text_pair is None


def test_the_probabilities_are_the_softmax_of_the_models_logits(filler, folder):
    model, tokenizer = BertForMaskedLM.from_pretrained(folder, quiet=True), filler.tokenizer
    ids = tokenizer.encode("the cat", "a [MASK] sat [MASK]", split_special_tokens=False)
    segments = [0] * 4 + [1] * 5
    logits = model(torch.tensor([ids]), token_type_ids=torch.tensor([segments])).logits[0]
    found = filler("the cat", "a [MASK] sat [MASK]", top_k=len(PIECES))
    assert len(found) == 2
    for candidates, position in zip(found, (5, 7), strict=True):
        assert ids[position] == MASK
        expected = logits[position].softmax(0)
        assert [c.probability for c in candidates] == pytest.approx(
            [expected[c.id].item() for c in candidates], abs=1e-6
        )
        assert sum(c.probability for c in candidates) == pytest.approx(1)
        assert candidates == sorted(candidates, key=lambda c: -c.probability)
        assert [c.token for c in candidates] == [PIECES[c.id] for c in candidates]


def test_jointly_is_what_filling_by_hand_gives(filler):
    text = "[MASK] cat [MASK] on [MASK]"
    alone = filler(text)
    surest = max(range(3), key=lambda i: alone[i][0].probability)
    filling = filler.fill_all(text)
    assert filling.order[0] == surest
    assert filling.candidates[surest] == alone[surest][0]
    assert sorted(filling.order) == [0, 1, 2]


def test_one_mask_filled_jointly_is_the_best_candidate(filler):
    assert filler.fill_all("the [MASK] sat").candidates == (filler("the [MASK] sat")[0][0],)


def test_masks_of_both_texts_are_filled_where_they_stand(filler):
    filling = filler.fill_all("a [MASK]", "[MASK] 猫")
    first, second = (c.token.removeprefix("##") for c in filling.candidates)
    assert filling.text.endswith(first)
    assert filling.text_pair.startswith(second)
    assert filling.text_pair.endswith(" 猫")


@pytest.mark.parametrize("text", [["a [MASK]", "b [MASK]"], None, 7])
def test_what_is_no_text_is_named(folder, text):
    with pytest.raises(MiniBertError, match=r"text must be a str, not (list|NoneType|int)"):
        MaskFiller.from_pretrained(folder)(text)


def test_only_mask_is_special(filler):
    """A "[SEP]" that somebody typed must not end the sentence."""
    ids, segments, masks = filler._encode("cat [SEP] the[MASK]cat", None)
    tokens = filler.tokenizer.convert_ids_to_tokens(ids)
    assert tokens == ["[CLS]", "cat", "[", "sep", "]", "the", "[MASK]", "cat", "[SEP]"]
    assert (segments, masks) == ([0] * 9, [6])


def test_a_text_reads_as_the_tokenizer_reads_it_with_special_tokens_on(filler):
    text, pair = "The cat[MASK] sat [MASK].", "猫[MASK]s"
    expected = filler.tokenizer(text, pair, split_special_tokens=False)
    ids, segments, _ = filler._encode(text, pair)
    assert ids == expected["input_ids"]
    assert segments == expected["token_type_ids"]


def test_rows_of_the_table_beyond_the_vocabulary_are_never_guessed(tmp_path):
    with pytest.warns(UserWarning, match="Some models round this number up"):
        filler = MaskFiller.from_pretrained(pretrained_folder(tmp_path, vocab_size=40))
    candidates = filler("the [MASK]", top_k=100)[0]
    assert len(candidates) == len(PIECES)
    assert sum(c.probability for c in candidates) == pytest.approx(1)


def test_the_mode_of_the_model_does_not_matter(folder):
    filler = MaskFiller.from_pretrained(folder)
    expected = filler("the [MASK]")
    filler.model.train()
    assert filler("the [MASK]") == expected


def test_a_long_text_is_truncated_with_a_warning(filler):
    with pytest.warns(UserWarning, match="longer than the 16 tokens .* was truncated"):
        candidates = filler("the [MASK] " + "cat " * 5000)
    assert isinstance(candidates[0][0], Candidate)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("the cat",), r"has no \[MASK\]; write \[MASK\] where a word is hidden"),
        (("the [mask]",), r"in capitals, not \[mask\]"),
        (("the ___", "a cat"), r"has no \[MASK\]"),
        (("cat " * 5000 + "[MASK]",), r"1 of 1 \[MASK\] are beyond the 16 tokens"),
        (("[MASK] " + "cat " * 100 + "[MASK]", "a"), r"1 of 2 \[MASK\] are beyond"),
    ],
)
def test_a_mask_that_is_not_there_is_said(filler, texts, message):
    for guess in (filler, filler.fill_all):
        with pytest.raises(MiniBertError, match=message):
            guess(*texts)


def test_no_candidates_cannot_be_asked_for(filler):
    with pytest.raises(MiniBertError, match="top_k is 0"):
        filler("the [MASK]", top_k=0)


def test_a_folder_without_the_head_is_refused(tmp_path):
    with pytest.raises(
        MiniBertError,
        match=r"not a trained BertForMaskedLM: .* masked_lm.*; fine-tuning drops .* give a pretr",
    ):
        MaskFiller.from_pretrained(classifier_folder(tmp_path))


def test_a_candidate_is_plain_data(filler):
    found = dataclasses.asdict(filler("the [MASK]", top_k=1)[0][0])
    assert found.keys() == {"token", "id", "probability"}
    assert isinstance(found["id"], int)
    assert isinstance(found["probability"], float)
