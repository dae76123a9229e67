"""Ctrl-C, kill and a closed terminal: stop a run at a point from which it can be resumed.

The first signal only sets a flag. The loop stops at the next point where nothing is half done, in
all processes at the same point, whichever of them received the signal. A second signal stops at
once, unless it comes within a second: the terminal and torchrun can both pass on one Ctrl-C.
"""

import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from minibert.errors import SAME_SIGNAL, stop_signals
from minibert.training.distributed import Processes

Item = TypeVar("Item")


class Stop(Exception):  # noqa: N818 - a requested stop is no error
    """A process received a signal, all processes know of it, and nothing is half done."""


class StopRequest:
    """Whether a signal has asked the run to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._received_at = 0.0
        self._stop_at_once = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Remember the first signal; raise KeyboardInterrupt at a second one."""
        second = self.signal is not None and time.monotonic() - self._received_at > SAME_SIGNAL
        if self.signal is None:
            self.signal, self._received_at = number, time.monotonic()
        if second or self._stop_at_once:
            raise KeyboardInterrupt

    def until_requested(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items as long as this process has received no signal."""
        for item in items:
            if self.signal is not None:
                return
            yield item

    def sum_or_stop(self, processes: Processes, numbers: Sequence[float] = ()) -> list[float]:
        """Return numbers summed over all processes, or raise `Stop` in all if one has a signal."""
        *sums, stops = processes.sum([*numbers, self.signal is not None])
        if stops:
            self.signal = self.signal or signal.SIGTERM
            raise Stop
        return sums

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end the block immediately; nothing in it can be left half done."""
        self._stop_at_once = True
        try:
            yield
        except KeyboardInterrupt:
            self.signal = self.signal or signal.SIGINT
        finally:
            self._stop_at_once = False


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Record signals that arrive in the block instead of being ended by them."""
    request = StopRequest()
    try:
        previous = {number: signal.signal(number, request.handle) for number in stop_signals()}
    except ValueError:  # not the main thread, where no signals arrive
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
