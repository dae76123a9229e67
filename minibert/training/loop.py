"""THE training loop, for fine-tuning and for pretraining: read it from `train` down.

    for each epoch
        for each window of batches          one window = one update = one big batch
            add up the gradients            under autocast, each loss divided by the window's count
            clip, step, log, sometimes save
        evaluate, keep the best, save

There are no callbacks and no trainer class. The update itself is in `step.py`. What can be resumed,
can be so exactly: the order of the data is a function of (seed, epoch), dropout one of (seed, step,
batch in the window), and both are only integers.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch

from minibert.checkpoints.folder import read_safetensors, write_safetensors
from minibert.data.batches import Batch
from minibert.errors import Interrupted, MiniBertError
from minibert.files import only_one
from minibert.model.pretrained import PretrainedModel
from minibert.training.interrupts import stop_requests
from minibert.training.log import Log
from minibert.training.optimizer import (
    decay_groups,
    make_optimizer,
    set_learning_rate,
    warmup_then_linear,
)
from minibert.training.progress import Clock, Progress
from minibert.training.settings import TrainingSettings, choose_precision
from minibert.training.state import Position, load_newest, save_state
from minibert.training.step import Run, update

SKIPS_UNTIL_STOP = 20  # float16 updates in a row without finite gradients: no scale will help


class Batches(Protocol):
    """Where batches come from: anything that can give an epoch's batches from the n-th on."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, always the same ones, from batch `start` on."""


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended. The model holds the weights of the best evaluation."""

    steps: int
    best_step: int | None
    best_score: float | None
    seconds: float  # of this process, without what was done before a resume


def train(
    model: PretrainedModel,
    batches: Batches,
    settings: TrainingSettings,
    *,
    folder: Path,
    device: torch.device,
    evaluate: Callable[[], Mapping[str, Any]] | None = None,
    score: str = "accuracy",
    identity: Mapping[str, Any] | None = None,
    resume: bool = False,
    how_to_resume: str = "train again with resume=True",
) -> TrainingResult:
    """Train a model, and leave it with its best weights.

    Args:
        model: any model whose outputs have `loss_terms`.
        batches: the training data.
        settings: how to train.
        folder: for checkpoints, the log (`log.jsonl`) and the best weights.
        device: where to compute.
        evaluate: called after each epoch, with the model in evaluation mode; gives scores by name.
        score: the name of the score that decides what is best; higher is better.
        identity: what else must be the same for a run to be resumed, such as the data's checksum.
        resume: go on from the newest checkpoint in `folder`, if there is one.
        how_to_resume: what an interrupted run tells the user to do.

    Raises:
        MiniBertError: the loss is no number any more; or the run cannot be resumed as asked.
        Interrupted: a signal came; the run is saved and can be resumed.
    """
    started = time.monotonic()
    model.to(device)
    groups = decay_groups(model, weight_decay=settings.weight_decay)
    optimizer = make_optimizer(
        groups, learning_rate=settings.learning_rate, kind=settings.optimizer
    )
    precision = choose_precision(settings.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    run = Run(model, optimizer, scaler, settings, device, precision)
    updates_an_epoch = math.ceil(len(batches) / settings.accumulation)
    total = settings.epochs * updates_an_epoch
    warmup = max(1, round(settings.warmup * total))
    started_with = _identity(settings, precision, model, identity or {})

    with only_one(folder), stop_requests() as stop:
        position = _start(folder, run, started_with, resume=resume)
        log = Log(folder / "log.jsonl", lines=position.log_lines)

        def save() -> None:
            position.log_lines = log.lines
            position.loss_scale = scaler.state_dict()
            save_state(folder, model, optimizer, position, started_with)
            _keep_only_best(folder, position)

        def log_progress() -> None:
            log.write(
                "train",
                step=position.step,
                epoch=position.epoch + position.batch / len(batches),
                loss=position.loss_sum / position.loss_count,
                learning_rate=settings.learning_rate * position.rate,
                gradient_norm=position.gradient_norm,
                tokens_per_second=round(clock.rate()),
                padding=round(clock.padding(), 4),
            )
            position.loss_sum, position.loss_count = 0.0, 0

        def judge(epochs: float) -> None:
            if evaluate is None:
                return
            model.eval()
            try:
                with stop.at_once(), clock.stopped():
                    scores = evaluate()
            except KeyboardInterrupt:
                save_and_stop()
            model.train()
            log.write(
                "evaluation",
                step=position.step,
                epoch=epochs,
                tokens=position.tokens,
                split="dev",
                **scores,
            )
            print(f"{title}: dev {_in_words(scores)}", flush=True)
            _keep_if_best(folder, model, position, scores, score)

        def save_and_stop() -> NoReturn:
            save()
            done = f"stopped after step {position.step} of {total}, which is saved"
            raise Interrupted(stop.signal or 0, f"{done}; to go on: {how_to_resume}")

        for epoch in range(position.epoch, settings.epochs):
            model.train()
            title = f"epoch {epoch + 1}/{settings.epochs}"
            done = math.ceil(position.batch / settings.accumulation)
            clock = Clock()
            with Progress(title, total=updates_an_epoch, done=done) as progress:
                for window in _windows(batches.epoch(epoch, start=position.batch), settings):
                    if _is_due(position.step, settings.evaluate_every, position.judged_step):
                        judge(epoch + position.batch / len(batches))
                    number = position.step - position.skipped + 1
                    position.rate = warmup_then_linear(number, total=total, warmup=warmup)
                    set_learning_rate(optimizer, position.rate)
                    result = update(run, window, position.step, stop)
                    if result is None:
                        save_and_stop()
                    loss, position.gradient_norm = result
                    _check_gradients(position, precision)
                    position.step += 1
                    position.batch += len(window)
                    position.loss_sum += loss
                    position.loss_count += 1
                    position.tokens += clock.count(window)
                    progress.step(f"loss {loss:.3f}  {clock.rate():,.0f} tokens/s")
                    if position.step % settings.log_every == 0:
                        log_progress()
                    if stop.signal is not None:
                        save_and_stop()
                    if position.step % settings.save_every == 0:
                        save()
            if position.loss_count:
                log_progress()
            judge(epoch + 1)
            position.epoch, position.batch = epoch + 1, 0
            save()
        if position.best_step is not None:
            model.load_state_dict(read_safetensors(folder / _best_name(position.best_step)))
    model.eval()
    seconds = time.monotonic() - started
    return TrainingResult(position.step, position.best_step, position.best_score, seconds)


def _identity(
    settings: TrainingSettings,
    precision: torch.dtype,
    model: PretrainedModel,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """What must be the same for a run to be resumed: all but how often it logs and saves."""
    chosen = asdict(settings) | {"precision": str(precision)}
    del chosen["log_every"], chosen["save_every"]
    return chosen | {"model": model.config.to_dict()} | dict(more)


def _keep_if_best(
    folder: Path, model: PretrainedModel, position: Position, scores: Mapping[str, Any], name: str
) -> None:
    if name not in scores:
        raise MiniBertError(f"there is no score {name!r} to choose by, only {', '.join(scores)}.")
    position.judged_step = position.step
    best = -math.inf if position.best_score is None else position.best_score
    if scores[name] > best:  # which a NaN never is
        write_safetensors(folder / _best_name(position.step), model.state_dict())
        position.best_score, position.best_step = scores[name], position.step


def _best_name(step: int) -> str:
    return f"best-{step:08d}.safetensors"


def _keep_only_best(folder: Path, position: Position) -> None:
    # Only now that a checkpoint names the new best may the one before it go.
    for path in folder.glob("best-*.safetensors"):
        if position.best_step is None or path.name != _best_name(position.best_step):
            path.unlink()


def _start(folder: Path, run: Run, started_with: Mapping[str, Any], *, resume: bool) -> Position:
    """Where to begin: at the beginning, or at the newest checkpoint."""
    for left_over in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
        shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
    if not resume:
        if any(folder.glob("step-*")):
            raise MiniBertError(
                f"{folder} holds the checkpoints of a run; go on with it (--resume), or choose "
                "another output folder."
            )
        return Position()
    found = load_newest(folder, run.model, run.optimizer, started_with)
    if found is None:
        print(f"nothing to resume in {folder}; starting from the beginning.")
        return Position()
    position, passed_over = found
    for sentence in passed_over:
        print(sentence)
    if position.loss_scale:
        run.scaler.load_state_dict(position.loss_scale)
    print(f"resumed after step {position.step}.")
    return position


def _windows(batches: Iterator[Batch], settings: TrainingSettings) -> Iterator[list[Batch]]:
    """`accumulation` batches at a time; the last window of an epoch may be smaller."""
    while window := list(islice(batches, settings.accumulation)):
        yield window


def _check_gradients(position: Position, precision: torch.dtype) -> None:
    """Stop where gradients are no numbers; in float16 it happens now and then and is left out."""
    if math.isfinite(position.gradient_norm):
        position.skipped_in_a_row = 0
        return
    position.skipped += 1
    position.skipped_in_a_row += 1
    if precision != torch.float16 or position.skipped_in_a_row >= SKIPS_UNTIL_STOP:
        raise MiniBertError(
            f"the gradients of step {position.step + 1} are not finite, so training has failed; "
            "the last good checkpoint is kept. Try a lower learning rate."
        )


def _is_due(step: int, every: int | None, last: int | None) -> bool:
    return every is not None and step % every == 0 and step != last


def _in_words(scores: Mapping[str, Any]) -> str:
    return "  ".join(
        f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float)
    )
