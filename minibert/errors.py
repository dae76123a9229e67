"""The one error that a user can cause.

Its message is one plain sentence: what was found, where, and what to do next. The command line prints it
and exits with code 2; a traceback means a bug in minibert.
"""


class MiniBertError(ValueError):
    """Something in a file, an argument or a batch is not as it must be; the message says what to do."""
