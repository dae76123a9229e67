"""What you can rely on: before a batch goes to a GPU, where a number that cannot be looked up ends
the process, its inputs and labels are checked, for every head.
"""

import pytest
import torch
from small_models import HEADS, small_batch, small_labels, small_model

from minibert import BertModel
from minibert.errors import MiniBertError
from minibert.model.pretrained import PretrainedModel
from minibert.training.step import check_batch

BEYOND = {
    "BertForPreTraining": (("labels", 50), ("next_sentence_label", 2)),
    "BertForMaskedLM": (("labels", 50),),
    "BertForNextSentencePrediction": (("labels", 2),),
    "BertForSequenceClassification": (("labels", 3),),
    "BertForTokenClassification": (("labels", 3),),
    "BertForQuestionAnswering": (("start_positions", 6), ("end_positions", 6)),
    "BertForMultipleChoice": (("labels", 3),),
}


@pytest.mark.parametrize("name", HEADS)
def test_what_a_head_can_take_is_passed(name):
    check_batch(small_model(name), small_batch(name) | small_labels(name))
    check_batch(small_model(name), small_batch(name))


@pytest.mark.parametrize("name", HEADS)
def test_an_id_beyond_the_vocabulary_is_refused(name):
    batch = small_batch(name)
    batch["input_ids"].view(-1)[3] = 50
    with pytest.raises(MiniBertError, match="is 50, but the vocabulary"):
        check_batch(small_model(name), batch)


@pytest.mark.parametrize("wrong", [0, 1])
@pytest.mark.parametrize("name", HEADS)
def test_a_label_beyond_the_classes_is_refused(name, wrong):
    labels = small_labels(name)
    argument, beyond = BEYOND[name][min(wrong, len(BEYOND[name]) - 1)]
    labels[argument].view(-1)[0] = beyond
    with pytest.raises(MiniBertError, match=rf"{argument}\[0.*\] is {beyond}, but .* allows 0 to"):
        check_batch(small_model(name), small_batch(name) | labels)


def test_labels_that_are_no_classes_may_have_any_value():
    regression = small_model("BertForSequenceClassification", num_labels=1)
    check_batch(regression, small_batch("") | {"labels": torch.tensor([7.0, -3.0, 0.5, 1e6])})
    several = small_model("BertForSequenceClassification")
    check_batch(several, small_batch("") | {"labels": torch.ones(4, 3)})


def test_a_model_of_your_own_needs_no_check():
    class Own(PretrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.bert = BertModel(config)

    model = Own(small_model("BertModel").config)
    check_batch(model, small_batch("") | {"labels": torch.tensor([99])})
