"""THE training loop, for fine-tuning and for pretraining: read it from `train` down.

    for each epoch
        for each window of batches          one window = one update = one big batch
            add up the gradients            under autocast, each loss divided by the window's count
            clip, step, log, sometimes save
        evaluate, keep the best, save

There are no callbacks and no trainer class. The update itself is in `step.py`, what is written
down in `record.py`. What can be resumed, can be so exactly: the order of the data is a function of
(seed, epoch), dropout one of (seed, step, batch in the window), and both are only integers.

Several processes run this same loop in step: each has its part of every window, and wherever one
might decide something alone (that a signal has come, that the epoch is over), all decide together.
"""

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from minibert.data.labelled.batches import Batch
from minibert.errors import Interrupted, MiniBertError
from minibert.files import exclusive_lock
from minibert.model.pretrained import PretrainedModel
from minibert.training.checkpoint import Position
from minibert.training.distributed import ALONE, Processes, ProcessLost
from minibert.training.gradient_accumulation import check_divisible, made_ahead, windows
from minibert.training.interrupts import Stop, StopRequest, stop_requests
from minibert.training.optimizer import (
    decay_groups,
    make_optimizer,
    set_learning_rate,
    warmup_then_linear,
)
from minibert.training.progress import Clock, Progress
from minibert.training.run_folder import Record, begin
from minibert.training.settings import TrainingSettings, choose_precision, keep_large_buffers
from minibert.training.step import Run, update

SKIPS_UNTIL_STOP = 20  # float16 updates in a row without finite gradients: no scale will help


