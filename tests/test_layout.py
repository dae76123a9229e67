"""What you can rely on: the package is laid out as planned, and every file keeps the rules.

One test for each rule; a failure lists every place that breaks it.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minibert"
MODULES = sorted(PACKAGE.rglob("*.py"))
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))

# Which folders (or files) of the package each may import, beside itself and BASE.
BASE = {"errors", "files", "from_transformers", "hub", "problem_types"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "files": set(),
    "from_transformers": set(),
    "hub": set(),
    "problem_types": set(),
    "tokenization": set(),
    "checkpoints": set(),
    "model": {"checkpoints", "tokenization"},
    "data": {"tokenization"},
    "reference": {"tokenization", "data"},
    "evaluation": {"data", "model", "tokenization", "checkpoints"},
    "inference": {"evaluation", "data", "model", "tokenization", "checkpoints"},
    "plots": {"evaluation", "data", "model", "tokenization"},
    "training": {"evaluation", "data", "model", "tokenization", "checkpoints"},
    "learn": {"reference", "training", "evaluation", "data", "model", "tokenization"},
    "__init__": {"model", "tokenization"},  # the public names, imported on first use
}
MAY_IMPORT["cli"] = {*MAY_IMPORT} - {"__init__"}  # `trace` compares with the reference
MAY_IMPORT["__main__"] = {"cli"}

# BERT itself, in reading order.
CORE_PATH = (
    "reference/numpy_bert.py",
    *(f"tokenization/{name}.py" for name in ("normalize", "wordpiece", "tokenizer")),
    *(f"model/{name}.py" for name in ("config", "embeddings", "attention", "encoder", "bert")),
    *(f"model/{name}.py" for name in ("pretraining_heads", "task_heads")),
    *(f"data/pretraining/{name}.py" for name in ("masking", "nsp_pairs")),
    *(f"training/{name}.py" for name in ("optimizer", "loop")),
)
MOST_LINES, MOST_LINES_OF_AN_EXAMPLE, MOST_LINES_OF_THE_CORE_PATH = 400, 140, 2000
SHORT_FILE = 80  # below it, a file is imported by at least two others or is an entry point
# Beside entry points, ideas of their own that their one user would hide.
MAY_BE_SHORT = (
    "__main__.py",
    "cli/",
    "checkpoints/legacy_names.py",
    "learn/",  # a module for each exercise
    "tokenization/rust_encoder.py",
    "training/google_adam.py",
)
LOADS_PICKLES = "minibert/checkpoints/torch_bin.py"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def part_of(path: Path) -> str:
    """Return the folder in minibert/ that a file lies in, or its own name at the top."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every import of a file, wherever it stands: its line and "module.name"."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def forbidden_imports(path: Path) -> list[str]:
    allowed = MAY_IMPORT[part_of(path)] | BASE | {part_of(path)}
    found = []
    for line, module in imported_modules(path):
        top, *inner = module.split(".")
        is_attribute = inner and inner[0].startswith("__")  # `from minibert import __version__`
        if top == "minibert" and not is_attribute and (not inner or inner[0] not in allowed):
            found.append(f"{name_of(path)}:{line} imports {module}")
    return found


def statements_at_import(path: Path) -> Iterator[ast.stmt]:
    """Yield the statements that run on import, those inside of `if`, `try` and classes too."""
    waiting: list[ast.stmt] = list(tree(path).body)
    while waiting:
        statement = waiting.pop(0)
        if isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test):
            continue
        yield statement
        if isinstance(statement, (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ClassDef)):
            for field in ("body", "orelse", "finalbody"):
                waiting += getattr(statement, field, [])


