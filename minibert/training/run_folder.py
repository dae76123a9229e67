"""The folder of a run: its log, its checkpoints, its best weights; and its progress.

    FOLDER/log.jsonl                    one JSON object per line, for plots and people:
        {"kind": "train", "step": 40, "epoch": 0.53, "loss": 0.61, "learning_rate": 1e-4, ...}
        {"kind": "evaluation", "step": 75, "epoch": 1.0, "split": "dev", "accuracy": 0.72, ...}
    FOLDER/step-00000200-epoch-1/       see `checkpoint.py`
    FOLDER/best-00000150.safetensors    weights

Only the main process writes files. The other processes keep an equal `TrainState`.
"""

import json
import math
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from minibert.checkpoints.folder import read_safetensors, write_safetensors
from minibert.errors import Interrupted, MiniBertError, is_out_of_memory
from minibert.files import exclusive_lock, explain_os_errors, size_and_checksum, write_atomic
from minibert.model.pretrained import PretrainedModel
from minibert.training.checkpoint import (
    TrainState,
    best_weights,
    broadcast_checkpoint,
    check_best_weights,
    load_checkpoint,
    save_checkpoint,
)
from minibert.training.distributed import Processes, ProcessLost
from minibert.training.gradient_accumulation import GlobalBatch, check_divisible
from minibert.training.interrupts import Stop, stop_requests
from minibert.training.settings import TrainingSettings

LOG = "log.jsonl"
ADDED_SETTINGS = ("schedule", "layer_decay", "head_rate_factor", "early_stopping")
SECONDS_BETWEEN_LINES = 10  # of progress, where there is no terminal


def weights_checksum(model: PretrainedModel) -> str:
    """Return the CRC-32 of all weights."""
    checksum = 0
    for tensor in model.state_dict().values():
        values = tensor.detach().cpu().contiguous().flatten()
        checksum = zlib.crc32(values.view(torch.uint8).numpy(), checksum)
    return f"{checksum:08x}"


