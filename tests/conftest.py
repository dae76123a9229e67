"""What every test can use: reference files that lie beside the project, a cache, one thread."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from browser import Browser

SHARED = Path(os.environ.get("MINIBERT_SHARED", Path(__file__).parents[2] / "shared"))

# How many random mutations of a checkpoint each test tries.
MUTATIONS = int(os.environ.get("MINIBERT_MUTATIONS", "2000"))

# The models of the tests are so small that a second thread only waits for the first.
torch.set_num_threads(1)


def shared(name: str) -> Path:
    """A reference file by its path under `shared/`; where it is absent the test is skipped."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {name} in a folder named by MINIBERT_SHARED (or beside the project)")
    return path


def dead_pid() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture(scope="session", autouse=True)
def surroundings(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Set what holds for all tests.

    The user's own cache is neither read nor written; pytest's keeps the texts of the installed
    libraries, which take seconds to find. Nothing is downloaded. No file is flushed to the disk:
    that is slow, and shows only in a power cut.
    """
    kept = pytestconfig.cache  # None with `-p no:cacheprovider`
    cache = tmp_path_factory.mktemp("cache") if kept is None else kept.mkdir("user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setenv("HF_HUB_OFFLINE", "1")
        # Processes that a test starts have one thread, too, or they would round in another order.
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def signals_as_pytest_wants_them() -> Iterator[None]:
    """Undo what a command does to signals when it runs in this process."""
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium that all tests of pages share."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()