def calls(path: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield every call of a file: where it is, what is called (as written), and the node."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield f"{name_of(path)}:{node.lineno}", ast.unparse(node.func), node


def public_definitions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield the public functions and classes of a file, and the public methods of the latter."""
    for node in tree(path).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


def test_every_folder_has_a_place_in_the_order_of_imports():
    assert {part_of(path) for path in MODULES} == set(MAY_IMPORT)


def test_imports_point_one_way():
    assert [line for path in MODULES for line in forbidden_imports(path)] == []


def test_the_order_of_imports_has_no_circle():
    done: set[str] = set()
    while len(done) < len(MAY_IMPORT):
        free = {part for part in MAY_IMPORT if part not in done and MAY_IMPORT[part] <= done}
        assert free, f"a circle among {sorted(MAY_IMPORT.keys() - done)}"
        done |= free


def test_a_forbidden_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = tmp_path / "minibert" / "model" / "wrong.py"
    module.parent.mkdir(parents=True)
    code = "def f():\n    from minibert.data import sampler\n\nimport minibert.cli\n"
    module.write_text(code, encoding="utf-8")
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "minibert")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert len(forbidden_imports(module)) == 2


def test_no_file_is_longer_than_one_can_keep_in_mind():
    assert {name_of(p): line_count(p) for p in MODULES if line_count(p) > MOST_LINES} == {}


def test_a_short_file_is_imported_by_two_others():
    importers: dict[str, set[Path]] = {}
    for path in [*MODULES, *EXAMPLES]:
        for _, module in imported_modules(path):
            for name in (module, module.rpartition(".")[0]):
                importers.setdefault(name, set()).add(path)
    lonely = {}
    for path in MODULES:
        inside = path.relative_to(PACKAGE).as_posix()
        if path.name == "__init__.py" or inside.startswith(MAY_BE_SHORT):
            continue
        module = "minibert." + inside.removesuffix(".py").replace("/", ".")
        if line_count(path) < SHORT_FILE and len(importers.get(module, ())) < 2:
            lonely[inside] = line_count(path)
    assert lonely == {}


def test_the_core_path_is_short():
    lines = {name: line_count(PACKAGE / name) for name in CORE_PATH}
    assert sum(lines.values()) <= MOST_LINES_OF_THE_CORE_PATH, lines


def test_examples_are_short():
    found = {name_of(p): line_count(p) for p in EXAMPLES}
    assert {n: lines for n, lines in found.items() if lines > MOST_LINES_OF_AN_EXAMPLE} == {}


def test_importing_a_module_only_defines_things():
    """No loop, no `with`, no bare call: nothing is printed, read, fetched or parsed."""
    work = (ast.For, ast.While, ast.With, ast.Delete, ast.Global)
    found = [
        f"{name_of(path)}:{statement.lineno}"
        for path in MODULES
        for statement in statements_at_import(path)
        if isinstance(statement, work)
        or (isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant))
    ]
    assert found == []


def test_importing_every_module_prints_nothing_and_changes_no_global_state(tmp_path: Path):
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in MODULES
        if path.name != "__init__.py"
    ]
    code = f"""
import importlib, random, sys
import numpy, torch
def state():
    return (random.getstate(), torch.get_rng_state().tolist(), torch.get_default_dtype(),
            torch.get_num_threads(), numpy.random.get_state()[1].tolist())
before = state()
for name in {names}:
    importlib.import_module(name)
assert before == state(), "importing has changed a global state"
assert "matplotlib" not in sys.modules and "transformers" not in sys.modules
"""
    own = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **own},
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_what_needs_no_torch_does_not_import_it():
    light = ("tokenization", "errors", "files", "hub", "cli", "__init__")
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        if part_of(path) in light
        for node in tree(path).body
        if re.match(r"(import|from) torch\b", ast.unparse(node))
    ]
    assert found == []


def test_nothing_runs_what_it_reads():
    found = []
    for path in [*MODULES, *EXAMPLES]:
        for where, name, call in calls(path):
            options = {option.arg: ast.unparse(option.value) for option in call.keywords}
            wrong = (
                name in ("eval", "exec", "compile", "__import__", "os.system", "torch.save")
                or name.endswith(("allow_pickle", "marshal.loads", "joblib.load"))
                or options.get("shell", "False") != "False"
                or options.get("allow_pickle", "False") != "False"
            )
            if name == "torch.load":
                is_gated = options.get("weights_only") == "True"
                wrong = name_of(path) != LOADS_PICKLES or not is_gated
            found += [f"{where} {name}"] * wrong
        found += [
            f"{name_of(path)}:{line} imports {module}"
            for line, module in imported_modules(path)
            if module.split(".")[0] in ("pickle", "dill", "marshal", "shelve", "joblib")
        ]
    assert found == []


def test_text_files_name_their_encoding():
    found = []
    not_text = {"os.open", "archive.open", "Corpus.open"}  # a descriptor, a zip member, a corpus
    for path in [*MODULES, *EXAMPLES]:
        own = {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)}
        own |= {m.rsplit(".", 1)[1] for _, m in imported_modules(path) if "minibert." in m}
        for where, name, call in calls(path):
            method = name.rpartition(".")[2]
            if method not in ("open", "read_text", "write_text") or name in own | not_text:
                continue
            options = {option.arg: option.value for option in call.keywords}
            constants = [
                n for n in [*call.args, options.get("mode")] if isinstance(n, ast.Constant)
            ]
            modes = [n.value for n in constants if isinstance(n.value, str)]
            is_binary = method == "open" and any(re.fullmatch(r"[rwax+]*b[+]?", m) for m in modes)
            encoding = ast.unparse(options["encoding"]) if "encoding" in options else None
            if not is_binary and encoding not in ("'utf-8'", "'utf-8-sig'"):
                found.append(f"{where} {name}")
    assert found == []


def test_randomness_is_passed_in():
    """`random.x` and `np.random.x` draw from a generator that everything shares."""
    passed_in = ("Random", "default_rng", "SeedSequence", "Generator", "PCG64", "Philox")
    found = []
    for path in [*MODULES, *EXAMPLES]:
        shared = {"np.random", "numpy.random"}
        shared |= {"random"} if any(m == "random" for _, m in imported_modules(path)) else set()
        for where, name, _ in calls(path):
            owner, _, method = name.rpartition(".")
            found += [f"{where} {name}"] * (owner in shared and method not in passed_in)
    assert found == []


def test_no_default_argument_is_mutable():
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.Lambda))
        for default in [*node.args.defaults, *node.args.kw_defaults]
        if isinstance(default, (ast.List, ast.Dict, ast.Set))
    ]
    assert found == []


def test_every_public_name_has_a_docstring():
    found = []
    for path in MODULES:
        for name, node in public_definitions(path):
            decorators = [ast.unparse(item) for item in getattr(node, "decorator_list", [])]
            is_repeated = any(item.endswith((".setter", "overload")) for item in decorators)
            if not is_repeated and not ast.get_docstring(node):
                found.append(f"{name_of(path)}: {name}")
    assert found == []


def test_every_file_says_in_one_line_what_it_does():
    """The first line of each docstring is the file's entry in docs/map.md."""
    found = {}
    for path in [*MODULES, *EXAMPLES]:
        first, _, rest = (ast.get_docstring(tree(path)) or "").partition("\n")
        if not first.endswith((".", ":")) or len(first) > 92 or (rest and rest[0] != "\n"):
            found[name_of(path)] = first
    assert found == {}


def test_nothing_is_left_to_do():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    paths = [*MODULES, *EXAMPLES]
    assert [name_of(p) for p in paths if marks.search(p.read_text(encoding="utf-8"))] == []
