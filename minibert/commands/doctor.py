"""Show versions, the device, and what is known to be bad: what a bug report should say.

minibert doctor
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes: nothing."""


def run(options: argparse.Namespace) -> None:
    """Do it."""
    from minibert.doctor import findings

    for name, value in findings().items():
        print(f"{name:14} {value}")
