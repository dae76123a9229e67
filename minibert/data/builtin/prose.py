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
import re
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


# A documentation string -> paragraphs of prose -> sentences that read as sentences.
#
# Documentation is prose mixed with code, tables, lists of parameters and reStructuredText. The
# paragraphs keep what is prose; the sentences keep what a person could have written in a letter: a
# capital letter, 6 to 40 words, nearly all of them plain words, a full stop, and no code between.
#
# Rules of thumb, made by looking at what they let through: they lose many good sentences and let a
# few bad ones pass. They know English only.


SHORTEST, LONGEST = 6, 40  # words
LONGEST_PARAGRAPH = 10_000  # characters; _MARKUP may take a time that grows with their square
PLAIN_SHARE = 0.9  # of the words of a sentence must be plain words, without digits and signs
PLAIN_SHARE_OF_PARAGRAPH = 0.7  # `code` and numbers are part of prose, formulas are not

# What a line of a docstring can be when it is not prose.
_UNDERLINE = re.compile(r"([-=~^\"'*#+])\1{2,}$")
_SECTION = re.compile(r"[A-Z]\w*( \w+)?:$")  # Args:
_NUMPY_ITEM = re.compile(r"[\w*., ]+ : ")  # x : array_like
_GOOGLE_ITEM = re.compile(r"\*{0,2}[\w.]+( ?\(.*?\))?: +")  # x (Tensor): the input
_BULLET = re.compile(r"([-*+•]|\(?\d+[.)]|\(?[a-z]\)|:[^:`]+:) +")
_PROSE_DIRECTIVE = re.compile(r"\.\. (note|warning|tip|important|caution|attention|hint):: *")

_TABLE = re.compile(r"[|+][-=|+ ]|={3,}|-{3,}")
_LEGAL = re.compile(r"copyright|licen[sc]e|warrant|all rights|permission is|https?:|www\.", re.I)

_MARKUP = (
    (re.compile(r":[\w:+.-]+:`[~!]?(?:[\w.]*\.)?([^`<]+?)(?: *<[^>`]*>)?`"), r"\1"),  # :func:`~a.b`
    (re.compile(r"`([^`<]+?) *<[^>`]*>`__?"), r"\1"),  # `text <target>`_
    (re.compile(r"``(.+?)``|`([^`]+)`_?_?"), r"\1\2"),
    (re.compile(r"(?<![\w*])(\*\*?)([^\s*](?:[^*]*[^\s*])?)\1(?![\w*])"), r"\2"),  # *x*, **x**
    (re.compile(r"\\ "), ""),
    (re.compile(r"  +"), " "),
)

_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!cf\.)(?<!vs\.)(?<!al\.)(?<!Fig\.) +(?=[A-Z\"'(])"
)
_SHAPE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'\"()./%-]*[a-z0-9)\"']\.")
_CODE = re.compile(r"\.[A-Za-z]|[.!?] |\.\.|[a-z][A-Z]|\(\)|\w\(|::|--|//|,,|\b[b-zB-HJ-Z]\b")
_HALF = re.compile(r"(If|When)\b[^,]*$")  # of an entry "Raises: ValueError: If it is empty."
_PLAIN_WORD = re.compile(r"[\"'(]*[A-Za-z]+(?:[-'/][A-Za-z]+)*[\"'),;:.]*")
_ABBREVIATIONS = re.compile(r"\be\.g\.|\bi\.e\.|\betc\.|\bvs\.|\bcf\.")
_LITTLE_WORD = re.compile(
    r"\b(an?|and|are|as|at|be|by|can|do|for|from|has|if|in|is|it|not|of|on|or|that|the|this|to|was"
    r"|when|which|will|with|you)\b",
    re.IGNORECASE,
)


def paragraphs(docstring: str) -> list[str]:
    r"""The prose of a docstring, one string a paragraph, without markup.

    Example:
        >>> paragraphs("Sum\n---\n\n>>> sum(x)\n3\n\nIt is as :func:`~m.fast` as ``exact``.")
        ['It is as fast as exact.']
    """
    found = []
    for lines in _blocks(docstring.splitlines()):
        text = " ".join(lines)
        if len(text) > LONGEST_PARAGRAPH or _TABLE.search(text) or _LEGAL.search(text):
            continue
        for pattern, replacement in _MARKUP:
            text = pattern.sub(replacement, text)
        words = text.split()
        if len(words) >= SHORTEST and _plain(words) >= PLAIN_SHARE_OF_PARAGRAPH * len(words):
            found.append(text)
    return found


def sentences(paragraph: str) -> list[str]:
    """The parts of a paragraph that read as sentences.

    Example:
        >>> sentences("See also: x. The end of the file is always the last line.")
        ['The end of the file is always the last line.']
    """
    return [part for part in _SENTENCE_END.split(paragraph) if reads_as_sentence(part)]


def reads_as_sentence(text: str) -> bool:
    """Whether `text` is an English sentence of 6 to 40 words, without code and signs."""
    if not _SHAPE.fullmatch(text):
        return False
    bare = _ABBREVIATIONS.sub("", text)
    words = text.split()
    return (
        SHORTEST <= len(words) <= LONGEST
        and _plain(words) >= PLAIN_SHARE * len(words)
        and len(_LITTLE_WORD.findall(text)) >= 2
        and not _CODE.search(bare)
        and not _HALF.match(text)
        and text.count("(") == text.count(")")
        and text.count('"') % 2 == 0
    )


def _plain(words: list[str]) -> int:
    return sum(_PLAIN_WORD.fullmatch(word) is not None for word in words)


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Cut a docstring into runs of lines that belong together, and leave out what is no prose.

    A run ends at a blank line and where the indentation changes; only the second line of a list
    item may stand deeper than its first. Doctests, literal blocks (after `::`), directives and
    headings are left out, bodies included.
    """
    block: list[str] = []
    indent, item, doctest = 0, False, False
    literal: int | None = None  # lines deeper than this belong to code or a directive
    for line in [*lines, ""]:
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        begins_item = _BULLET.match(text) or (
            (not block or item or depth != indent) and _GOOGLE_ITEM.match(text)
        )
        continues = block and (depth == indent or (item and depth > indent)) and not begins_item
        if text and not doctest and literal is None and continues and not _UNDERLINE.match(text):
            block.append(text)
            continue
        # Anything else ends the block.
        if block and block[-1].endswith("::"):
            block[-1] = block[-1][:-1]
            literal = indent
        if block and not _UNDERLINE.match(text):
            yield block
        block, item = [], False
        doctest = bool(text) and (doctest or text.startswith((">>>", "$ ", "% ")))
        if literal is not None and text and depth <= literal:
            literal = None
        if not text or doctest or literal is not None or _UNDERLINE.match(text):
            continue
        indent = depth
        if text.startswith(".. "):
            prose = _PROSE_DIRECTIVE.match(text)
            if prose is None:
                literal = depth
                continue
            text, item = text[prose.end() :], True
        elif begins_item:
            text, item = text[begins_item.end() :], True
        elif _SECTION.match(text) or _NUMPY_ITEM.match(text):
            continue
        if text:
            block.append(text)
