"""The error that a user can cause, and the exception that stops a run.

The message of a `MiniBertError` is one plain sentence: what is wrong, where, and what to do next.
The command line prints it and exits with code 2. A traceback means a bug in minibert.
"""


class MiniBertError(ValueError):
    """A file, an argument or a batch is wrong; the message says what to do."""


class Interrupted(Exception):  # noqa: N818 - a run that was asked to stop has not failed
    """A run was asked to stop (Ctrl-C, kill) and has saved a checkpoint.

    Attributes:
        exit_code: 128 + the number of the signal, as shells expect.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
