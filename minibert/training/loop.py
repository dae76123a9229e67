"""The training loop, for fine-tuning and pretraining.

    for each epoch
        for each global batch               one global batch, one update
            for each of its micro-batches
                forward, backward           gradients add up
            clip the gradients, update the weights
        evaluate, save

A loss is a sum, divided by the label count of the whole global batch. So the gradients of its
micro-batches, in all processes, add up to the gradient of one big batch, whatever number of labels
each micro-batch holds.

A resumed run continues exactly: the order of the data is a function of the seed and the epoch, and
dropout is a function of the seed, the step and the micro-batch. `run_folder.py` writes the files.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from minibert.errors import MiniBertError
from minibert.model.pretrained import PretrainedModel
from minibert.training.checkpoint import TrainState
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.gradient_accumulation import (
    Batches,
    ComputeLoss,
    compute_loss,
    global_batches,
    sum_over_processes,
    to_device,
)
from minibert.training.optimizer import make_optimizer, set_learning_rate
from minibert.training.parameter_groups import parameter_groups
from minibert.training.run_folder import RunFolder, run_fingerprint
from minibert.training.schedules import LearningRateSchedule
from minibert.training.settings import TrainingSettings, choose_precision, raise_malloc_thresholds

MAX_SKIPPED_IN_A_ROW = 20  # float16 updates; after so many, no loss scale will help


@dataclass(frozen=True)
class TrainingResult:
    """The result of a run."""

    steps: int
    tokens: int  # learned from, in all epochs
    best_step: int | None
    best_score: float | None
    seconds: float  # including those before a resume


def train(
    model: PretrainedModel,
    batches: Batches,
    settings: TrainingSettings,
    *,
    folder: Path,
    device: torch.device,
    loss_of_batch: ComputeLoss = compute_loss,
    evaluate: Callable[[], Mapping[str, Any]] | None = None,
    metric_for_best_model: str | None = "accuracy",
    fingerprint: Mapping[str, Any] | None = None,
    resume: bool = False,
    how_to_resume: str = "train again with resume=True",
    processes: Processes = SINGLE_PROCESS,
) -> TrainingResult:
    """Train a model and leave it in evaluation mode, with its best weights.

    Args:
        model: its outputs need `loss_terms`, each under the name of the argument that holds its
            labels (`LABEL_ARGUMENTS` in `model/losses.py`).
        batches: the training data.
        settings: how to train.
        folder: for checkpoints, the log (`log.jsonl`) and the best weights.
        device: where to compute.
        loss_of_batch: returns the loss terms to minimize; by default those of the model's output.
        evaluate: returns metrics by name. The main process calls it after every epoch, and with
            `eval_steps` also before the first update and in between; the model is in evaluation
            mode.
        metric_for_best_model: which weights are the best; higher is better. None keeps the last.
        fingerprint: what else must be the same to resume a run, such as a checksum of the data.
        resume: continue from the newest checkpoint in `folder`, if there is one.
        how_to_resume: what the message of an interrupted run tells the user to do.
        processes: from `join_processes`; by default only this one.

    Raises:
        MiniBertError: the gradients are not finite, the run cannot be resumed as asked, or another
            process is lost.
        Interrupted: a signal arrived; the run is saved and can be resumed.
    """
    raise_malloc_thresholds()
    model.to(device)
    precision = choose_precision(settings.precision, device)
    groups = parameter_groups(model, settings)
    optimizer = make_optimizer(
        groups, learning_rate=settings.learning_rate, kind=settings.optimizer
    )
    parameters = [weight for group in groups for weight in group["params"]]
    loss_dtype = torch.promote_types(parameters[0].dtype, torch.float32)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    accumulation = settings.gradient_accumulation_steps
    steps_per_epoch = math.ceil(batches.length(0) / accumulation)
    schedule = LearningRateSchedule(
        settings.schedule,
        epochs=settings.epochs,
        steps_per_epoch=steps_per_epoch,
        warmup_ratio=settings.warmup_ratio,
    )
    data = {"steps per epoch": steps_per_epoch, **(fingerprint or {})}
    run = RunFolder(
        folder=folder,
        model=model,
        optimizer=optimizer,
        scaler=scaler,
        settings=settings,
        fingerprint=run_fingerprint(model, settings, precision, data),
        compute_metrics=evaluate,
        metric_for_best_model=metric_for_best_model,
        processes=processes,
    )

    with run.opened(resume=resume, how_to_resume=how_to_resume) as state:
        for epoch in range(state.epoch, settings.epochs):
            if run.stops_early():
                break
            model.train()
            progress = run.start_epoch(batches.length(epoch))
            first = state.batch + processes.rank
            mine = batches.epoch(epoch, start=first, step=processes.world_size)
            for global_batch in global_batches(mine, accumulation, device, processes, run.stop):
                run.evaluate_if_due()
                epochs_done = epoch + progress.done / progress.total
                lr_factor = schedule.factor(epochs_done, skipped=state.skipped)
                set_learning_rate(optimizer, lr_factor)

                optimizer.zero_grad()
                # Scaling creates the loss scale, even in a process without micro-batches.
                total = scaler.scale(torch.zeros((), dtype=loss_dtype, device=device))
                micro_batches = global_batch.micro_batches.items()
                for index, batch in run.stop.until_requested(micro_batches):
                    torch.manual_seed(_dropout_seed(settings.seed, state.step, index))
                    inputs = to_device(batch, model, device)
                    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                        terms = loss_of_batch(model, inputs)
                    loss = sum(t.total / global_batch.count(name) for name, t in terms.items())
                    scaler.scale(loss).backward()
                    total += loss.detach()
                sum_over_processes(total, parameters, processes, run.stop)

                # All processes now hold the same gradients, so they make the same update.
                scaler.unscale_(optimizer)
                norm = clip_grad_norm_(parameters, settings.max_grad_norm)
                # Reading a number waits for the GPU, so both are read together.
                total_loss, grad_norm = torch.stack([total, norm.to(total.dtype)]).tolist()
                _check_gradients(grad_norm, state, precision)
                scaler.step(optimizer)  # without effect if float16 gradients are not finite
                scaler.update()
                run.end_step(global_batch, total_loss, grad_norm, lr_factor)
            run.end_epoch()
        run.load_best()
    model.eval()
    return TrainingResult(
        steps=state.step,
        tokens=state.tokens,
        best_step=state.best_step,
        best_score=state.best_score,
        seconds=state.seconds,
    )


def _dropout_seed(seed: int, step: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, step, index)).generate_state(1, np.uint64)[0])


def _check_gradients(norm: float, state: TrainState, precision: torch.dtype) -> None:
    """Raise if the gradients are not finite; in float16, only after many skipped updates."""
    if math.isfinite(norm):
        state.skipped_in_a_row = 0
        return
    state.skipped += 1
    state.skipped_in_a_row += 1
    if precision != torch.float16 or state.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
        raise MiniBertError(
            f"the gradients of step {state.step + 1} are not finite, so training has failed. The "
            "checkpoints are intact. Try a lower learning rate."
        )
