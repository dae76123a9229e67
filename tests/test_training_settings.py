"""What you can rely on: settings out of range, unknown devices and precisions are refused in one
sentence; on Linux, a training step gets its memory without thousands of page faults.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minibert import MiniBertError
from minibert.training.settings import (
    TrainingSettings,
    choose_device,
    choose_precision,
    describe_device,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"max_grad_norm": -1.0},
        {"warmup_ratio": 1.0},
        {"gradient_accumulation_steps": 1.5},
        {"eval_steps": 0},
        {"precision": "int8"},
        {"seed": -1},
    ],
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(MiniBertError, match=next(iter(bad))):
        TrainingSettings(**bad)


def test_a_device_that_is_not_there_is_refused_with_advice():
    with pytest.raises(MiniBertError, match="--device cpu"):
        choose_device("cuda:99")
    with pytest.raises(MiniBertError, match="--device cpu"):
        choose_device("abacus")


def test_with_torchrun_every_process_gets_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: torch.zeros(1))
    assert choose_device("cuda") == choose_device("auto") == torch.device("cuda:1")
    assert choose_device("cpu") == CPU


def test_automatic_precision_on_a_cpu_is_float32():
    assert choose_precision("auto", CPU) == torch.float32
    assert describe_device(CPU, torch.float32) == "CPU, 1 thread, float32"


# Allocates, fills and frees 3 buffers of 8 MB again and again, before and after the thresholds are
# raised; prints both numbers of page faults per round.
PAGE_FAULTS = """
import resource, torch
from minibert.training.settings import raise_malloc_thresholds
def page_faults():
    for number in range(9):
        if number == 4:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        buffers = [torch.ones(2_000_000) for _ in range(3)]
        del buffers
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 5
before = page_faults()
assert raise_malloc_thresholds()
print(before, page_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again_without_page_faults():
    # Named in the environment, glibc's threshold of 128 kB does not adapt to the program.
    glibc = {"MALLOC_MMAP_THRESHOLD_": str(128 << 10)}
    environment = {**os.environ, **glibc, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PAGE_FAULTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before > 250  # 24 MB are about 6,000 pages of 4 kB, or fewer of larger ones
    assert after < before / 50
