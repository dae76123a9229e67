"""A bar on a terminal, plain lines everywhere else."""

import sys
import time
from typing import Self

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10


class Progress:
    """Shows how far a loop has come, on standard error.

    Args:
        what: a word or two in front.
        total: how many steps there are.
        done: how many were done before.
    """

    def __init__(self, what: str, *, total: int, done: int = 0) -> None:
        self.what, self.total, self.done = what, total, done
        self.terminal = sys.stderr.isatty()
        self.last_line = time.monotonic()
        self.bar = tqdm(
            total=total, initial=done, desc=what, disable=not self.terminal, dynamic_ncols=True
        )

    def step(self, note: str = "") -> None:
        """One more is done; `note` says how it went."""
        self.done += 1
        if self.terminal:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update()
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            print(f"{self.what}: {self.done}/{self.total}  {note}", file=sys.stderr, flush=True)
            self.last_line = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
