"""What every test can use: reference files that lie beside the project, and a steady number of threads."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("MINIBERT_SHARED", Path(__file__).parents[2] / "shared"))


def shared(name: str) -> Path:
    """A reference file by its path under `shared/`; the test is skipped, with the reason, where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {name} in a folder named by MINIBERT_SHARED (or beside the project)")
    return path
