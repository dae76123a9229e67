"""The documentation strings of an installed library, read from its source files without running it.

A library is found, never imported: `importlib.util.find_spec` for a top-level name only looks. Its
files are parsed (`ast`), and two kinds of strings are documentation: the first statement of a
module, class or function, and the strings in calls of `add_docstr` and `add_newdoc`, with which
torch and numpy document what is written in C.

Left out are tests, packages of others, and folders whose name begins with `_`, which are not meant
for readers (but for `numpy/_core`, where numpy's documentation lives).
"""

import ast
import inspect
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from minibert.errors import MiniBertError

LIBRARIES = ("matplotlib", "numpy", "python", "torch")
"""The libraries that every installation of minibert has; "python" is the standard library."""

_TESTS = frozenset({"test", "tests", "testing"})
_OTHERS = frozenset(
    {"site-packages", "dist-packages", "ensurepip", "lib2to3", "idlelib", "distutils"}
)
_KEPT = frozenset(["_core"])  # numpy's own documentation is in numpy/_core
_ADDS_DOCUMENTATION = ("add_docstr", "add_newdoc")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def library_folder(library: str) -> Path:
    """Where the source files of a library are.

    Raises:
        MiniBertError: the library is not installed.
    """
    if library == "python":
        return Path(sysconfig.get_path("stdlib"))
    spec = util.find_spec(library)
    if spec is None or spec.origin is None:
        raise MiniBertError(f"{library} is not installed; install it: pip install {library}")
    return Path(spec.origin).parent


def library_version(library: str) -> str:
    """The version of a library, without importing it."""
    if library == "python":
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return str(library_folder(library))  # no version is told: its place must do


def source_files(folder: Path) -> list[Path]:
    """The .py files below `folder` that document it to readers, in a stable order."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        # Changed in place, so that what is left out is not walked through.
        folders[:] = sorted(
            name
            for name in folders
            if name not in _TESTS | _OTHERS and (name in _KEPT or not name.startswith("_"))
        )
        found += [Path(place, name) for name in sorted(names) if name.endswith(".py")]
    return found


def docstrings(source: bytes) -> Iterator[tuple[int, str]]:
    """The documentation in the text of one Python file: (line, string without its indentation).

    A file that this Python cannot parse has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escapes are not our user's
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in _statements(tree):
        if isinstance(node, _DOCUMENTED):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text
        elif isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Call):
            if not _name(node.value.func).startswith(_ADDS_DOCUMENTATION):
                continue
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and "\n" in str(part.value):
                    yield part.lineno, inspect.cleandoc(str(part.value))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all statements below it, in order; `ast.walk` would visit each expression too."""
    yield node
    for field in ("body", "handlers", "orelse", "finalbody"):
        for statement in getattr(node, field, ()):
            if isinstance(statement, ast.stmt | ast.excepthandler):
                yield from _statements(statement)


def _name(function: ast.expr) -> str:
    """`_add_docstr` and `torch._C._add_docstr` -> `add_docstr`."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return str(name).lstrip("_")
