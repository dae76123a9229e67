"""Worker processes end with the process that started them, however it ends."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from minibert.tokenization.tokenizer import BertTokenizer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups")

# Each process that calls the segmenter leaves a file named by its process id. A worker waits until
# the other one has done so, or both texts might go to one worker. The slow text takes its time.
SEGMENTER = """
import os, time
from pathlib import Path

def words(text):
    Path("seen", str(os.getpid())).touch()
    while text.startswith(("quick", "slow")) and len(list(Path("seen").iterdir())) < 3:
        time.sleep(0.01)
    time.sleep(float(os.environ["SECONDS"]) if text.startswith("slow") else 0)
    return text.split()
"""

# A process that a shell starts in the background ignores Ctrl-C, and so would its children.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from minibert.cli.main import main
main()
"""


@pytest.fixture
def prepare(tmp_path: Path):
    """Start `minibert prepare` with two workers, and return when both are working."""
    started = []
    pieces = "[PAD] [UNK] [CLS] [SEP] [MASK] quick slow".split()
    tokenizer = BertTokenizer({piece: index for index, piece in enumerate(pieces)})
    tokenizer.save_pretrained(tmp_path / "vocabulary")
    (tmp_path / "seen").mkdir()
    (tmp_path / "segmenter.py").write_text(SEGMENTER, encoding="utf-8")
    text = "\n\n".join(f"{word} " * 100_000 for word in ("quick", "slow"))  # two shards
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    line = "prepare text.txt --vocab vocabulary --output corpus --workers 2"

    search_path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def start(seconds: float) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *line.split(), "--segmenter", "segmenter:words"],
            env={**os.environ, "PYTHONPATH": search_path, "SECONDS": str(seconds)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        while len(list((tmp_path / "seen").iterdir())) < 3 and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.5)  # until the quick worker has finished
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_no_worker_outlives_a_killed_parent(prepare):
    process = prepare(seconds=60)
    process.kill()
    # The pipes stay open as long as a process that has them is alive.
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL


def test_only_the_parent_answers_ctrl_c(prepare):
    process = prepare(seconds=4)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (130, "stopped.\n")
