"""Find the documentation strings of an installed library in its source files.

The library is not imported and its code is not run: files are parsed with `ast`. Two kinds of
strings are documentation: the first statement of a module, class or function, and the strings in
calls of `add_docstr` and `add_newdoc`, by which torch and numpy document their C functions.
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
"""Every installation of minibert has these. "python" is the standard library."""

_SKIPPED = {"test", "tests", "testing", "site-packages", "dist-packages"} | {
    "ensurepip", "lib2to3", "idlelib", "distutils",
}  # fmt: skip
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def library_folder(library: str) -> Path:
    """Return the folder with the source files of a library.

    Raises:
        MiniBertError: the library is not installed.
    """
    if library == "python":
        return Path(sysconfig.get_path("stdlib"))
    spec = util.find_spec(library)  # does not import a top-level name
    if spec is None or spec.origin is None:
        raise MiniBertError(f"{library} is not installed; install it: pip install {library}")
    return Path(spec.origin).parent


def library_version(library: str) -> str:
    """Return the version of a library; its folder if it has no version."""
    if library == "python":
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return str(library_folder(library))


def source_files(folder: Path) -> list[Path]:
    """Return the .py files below a folder, in a stable order, without tests and private folders."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        # Changed in place: os.walk does not enter what is removed. numpy documents in numpy/_core.
        folders[:] = sorted(
            name
            for name in folders
            if name == "_core" or not (name in _SKIPPED or name.startswith("_"))
        )
        found += [Path(place, name) for name in sorted(names) if name.endswith(".py")]
    return found


def docstrings(source: bytes) -> Iterator[tuple[int, str]]:
    """Yield (line, documentation string without its indentation) of the text of a Python file.

    A file that this version of Python cannot parse has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for example about invalid escapes
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in _statements(tree):
        if isinstance(node, _DOCUMENTED):
            if text := ast.get_docstring(node):
                yield node.body[0].lineno, text
        elif isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Call):
            function = node.value.func  # add_docstr, _add_docstr or torch._C._add_docstr
            name = str(getattr(function, "attr", getattr(function, "id", "")))
            if name.lstrip("_").startswith(("add_docstr", "add_newdoc")):
                for part in ast.walk(node.value):
                    if isinstance(part, ast.Constant) and "\n" in str(part.value):
                        yield part.lineno, inspect.cleandoc(str(part.value))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and the statements below it, in order. `ast.walk` would enter expressions."""
    yield node
    for field in ("body", "handlers", "orelse", "finalbody"):
        for statement in getattr(node, field, ()):
            if isinstance(statement, ast.stmt | ast.excepthandler):
                yield from _statements(statement)
