"""Checkpoints of a run: complete or invisible, and exact.

    FOLDER/step-00000200-epoch-1/
        model.safetensors       the weights
        optimizer.safetensors   Adam's averages, by parameter name
        state.json              where the run is, and what it was started with
        manifest.json           size and checksum of each, looked at before loading

A folder is filled under another name and then renamed, so a crash leaves the old checkpoints and
nothing half. Order and dropout are functions of the seed and the step, so no generator and no
loader is stored, and nothing is pickled.
"""

import json
import re
import shutil
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minibert.checkpoints.folder import read_safetensors, write_safetensors
from minibert.errors import MiniBertError
from minibert.files import atomic_folder, read_json_object, write_json
from minibert.training.distributed import Processes

KEPT = 2  # the newest and the one before, should the newest be damaged later
FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


@dataclass
class Position:
    """Where a run is. With the seed, this is all that the order and the dropout depend on."""

    step: int = 0  # updates done or left out
    epoch: int = 0  # epochs completed
    batch: int = 0  # batches of the present epoch that are in the weights
    tokens: int = 0  # tokens learned from, each as often as it was seen
    seconds: float = field(default=0.0, compare=False)  # that it took, before a resume and since
    log_lines: int = 0  # lines of the log that belong to these steps
    best_score: float | None = None
    best_step: int | None = None
    judged_step: int | None = None  # of the last evaluation
    skipped: int = 0  # updates left out for lack of finite gradients (float16)
    skipped_in_a_row: int = 0
    loss_sum: float = 0.0  # of the updates since the last line of the log ...
    loss_count: int = 0  # ... and how many they are
    rate: float = 0.0  # of the last update, as a share of the highest
    gradient_norm: float = 0.0  # of the last update, before clipping
    loss_scale: dict[str, Any] = field(default_factory=dict)  # the scaler's numbers (float16)


def save_state(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    position: Position,
    identity: Mapping[str, Any],
) -> Path:
    """Write a checkpoint, then delete all but the newest two.

    Args:
        folder: the run's folder of checkpoints.
        model: the weights, taken by parameter name.
        optimizer: its state, stored under the names of the parameters.
        position: where the run is.
        identity: what the run was started with; a run with another one is not resumed from here.

    Raises:
        MiniBertError: the system refused to write; the older checkpoints stay.
    """
    path = folder / f"step-{position.step:08d}-epoch-{position.epoch}"
    if not path.exists() or _damage(path) or _position_of(path) != position:
        shutil.rmtree(path, ignore_errors=True)
        with atomic_folder(path) as temporary:
            write_safetensors(temporary / "model.safetensors", model.state_dict())
            write_safetensors(
                temporary / "optimizer.safetensors", _optimizer_tensors(model, optimizer)
            )
            state = {"position": asdict(position), "identity": dict(identity)}
            write_json(temporary / "state.json", state)
            write_json(
                temporary / "manifest.json", {name: _seal(temporary / name) for name in FILES}
            )
    for old in _paths(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def load_newest(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: Mapping[str, Any],
) -> tuple[Position, list[str]] | None:
    """Put the newest whole checkpoint into the model and the optimizer.

    Returns:
        Where the run is, and a sentence for each newer checkpoint that was damaged and passed over;
        None if there is no checkpoint at all.

    Raises:
        MiniBertError: all checkpoints are damaged, or the run was started with other settings or
            data.
    """
    passed_over: list[str] = []
    for path in reversed(_paths(folder)):
        damage = _damage(path)
        if damage:
            passed_over.append(f"{path} is damaged ({damage}) and was passed over.")
            continue
        state = read_json_object(path / "state.json")
        _check_identity(path, state["identity"], identity)
        try:
            model.load_state_dict(read_safetensors(path / "model.safetensors"))
        except RuntimeError as error:
            raise MiniBertError(
                f"{path} belongs to a model of another shape; resume with the same options."
            ) from error
        _restore(model, optimizer, read_safetensors(path / "optimizer.safetensors"))
        return Position(**state["position"]), passed_over
    if passed_over:
        raise MiniBertError(
            " ".join(passed_over) + f" None is left to resume from; delete {folder} to start anew."
        )
    return None


def share_state(processes: Processes, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Give all processes the first one's weights and averages: only it need see the checkpoint."""
    if processes.count == 1:
        return
    processes.share_(model.state_dict().values())
    averages = _optimizer_tensors(model, optimizer)
    shapes = processes.once(lambda: {key: (v.shape, v.dtype) for key, v in averages.items()})
    if not processes.is_first:
        device = next(model.parameters()).device
        averages = {
            key: torch.empty(shape, dtype=dtype, device=device)
            for key, (shape, dtype) in shapes.items()
        }
    processes.share_(averages.values())
    if not processes.is_first:
        _restore(model, optimizer, averages)


def best_steps(folder: Path) -> set[int]:
    """The evaluations whose weights the checkpoints need: a run may have to go on from any."""
    steps = set()
    for path in _paths(folder):
        with suppress(MiniBertError):  # a damaged one needs nothing
            steps.add(_position_of(path).best_step)
    return {step for step in steps if step is not None}


def _position_of(path: Path) -> Position:
    return Position(**read_json_object(path / "state.json")["position"])


def _paths(folder: Path) -> list[Path]:
    found = folder.glob("step-*") if folder.is_dir() else ()
    matches = ((re.fullmatch(r"step-(\d{8,})-epoch-(\d+)", path.name), path) for path in found)
    # By the numbers: as text, epoch 10 would come before epoch 9.
    numbered = sorted((int(m[1]), int(m[2]), path) for m, path in matches if m)
    return [path for _, _, path in numbered]


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors as "exp_avg of pooler.dense.bias": names, since numbers can shift."""
    return {
        f"{kind} of {name}": value
        for name, parameter in model.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def _restore(
    model: nn.Module, optimizer: torch.optim.Optimizer, averages: Mapping[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for key, value in averages.items():
        kind, _, name = key.partition(" of ")
        parameter = parameters[name]
        # Adam counts its own steps in a scalar that stays on the CPU unless the kernel is fused.
        fused = optimizer.defaults.get("fused")
        device = parameter.device if value.dim() or fused else value.device
        optimizer.state[parameter][kind] = value.to(device)


def _seal(path: Path) -> dict[str, int]:
    """Size and crc32: against disks and half copies, not against forgers."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return {"bytes": path.stat().st_size, "crc32": checksum}


def _damage(path: Path) -> str | None:
    try:
        manifest = read_json_object(path / "manifest.json")
        for name in FILES:
            if manifest.get(name) != _seal(path / name):
                return f"{name} is not what was written"
    except (MiniBertError, OSError) as error:
        return str(error)
    return None


def _check_identity(path: Path, saved: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    before, now = _flat(saved), _flat(json.loads(json.dumps(asked)))  # as it would have been saved
    different = [
        f"{name} was {before.get(name)!r} and is now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if different:
        raise MiniBertError(
            f"{path} belongs to another run: {'; '.join(different)}. Resume with the same settings "
            "and data, or choose another output folder."
        )


def _flat(nested: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of fields as fields: {"model": {"layers": 2}} gives {"model layers": 2}."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            flat |= {f"{name} {inner}": one for inner, one in _flat(value).items()}
        else:
            flat[name] = value
    return flat