class Batches(Protocol):
    """Where batches come from: anything that can give an epoch's batches from the n-th on.

    For a GPU they are made in a thread of their own, while the model computes (`ahead.py`). So what
    is random in them must come from a generator of their own, or a run could not be repeated.
    """

    def length(self, epoch: int) -> int:
        """How many batches an epoch has; epochs may differ a little."""

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[Batch]:
        """Batches start, start + step, ... of an epoch, which always has the same ones."""


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended. The model holds the weights of the best evaluation, if there is a score."""

    steps: int
    tokens: int  # learned from, each as often as it was seen
    best_step: int | None
    best_score: float | None
    seconds: float  # that it took, with what was done before a resume


def train(
    model: PretrainedModel,
    batches: Batches,
    settings: TrainingSettings,
    *,
    folder: Path,
    device: torch.device,
    evaluate: Callable[[], Mapping[str, Any]] | None = None,
    score: str | None = "accuracy",
    identity: Mapping[str, Any] | None = None,
    resume: bool = False,
    how_to_resume: str = "train again with resume=True",
    processes: Processes = ALONE,
) -> TrainingResult:
    """Train a model, and leave it with its best weights.

    Args:
        model: any model whose outputs have `loss_terms`, each under the name of the argument that
            has its labels (`LABEL_ARGUMENTS` in `losses.py`).
        batches: the training data.
        settings: how to train.
        folder: for checkpoints, the log (`log.jsonl`) and the best weights.
        device: where to compute.
        evaluate: called after each epoch (with `evaluate_every`, also before the first update and
            every so many), with the model in evaluation mode; gives scores by name. The first of
            several processes calls it, and the others wait.
        score: the name of the score that decides what is best; higher is better. None leaves the
            model with the weights of the end.
        identity: what else must be the same for a run to be resumed, such as the data's checksum.
        resume: go on from the newest checkpoint in `folder`, if there is one.
        how_to_resume: what an interrupted run tells the user to do.
        processes: what `several_processes` gives; if not given, there is only this one. The first
            of them writes to `folder`, and all end with the best weights.

    Raises:
        MiniBertError: the loss is no number any more; the run cannot be resumed as asked; or
            another process is lost.
        Interrupted: a signal came; the run is saved and can be resumed.
    """
    keep_large_buffers()
    model.to(device)
    groups = decay_groups(model, weight_decay=settings.weight_decay)
    optimizer = make_optimizer(
        groups, learning_rate=settings.learning_rate, kind=settings.optimizer
    )
    precision = choose_precision(settings.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    scaler.scale(torch.zeros((), device=device))  # makes the scale, should a window bring no batch
    run = Run(model, optimizer, scaler, settings, device, precision, processes)
    updates_an_epoch = math.ceil(batches.length(0) / settings.accumulation)
    total = settings.epochs * updates_an_epoch
    warmup = max(1, round(settings.warmup * total))
    identity = _identity(settings, precision, model, identity or {})

    with ExitStack() as held, stop_requests() as stop:
        more = {"batches an epoch": batches.length(0), "to be evaluated": evaluate is not None}
        alike = {name: value for name, value in identity.items() if name != "start"}
        processes.check_same({**alike, **more})  # all start from the first one's weights
        processes.once(lambda: check_divisible(settings.accumulation, processes))
        processes.once(lambda: held.enter_context(exclusive_lock(folder)))
        position = begin(folder, run, identity, resume=resume)
        record = Record(folder, run, position, identity, score)

        def judge(epochs: float, clock: Clock) -> None:
            if evaluate is None:
                return
            scores = processes.once(lambda: _evaluate(model, evaluate, stop, clock))
            stop.agree(processes)
            print(
                f"epoch {round(epochs, 2):g}/{settings.epochs}: dev {_in_words(scores)}", flush=True
            )
            record.evaluation(epochs, scores)

        try:
            for epoch in range(position.epoch, settings.epochs):
                model.train()
                title = f"epoch {epoch + 1}/{settings.epochs}"
                length = batches.length(epoch)
                updates = math.ceil(length / settings.accumulation)
                done = math.ceil(position.batch / settings.accumulation)
                clock = Clock()
                first = position.batch + processes.rank
                mine = made_ahead(
                    batches.epoch(epoch, start=first, step=processes.count),
                    device,
                    most=settings.accumulation // processes.count + 1,
                )
                shown = processes.is_first
                with Progress(title, total=updates, done=done, shown=shown) as progress:
                    for window in windows(mine, settings.accumulation, processes, stop):
                        if _is_due(position.step, settings.evaluate_every, position.judged_step):
                            judge(epoch + position.batch / length, clock)
                        # By the share of the epoch, so that the rate ends at 0 whatever its length.
                        place = epoch + progress.done / updates
                        number = round(place * updates_an_epoch) - position.skipped + 1
                        position.rate = warmup_then_linear(number, total=total, warmup=warmup)
                        set_learning_rate(optimizer, position.rate)
                        loss, position.gradient_norm = update(run, window, position.step, stop)
                        _check_gradients(position, precision)
                        position.step += 1
                        position.batch += window.size
                        position.tokens += window.tokens
                        position.loss_sum += loss
                        position.loss_count += 1
                        clock.count(window.tokens, window.positions)
                        progress.step(f"loss {loss:.3f}  {clock.in_words()}")
                        if position.step % settings.log_every == 0:
                            record.progress(epoch + position.batch / length, clock)
                        if position.step % settings.save_every == 0:
                            record.save()
                if position.loss_count:
                    record.progress(epoch + position.batch / length, clock)
                judge(epoch + 1, clock)
                position.epoch, position.batch = epoch + 1, 0
                record.save()
            record.put_best()
        except Stop:
            processes.once(record.save)  # and the others do not end before
            where = f"stopped after step {position.step} of {total}, which is saved"
            message = f"{where}; to go on: {how_to_resume}"
            raise Interrupted(stop.signal or 0, message) from None
        except ProcessLost as lost:
            raise ProcessLost(
                f"after step {position.step}: {lost} What was saved before is kept; to go on: "
                f"{how_to_resume}"
            ) from lost
    model.eval()
    return TrainingResult(
        steps=position.step,
        tokens=position.tokens,
        best_step=position.best_step,
        best_score=position.best_score,
        seconds=record.seconds(),
    )


def _identity(
    settings: TrainingSettings,
    precision: torch.dtype,
    model: PretrainedModel,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """What must be the same for a run to be resumed: all but how often it logs and saves."""
    chosen = asdict(settings) | {"precision": str(precision)}
    del chosen["log_every"], chosen["save_every"]
    start = {"model": model.config.to_dict(), "start": _checksum(model)}
    return chosen | start | dict(more)


def _checksum(model: PretrainedModel) -> str:
    """Of the weights that a run starts from: the same settings from others are another run."""
    checksum = 0
    for tensor in model.state_dict().values():
        numbers = tensor.detach().cpu().contiguous().flatten()
        checksum = zlib.crc32(numbers.view(torch.uint8).numpy(), checksum)
    return f"{checksum:08x}"


def _evaluate(
    model: PretrainedModel,
    evaluate: Callable[[], Mapping[str, Any]],
    stop: StopRequest,
    clock: Clock,
) -> Mapping[str, Any]:
    """The scores; none if a signal came."""
    scores: Mapping[str, Any] = {}
    model.eval()
    with stop.at_once(), clock.stopped():
        scores = evaluate()
    model.train()
    return scores


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
            "what was saved before is kept. Try a lower learning rate."
        )


def _is_due(step: int, every: int | None, last: int | None) -> bool:
    return every is not None and step % every == 0 and step != last


def _in_words(scores: Mapping[str, Any]) -> str:
    return "  ".join(
        f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float)
    )
