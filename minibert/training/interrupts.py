"""Ctrl-C and kill end a run that can be resumed.

The first signal is only noted, and the loop stops at the next place where nothing is half done: all
processes at the same one, whichever of them the signal has reached. A second one, a second later or
more, stops at once; sooner it is the same wish told twice, to a process and to its group.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from minibert.training.distributed import Processes

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_WISH = 1.0  # seconds


class Stop(Exception):  # noqa: N818 - what was asked for is no error
    """A signal has come to one of the processes, all of them know, and nothing is half done."""


class StopRequest:
    """Whether a signal has come."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.since = 0.0
        self.waiting = True

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Remember the first signal; at another one later, stop at once."""
        second = self.signal is not None and time.monotonic() - self.since > SAME_WISH
        if self.signal is None:
            self.signal, self.since = number, time.monotonic()
        if second or not self.waiting:
            raise KeyboardInterrupt

    def agree(self, processes: Processes, numbers: Sequence[float] = ()) -> list[float]:
        """Sum numbers over all processes, and learn by the way whether to stop.

        Raises:
            Stop: a signal has come to any of them; all raise this here.
        """
        *sums, stops = processes.sum([*numbers, self.signal is not None])
        if stops:
            self.signal = self.signal or signal.SIGTERM
            raise Stop
        return sums

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Nothing can be left half done in the block: a signal ends it, and `agree` then stops."""
        self.waiting = False
        try:
            yield
        except KeyboardInterrupt:
            self.signal = self.signal or signal.SIGINT
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
