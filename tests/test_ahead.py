"""What you can rely on: batches made ahead of time for a GPU are the same in the same order, errors
come when their turn has come, and no thread is left behind.
"""

import threading
import time
from itertools import count

import pytest
import torch

from minibert.training.gradient_accumulation import made_ahead

CPU = torch.device("cpu")
OTHER = torch.device("mps")  # any device that is no CPU; nothing is sent there


def numbered(number):
    return {"input_ids": torch.tensor([[number]])}


def numbers(batches):
    return [batch["input_ids"].item() for batch in batches]


@pytest.mark.parametrize("device", [CPU, OTHER], ids=str)
@pytest.mark.parametrize("most", [1, 2, 5])
@pytest.mark.parametrize("length", [0, 1, 2, 10])
def test_nothing_is_lost_and_nothing_changes_places(device, length, most):
    batches = made_ahead(map(numbered, range(length)), device, most=most)
    assert numbers(batches) == list(range(length))


def test_while_one_is_used_the_next_ones_are_made():
    made = []

    def make():
        for number in count():
            made.append(number)
            yield numbered(number)

    batches = made_ahead(make(), OTHER, most=3)
    assert next(batches)["input_ids"].item() == 0
    deadline = time.monotonic() + 30
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [0, 1, 2, 3]
    batches.close()


def test_on_a_cpu_a_batch_is_made_when_it_is_asked_for():
    made = []
    batches = made_ahead((made.append(number) or numbered(number) for number in count()), CPU)
    next(batches)
    assert made == [0]


def test_an_error_comes_after_the_batches_before_it():
    def make():
        yield numbered(0)
        yield numbered(1)
        raise KeyError("the third is broken")

    seen = []
    with pytest.raises(KeyError, match="the third is broken"):
        for batch in made_ahead(make(), OTHER):
            seen += numbers([batch])
    assert seen == [0, 1]


def test_a_loop_that_ends_early_leaves_no_thread():
    before = threading.active_count()
    for batch in made_ahead(map(numbered, count()), OTHER):
        if numbers([batch]) == [3]:
            break
    del batch
    deadline = time.monotonic() + 30
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