def run_fingerprint(
    model: PretrainedModel,
    settings: TrainingSettings,
    precision: torch.dtype,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what must be the same for a run to be resumed, as the fields of a flat JSON object."""
    chosen = asdict(settings) | {"precision": str(precision)}
    del chosen["logging_steps"], chosen["save_steps"]  # these change no weight
    for name in ADDED_SETTINGS:  # without them, the runs of earlier versions can be resumed
        if chosen[name] == getattr(TrainingSettings, name):
            del chosen[name]
    start = {"model": model.config.to_dict(), "initial weights": weights_checksum(model)}
    return dict(_flatten(json.loads(json.dumps(chosen | start | dict(data)))))


class Progress:
    """Count the updates of an epoch and show them on standard error: a bar, or lines in a file."""

    def __init__(self, title: str, *, total: int, done: int = 0, shown: bool = True) -> None:
        self.title, self.total, self.done = title, total, done
        self.started = self.last_line = time.monotonic()
        self.tokens = 0
        self.bar: tqdm | None = None
        if shown and sys.stderr.isatty():
            self.bar = tqdm(total=total, initial=done, desc=title, dynamic_ncols=True)
        self.prints_lines = shown and self.bar is None

    def update(self, loss: float, *, tokens: int, padding: float) -> None:
        """Add an update: its loss, its tokens, and the share of padding in the epoch so far."""
        self.done += 1
        self.tokens += tokens
        note = f"loss {loss:.3f}  {self.tokens_per_second:,.0f} tokens/s, {padding:.0%} padding"
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update()
        elif self.prints_lines and time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            print(f"{self.title}: {self.done}/{self.total}  {note}", file=sys.stderr, flush=True)
            self.last_line = time.monotonic()

    @property
    def tokens_per_second(self) -> float:
        """Tokens without padding per second since the epoch or the resume began."""
        return self.tokens / max(time.monotonic() - self.started, 1e-9)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time spent in the block out of the throughput."""
        paused_at = time.monotonic()
        yield
        self.started += time.monotonic() - paused_at

    def close(self) -> None:
        """Leave the bar as it is, so that other output starts on a new line."""
        if self.bar is not None:
            self.bar.close()


@dataclass
class RunFolder:
    """A training run and the folder that it writes to. Call its methods inside `opened`."""

    folder: Path
    model: PretrainedModel
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    settings: TrainingSettings
    fingerprint: Mapping[str, Any]
    compute_metrics: Callable[[], Mapping[str, Any]] | None
    metric_for_best_model: str | None
    processes: Processes

    @contextmanager
    def opened(self, *, resume: bool, how_to_resume: str) -> Iterator[TrainState]:
        """Lock the folder, resume from its newest checkpoint, and save if a signal ends the block.

        Raises:
            MiniBertError: the processes differ, the folder is in use or holds another run, or
                another process is lost.
            Interrupted: a signal ended the block, and the run is saved.
        """
        same = {name: v for name, v in self.fingerprint.items() if name != "initial weights"}
        self.processes.check_same({**same, "evaluation": self.compute_metrics is not None})
        self.processes.on_main(lambda: check_divisible(self.settings, self.processes))
        with ExitStack() as held, stop_requests() as self.stop:
            self.processes.on_main(lambda: held.enter_context(exclusive_lock(self.folder)))
            self.state = self.processes.on_main(
                lambda: load_checkpoint(
                    self.folder, self.model, self.optimizer, self.fingerprint, resume=resume
                )
            )
            broadcast_checkpoint(self.processes, self.model, self.optimizer)
            if self.state.loss_scale:
                self.scaler.load_state_dict(self.state.loss_scale)
            self._truncate_log()
            self.started = time.monotonic() - self.state.seconds
            self.progress = Progress("", total=0, shown=False)
            try:
                yield self.state
            except Stop:
                self.processes.on_main(self.save)  # the other processes wait for it
                where = f"{self.state.epochs_done:.2f} of {self.settings.epochs} epochs"
                raise Interrupted(
                    self.stop.signal or 0,
                    f"stopped after step {self.state.step} ({where}); the run is saved. To resume: "
                    f"{how_to_resume}",
                ) from None
            except ProcessLost as lost:
                raise ProcessLost(
                    f"after step {self.state.step}: {lost} The checkpoints are intact. To resume: "
                    f"{how_to_resume}"
                ) from lost
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise MiniBertError(self._how_to_need_less_memory()) from error
            finally:
                self.progress.close()

    def _how_to_need_less_memory(self) -> str:
        size, steps = self.fingerprint.get("batch_size"), self.settings.gradient_accumulation_steps
        message = f"there is not enough memory for step {self.state.step + 1}. "
        if size is None:
            message += f"Try half the batch, and gradient_accumulation_steps={2 * steps}: this"
        elif size > 1:
            message += (
                f"Try --batch-size {size // 2} --gradient-accumulation-steps {2 * steps} "
                f"(now {size} and {steps}) and another --output: this"
            )
        else:
            return f"{message}Use a smaller model or shorter texts (--max-length)."
        return f"{message} gives the same result. Or use shorter texts or a smaller model."

    def start_epoch(self, batches: int) -> Progress:
        """Begin or resume an epoch, and return its progress, which counts updates."""
        self.batches = batches
        self.progress = Progress(
            f"epoch {self.state.epoch + 1}/{self.settings.epochs}",
            total=math.ceil(batches / self.settings.gradient_accumulation_steps),
            done=math.ceil(self.state.batch / self.settings.gradient_accumulation_steps),
            shown=self.processes.is_main,
        )
        return self.progress

    def end_step(
        self, batch: GlobalBatch, loss: float, gradient_norm: float, lr_factor: float
    ) -> None:
        """Count an update; log and save when it is time."""
        state = self.state
        state.gradient_norm = gradient_norm
        state.learning_rate = self.settings.learning_rate * lr_factor
        state.step += 1
        state.batch += batch.size
        state.epochs_done = state.epoch + state.batch / self.batches
        state.tokens += batch.tokens
        state.epoch_tokens += batch.tokens
        state.epoch_positions += batch.positions
        state.loss_sum += loss
        state.loss_count += 1
        self.progress.update(loss, tokens=batch.tokens, padding=state.padding)
        if state.step % self.settings.logging_steps == 0:
            self._log_loss()
        if state.step % self.settings.save_steps == 0:
            self.save()

    def end_epoch(self) -> None:
        """Log the remaining losses, evaluate, and save."""
        self._log_loss()
        self.progress.close()
        self.evaluate()
        self.state.epoch, self.state.batch = self.state.epoch + 1, 0
        self.state.epoch_tokens = self.state.epoch_positions = 0
        self.save()

    def stops_early(self) -> bool:
        """Return whether `early_stopping` ends the run before its next epoch, and say so."""
        patience, waited = self.settings.early_stopping, self.state.evaluations_since_best
        if patience is None or waited < patience:
            return False
        if self.processes.is_main:
            print(f"stopped early: no better dev score in the last {waited} evaluations.")
        return True

    def evaluate_if_due(self) -> None:
        """Evaluate if `eval_steps` says so, once for each step even after a resume."""
        step, every = self.state.step, self.settings.eval_steps
        if every and step % every == 0 and step != self.state.evaluated_step:
            self.evaluate()

    def evaluate(self) -> None:
        """Compute metrics in the main process and log them; keep the weights if they are the best.

        Raises:
            Stop: a signal ended the evaluation, which is repeated after a resume.
        """
        if self.compute_metrics is None:
            return
        state, metric = self.state, self.metric_for_best_model
        metrics = self.processes.on_main(self._metrics)
        self.stop.sum_or_stop(self.processes)
        shown = (f"{name} {x:.4f}" for name, x in metrics.items() if isinstance(x, float))
        epochs = f"{round(state.epochs_done, 2):g}/{self.settings.epochs}"
        print(f"epoch {epochs}: dev {'  '.join(shown)}", flush=True)
        self._log("evaluation", tokens=state.tokens, split="dev", **metrics)
        state.evaluated_step = state.step
        if metric is None:
            return
        if metric not in metrics:
            raise MiniBertError(
                f"metric_for_best_model is {metric!r}, but the metrics are {', '.join(metrics)}."
            )
        state.evaluations_since_best += 1
        if metrics[metric] > (-math.inf if state.best_score is None else state.best_score):
            state.best_score, state.best_step = metrics[metric], state.step
            state.evaluations_since_best = 0
            if self.processes.is_main:
                path = best_weights(self.folder, state)
                write_safetensors(path, self.model.state_dict())
                state.best_file = size_and_checksum(path)

    def load_best(self) -> None:
        """Load the weights of the best evaluation into the model, in all processes."""
        if self.state.best_step is not None:
            if self.processes.is_main:
                check_best_weights(self.folder, self.state)
            if self.processes.is_main and self.state.best_step is not None:
                best = read_safetensors(best_weights(self.folder, self.state))
                self.model.load_state_dict(best)
            self.processes.broadcast_(self.model.state_dict().values())

    def save(self) -> None:
        """Write a checkpoint."""
        self.state.seconds = time.monotonic() - self.started
        if self.processes.is_main:
            self.state.loss_scale = self.scaler.state_dict()
            save_checkpoint(self.folder, self.model, self.optimizer, self.state, self.fingerprint)

    def _metrics(self) -> Mapping[str, Any]:
        metrics: Mapping[str, Any] = {}  # if a signal ends the block
        self.model.eval()
        with self.stop.at_once(), self.progress.paused():
            metrics = self.compute_metrics() if self.compute_metrics else {}
        self.model.train()
        return metrics

    def _log_loss(self) -> None:
        """Log the mean loss since the last such line."""
        state = self.state
        if state.loss_count:
            self._log(
                "train",
                loss=state.loss_sum / state.loss_count,
                learning_rate=state.learning_rate,
                gradient_norm=state.gradient_norm,
                tokens_per_second=round(self.progress.tokens_per_second),
                padding=round(state.padding, 4),
            )
            state.loss_sum, state.loss_count = 0.0, 0

    def _log(self, kind: str, **values: Any) -> None:
        if self.processes.is_main:
            line = {"kind": kind, "step": self.state.step, "epoch": self.state.epochs_done}
            log = self.folder / LOG
            with explain_os_errors("write", log), log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line | values) + "\n")
            self.state.log_lines += 1

    def _truncate_log(self) -> None:
        """Keep the lines that belong to the checkpoint; later ones will be written again."""
        if self.processes.is_main:
            log = self.folder / LOG
            lines = []
            with (
                explain_os_errors("read", log),
                suppress(FileNotFoundError),
                log.open("rb") as file,
            ):
                lines = file.readlines()
            kept = b"".join(lines[: self.state.log_lines])
            # The last line of a damaged log may have no end.
            write_atomic(log, kept + (b"\n" if kept and not kept.endswith(b"\n") else b""))
            self.state.log_lines = min(self.state.log_lines, len(lines))


def _flatten(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the innermost fields: {"model": {"layers": 2}} gives ("model layers", 2)."""
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name} ")
        else:
            yield prefix + name, value
