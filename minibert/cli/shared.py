"""What the commands share: the parser, output folders, reading of texts."""

import argparse
import difflib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from minibert.errors import MiniBertError
from minibert.files import (
    CORPUS_FILE,
    MODEL_FILES,
    TASK_FILE,
    TOKENIZER_FILES,
    check_folder,
    check_link,
)
from minibert.problem_types import INFERENCE_PRECISIONS

if TYPE_CHECKING:
    from minibert.data.labelled.header import Columns
    from minibert.data.labelled.prediction_file import GivenTexts, PredictionFile
    from minibert.tokenization.tokenizer import BertTokenizer

# Files that a new run does not overwrite.
KEPT_FILES = (
    *(*MODEL_FILES, *TOKENIZER_FILES, TASK_FILE, CORPUS_FILE),
    *("metrics.json", "learning_curve.png", "confusion_matrix.png"),
)
CLASSIFIERS = ("classification", "matching")  # the tasks of `TextClassifier`
OTHER_TASKS = (  # each a module in cli/tasks with predict() and evaluate()
    "multiple-choice",
    "question-answering",
    "tagging",
)
OPTIONS_OF = {  # options of predict and evaluate that only some tasks have
    "text_column": (*CLASSIFIERS, "tagging"),
    "pair_column": CLASSIFIERS,
    "label_column": (*CLASSIFIERS, "tagging"),
    "choice": ("multiple-choice",),
    "question": ("multiple-choice", "question-answering"),
    "context": ("question-answering",),
    "context_file": ("question-answering",),
    "null_threshold": ("question-answering",),
    "resume": CLASSIFIERS,
}
FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


class Parser(argparse.ArgumentParser):
    """An argument parser that allows no abbreviations and suggests the option that was meant.

    Errors are one sentence, with exit code 2. Descriptions keep their line breaks.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments, and exit if one is unknown."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if hasattr(parsed, "texts"):
            # argparse accepts texts only before the first option; here they may also follow it.
            parsed.texts += [word for word in unknown if not word.startswith("-")]
            unknown = [word for word in unknown if word.startswith("-")]
        if unknown:
            first = unknown[0]
            close = difflib.get_close_matches(first.split("=")[0], self._option_string_actions, n=1)
            kind = "option" if first.startswith("-") else "extra argument"
            hint = f"did you mean {close[0]}?" if close else f"see {self.prog} --help."
            self.error(f"unknown {kind} {first!r}; {hint}")
        for name in ("text", "text_pair", "texts", "pair", "question", "choice", "context"):
            given = getattr(parsed, name, None) or ()
            for text in (given,) if isinstance(given, str) else given:
                # Python reads a byte that is not UTF-8 as half a surrogate pair.
                if isinstance(text, str) and any("\udc80" <= c <= "\udcff" for c in text):
                    self.error(f"the text {text!a} is not UTF-8; set the terminal to UTF-8.")
        return parsed, []

    def error(self, message: str) -> NoReturn:
        """Print one sentence and exit with code 2."""
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)


def int_range(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a `type` for `add_argument` that accepts the integers from `least` to `most`.

    Example:
        >>> int_range(1, 512)("64")
        64
    """

    def integer(text: str) -> int:
        if int(text) < least or (most is not None and int(text) > most):
            allowed = f"at least {least}" if most is None else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} is out of range; give {allowed}")
        return int(text)

    return integer


def choose_output(output: Path | None, default: Path, *, resume: bool) -> Path:
    """Return the folder for a training run, after checking that nothing would be overwritten.

    Args:
        output: the folder that the user has named.
        default: otherwise the first of default, default-2, default-3, ... that does not exist; to
            resume, the last one that does.
        resume: whether to continue the run in the folder.

    Raises:
        MiniBertError: if there is a run that is not to be resumed, or there are other files that
            the run would overwrite.
    """
    if output is None:
        output = unused = default
        for number in count(2):
            if not unused.exists():
                break
            output, unused = unused, default.with_name(f"{default.name}-{number}")
        output = output if resume else unused
    check_folder(output)
    if any((output / "training").glob("step-*")):
        if not resume:
            raise MiniBertError(
                f"{output} holds a run; continue it with --resume, or choose another --output."
            )
    elif existing := [name for name in KEPT_FILES if (output / name).exists()]:
        raise MiniBertError(
            f"{output} has a {existing[0]}, which would be overwritten; choose another --output."
        )
    return output


