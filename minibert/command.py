"""What all commands share: errors in one sentence, without a traceback, and exit codes."""

import argparse
import difflib
import io
import math
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from minibert.errors import Interrupted, MiniBertError
from minibert.files import CORPUS_DESCRIPTION, TASK_FILE, check_folder

# What a run writes beside a model, under names that a user's own files may have, too.
RUN_FILES = (
    *("vocab.txt", "tokenizer_config.json", TASK_FILE, "metrics.json"),
    *("learning_curve.png", "confusion_matrix.png"),
)
MODEL_FILES = ("model.safetensors", "config.json", "bert_config.json", "pytorch_model.bin")


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and suggests what may have been meant."""

    def __init__(self, *, allow_abbrev: bool = False, **options: object) -> None:
        super().__init__(allow_abbrev=allow_abbrev, **options)  # type: ignore[arg-type]

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments; an unknown one is refused, with the known one that is most like it."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if hasattr(parsed, "texts"):
            # argparse takes texts only before the first option; ours may stand behind one.
            parsed.texts += [word for word in unknown if not word.startswith("-")]
            unknown = [word for word in unknown if word.startswith("-")]
        command = " ".join(filter(None, (self.prog, getattr(parsed, "command", None))))
        if unknown and not unknown[0].startswith("-"):
            self.error(f"{unknown[0]!r} is one argument too many; see {command} --help.")
        if unknown:
            known = [name for action in _all_actions(self) for name in action.option_strings]
            close = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"see {command} --help."
            self.error(f"{unknown[0]!r} is not an option here; {hint}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Say one sentence and exit with code 2."""
        print(f"{self.prog}: {message}", file=sys.stderr)
        sys.exit(2)


def whole_number(least: int, most: float = math.inf) -> Callable[[str], int]:
    """The type of an argument: a whole number of a range.

    Example:
        >>> parser.add_argument("--rounds", type=whole_number(1))
    """

    def number(text: str) -> int:
        if not least <= int(text) <= most:
            wanted = f"at least {least}" if most == math.inf else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} is out of range; give {wanted}")
        return int(text)

    return number


def run(main: Callable[[], None]) -> NoReturn:
    """Run a command: what a user can cause ends in one sentence and exit code 2.

    Ctrl-C ends with 130, `kill` with 143, and a reader that has gone away (`| head`) with 0.
    """
    signal.signal(signal.SIGTERM, _end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets its code, which is right in JSON, too.
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except MiniBertError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.filename is None:
            raise
        # What no check has foreseen: a name that is too long, a folder that may not be read.
        told = f"error: {error.filename}: {error.strerror}; name another file or folder."
        print(told, file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """End as an error does and not at once, so that nothing half-written stays behind."""
    print("stopped.", file=sys.stderr)
    sys.exit(128 + number)


def unused_folder(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, ... that is not there yet."""
    candidates = (folder.with_name(f"{folder.name}-{number}") for number in range(2, 10_000))
    return folder if not folder.exists() else next(path for path in candidates if not path.exists())


def newest_folder(folder: Path) -> Path:
    """The last of folder, folder-2, folder-3, ... that is there; folder itself if none is."""
    following = unused_folder(folder)
    number = int(following.name.removeprefix(f"{folder.name}-")) if following != folder else 2
    return folder if number == 2 else folder.with_name(f"{folder.name}-{number - 1}")


def choose_output(given: Path | None, usual: Path, *, resume: bool) -> Path:
    """The folder that a run shall write to, refused where it would write over something else.

    Args:
        given: what the user asked for; None for the usual place, or the next one that is free.
        usual: the usual place. A run that is gone on with is the newest one there.
        resume: whether to go on with a run.

    Raises:
        MiniBertError: there is a run already, or something that belongs to no run that could be
            gone on with: a model, a corpus, a file.
    """
    output = given or (newest_folder(usual) if resume else unused_folder(usual))
    _claim(output, resume=resume)
    return output


def _claim(output: Path, *, resume: bool) -> None:
    check_folder(output)
    has_run = any((output / "training").glob("step-*"))
    if has_run and not resume:
        raise MiniBertError(
            f"{output} holds a run; go on with it (--resume), or choose another --output."
        )
    kept = {"a model": MODEL_FILES, "a corpus": (CORPUS_DESCRIPTION,)}
    for what, files in kept.items():
        if not has_run and any((output / file).exists() for file in files):
            raise MiniBertError(f"{output} holds {what}; choose another --output, to keep it.")
    for file in RUN_FILES:
        if not has_run and (output / file).exists():
            raise MiniBertError(
                f"{output} holds a {file}, which this would write over; choose another --output, "
                "to keep it."
            )


def resume_command(output: Path) -> str:
    """The command that goes on with the present run, to be typed."""
    words = list(sys.argv)
    if "--output" not in words and not any(word.startswith("--output=") for word in words):
        words += ["--output", str(output)]
    starter = torchrun_words() or ["python"]
    return shlex.join([*starter, *words, *(["--resume"] if "--resume" not in words else [])])


def torchrun_words() -> list[str]:
    """What stood before the script where torchrun has started it; nothing for one process.

    How several machines find each other is not known here: "..." stands for it.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return []
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return ["torchrun", "..."]
    return ["torchrun", "--nproc-per-node", os.environ.get("LOCAL_WORLD_SIZE", "1")]


def _all_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    actions = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                actions += _all_actions(sub)
    return actions
