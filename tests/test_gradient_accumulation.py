"""What you can rely on: global batches hold what their settings say, in any number of processes.

Batches prefetched for a GPU are the same in the same order, and their values are checked before
they go there, where an invalid id would end the process.
"""

import threading
import time
from itertools import count

import pytest
import torch
from small_models import HEADS, small_batch, small_labels, small_model
from test_training_loop import new_batches

from minibert import BertModel, MiniBertError
from minibert.model.pretrained import PretrainedModel
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.gradient_accumulation import (
    check_batch,
    check_divisible,
    global_batches,
    prefetch,
    to_device,
)
from minibert.training.interrupts import StopRequest
from minibert.training.settings import TrainingSettings

CPU = torch.device("cpu")
OTHER = torch.device("mps")  # any device that is no CPU; nothing is sent there


def numbered(number):
    return {"input_ids": torch.tensor([[number]])}


def numbers(batches):
    return [batch["input_ids"].item() for batch in batches]


@pytest.mark.parametrize("device", [CPU, OTHER], ids=str)
@pytest.mark.parametrize("most", [1, 2, 5])
@pytest.mark.parametrize("length", [0, 1, 2, 10])
def test_prefetching_keeps_every_batch_in_its_place(device, length, most):
    batches = prefetch(map(numbered, range(length)), device, depth=most)
    assert numbers(batches) == list(range(length))


def test_the_next_batches_are_made_while_one_is_used():
    made = []

    def make():
        for number in count():
            made.append(number)
            yield numbered(number)

    batches = prefetch(make(), OTHER, depth=3)
    assert next(batches)["input_ids"].item() == 0
    deadline = time.monotonic() + 30
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [0, 1, 2, 3]
    batches.close()


def test_on_a_cpu_a_batch_is_made_only_when_it_is_needed():
    made = []
    batches = prefetch((made.append(number) or numbered(number) for number in count()), CPU)
    next(batches)
    assert made == [0]


def test_an_error_is_raised_after_the_batches_before_it():
    def make():
        yield numbered(0)
        yield numbered(1)
        raise KeyError("the third is broken")

    seen = []
    with pytest.raises(KeyError, match="the third is broken"):
        for batch in prefetch(make(), OTHER):
            seen += numbers([batch])
    assert seen == [0, 1]


def test_a_loop_that_ends_early_leaves_no_thread_behind():
    before = threading.active_count()
    for batch in prefetch(map(numbered, count()), OTHER):
        if numbers([batch]) == [3]:
            break
    del batch
    deadline = time.monotonic() + 30
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_global_batch_counts_what_its_micro_batches_hold():
    data = new_batches(22, 4)  # 6 batches
    found = list(global_batches(data.epoch(0), 4, CPU, SINGLE_PROCESS, StopRequest()))
    assert [list(batch.micro_batches) for batch in found] == [[0, 1, 2, 3], [0, 1]]
    assert [batch.size for batch in found] == [4, 2]
    assert sum(batch.count("labels") for batch in found) == 22
    assert sum(batch.tokens for batch in found) == data.lengths.sum()
    positions = sum(batch["input_ids"].numel() for batch in data.epoch(0))
    assert sum(batch.positions for batch in found) == positions


def test_the_processes_must_divide_the_accumulation_steps():
    settings = TrainingSettings(gradient_accumulation_steps=4)
    check_divisible(settings, Processes(0, 2))
    words = "gradient_accumulation_steps is 4 for 3 processes; use --gradient-accumulation-steps 3"
    with pytest.raises(MiniBertError, match=words):
        check_divisible(settings, Processes(0, 3))


def test_a_batch_is_checked_before_it_leaves_the_cpu():
    model, batch = small_model("BertForMaskedLM"), small_batch("BertForMaskedLM")
    moved = to_device(batch, model, torch.device("meta"))
    assert all(tensor.is_meta for tensor in moved.values())
    batch["input_ids"][0, 0] = 50
    with pytest.raises(MiniBertError, match="is 50, but the vocabulary"):
        to_device(batch, model, torch.device("meta"))


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
def test_a_valid_batch_passes_the_check_of_every_head(name):
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


def test_a_model_without_label_checks_accepts_any_label():
    class Own(PretrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.bert = BertModel(config)

    model = Own(small_model("BertModel").config)
    check_batch(model, small_batch("") | {"labels": torch.tensor([99])})
