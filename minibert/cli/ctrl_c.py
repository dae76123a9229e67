"""End without a traceback on Ctrl-C while a program starts; to be imported before all else.

This is the only module that does something when it is imported. `process.run` handles Ctrl-C later,
when there may be something to clean up.
"""

# `signal` without its enumerations, which take longer to import than all that comes before.
import _signal  # type: ignore[import-not-found]
import os


def exit_at_once(number: int, _frame: object) -> None:
    """Print "stopped." and exit as shells expect it: with 128 plus the number of the signal."""
    os.write(2, b"stopped.\n")  # `print` must not be called inside another `print`
    os._exit(128 + number)


try:
    default_handler = _signal.signal(_signal.SIGINT, exit_at_once)
except ValueError:  # not the main thread, where no signals arrive
    default_handler = None