def resume_command(output: Path) -> str:
    """Return the command line that resumes the present run.

    With several machines, "..." stands for the options by which torchrun connects them.
    """
    program, *words = sys.argv
    if not any(word.split("=")[0] == "--output" for word in words):
        words += ["--output", str(output)]
    if "--resume" not in words:
        words += ["--resume"]
    script = program.endswith(".py") and Path(program).name != "__main__.py"
    if os.environ.get("WORLD_SIZE", "1") == "1":
        start = ["python", program] if script else ["minibert"]
    else:
        several_machines = os.environ.get("GROUP_WORLD_SIZE", "1") != "1"
        processes = ["--nproc-per-node", os.environ.get("LOCAL_WORLD_SIZE", "1")]
        start = ["torchrun", *(["..."] if several_machines else processes)]
        start += [program] if script else ["--no-python", "minibert"]
    return shlex.join([*start, *words])


def check_output(path: Path, *, suffixes: tuple[str, ...] = (), replace: bool = False) -> None:
    """Check that a file can be written, before any work is done for it.

    Args:
        path: the file.
        suffixes: the suffixes it may have; default: any.
        replace: whether the file may exist already.

    Raises:
        MiniBertError: if it has another suffix, its folder does not exist, or it exists.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise MiniBertError(f"cannot write {path}: its name must end in {' or '.join(suffixes)}.")
    check_folder(path.parent)
    check_link(path)
    if not path.parent.is_dir():
        raise MiniBertError(
            f"cannot write {path}: the folder {path.parent} does not exist; create it."
        )
    if path.is_dir():
        raise MiniBertError(f"cannot write {path}: it is a folder; name a file in it.")
    if path.exists() and not replace:
        raise MiniBertError(f"{path} exists already; delete it, or name another file.")


def add_text_arguments(parser: argparse.ArgumentParser, *, pairs: bool) -> None:
    """Add the arguments that `read_texts` reads."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="the texts")
    file_help = "read texts from a .txt (one per line), .tsv, .csv, .jsonl or .json; -: stdin"
    parser.add_argument("--file", type=Path, help=file_help)
    parser.set_defaults(pair=None)
    if pairs:
        help_text = "the second text; repeat it for several texts"
        parser.add_argument("--pair", action="append", metavar="TEXT", help=help_text)
    add_column_arguments(parser, ("text", "pair") if pairs else ("text",))


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where and how exactly to compute predictions."""
    add = parser.add_argument
    add("--device", default="cpu", help="cpu, cuda, mps or auto; default: cpu")
    help_text = "bfloat16 or int8 for less exact, faster results; default: float32"
    choices = INFERENCE_PRECISIONS
    add("--precision", choices=choices, default="float32", metavar="PRECISION", help=help_text)


def requested_device(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the user says about device and precision, for `from_pretrained` of predictors."""
    from minibert.training.settings import choose_device

    return {"device": choose_device(options.device), "precision": options.precision}


