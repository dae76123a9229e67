"""The error that a user can cause, and the exception that stops a run.

The message of a `MiniBertError` is one plain sentence: what is wrong, where, and what to do next.
The command line prints it and exits with code 2. A traceback means a bug in minibert.
"""

MAX_LINE = 2000  # characters of a line of a message
SAME_SIGNAL = 1.0  # seconds; the terminal and torchrun can both pass on one Ctrl-C


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that the memory of the CPU or the GPU does not suffice."""
    words = ("out of memory", "allocate memory", "not enough memory", "alloc_failed", "bad_alloc")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )


class MiniBertError(ValueError):
    """A file, an argument or a batch is wrong; the message says what to do."""

    def __init__(self, message: str) -> None:
        # The message may quote a damaged file, and a line of that can have any length.
        lines = message.split("\n")
        super().__init__("\n".join(_shorten(line) for line in lines))


class Interrupted(Exception):  # noqa: N818 - a run that was asked to stop has not failed
    """A run was asked to stop (Ctrl-C, kill) and has saved a checkpoint.

    Attributes:
        exit_code: 128 + the number of the signal, as shells expect.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def stop_signals() -> list[int]:
    """Return the signals that ask a process to stop: Ctrl-C, `kill`, and a closed terminal.

    nohup ignores the last one for its command; then it is left out. Windows does not have it.
    """
    import signal  # takes longer to import than the rest of `minibert`

    hangup = getattr(signal, "SIGHUP", None)
    heard = [hangup] if hangup and signal.getsignal(hangup) != signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *heard]


def _shorten(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 300]} ... {line[-250:]}"
