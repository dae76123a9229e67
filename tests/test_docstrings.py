"""What you can rely on: documentation is read from source files, and no library is imported."""

import subprocess
import sys

import pytest

from minibert.data.builtin.docstrings import (
    LIBRARIES,
    docstrings,
    library_folder,
    library_version,
    source_files,
)
from minibert.errors import MiniBertError

SOURCE = b'''"""The module."""

class Thing:
    """The class.

        More of it.
    """

    if True:
        async def method(self):
            """The method."""

_add_docstr(_C.sin, r"""
    The sine
    of a number.
""".format(**common))
exp = lib.add_newdoc("module", "exp", ("name", """
    The power
    of e."""))
other(r"""Not a
docstring.""")
text = """Nor
this."""
'''


def test_docstrings_and_documentation_of_c_functions_are_found_with_their_lines():
    assert list(docstrings(SOURCE)) == [
        (1, "The module."),
        (4, "The class.\n\nMore of it."),
        (11, "The method."),
        (13, "The sine\nof a number."),
        (17, "The power\nof e."),
    ]


@pytest.mark.parametrize("source", [b"def (:", b"\0", b"\xff\xfe", b"# coding: nonsense\n", b"("])
def test_a_file_that_does_not_parse_has_no_documentation(source):
    assert list(docstrings(source)) == []


def test_old_escapes_in_foreign_sources_warn_nobody(recwarn):
    assert list(docstrings(b'"""A \\d."""')) == [(1, "A \\d.")]
    assert not recwarn.list


def test_tests_private_folders_and_foreign_packages_are_left_out(tmp_path):
    for name in (
        *("b.py", "a/z.py", "_core/y.py", "_private.py"),
        *("tests/t.py", "_hidden/h.py", "site-packages/numpy/n.py", "notes.txt"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    found = [file.relative_to(tmp_path).as_posix() for file in source_files(tmp_path)]
    assert found == ["_private.py", "b.py", "_core/y.py", "a/z.py"]


def test_a_missing_library_is_named():
    with pytest.raises(MiniBertError, match="no_such_library is not installed"):
        library_folder("no_such_library")
    with pytest.raises(MiniBertError, match="no_such_library is not installed"):
        library_version("no_such_library")


def test_finding_the_libraries_imports_none_of_them():
    code = (
        "import sys; from minibert.data.builtin import docstrings as d; "
        "[d.library_folder(x).name and d.library_version(x) for x in d.LIBRARIES]; "
        "sys.exit(sum(x in sys.modules for x in ('torch', 'numpy', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(LIBRARIES) == {"matplotlib", "numpy", "python", "torch"}
