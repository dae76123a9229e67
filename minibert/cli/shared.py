"""What all commands share: errors in one sentence, without a traceback, and exit codes."""

import argparse
import difflib
import io
import math
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from minibert.errors import Interrupted, MiniBertError
from minibert.files import CORPUS_FILE, MODEL_FILES, TASK_FILE, check_folder

# What a run writes beside a model, under names that a user's own files may have, too.
RUN_FILES = (
    *("vocab.txt", "tokenizer_config.json", TASK_FILE, "metrics.json"),
    *("learning_curve.png", "confusion_matrix.png"),
)


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
        >>> whole_number(1)("3")  # as in add_argument("--rounds", type=whole_number(1))
        3
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
    kept = {"a model": MODEL_FILES, "a corpus": (CORPUS_FILE,)}
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
    """Return the command that resumes the present run, for the user to type.

    How several machines find each other is not known here: "..." stands for it.
    """
    program, *words = sys.argv
    if "--output" not in words and not any(word.startswith("--output=") for word in words):
        words += ["--output", str(output)]
    if "--resume" not in words:
        words += ["--resume"]
    script = program.endswith(".py") and Path(program).name != "__main__.py"
    several_machines = os.environ.get("GROUP_WORLD_SIZE", "1") != "1"
    if os.environ.get("WORLD_SIZE", "1") == "1":
        starter = ["python"] if script else []
    else:
        processes = ["--nproc-per-node", os.environ.get("LOCAL_WORLD_SIZE", "1")]
        starter = ["torchrun", *(["..."] if several_machines else processes)]
        starter += [] if script else ["--no-python"]
    return shlex.join([*starter, program if script else "minibert", *words])


def _all_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    actions = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                actions += _all_actions(sub)
    return actions


# What several commands do: take texts or a vocabulary, say notes, spare what is there.


if TYPE_CHECKING:
    from minibert.tokenization.tokenizer import BertTokenizer


def add_text_arguments(parser: argparse.ArgumentParser, *, pairs: bool) -> None:
    """The arguments that `read_texts` looks at."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="the texts")
    parser.add_argument("--file", type=Path, help=".txt (a text a line), .tsv, .csv or .jsonl")
    parser.add_argument("--text-column", metavar="NAME", help="column of the text in --file")
    if pairs:
        parser.add_argument(
            "--pair", action="append", metavar="TEXT", help="second text, one a TEXT"
        )
        parser.add_argument("--pair-column", metavar="NAME", help="column of the second text")


def read_texts(options: argparse.Namespace) -> tuple[list[str], list[str] | None]:
    """The texts of the command line or of a file, and their second texts.

    Raises:
        MiniBertError: there are no texts, both kinds are given, or the file cannot be read.
    """
    from minibert.data.labelled.columns import Columns
    from minibert.data.labelled.examples import read_examples

    pair_column = getattr(options, "pair_column", None)
    if options.file is None:
        if not options.texts:
            raise MiniBertError(
                f'give at least one text: minibert {options.command} FOLDER "text", or --file.'
            )
        if options.text_column or pair_column:
            raise MiniBertError("--text-column and --pair-column are for --file; name the file.")
        return list(options.texts), getattr(options, "pair", None)
    if options.texts or getattr(options, "pair", None):
        raise MiniBertError("give texts or --file, not both.")
    columns = Columns(options.text_column, pair_column)
    examples, note = read_examples(options.file, columns, labelled=False)
    if options.file.suffix.lower() != ".txt":
        print(f"note: {note}", file=sys.stderr)
    seconds = [example.text_pair for example in examples if example.text_pair is not None]
    return [example.text for example in examples], seconds or None


def note_unknown(tokenizer: "BertTokenizer", texts: Sequence[str]) -> None:
    """Say if most of the texts' pieces are unknown: the answers then mean nothing."""
    from minibert.tokenization.vocab import MOSTLY_UNKNOWN, unknown_rate

    if unknown_rate(tokenizer, texts) > MOSTLY_UNKNOWN:
        print(
            "note: most of this is unknown to the model's vocabulary, so what it says means "
            "nothing; use a model of this language.",
            file=sys.stderr,
        )


def open_tokenizer(vocabulary: str, *, cased: bool) -> "BertTokenizer":
    """The tokenizer of a vocab.txt, or of a folder or hub name.

    Args:
        vocabulary: the path or name.
        cased: keep capitals and accents; for a vocab.txt, and folders that do not say.

    Raises:
        MiniBertError: there is no such file or folder, or it lowers capitals that shall be kept.
    """
    from minibert.tokenization.tokenizer import BertTokenizer

    path = Path(vocabulary)
    if path.is_file():
        return BertTokenizer(path, do_lower_case=not cased)
    if path.suffix == ".txt" and not path.exists():
        raise MiniBertError(
            f"there is no file {path}; give the vocab.txt of a model, or make one of your text "
            "with minibert train-vocab."
        )
    try:
        tokenizer = BertTokenizer.from_pretrained(vocabulary)
    except MiniBertError:
        if not cased:
            raise
        return BertTokenizer.from_pretrained(vocabulary, do_lower_case=False)
    if cased and tokenizer.do_lower_case:
        raise MiniBertError(
            f"{vocabulary} lowers capitals, so --cased does not fit; leave that out, or give "
            "another vocabulary."
        )
    return tokenizer


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "word"), counted(2000, "word")
        ('1 word', '2,000 words')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Say each different warning of the block as a line, `note: ...`, once the block is done."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"note: {message}", file=sys.stderr)


def check_output(path: Path, *, endings: tuple[str, ...] = (), replace: bool = False) -> None:
    """Refuse a file to be written, before any work is done for it.

    Args:
        path: the file.
        endings: what its name may end in; anything if empty.
        replace: whether a file that is there may be replaced.

    Raises:
        MiniBertError: another ending, no such folder to write to, or the file is there already.
    """
    if endings and path.suffix.lower() not in endings:
        raise MiniBertError(f"cannot write {path}: its name must end in {' or '.join(endings)}.")
    check_folder(path.parent)
    if not path.parent.is_dir():
        raise MiniBertError(f"cannot write {path}: there is no folder {path.parent}; make it.")
    if path.is_dir():
        raise MiniBertError(f"cannot write {path}: it is a folder; name a file in it.")
    if path.exists() and not replace:
        raise MiniBertError(f"{path} is there already; delete it, or name another file.")


# Raw text for commands that only look at its words: what `minibert prepare` would read.


def documents_of(paths: Sequence[Path], *, text_field: str = "text") -> Iterator[str]:
    """The text of each document, one in memory at a time.

    Args:
        paths: .txt, .md and .jsonl files, and folders of them.
        text_field: the field of a JSONL object that holds the text.

    Raises:
        MiniBertError: there is no such file, it cannot be read, or most of its lines are no text.
    """
    from minibert.data.corpus.documents import (
        FormatOptions,
        ReadStats,
        find_text_files,
        read_documents,
    )

    stats = ReadStats()
    files = find_text_files(paths, stats.folders)
    for document in read_documents(files, FormatOptions(text_field=text_field), stats):
        yield document.text
    for warning in stats.warnings():
        print(f"note: {warning}", file=sys.stderr)
