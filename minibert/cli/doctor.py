"""Show versions, the device, and what is known to be bad: what a bug report should say.

minibert doctor
"""

import argparse
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from minibert import __version__

PACKAGES = ("torch", "numpy", "tokenizers", "safetensors", "matplotlib", "huggingface_hub")
OLDEST_TORCH = (2, 10)


def findings() -> dict[str, str]:
    """What was found, by name, in an order to be read."""
    import torch

    from minibert.training.settings import choose_device, choose_precision, describe_device

    device = choose_device("auto")
    found = {"minibert": __version__, "python": platform.python_version()}
    found |= {package: _version(package) for package in PACKAGES}
    found["system"] = platform.platform()
    found["computes on"] = describe_device(device, choose_precision("auto", device))
    found["processors"] = str(os.cpu_count())
    found["free disk"] = f"{shutil.disk_usage('.').free / 2**30:.0f} GiB here"
    installed = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if installed < OLDEST_TORCH:
        found["to do"] = "torch is older than 2.10 and has known holes in loading: upgrade it"
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


# Show versions, the device, and what is known to be bad: what a bug report should say.
#
# minibert doctor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes: nothing."""


def run(options: argparse.Namespace) -> None:
    """Do it."""
    for name, value in findings().items():
        print(f"{name:14} {value}")
