"""Save and load the state of a training run, so that it can be resumed exactly.

    FOLDER/step-00000200-epoch-1/
        model.safetensors       the weights
        optimizer.safetensors   Adam's averages, by parameter name
        state.json              the `TrainState`, and the fingerprint of the run
        manifest.json           size and checksum of each file, verified before loading

A checkpoint is written under a temporary name and then renamed, so a crash leaves the older ones
intact. A second checkpoint of the same step, after an evaluation, gets a name of its own ("...-2"),
and the first one is deleted when the second is complete. The order of the data and dropout are
functions of the seed and the step. No generator and no data loader has to be stored, and nothing is
pickled.
"""

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minibert.checkpoints.folder import read_safetensors, write_safetensors
from minibert.errors import MiniBertError
from minibert.files import (
    atomic_folder,
    explain_os_errors,
    read_json_object,
    remove_leftovers,
    size_and_checksum,
    write_json,
)
from minibert.training.distributed import Processes

KEPT = 2  # the newest checkpoint, and one more in case it gets damaged
FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


@dataclass
class TrainState:
    """How far a run is. Together with the seed it determines everything that follows."""

    step: int = 0  # updates, including skipped ones
    epoch: int = 0  # completed epochs
    batch: int = 0  # batches of the current epoch that the weights have learned from
    epochs_done: float = 0.0  # completed epochs and the share of the current one
    tokens: int = 0  # tokens learned from, in all epochs
    epoch_tokens: int = 0  # those of the current epoch
    epoch_positions: int = 0  # and these with padding
    seconds: float = field(default=0.0, compare=False)  # including those before a resume
    log_lines: int = 0  # lines of the log that belong to these steps
    best_score: float | None = None
    best_step: int | None = None
    best_file: dict[str, int] = field(default_factory=dict)  # size and checksum of the best weights
    evaluated_step: int | None = None  # of the last evaluation
    evaluations_since_best: int = 0  # since the best one, for early stopping
    skipped: int = 0  # updates without finite gradients (float16)
    skipped_in_a_row: int = 0
    loss_sum: float = 0.0  # over the updates since the last line of the log
    loss_count: int = 0  # the number of these updates
    learning_rate: float = 0.0  # of the last update
    gradient_norm: float = 0.0  # of the last update, before clipping
    loss_scale: dict[str, Any] = field(default_factory=dict)  # of the GradScaler (float16)

    @property
    def padding(self) -> float:
        """The share of padding in the current epoch, from 0 to 1."""
        return 1 - self.epoch_tokens / max(self.epoch_positions, 1)


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: TrainState,
    fingerprint: Mapping[str, Any],
) -> None:
    """Write a checkpoint, then delete all but the newest two, and best weights that none refers to.

    At every moment, either the earlier checkpoints or the new one are complete.

    Raises:
        MiniBertError: the files cannot be written; the older checkpoints are kept.
    """
    key = (state.step, state.epoch)
    same = [(number, path) for *k, number, path in _checkpoints(folder) if tuple(k) == key]
    number, path = same[-1] if same else (0, folder)
    if not same or _damage(path) or _read_state(path) != state:
        name = f"step-{state.step:08d}-epoch-{state.epoch}"
        path = folder / (f"{name}-{number + 1}" if same else name)
        weights, averages = model.state_dict(), _optimizer_tensors(model, optimizer)
        size = sum(tensor.nbytes for tensor in (*weights.values(), *averages.values()))
        with atomic_folder(path, size=size) as temporary:
            write_safetensors(temporary / "model.safetensors", weights)
            write_safetensors(temporary / "optimizer.safetensors", averages)
            content = {"state": asdict(state), "fingerprint": dict(fingerprint)}
            content["environment"] = _environment(model)
            write_json(temporary / "state.json", content)
            manifest = {name: size_and_checksum(temporary / name) for name in FILES}
            write_json(temporary / "manifest.json", manifest)
    obsolete = [older for _, older in same if older != path]
    others = [each for *_, each in _checkpoints(folder) if each not in obsolete]
    for each in (*obsolete, *others[:-KEPT], *folder.glob("damaged-step-*")):
        shutil.rmtree(each, ignore_errors=True)
    needed = set()
    for *_, checkpoint in _checkpoints(folder):
        with suppress(MiniBertError):  # a damaged checkpoint refers to nothing
            needed.add(best_weights(folder, _read_state(checkpoint)))
    for file in set(folder.glob("best-*.safetensors")) - needed:
        with suppress(OSError):  # the run is saved; a leftover file is no reason to stop
            file.unlink()


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fingerprint: Mapping[str, Any],
    *,
    resume: bool,
) -> TrainState:
    """Load the newest intact checkpoint, and print what was found; without `resume`, require none.

    Raises:
        MiniBertError: all checkpoints are damaged; the newest has another fingerprint; or there is
            one and `resume` is False.
    """
    remove_leftovers(folder)
    checkpoints = _checkpoints(folder)
    if checkpoints and not resume:
        raise MiniBertError(
            f"{folder} holds the checkpoints of a run; add --resume to continue it, or choose "
            "another output folder."
        )
    damaged = []
    for *_, path in reversed(checkpoints):
        if damage := _damage(path):
            print(f"{path} is damaged ({damage}) and is skipped.")
            damaged.append(path)
            continue
        _check_fingerprint(path, fingerprint, _environment(model))
        model.load_state_dict(read_safetensors(path / "model.safetensors"))
        _load_optimizer(optimizer, model, read_safetensors(path / "optimizer.safetensors"))
        state = _read_state(path)
        print(f"resumed after step {state.step}.")
        check_best_weights(folder, state)
        for skipped in damaged:  # otherwise they would count among the newest two
            shutil.rmtree(skipped.with_name(f"damaged-{skipped.name}"), ignore_errors=True)
            with explain_os_errors("write", skipped):
                skipped.rename(skipped.with_name(f"damaged-{skipped.name}"))
        return state
    if checkpoints:
        raise MiniBertError(
            f"all checkpoints in {folder} are damaged; delete the folder to start again."
        )
    if resume:
        print(f"{folder} holds no checkpoint to resume from; starting from the beginning.")
    return TrainState()


