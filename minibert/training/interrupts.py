"""Ctrl-C and kill end a run that can be resumed.

The first signal is only noted, and the loop stops at the next place where nothing is half done. A
second one stops at once.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether a signal has come."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.waiting = True

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Remember the first signal; at the second, stop at once."""
        second = self.signal is not None
        self.signal = number
        if second or not self.waiting:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside the block nothing can be left half done: let a signal end it at once."""
        self.waiting = False
        try:
            yield
        finally:
            self.waiting = True


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note the signals that come inside the block instead of dying of them."""
    request = StopRequest()
    try:
        before = {number: signal.signal(number, request.note) for number in SIGNALS}
    except ValueError:  # not the main thread: signals do not arrive here anyway
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
