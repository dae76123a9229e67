"""How far and how fast: a bar on a terminal, plain lines everywhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10


class Progress:
    """Shows how far a loop has come, on standard error.

    Args:
        what: a word or two in front.
        total: how many steps there are.
        done: how many were done before.
        shown: False shows nothing.
    """

    def __init__(self, what: str, *, total: int, done: int = 0, shown: bool = True) -> None:
        self.what, self.total, self.done, self.shown = what, total, done, shown
        self.terminal = shown and sys.stderr.isatty()
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
        elif self.shown and time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            print(f"{self.what}: {self.done}/{self.total}  {note}", file=sys.stderr, flush=True)
            self.last_line = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


class Clock:
    """Real tokens a second and the share of padding, since the beginning of the epoch."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.tokens = self.positions = 0

    def count(self, tokens: int, positions: int) -> None:
        """So many tokens are done, which took so many positions with their padding."""
        self.tokens += tokens
        self.positions += positions

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Time spent in here does not count."""
        begin = time.monotonic()
        yield
        self.started += time.monotonic() - begin

    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / max(time.monotonic() - self.started, 1e-9)

    def padding(self) -> float:
        """The share of all positions, from 0 to 1."""
        return 1 - self.tokens / max(self.positions, 1)

    def in_words(self) -> str:
        """Both, for the screen."""
        return f"{self.rate():,.0f} tokens/s, {self.padding():.0%} padding"
