"""What you can rely on: the house is built as its plan says.

Imports point one way, no file is longer than a reader can keep in mind, importing never does work,
text files name their encoding, nothing runs what it reads, and every public name is explained.
"""

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "minibert"
FILES = sorted(path for path in HOUSE.rglob("*.py"))
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
LONGEST, LONGEST_EXAMPLE = 400, 140

GROUND = {"errors", "files", "hub", "problem_types"}
# What each part may import, beside itself and the ground.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "files": set(),
    "hub": set(),
    "problem_types": set(),
    "reference": {"tokenization", "data"},
    "tokenization": set(),
    "checkpoints": set(),
    "model": {"checkpoints", "tokenization"},
    "data": {"tokenization"},
    "evaluation": {"data", "model", "tokenization", "checkpoints"},
    "inference": {"evaluation", "data", "model", "tokenization", "checkpoints"},
    "plots": {"evaluation", "data", "model", "tokenization"},
    "training": {"evaluation", "data", "model", "tokenization", "checkpoints"},
    # The public names, looked up on first use.
    "__init__": {"model", "tokenization"},
}
# On top of all: the commands.
ARROWS["cli"] = {*ARROWS} - {"__init__"}
ARROWS["__main__"] = {"cli"}
# The one file that may open a pickle, behind gates of its own.
PICKLES = "minibert/checkpoints/torch_bin.py"


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def part_of(path: Path) -> str:
    """The part of the house: the folder in minibert/, or the file's own name."""
    inside = path.relative_to(HOUSE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, anywhere in it, with the line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}:{node.lineno} imports relatively"
            # `from minibert.model import bert` imports minibert.model.bert
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def wrong_arrows(path: Path) -> list[str]:
    part = part_of(path)
    allowed = ARROWS[part] | GROUND | {part}
    wrong = []
    for line, module in imported_modules(path):
        top, *inner = module.split(".")
        own_name = inner and inner[0].startswith("__")  # `from minibert import __version__`
        if top == "minibert" and not own_name and (not inner or inner[0] not in allowed):
            wrong.append(f"{named(path)}:{line} imports {module}")
    return wrong


def at_import(path: Path) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, inside of `if`, `try` and classes too."""
    waiting: list[ast.stmt] = list(tree(path).body)
    while waiting:
        statement = waiting.pop(0)
        if (
            isinstance(statement, ast.If)
            and ast.unparse(statement.test) == "__name__ == '__main__'"
        ):
            continue
        yield statement
        if isinstance(statement, (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ClassDef)):
            for field in ("body", "orelse", "finalbody"):
                waiting += getattr(statement, field, [])


def calls(path: Path) -> Iterator[tuple[int, str, ast.Call]]:
    """Every call in a file: its line, what is called (as written), and the call."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node


def test_the_walk_finds_the_house():
    assert HOUSE / "model" / "bert.py" in FILES
    assert {part_of(path) for path in FILES} == set(ARROWS)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_point_one_way(path):
    assert not wrong_arrows(path)


def test_the_plan_itself_has_no_circle():
    done: set[str] = set()
    while len(done) < len(ARROWS):
        free = {part for part in ARROWS if part not in done and ARROWS[part] <= done}
        assert free, f"a circle among {sorted(ARROWS.keys() - done)}"
        done |= free


def test_a_wrong_arrow_would_be_seen(tmp_path: Path, monkeypatch):
    house = tmp_path / "minibert"
    (house / "model").mkdir(parents=True)
    wrong = house / "model" / "wrong.py"
    wrong.write_text(
        "def f():\n    from minibert.data import readers\n\nimport minibert.cli\n", encoding="utf-8"
    )
    monkeypatch.setitem(globals(), "HOUSE", house)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert len(wrong_arrows(wrong)) == 2


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", EXAMPLES, ids=named)
def test_an_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_EXAMPLE


@pytest.mark.parametrize("path", FILES, ids=named)
def test_importing_a_module_only_defines(path):
    """No loop, no `with`, no bare call: nothing is printed, read, fetched or parsed at import."""
    for statement in at_import(path):
        assert not isinstance(statement, (ast.For, ast.While, ast.With, ast.Delete, ast.Global)), (
            f"{named(path)}:{statement.lineno} does work at import"
        )
        if isinstance(statement, ast.Expr):
            assert isinstance(statement.value, ast.Constant), (
                f"{named(path)}:{statement.lineno} calls something at import"
            )