def add_document_paths(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the text files and folders that `find_text_files` searches."""
    help_text = ".txt, .md and .jsonl files, and folders of them"
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=help_text)


def check_task_options(
    options: argparse.Namespace, task: str, options_of: Mapping[str, Sequence[str]]
) -> None:
    """Raise if an option is given that only other tasks have."""
    for name, tasks in options_of.items():
        value = getattr(options, name, None)
        if value is not None and value is not False and task not in tasks:
            raise MiniBertError(
                f"--{name.replace('_', '-')} is for {' and '.join(tasks)}, and this task is "
                f"{task}; remove it."
            )


def module_of_task(options: argparse.Namespace) -> ModuleType | None:
    """Return the module in `cli/tasks` for `options.folder`; None if it holds a classifier.

    Raises:
        MiniBertError: if there is no such task, or an option is for another one.
    """
    from minibert.inference.load import saved_task

    task = saved_task(options.folder)
    if task not in (*CLASSIFIERS, *OTHER_TASKS):
        raise MiniBertError(
            f"{options.folder} was trained for the task {task!r:.100}, which this version of "
            "minibert does not know; update minibert."
        )
    check_task_options(options, task, OPTIONS_OF)
    if task in CLASSIFIERS:
        return None
    return import_module(f"minibert.cli.tasks.{task.replace('-', '_')}")


def add_column_arguments(parser: argparse.ArgumentParser, roles: Sequence[str]) -> None:
    """Add the arguments for reading a labelled file: a column for each role, header, encoding."""
    for role in roles:
        help_text = f"column of the {role}; default: guessed and printed"
        parser.add_argument(f"--{role}-column", metavar="NAME_OR_NUMBER", help=help_text)
    header = "whether line 1 holds the column names; default: guessed and printed"
    parser.add_argument("--header", action=argparse.BooleanOptionalAction, help=header)
    parser.add_argument(
        "--encoding", help="that of the files; default: UTF-8. Others: cp1252, gb18030"
    )


def requested_columns(options: argparse.Namespace) -> "Columns":
    """Return what the user says about the columns of a labelled file."""
    from minibert.data.labelled.header import Columns

    names = (getattr(options, f"{role}_column", None) for role in ("text", "pair", "label"))
    return Columns(*names)._replace(header=options.header)


def requested_weights(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the user says about the initial weights, for `setup_finetuning`."""
    names = ("model", "preset", "vocab", "cased", "seed")
    return {name: getattr(options, name) for name in names}


def open_texts(options: argparse.Namespace) -> "PredictionFile | GivenTexts":
    """Return the texts of the command line or of a file, which is checked and not yet read.

    Raises:
        MiniBertError: if there are no texts or both kinds, or the file cannot be read.
    """
    from minibert.data.labelled.prediction_file import GivenTexts, PredictionFile

    columns = requested_columns(options)
    if options.file is not None:
        if options.texts or options.pair:
            raise MiniBertError("give texts or --file, not both.")
        file = PredictionFile(options.file, columns, options.encoding)
        if file.note:
            print(f"note: {file.note}", file=sys.stderr)
        return file
    if not options.texts:
        raise MiniBertError(
            f'give at least one text: minibert {options.command} FOLDER "text", or --file.'
        )
    if columns.text or columns.pair:
        raise MiniBertError("--text-column and --pair-column need --file.")
    return GivenTexts(options.texts, options.pair)


def note_empty(texts: "PredictionFile | GivenTexts") -> None:
    """Print which texts were empty and how many blank lines were left out, after reading them."""
    if texts.empty:
        lines = ", ".join(map(str, texts.empty[:5])) + ", ..." * (len(texts.empty) > 5)
        count = f"{len(texts.empty):,} (line{'s' * (len(texts.empty) > 1)} {lines})"
        print(f"note: empty texts: {count}; they keep their place", file=sys.stderr)
    if texts.skipped:
        print(f"note: blank lines skipped: {texts.skipped:,}", file=sys.stderr)


def one_line(text: str) -> str:
    """Return a text with its line ends shown, so that it takes one line of output."""
    return text.replace("\n", "\\n")


def read_documents_as_text(paths: Sequence[Path], *, text_field: str) -> Iterator[str]:
    """Yield the text of each document in files and folders, as `minibert prepare` reads them.

    Args:
        paths: .txt, .md and .jsonl files, and folders of them.
        text_field: the field of a JSONL object that holds the text.

    Raises:
        MiniBertError: if a file does not exist or cannot be read.
    """
    from minibert.data.corpus import documents

    stats = documents.ReadStats()
    files = documents.find_text_files(paths, stats.folders)
    options = documents.FormatOptions(text_field=text_field)
    for document in documents.read_documents(files, options, stats):
        yield document.text
    for warning in stats.warnings():
        print(f"note: {warning}", file=sys.stderr)


def open_tokenizer(vocab: str, *, cased: bool) -> "BertTokenizer":
    """Return the tokenizer of a vocab.txt, or of a folder or hub name.

    Args:
        vocab: the path or name.
        cased: keep capitals and accents, in a vocab.txt or a folder that does not say.

    Raises:
        MiniBertError: if there is no such file or folder, or it lowercases and `cased` is set.
    """
    from minibert.tokenization.tokenizer import BertTokenizer

    path = Path(vocab)
    if path.is_file():
        return BertTokenizer(path, do_lower_case=not cased)
    if path.suffix == ".txt" and not path.exists():
        raise MiniBertError(
            f"{path} does not exist; give the vocab.txt of a model, or create one with minibert "
            "train-vocab."
        )
    try:
        tokenizer = BertTokenizer.from_pretrained(vocab)
    except MiniBertError:
        if not cased:
            raise
        return BertTokenizer.from_pretrained(vocab, do_lower_case=False)
    if cased and tokenizer.do_lower_case:
        raise MiniBertError(
            f"{vocab} lowercases text, which contradicts --cased; remove --cased, or give another "
            "vocabulary."
        )
    return tokenizer


def note_truncated(truncated: int, count: int, longest: int, long_text: str = "head") -> None:
    """Print a note if some of the texts that a classifier has read are too long for it."""
    if truncated:
        part = {"tail": "end", "head+tail": "beginning and end"}.get(long_text, "beginning")
        print(
            f"note: {truncated:,} of {count:,} texts are longer than {longest} tokens, the "
            f"maximum of this classifier; only their {part} was read.",
            file=sys.stderr,
        )


def note_unknown(tokenizer: "BertTokenizer", texts: Sequence[str]) -> None:
    """Print a note if most tokens of the texts are unknown, because results mean nothing then."""
    from minibert.tokenization.vocab import MOSTLY_UNKNOWN, unknown_rate

    if unknown_rate(tokenizer, texts) > MOSTLY_UNKNOWN:
        print(
            "note: most of this text is unknown to the model's vocabulary, so the result is "
            "meaningless; use a model for this language.",
            file=sys.stderr,
        )
