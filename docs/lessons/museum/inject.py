"""Make a copy of minibert with one bug of the museum in it, and show the symptom.

    python docs/lessons/museum/inject.py 7 --output broken

The folder then holds the package, the tests and the weights, so that the tests can look for the
bug. `bugs.toml` says what was changed: that is the answer.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

MUSEUM = Path(__file__).resolve().parent
ROOT = MUSEUM.parents[2]
COPIED = ("minibert", "tests", "weights", "pyproject.toml", "docs/lessons/museum/symptoms.py")


def read_bugs() -> list[dict[str, Any]]:
    """Return the bugs, in the order of their numbers."""
    return tomllib.loads((MUSEUM / "bugs.toml").read_text(encoding="utf-8"))["bug"]


def make_copy(folder: Path) -> None:
    """Copy what is needed to run the tests and the symptoms to a new folder."""
    for name in COPIED:
        source, target = ROOT / name, folder / Path(name).name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)


def inject(bug: dict[str, Any], folder: Path) -> None:
    """Put a bug into a copy."""
    path = folder / bug["file"]
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(bug["find"], bug["replace"]), encoding="utf-8")


def main() -> None:
    """Make the copy, and run its symptom there and in the sound package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", type=int, choices=range(1, 16), help="of the bug, 1 to 15")
    parser.add_argument("--output", type=Path, required=True, help="a new folder for the copy")
    arguments = parser.parse_args()
    folder = arguments.output
    if folder.exists():
        parser.exit(2, f"{folder} exists already; choose a new folder, or remove it.\n")
    folder.mkdir(parents=True)
    make_copy(folder)
    inject(read_bugs()[arguments.number - 1], folder)
    for name, place, root in (("sound ", MUSEUM, ROOT), ("broken", folder, folder)):
        run = [sys.executable, place / "symptoms.py", str(arguments.number)]
        environment = {**os.environ, "PYTHONPATH": str(root.resolve())}
        printed = subprocess.run(run, env=environment, check=True, capture_output=True, text=True)
        print(name, printed.stdout, end="", flush=True)
    print(f"The page of the museum says which tests to run in {folder}.")


if __name__ == "__main__":
    main()
