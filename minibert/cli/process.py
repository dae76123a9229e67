"""Run a command as a process: its exit code, its signals, and its standard streams."""

from minibert.cli.ctrl_c import exit_at_once  # first

import codecs
import errno
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, TextIO

from minibert.errors import SAME_SIGNAL, Interrupted, MiniBertError, is_out_of_memory, stop_signals


def run(main: Callable[[], None]) -> NoReturn:
    """Run a command and exit: 0 when it is done, 2 after an error that the user can correct.

    A signal exits with 128 and its number: 130 after Ctrl-C, 143 after `kill`, 129 if the terminal
    is closed. It is no error if the reader has gone (`| head`). Warnings become notes on standard
    error. Text is UTF-8, whatever the locale says.
    """
    _restart_in_utf8_mode()
    code, message, stop = 0, "", StopHandler()
    with StandardStreams() as streams:
        try:
            try:
                stop.listen()
                main()
                sys.stdout.flush()
            finally:
                stop.ignore()  # from here on: Python would end with a traceback
        except BaseException as error:
            code, message = _explain(error, stop.signal)
        if message:
            print(message, file=sys.stderr)
        streams.flush()
    sys.exit(code)


def _explain(error: BaseException, stopped_by: int | None) -> tuple[int, str]:
    """Return the exit code and the message for the exception that ended a command."""
    # The code that a signal interrupts may replace its exception by another one.
    if stopped_by is not None or isinstance(error, KeyboardInterrupt):
        return 128 + (stopped_by or signal.SIGINT), "stopped."
    if isinstance(error, SystemExit):  # of argparse, after --help or an error
        return (error.code if isinstance(error.code, int) else 0), ""
    if is_out_of_memory(error):
        advice = "use a smaller model, smaller batches or shorter texts (--max-length)"
        error = MiniBertError(f"there is not enough memory; {advice}.")
    if isinstance(error, MiniBertError):
        return 2, f"error: {error}"
    if isinstance(error, Interrupted):
        return error.exit_code, str(error)
    if isinstance(error, BrokenPipeError):
        return 0, ""
    if isinstance(error, OSError) and error.filename is not None:
        # A path that no check has refused: its name is too long, or access is denied.
        reason = f"{error.filename}: {error.strerror}"
        return 2, f"error: {reason}; choose another file or folder."
    raise error  # a bug


class StopHandler:
    """Turn the first signal into an exception, so that temporary files are removed on the way.

    Attributes:
        signal: the first signal, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._received_at = 0.0

    def listen(self) -> None:
        """Handle signals from now on."""
        self._numbers = stop_signals()
        for number in self._numbers:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and time.monotonic() - self._received_at < SAME_SIGNAL:
            return
        # Modules that are being imported may swallow an exception or crash, and the user asks for a
        # second time if cleaning up takes long.
        at_once = self.signal is not None
        while frame is not None and not at_once:
            at_once = "importlib" in frame.f_code.co_filename
            frame = frame.f_back
        if at_once:
            exit_at_once(number, frame)
        self.signal, self._received_at = number, time.monotonic()
        raise KeyboardInterrupt

    def ignore(self) -> None:
        """Ignore signals from now on."""
        for number in self._numbers:
            signal.signal(number, signal.SIG_IGN)


class StandardStreams:
    """Standard output and standard error as commands use them, inside a `with` block.

    Control characters are shown, not sent: a text could otherwise clear or recolor the terminal.
    Errors become exceptions that name the stream, or are ignored on standard error.
    """

    def __enter__(self) -> "StandardStreams":
        """Replace the standard streams, and open those that the shell has closed."""
        if sys.stdin is None:
            sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
        if sys.stderr is None:
            sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        self._replaced = sys.stdout, sys.stderr, warnings.showwarning
        if sys.stdout is None:
            print(
                "error: standard output is closed; redirect it to a file instead.", file=sys.stderr
            )
            sys.exit(2)
        codecs.register_error("json-escapes", _escape_unencodable)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="json-escapes", line_buffering=True)
        sys.stdout, sys.stderr = _Stream(sys.stdout), _Stream(sys.stderr, is_stderr=True)
        warnings.showwarning = _print_note
        return self

    def flush(self) -> None:
        """Write what is left; if nobody reads it, discard it, or Python would fail at its exit."""
        try:
            self._replaced[0].flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._replaced[0].fileno())

    def __exit__(self, *_error: object) -> None:
        """Put the streams back."""
        sys.stdout, sys.stderr, warnings.showwarning = self._replaced


class _Stream:
    """A text stream that escapes control characters."""

    def __init__(self, stream: TextIO, *, is_stderr: bool = False) -> None:
        self._stream, self._is_stderr = stream, is_stderr
        codes = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
        self._shown = {code: escape(chr(code)) for code in codes - {*b"\t\n"}}

    def write(self, text: str) -> int:
        # A progress bar starts with a carriage return. On standard output, nothing does.
        start = "\r" if self._is_stderr and text.startswith("\r") else ""
        self._checked(self._stream.write, start + text[len(start) :].translate(self._shown))
        return len(text)

    def flush(self) -> None:
        self._checked(self._stream.flush)

    def _checked(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except OSError as error:
            # EIO: the terminal has been closed. A training run is still saved.
            if self._is_stderr or error.errno == errno.EIO:
                return
            if isinstance(error, BrokenPipeError):
                raise
            reason = error.strerror or str(error)
            raise MiniBertError(f"cannot write to standard output: {reason}.") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def escape(text: str) -> str:
    r"""Return characters as escapes that JSON has, too.

    Example:
        >>> escape("\x1b")
        '\\u001b'
    """
    units = memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")
    return "".join(f"\\u{unit:04x}" for unit in units)


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Escape what the encoding of a terminal lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return escape(error.object[error.start : error.end]), error.end


def _print_note(message: Warning | str, *_where: Any, **_to: Any) -> None:
    print(f"note: {message}", file=sys.stderr)


def _restart_in_utf8_mode() -> None:
    """Start this process again if the locale is not UTF-8 but the command line is."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return
    arguments = [os.fsencode(argument) for argument in sys.orig_argv[1:]]
    try:
        is_ascii = b" ".join(arguments).decode("utf-8").isascii()
    except UnicodeDecodeError:
        return
    if encoding == "ascii" or not is_ascii:  # ascii: the locale is C, which names no encoding
        os.execv(sys.executable, [os.fsencode(sys.executable), b"-X", b"utf8", *arguments])
