"""Show versions, the device and what to fix, for a bug report.

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: the command has none."""


def run(options: argparse.Namespace) -> None:
    """Print a line for each finding."""
    import torch

    from minibert.training.settings import choose_device, choose_precision, describe_device

    device = choose_device("auto")
    found = {"minibert": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["system"] = platform.platform()
    found["device"] = describe_device(device, choose_precision("auto", device))
    found["CPUs"] = str(os.cpu_count())
    found["free disk"] = f"{shutil.disk_usage('.').free / 2**30:.0f} GiB"
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        found["to fix"] = "upgrade torch: before 2.10, loading weights has known security holes"
    for name, value in found.items():
        print(f"{name:15} {value}")
