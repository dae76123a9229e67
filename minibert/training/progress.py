"""How far and how fast: a bar on a terminal, plain lines everywhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tqdm import tqdm

from minibert.data.batches import Batch

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


class Clock:
    """Real tokens a second and the share of padding, since the beginning of the epoch."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.tokens = self.positions = 0

    def count(self, window: list[Batch]) -> int:
        """These batches are done.

        Returns:
            How many tokens they hold, padding left out.
        """
        tokens = 0
        for batch in window:
            positions = batch["input_ids"].numel()
            self.positions += positions
            mask = batch.get("attention_mask")
            tokens += positions if mask is None else int(mask.sum())
        self.tokens += tokens
        return tokens

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
