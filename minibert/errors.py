"""The one error that a user can cause, and the one way to stop a run that is no error.

Its message is one plain sentence: what was found, where, and what to do next. The command line
prints it and exits with code 2; a traceback means a bug in minibert.
"""


class MiniBertError(ValueError):
    """Something in a file, an argument or a batch is not right; the message says what to do."""


class Interrupted(Exception):  # noqa: N818 - a run that was asked to stop has not failed
    """A run was asked to stop (Ctrl-C, kill), has saved where it was, and says how to go on.

    Attributes:
        exit_code: 128 + the number of the signal, as a shell expects.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
