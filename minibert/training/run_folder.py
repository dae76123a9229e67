"""The log of a run: one JSON object a line, which pictures and people read.

{"kind": "train", "step": 40, "epoch": 0.53, "loss": 0.61, "learning_rate": 1e-4, ...}
{"kind": "evaluation", "step": 75, "epoch": 1.0, "split": "dev", "accuracy": 0.72, ...}
"""

import json
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minibert.checkpoints.folder import read_safetensors, write_safetensors
from minibert.errors import MiniBertError
from minibert.files import make_folder, write_atomic
from minibert.training.checkpoint import Position, best_steps, load_newest, save_state, share_state
from minibert.training.progress import Clock
from minibert.training.step import Run


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
        write_atomic(path, "".join(kept))

    def write(self, kind: str, **values: Any) -> None:
        """Append a line; it is in the file when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **values}) + "\n")
        self.lines += 1


# What a run leaves in its folder: checkpoints, a log, and the weights of the best evaluation.
#
#     FOLDER/log.jsonl                    see `log.py`
#     FOLDER/step-00000200-epoch-1/       see `state.py`
#     FOLDER/best-00000150.safetensors
#
# Only the first of several processes writes; the others keep count with it.


class Record:
    """Writes down how a run goes.

    Args:
        folder: where to.
        run: what is trained.
        position: where the run is; written with each checkpoint.
        identity: what the run was started with; likewise.
        score: the name of the score that decides what is best; higher is better. None keeps the
            weights of the end.
    """

    def __init__(
        self,
        folder: Path,
        run: Run,
        position: Position,
        identity: Mapping[str, Any],
        score: str | None,
    ) -> None:
        self.folder, self.run, self.position = folder, run, position
        self.identity, self.score = identity, score
        self.started = time.monotonic() - position.seconds
        writes = run.processes.is_first
        self.log = Log(folder / "log.jsonl", lines=position.log_lines) if writes else None

    def seconds(self) -> float:
        """How long the run has taken, with what was done before it was resumed."""
        return time.monotonic() - self.started

    def save(self) -> None:
        """Write a checkpoint."""
        if self.log is None:
            return
        self.position.log_lines = self.log.lines
        self.position.seconds = self.seconds()
        self.position.loss_scale = self.run.scaler.state_dict()
        save_state(self.folder, self.run.model, self.run.optimizer, self.position, self.identity)
        # Only now that the checkpoints name newer ones may the best before them go.
        needed = {self._best_path(step) for step in best_steps(self.folder)}
        for path in self.folder.glob("best-*.safetensors"):
            if path not in needed:
                path.unlink()

    def progress(self, epochs: float, clock: Clock) -> None:
        """Log the mean loss since the last such line, after so many epochs."""
        position = self.position
        if self.log is not None:
            self.log.write(
                "train",
                step=position.step,
                epoch=epochs,
                loss=position.loss_sum / position.loss_count,
                learning_rate=self.run.settings.learning_rate * position.rate,
                gradient_norm=position.gradient_norm,
                tokens_per_second=round(clock.rate()),
                padding=round(clock.padding(), 4),
            )
        position.loss_sum, position.loss_count = 0.0, 0

    def evaluation(self, epochs: float, scores: Mapping[str, Any]) -> None:
        """Log the scores after so many epochs, and keep the weights if they are the best so far."""
        position = self.position
        counts = {"step": position.step, "epoch": epochs, "tokens": position.tokens}
        if self.log is not None:
            self.log.write("evaluation", **counts, split="dev", **scores)
        position.judged_step = position.step
        if self.score is None:
            return
        if self.score not in scores:
            known = ", ".join(scores)
            raise MiniBertError(f"there is no score {self.score!r} to choose by, only {known}.")
        best = -math.inf if position.best_score is None else position.best_score
        if scores[self.score] > best:  # which a NaN never is
            position.best_score, position.best_step = scores[self.score], position.step
            if self.log is not None:
                write_safetensors(self._best_path(position.step), self.run.model.state_dict())

    def put_best(self) -> None:
        """Give the model the weights of the best evaluation, in all processes."""
        if self.position.best_step is None:
            return
        if self.log is not None:
            best = self._best_path(self.position.best_step)
            self.run.model.load_state_dict(read_safetensors(best))
        self.run.processes.share_(self.run.model.state_dict().values())

    def _best_path(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}.safetensors"


def begin(folder: Path, run: Run, identity: Mapping[str, Any], *, resume: bool) -> Position:
    """Where to begin: at the beginning, or at the newest checkpoint; all processes alike.

    Args:
        folder: the run's folder.
        run: receives the weights and averages of the checkpoint.
        identity: what the run is started with.
        resume: go on from the newest checkpoint, if there is one.

    Raises:
        MiniBertError: the folder holds a run that is not to be resumed, or cannot be.
    """
    position = run.processes.once(lambda: _find(folder, run, identity, resume=resume))
    share_state(run.processes, run.model, run.optimizer)
    if position.loss_scale:
        run.scaler.load_state_dict(position.loss_scale)
    return position


def _find(folder: Path, run: Run, identity: Mapping[str, Any], *, resume: bool) -> Position:
    for left_over in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
        shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
    if not resume:
        if any(folder.glob("step-*")):
            raise MiniBertError(
                f"{folder} holds the checkpoints of a run; go on with it (--resume), or choose "
                "another output folder."
            )
        return Position()
    found = load_newest(folder, run.model, run.optimizer, identity)
    if found is None:
        print(f"nothing to resume in {folder}; starting from the beginning.")
        return Position()
    position, passed_over = found
    for sentence in passed_over:
        print(sentence)
    print(f"resumed after step {position.step}.")
    return position
