"""The choices of a training run, each with its reason; and its device and precision."""

import ctypes
import os
from dataclasses import dataclass

import torch
from torch import nn

from minibert.errors import MiniBertError

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train.

    Raises:
        MiniBertError: a value is impossible.
    """

    epochs: int = 3  # the paper tried 2, 3 and 4 for fine-tuning
    learning_rate: float = 5e-5  # the highest; the paper tried 2e-5 to 5e-5 for base
    warmup: float = 0.1  # the share of all updates in which the rate rises
    weight_decay: float = 0.01
    maximum_gradient_norm: float = 1.0
    accumulation: int = 1  # batches an update: their gradients add up to those of one big batch
    optimizer: str = "adamw"  # or "google", without bias correction
    precision: str = "auto"  # see `choose_precision`
    seed: int = 0  # of dropout; the order of the data has its own
    log_every: int = 10  # updates
    save_every: int = 200  # updates between checkpoints; each epoch ends with one too
    evaluate_every: int | None = None  # updates between evaluations; each epoch ends with one too

    def __post_init__(self) -> None:
        for name in ("epochs", "accumulation", "log_every", "save_every", "evaluate_every"):
            value = getattr(self, name)
            if name == "evaluate_every" and value is None:
                continue
            if not isinstance(value, int) or value < 1:
                raise MiniBertError(f"{name} is {value!r}; it must be a whole number from 1.")
        for name in ("learning_rate", "maximum_gradient_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise MiniBertError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in ("warmup", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise MiniBertError(
                    f"{name} is {getattr(self, name)}; it must be from 0 to below 1."
                )
        if not 0 <= self.seed < 2**31:
            raise MiniBertError(f"seed is {self.seed}; it must be from 0 to {2**31 - 1}.")
        if self.precision not in ("auto", *PRECISIONS):
            known = ", ".join(("auto", *PRECISIONS))
            raise MiniBertError(f"precision is {self.precision!r}; choose one of {known}.")


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes a GPU where there is one.

    Of several processes that torchrun has started on a machine, each takes a GPU of its own.

    Raises:
        MiniBertError: the name is unknown, or there is no such device on this machine.
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
    """The type that matrix products run in; weights and sums stay float32 (autocast).

    "auto" is float32 on a CPU, where fewer bits are no faster without special instructions;
    bfloat16 on a GPU that has it; and float16, with scaled losses, on one that does not.
    """
    if name != "auto":
        return PRECISIONS[name]
    if device.type != "cuda":
        return torch.float32
    # Asked of this device: `is_bf16_supported` also says yes where bfloat16 is only emulated.
    has_bfloat16 = torch.version.hip or torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if has_bfloat16 else torch.float16


def describe_run(model: nn.Module, settings: TrainingSettings, device: torch.device) -> str:
    """One line: what is trained, on what, and how."""
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    where = describe_device(device, choose_precision(settings.precision, device))
    return (
        f"training {count:,} parameters on {where}; epochs {settings.epochs}, "
        f"learning rate up to {settings.learning_rate:g}, seed {settings.seed}"
    )


def describe_device(device: torch.device, precision: torch.dtype) -> str:
    """One line that says where and in what precision a run computes."""
    short = str(precision).removeprefix("torch.")
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {short}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU, {threads} thread{'s' if threads > 1 else ''}, {short}"
    return f"{device}, {short}"


# Large buffers stay with the process: on a CPU with Linux, bfloat16 is 1.15 x as fast for it.
#
# A training step asks for the same large buffers as the one before it. glibc would give many of
# them
# back to the system when they are free, and the system clears every page before it is used again:
# with tiny, 64 tokens and 32 rows, 3,000 to 4,400 pages an update instead of 170.


LARGEST = 32 << 20  # bytes; glibc keeps no larger buffer
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # its numbers for these options


def keep_large_buffers() -> bool:
    """Ask glibc not to give them back; nothing happens where the C library is another one.

    Returns:
        Whether it agreed.

    Source: mallopt(3).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
