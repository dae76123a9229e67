"""The log of a run: one JSON object a line, which pictures and people read.

{"kind": "train", "step": 40, "epoch": 0.53, "loss": 0.61, "learning_rate": 1e-4, ...}
{"kind": "evaluation", "step": 75, "epoch": 1.0, "split": "dev", "accuracy": 0.72, ...}
"""

import json
from pathlib import Path
from typing import Any

from minibert.files import make_folder, write_whole


class Log:
    """Lines in a file, which can be cut back to where a checkpoint was made."""

    def __init__(self, path: Path, *, lines: int) -> None:
        """Keep the first `lines` lines of what is there: later ones will be written again."""
        self.path = path
        kept = []
        if lines and path.exists():
            kept = path.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]
        self.lines = len(kept)  # fewer, if the file was lost
        make_folder(path.parent)
        write_whole(path, "".join(kept))

    def write(self, kind: str, **values: Any) -> None:
        """Append a line; it is in the file when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **values}) + "\n")
        self.lines += 1
