"""Check your solutions of the exercises of the lessons, and say in words what is wrong.

minibert learn list
minibert learn check attention                  # attention.py here or in docs/lessons/exercises
minibert learn hint attention --level 2
minibert learn check --all alice bob --report grades.json        # for teachers: folders

A check runs the code in the file, with all that it may do on this computer.
"""

import argparse
import contextlib
import io
import os
import sys
from pathlib import Path

from minibert.cli.shared import check_output, int_range
from minibert.errors import MiniBertError
from minibert.files import bundled, write_json

STUBS = "docs/lessons/exercises"
LANGUAGES = ("en", "zh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="show the exercises")
    check = actions.add_parser("check", help="check a solution, or all in folders")
    check.add_argument("names", nargs="*", metavar="NAME", help="an exercise, and maybe its file")
    check.add_argument("--all", action="store_true", help="check all in the folders named instead")
    check.add_argument("--report", type=Path, metavar="FILE", help="write what was found as JSON")
    hint = actions.add_parser("hint", help="show a hint for an exercise")
    hint.add_argument("name", metavar="NAME", help="an exercise")
    hint.add_argument("--level", type=int_range(1, 3), default=1, help="1 to 3; default: 1")
    for action in actions.choices.values():
        help_text = "default: that of the environment (LANG)"
        action.add_argument("--language", choices=LANGUAGES, help=help_text)


def run(options: argparse.Namespace) -> None:
    """List the exercises, check solutions, or show a hint."""
    from minibert.learn.run import EXERCISES, load

    variables = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next((value for value in variables if value), "")
    language = LANGUAGES.index(options.language or ("zh" if locale.startswith("zh") else "en"))
    if options.action == "list":
        for name in EXERCISES:
            print(f"{name:11} {('lesson', '课')[language]} {load(name).LESSON}")
    elif options.action == "hint":
        _known(options.name, EXERCISES)
        print(load(options.name).HINTS[options.level - 1][language])
    else:
        _check(options, EXERCISES, language)


def _check(options: argparse.Namespace, exercises: tuple[str, ...], language: int) -> None:
    from minibert.learn.run import check_file, load

    if options.report is not None:
        check_output(options.report, suffixes=(".json",), replace=True)
    rows = []
    for name, path in _solutions(options, exercises):
        silent = contextlib.redirect_stdout(io.StringIO())  # what a whole class prints
        with silent if options.all else contextlib.nullcontext():
            result = check_file(name, path)
        message = "" if result.message is None else result.message[language]
        verdict = ("not yet: ", "还不对：") if message else ("right", "正确")
        print(f"{path}  {verdict[language]}{message}", flush=True)
        rows.append(
            {
                "folder": str(path.parent),
                "exercise": name,
                "passed": not message,
                "message": message,
                "seconds": result.seconds,
            }
        )
    passed = sum(bool(row["passed"]) for row in rows)
    if options.all:
        print(f"{('right', '正确')[language]}: {passed} / {len(rows)}")
    elif passed:
        print(f"{('minibert has it in', 'minibert 的写法在')[language]} {load(name).SOLUTION}")
    else:
        print(f"{('for a hint', '看提示')[language]}: minibert learn hint {name}")
    if options.report is not None:
        write_json(options.report, {"passed": passed, "exercises": rows})
    sys.exit(0 if passed == len(rows) else 1)


def _solutions(options: argparse.Namespace, exercises: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Return the exercises to check and their files."""
    here = Path(STUBS)
    stubs = here if here.is_dir() else bundled(STUBS)
    if options.all:
        folders = [Path(name) for name in options.names] or [stubs]
        for folder in folders:
            if not folder.is_dir():
                raise MiniBertError(f"{folder} is not a folder; after --all, name folders.")
        return [(name, folder / f"{name}.py") for folder in folders for name in exercises]
    if not 1 <= len(options.names) <= 2:
        raise MiniBertError(
            "name one exercise, and its file if it lies elsewhere: minibert learn check attention "
            "FILE; or give --all."
        )
    name, *file = options.names
    if name.endswith(".py"):
        name, file = Path(name).stem, [name]
    _known(name, exercises)
    path = Path(file[0] if file else f"{name}.py")
    path = path if file or path.exists() else stubs / path
    if not path.is_file():
        raise MiniBertError(f"{path} is not a file; name yours: minibert learn check {name} FILE.")
    return [(name, path)]


def _known(name: str, exercises: tuple[str, ...]) -> None:
    if name not in exercises:
        raise MiniBertError(f"there is no exercise {name!r}; there are {', '.join(exercises)}.")
