"""What you can rely on: held-out metrics of pretraining are means over words and over pairs."""

import math

import pytest
import torch
from small_models import small_batch, small_model

from minibert import MiniBertError
from minibert.evaluation.pretraining import evaluate_pretraining


def masked_batch(seed: int, masked: int) -> dict[str, torch.Tensor]:
    batch = small_batch("BertForPreTraining", seed=seed)
    labels = torch.full_like(batch["input_ids"], -100)
    labels.view(-1)[:masked] = batch["input_ids"].view(-1)[:masked]
    return {**batch, "labels": labels, "next_sentence_label": torch.tensor([0, 1, 0, 1])}


def test_scores_are_means_over_all_words_and_not_over_batches():
    model = small_model("BertForPreTraining").eval()
    batches = [masked_batch(1, 7), masked_batch(2, 1)]
    scores = evaluate_pretraining(model, batches)
    with torch.no_grad():
        losses = [model(**batch).loss_terms["labels"] for batch in batches]
    mean = sum(term.total.item() for term in losses) / 8
    assert scores["loss"] == pytest.approx(mean)
    assert scores["perplexity"] == pytest.approx(math.exp(mean))
    assert scores["masked_lm_accuracy"] * 8 == pytest.approx(
        round(scores["masked_lm_accuracy"] * 8)
    )
    assert scores["next_sentence_accuracy"] in {number / 8 for number in range(9)}


def test_text_without_a_masked_word_is_refused():
    with pytest.raises(MiniBertError, match="no word is masked"):
        evaluate_pretraining(small_model("BertForPreTraining").eval(), [masked_batch(1, 0)])
