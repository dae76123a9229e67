"""The settings of a training run, with a reason for each default; its device and precision."""

import ctypes
import os
from dataclasses import dataclass

import torch
from torch import nn

from minibert.errors import MiniBertError
from minibert.training.schedules import SCHEDULES

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train. The names are those of `transformers.TrainingArguments` where it has one.

    Raises:
        MiniBertError: a value is out of range.
    """

    epochs: int = 3  # the paper tried 2, 3 and 4 for fine-tuning
    learning_rate: float = 5e-5  # the peak; the paper tried 2e-5 to 5e-5 for base
    warmup_ratio: float = 0.1  # the share of all updates in which the learning rate rises
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    gradient_accumulation_steps: int = 1  # batches per update, over all processes
    optimizer: str = "adamw"  # or "google", without bias correction
    schedule: str = "linear"  # of the learning rate; see `schedules.py`
    layer_decay: float = 1.0  # of the learning rate from a layer to the one below
    head_rate_factor: float = 1.0  # the learning rate of the head over that of the top layer
    early_stopping: int | None = None  # stop after so many evaluations without a better score
    precision: str = "auto"  # see `choose_precision`
    seed: int = 0  # of dropout; the order of the data has its own
    logging_steps: int = 10  # updates
    save_steps: int = 200  # updates between checkpoints; every epoch also ends with one
    eval_steps: int | None = None  # updates between evaluations; every epoch also ends with one

    def __post_init__(self) -> None:
        counts = ("epochs", "gradient_accumulation_steps", "logging_steps", "save_steps")
        optional = ("eval_steps", "early_stopping")
        for name in (*counts, *(name for name in optional if getattr(self, name) is not None)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise MiniBertError(f"{name} is {value!r}; it must be a whole number, at least 1.")
        for name in ("learning_rate", "max_grad_norm", "layer_decay", "head_rate_factor"):
            if not 0 < getattr(self, name) < float("inf"):
                raise MiniBertError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in ("warmup_ratio", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise MiniBertError(
                    f"{name} is {getattr(self, name)}; it must be at least 0 and below 1."
                )
        if not 0 <= self.seed < 2**31:
            raise MiniBertError(f"seed is {self.seed}; it must be from 0 to {2**31 - 1}.")
        if self.precision not in ("auto", *PRECISIONS):
            known = ", ".join(("auto", *PRECISIONS))
            raise MiniBertError(f"precision is {self.precision!r}; choose one of {known}.")
        if self.schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            raise MiniBertError(f"schedule is {self.schedule!r}; choose one of {known}.")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is a GPU if there is one.

    With "auto" or "cuda", each process that torchrun has started on a machine gets its own GPU.

    Raises:
        MiniBertError: the name is unknown, or this machine has no such device.
    """
    if name == "auto" and torch.cuda.is_available():
        name = "cuda"
    elif name == "auto":
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise MiniBertError(
            f"the device {name!r} cannot be used on this machine "
            f"({str(error).splitlines()[0]}); try --device cpu."
        ) from error
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products under autocast; weights and sums stay float32.

    "auto" is float32 on a CPU, where fewer bits are faster only with special instructions; bfloat16
    on a GPU that supports it; and float16, with scaled losses, on other GPUs.
    """
    if name != "auto":
        return PRECISIONS[name]
    if device.type != "cuda":
        return torch.float32
    # Not `is_bf16_supported`: it is also True where bfloat16 is only emulated.
    has_bfloat16 = torch.version.hip or torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if has_bfloat16 else torch.float16


def describe_run(model: nn.Module, settings: TrainingSettings, device: torch.device) -> str:
    """Return one line: what is trained, on what, and how."""
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    where = describe_device(device, choose_precision(settings.precision, device))
    return (
        f"training {count:,} parameters on {where}; epochs {settings.epochs}, "
        f"peak learning rate {settings.learning_rate:g}, seed {settings.seed}"
    )


def describe_device(device: torch.device, precision: torch.dtype) -> str:
    """Return the device and the precision of a run, such as "CPU, 2 threads, float32"."""
    short = str(precision).removeprefix("torch.")
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {short}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU, {threads} thread{'s' if threads > 1 else ''}, {short}"
    return f"{device}, {short}"


def raise_malloc_thresholds() -> bool:
    """Make glibc keep freed memory in the process; return whether it agreed.

    A training step allocates the same large buffers as the step before. By default glibc returns
    many of them to the system, which clears every page before it hands it out again. Keeping them
    takes the page faults of an update from 8,000 to 100 (tiny, bfloat16) and makes training with
    bfloat16 about 1.15 times as fast on a CPU. Other C libraries are left alone.

    Source: mallopt(3).
    """
    m_trim_threshold, m_mmap_threshold = -1, -3  # glibc's numbers of these options
    largest = 32 << 20  # bytes; glibc accepts no higher mmap threshold
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(m_mmap_threshold, largest) and mallopt(m_trim_threshold, 2**31 - 1))