def test_importing_every_module_prints_and_writes_nothing(tmp_path: Path):
    import subprocess
    import sys

    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in FILES
        if path.name != "__init__.py"
    ]
    code = f"""
import importlib, random, sys
import numpy, torch
before = (random.getstate(), torch.get_rng_state().tolist(), torch.get_default_dtype(),
          torch.get_num_threads(), numpy.random.get_state()[1].tolist())
for name in {names}:
    importlib.import_module(name)
after = (random.getstate(), torch.get_rng_state().tolist(), torch.get_default_dtype(),
         torch.get_num_threads(), numpy.random.get_state()[1].tolist())
assert before == after, "importing has changed a global state"
assert "matplotlib" not in sys.modules and "transformers" not in sys.modules
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(tmp_path),
        },
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", FILES + EXAMPLES, ids=named)
def test_nothing_runs_what_it_reads(path):
    for line, name, call in calls(path):
        where = f"{named(path)}:{line}"
        assert name not in ("eval", "exec", "compile", "__import__", "os.system"), where
        assert not name.endswith(("allow_pickle", "marshal.loads", "joblib.load")), where
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert options.get("shell", "False") == "False", where
        assert options.get("allow_pickle", "False") == "False", where
        if name in ("torch.load", "torch.save"):
            assert name == "torch.load" and named(path) == PICKLES, where
            assert options.get("weights_only") == "True", where
    for line, module in imported_modules(path):
        unsafe = ("pickle", "dill", "marshal", "shelve", "joblib")
        assert module.split(".")[0] not in unsafe, f"{named(path)}:{line}"


@pytest.mark.parametrize("path", FILES + EXAMPLES, ids=named)
def test_text_files_name_their_encoding(path):
    own = {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)}
    own |= {
        module.rsplit(".", 1)[1] for _, module in imported_modules(path) if "minibert." in module
    }
    for line, name, call in calls(path):
        *_, method = name.split(".")
        # Neither a file descriptor, nor a file in a zip archive, nor a corpus is a text.
        others = own | {"os.open", "archive.open", "Corpus.open"}
        if method not in ("open", "read_text", "write_text") or name in others:
            continue
        modes = [
            node.value
            for node in [*call.args, *(o.value for o in call.keywords if o.arg == "mode")]
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        binary = method == "open" and any(re.fullmatch(r"[rwax+]*b[rwax+]*", m) for m in modes)
        encoding = {o.arg: ast.unparse(o.value) for o in call.keywords}.get("encoding")
        assert binary or encoding in ("'utf-8'", "'utf-8-sig'"), f"{named(path)}:{line} {name}"


def public_definitions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Public functions and classes of a file, and the public methods of its public classes."""
    for node in tree(path).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_public_name_is_explained(path):
    for name, node in public_definitions(path):
        decorators = [ast.unparse(item) for item in getattr(node, "decorator_list", [])]
        if any(item.endswith(".setter") or item.endswith("overload") for item in decorators):
            continue
        assert ast.get_docstring(node), f"{named(path)}: {name} has no docstring"


@pytest.mark.parametrize("path", FILES + EXAMPLES, ids=named)
def test_every_file_says_what_it_is_for(path):
    if path.name == "__init__.py" and path.parent != HOUSE:
        assert not tree(path).body or ast.get_docstring(tree(path))
    else:
        assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", FILES + EXAMPLES, ids=named)
def test_nothing_is_left_to_do(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)


@pytest.mark.parametrize("path", FILES + EXAMPLES, ids=named)
def test_nobody_draws_from_a_generator_of_numbers_that_all_share(path):
    """`random.x` and `np.random.x` hide where numbers come from; randomness is passed in."""
    passed_in = ("Random", "default_rng", "SeedSequence", "Generator", "PCG64", "Philox")
    shared_by_all = {"np.random", "numpy.random"}
    if any(module == "random" for _, module in imported_modules(path)):
        shared_by_all.add("random")
    for line, name, _ in calls(path):
        owner, _, method = name.rpartition(".")
        assert owner not in shared_by_all or method in passed_in, f"{named(path)}:{line} {name}"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_function_remembers_its_calls_in_a_default(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            defaults = [*node.args.defaults, *node.args.kw_defaults]
            assert not [d for d in defaults if isinstance(d, (ast.List, ast.Dict, ast.Set))], (
                f"{named(path)}:{node.lineno} has a mutable default"
            )


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_part_without_torch_imports_it(path):
    if part_of(path) in ("tokenization", "errors", "files", "hub", "command", "cli", "__init__"):
        top_level = {ast.unparse(node) for node in tree(path).body}
        assert not [line for line in top_level if re.match(r"(import|from) torch\b", line)]


def test_the_map_in_the_readme_names_every_file():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    unnamed = [
        str(path.relative_to(HOUSE))
        for path in FILES
        if path.name != "__init__.py" and path.parent.name != "commands"
    ]
    assert [name for name in unnamed if f"| `{name}` |" not in readme] == []
    named_there = set(re.findall(r"^\| `([\w/]+\.py)` \|", readme, flags=re.MULTILINE))
    assert named_there <= set(unnamed)
