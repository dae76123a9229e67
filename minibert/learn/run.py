"""Run the check of an exercise on a student's file, which may do anything: fail, or never end.

Each exercise is a module of this folder, in the same form:

- `FUNCTIONS`: the functions or classes that the stub defines;
- `LESSON`: the lesson to read;
- `SOLUTION`: where the package solves it;
- `HINTS`: three of increasing strength;
- `check(student)`: raises `Wrong`, with a sentence that says what is wrong.
"""

import copy
import ctypes
import inspect
import linecache
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import Tensor

from minibert.learn.compare import Text, Wrong

EXERCISES = (  # in the order of the lessons
    *("normalize", "wordpiece", "embeddings", "attention", "layer", "mlm_head"),
    *("masking", "nsp_pairs", "adamw", "classifier", "crf", "spans"),
)
TIME_LIMIT = 10.0  # seconds of the processor for a check; right solutions need one
PATIENCE = 12  # times as many seconds by the clock, for one that waits


@dataclass(frozen=True)
class Result:
    """What the check of an exercise has found; `message` is None if the solution is right."""

    exercise: str
    message: Text | None
    seconds: float


def load(name: str) -> ModuleType:
    """Return the module of an exercise."""
    return import_module(f"minibert.learn.{name}")


def check_file(name: str, path: Path) -> Result:
    """Run the check of the exercise on a file. This runs the file, whatever it does."""
    path, exercise = path.resolve(), load(name)
    started = time.monotonic()

    def work() -> None:
        with _importing_from(path.parent):
            exercise.check(Student(_import(path), exercise.FUNCTIONS, path.name))

    message = None
    try:
        if not path.is_file():
            raise Wrong("there is no such file.", "没有这个文件。")
        _run_limited(work, path)
    except Wrong as wrong:
        message = wrong.text
    return Result(name, message, round(time.monotonic() - started, 2))


class Student:
    """The functions of a solution; each call checks that it leaves its arguments as they were."""

    def __init__(self, module: Any, names: tuple[str, ...], file: str) -> None:
        for name in names:
            function = getattr(module, name, None)
            if not callable(function):
                raise Wrong(
                    f"{file} does not define `{name}`; keep the names of the stub.",
                    f"{file} 里没有定义 `{name}`；请保留题目里的名字。",
                )
            setattr(self, name, function if inspect.isclass(function) else _watched(function))


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any) -> Any:
        data = [a for a in arguments if isinstance(a, Tensor | list | dict)]
        before = copy.deepcopy(data)
        result = function(*arguments)
        if result is None:
            raise Wrong(
                "it returns nothing: is a `return` missing?", "没有返回值：是不是忘了 `return`？"
            )
        for old, new in zip(before, data, strict=True):
            if not _unchanged(old, new):
                raise Wrong(
                    f"`{function.__name__}` changes its input; compute on a copy (x = x + y, not "
                    "x += y; masked_fill, not masked_fill_).",
                    f"`{function.__name__}` 改动了它的输入；请在副本上计算"
                    "（写 x = x + y，不写 x += y；用 masked_fill，不用 masked_fill_）。",
                )
        return result

    return call


def _unchanged(old: Any, new: Any) -> bool:
    if isinstance(old, Tensor):
        return torch.equal(old, new)
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_unchanged(old[k], new[k]) for k in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_unchanged, old, new))
    return bool(old == new)


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let a solution import files beside it; forget them afterwards, and leave no bytecode."""
    known, written = set(sys.modules), sys.dont_write_bytecode
    sys.path.append(str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = written
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == folder:
                del sys.modules[name]
        torch.set_default_dtype(torch.float32)


def _import(path: Path) -> ModuleType:
    linecache.checkcache(str(path))
    spec = spec_from_file_location(f"solution_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run_limited(work: Callable[[], None], path: Path) -> None:
    """Run a function in a thread, and turn whatever ends it into `Wrong`.

    A thread can be left behind. If its loop is Python code, an exception ends it.
    """
    errors: list[BaseException] = []

    def target() -> None:
        try:
            work()
        except BaseException as error:  # also a SystemExit of the student
            errors.append(error)

    thread = threading.Thread(target=target, daemon=True)
    used, started = time.process_time(), time.monotonic()
    thread.start()
    while (
        thread.is_alive()
        and time.process_time() - used < TIME_LIMIT
        and time.monotonic() - started < PATIENCE * TIME_LIMIT
    ):
        thread.join(0.05)
    if thread.is_alive() and thread.ident is not None:
        frame = sys._current_frames().get(thread.ident)
        line = _last_line(traceback.walk_stack(frame), path)
        thread_id = ctypes.c_ulong(thread.ident)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread_id, ctypes.py_object(SystemExit))
        thread.join(1)
        raise Wrong(
            f"it still runs after {TIME_LIMIT:.0f} seconds, {line.en}. Does a loop never end?",
            f"运行了 {TIME_LIMIT:.0f} 秒还没有结束，{line.zh}。是不是有循环停不下来？",
        )
    if errors:
        raise errors[0] if isinstance(errors[0], Wrong) else _explain(errors[0], path)


def _explain(error: BaseException, path: Path) -> Wrong:
    """Return what an exception of the student's code means, with its line."""
    line = _last_line(reversed([*traceback.walk_tb(error.__traceback__)]), path)
    kind = type(error).__name__
    if isinstance(error, NotImplementedError) and line.en:
        name = traceback.extract_tb(error.__traceback__)[-1].name
        return Wrong(f"`{name}` is not filled in yet.", f"`{name}` 还没有填写。")
    if isinstance(error, SyntaxError | UnicodeDecodeError):
        number = getattr(error, "lineno", None)
        where = Text(f"line {number}: ", f"第 {number} 行：") if number else Text("", "")
        return Wrong(
            f"Python cannot read the file. {where.en}{error}.",
            f"Python 读不了这个文件。{where.zh}{error}。",
        )
    if line.en:
        return Wrong(f"{kind} {line.en}: {error}", f"{line.zh}出错，{kind}：{error}")
    if isinstance(error, TypeError):
        return Wrong(
            f"it cannot be called as the stub says; keep its parameters. ({error})",
            f"不能像题目里那样调用；请保留原来的参数。（{error}）",
        )
    return Wrong(
        f"the check cannot work with what is returned. ({kind}: {error})",
        f"返回值无法检查。（{kind}: {error}）",
    )


def _last_line(frames: Iterable[tuple[FrameType, int]], path: Path) -> Text:
    """Return the innermost line of the student's file and its tensors, or "" if there is none."""
    for frame, number in frames:
        if frame.f_code.co_filename == str(path):
            source = linecache.getline(str(path), number).strip()
            values = {name: frame.f_locals.get(name) for name in re.findall(r"\w+", source)}
            tensors = {n: tuple(v.shape) for n, v in values.items() if isinstance(v, Tensor)}
            shapes = ", ".join(f"{name} {shape}" for name, shape in tensors.items())
            where = f"{number}, `{source}`" + f" with {shapes}" * bool(shapes)
            zh = f"第 {number} 行 `{source}`" + f"（{shapes}）" * bool(shapes)
            return Text(f"in line {where}", zh)
    return Text("", "")