def broadcast_checkpoint(
    processes: Processes, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Give all processes the weights and averages of the main one, which alone reads the files."""
    if processes.world_size > 1:
        processes.broadcast_(model.state_dict().values())
        averages = processes.on_main(
            lambda: {name: t.cpu() for name, t in _optimizer_tensors(model, optimizer).items()}
        )
        _load_optimizer(optimizer, model, averages)


def best_weights(folder: Path, state: TrainState) -> Path:
    """Return the file with the weights of the best evaluation."""
    return folder / f"best-{state.best_step or 0:08d}.safetensors"


def check_best_weights(folder: Path, state: TrainState) -> None:
    """Forget the best weights, but not their score, if their file is damaged, and say so."""
    path = best_weights(folder, state)
    try:
        damaged = state.best_step is not None and state.best_file not in (
            size_and_checksum(path),
            {},  # of a run that an earlier version began
        )
    except OSError:
        damaged = True
    if damaged:
        print(
            f"{path} is missing or damaged: the weights of step {state.best_step}, the best so far "
            f"({state.best_score:.4f}). The run will end with its last weights, unless a later "
            "evaluation is better."
        )
        state.best_step, state.best_file = None, {}


def _read_state(path: Path) -> TrainState:
    try:
        return TrainState(**read_json_object(path / "state.json")["state"])
    except (KeyError, TypeError) as error:
        raise MiniBertError(f"{path} is not the checkpoint of a run ({error}).") from error


def _checkpoints(folder: Path) -> list[tuple[int, int, int, Path]]:
    """Return (step, epoch, number, path) of each checkpoint in a folder, the oldest first."""
    pattern = r"step-(\d+)-epoch-(\d+)(?:-(\d+))?"
    matches = [(re.fullmatch(pattern, path.name), path) for path in folder.glob("step-*")]
    # Sorted as numbers: as text, epoch 10 would come before epoch 9.
    return sorted((int(m[1]), int(m[2]), int(m[3] or 1), path) for m, path in matches if m)


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as "exp_avg of pooler.dense.bias": indices could shift."""
    return {
        f"{kind} of {name}": value
        for name, parameter in model.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def _load_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, averages: Mapping[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for key, value in averages.items():
        kind, _, name = key.partition(" of ")
        optimizer.state[parameters[name]][kind] = value.to(parameters[name].device)


def _damage(path: Path) -> str | None:
    try:
        manifest = read_json_object(path / "manifest.json")
        for name in FILES:
            if manifest.get(name) != size_and_checksum(path / name):
                return f"{name} is not what was written"
    except (MiniBertError, OSError) as error:
        return str(error)
    return None


def _environment(model: nn.Module) -> dict[str, Any]:
    """Return what may round sums differently; it may change in a run."""
    device = next(model.parameters()).device.type
    threads = {"number of threads": torch.get_num_threads()} if device == "cpu" else {}
    return {"device": device, "version of PyTorch": str(torch.__version__), **threads}


def _check_fingerprint(
    path: Path, fingerprint: Mapping[str, Any], environment: Mapping[str, Any]
) -> None:
    """Raise if a checkpoint is of another run; print a note if it is of another environment."""
    content = read_json_object(path / "state.json")

    def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
        return [
            f"{name} was {before.get(name)!r} and is now {now.get(name)!r}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]

    if different := differences(content.get("fingerprint", {}), fingerprint):
        raise MiniBertError(
            f"{path} belongs to another run: {'; '.join(different)}. Resume with the same settings "
            "and data, or choose another output folder."
        )
    if different := differences(content.get("environment", environment), environment):
        print(
            f"note: the {', and the '.join(different)}. Sums are rounded differently, so the "
            "weights will differ in their last bits from those of an unbroken run."
        )
