"""What you can rely on: a wheel holds all that minibert needs outside of a clone.

The wheel's files are laid out in an empty folder as an installation would lay them out. Building
and installing a real one is left to the continuous integration.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minibert
from minibert.cli.finetune import SCRIPTS
from minibert.files import bundled

wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the wheel."""
    site = tmp_path_factory.mktemp("site")
    for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files():
        target = site / file.distribution_path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)
    return site


def python(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the installed minibert, outside of the clone."""
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )


def files_below(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix() for path in files}


def test_the_wheel_holds_the_package_the_scripts_and_the_weights(installed: Path):
    expected = files_below(ROOT / "minibert")
    expected |= {f"examples/{script}" for script in SCRIPTS.values()}
    expected |= {f"weights/{name}" for name in files_below(ROOT / "weights")}
    assert files_below(installed / "minibert") == expected


def test_the_wheel_has_the_version_of_the_code():
    assert wheel.WheelBuilder(str(ROOT)).metadata.version == minibert.__version__


def test_the_script_and_the_weights_are_found_in_a_clone_and_in_a_wheel(installed: Path):
    code = "from minibert.hub import local_folder as f; print(f('weights/tiny', files=()))"
    assert bundled("weights/tiny") == ROOT / "weights/tiny"
    assert Path(python(installed, "-c", code).stdout.strip()) == installed / "minibert/weights/tiny"


def test_the_command_trains_from_the_weights_of_the_wheel(installed: Path):
    lines = ["text\tlabel", *("a good film\tgood", "a bad film\tbad") * 20]
    (installed.parent / "train.tsv").write_text("\n".join(lines), encoding="utf-8")
    command = ("-m", "minibert", "finetune", "--train", "train.tsv", "--epochs", "1")
    done = python(installed, *command)
    assert (done.returncode, done.stderr) == (0, "")
    assert "initial weights: weights/tiny, " in done.stdout
    assert (installed.parent / "runs/finetune_cls/model.safetensors").exists()
