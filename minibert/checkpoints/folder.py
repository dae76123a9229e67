"""Read the weights and the config of a model folder, and write them as `transformers` does.

Formats, in order of preference:

    model.safetensors (or its shards)   + config.json        transformers and minibert
    *.ckpt.index, *.ckpt.data-*         + bert_config.json   Google, without TensorFlow
    pytorch_model.bin                   + config.json        transformers before 2023

All weights become float32. This file knows tensors and their names, but no model.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from minibert.checkpoints.name_map import from_google, from_hugging_face, to_hugging_face
from minibert.checkpoints.tensorflow.checkpoint_reader import find_checkpoint, read_tensors
from minibert.checkpoints.torch_bin import read_torch_bin
from minibert.errors import MiniBertError
from minibert.files import CORPUS_FILE, atomic_file, make_folder, read_json_object, write_json
from minibert.hub import local_folder

# The dtypes of weights, and those of other tensors that files hold (position ids, counts).
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
INTEGERS = (torch.int64, torch.int32, torch.uint8, torch.bool)


@dataclass
class Checkpoint:
    """The content of a model folder."""

    folder: Path  # where it is, in the cache if it was downloaded
    tensors: dict[str, Tensor]  # under our names, all float32
    config: dict[str, Any]  # the fields of its config file
    source: str  # the file that it was read from
    unknown: dict[str, Tensor]  # tensors that no BERT has, under the file's names
    notes: list[str]  # what was changed while reading


def read_config(folder: Path) -> dict[str, Any]:
    """Return the fields of the folder's `config.json` or `bert_config.json`.

    Raises:
        MiniBertError: there is neither, or it is not a JSON object.
    """
    for name in ("config.json", "bert_config.json"):
        if (folder / name).is_file():
            config = read_json_object(folder / name)
            if _is_google(folder) and config.get("hidden_act") == "gelu":
                # Google's code calls the tanh approximation "gelu"; transformers calls erf "gelu".
                config["hidden_act"] = "gelu_tanh"
            return config
    if (folder / CORPUS_FILE).is_file():
        raise MiniBertError(
            f"{folder} is a corpus made by minibert prepare, not a model; give a model folder."
        )
    if any(folder.glob("training/step-*")):
        raise MiniBertError(
            f"{folder} holds an unfinished training run; run the same command with --resume to "
            "finish it."
        )
    raise MiniBertError(
        f"{folder} has no config.json (or Google's bert_config.json); copy it there from the "
        "source of the weights, or give the folder of a finished training run."
    )


def read_folder(
    name_or_path: str | Path, *, more_files: Sequence[str] = (), **hub: Any
) -> Checkpoint:
    """Read the weights and the config of a model, in any of the formats.

    Args:
        name_or_path: a folder, or a hub name. A `.bin` is downloaded only if there is nothing else.
        more_files: further files to download from the hub.
        **hub: see `local_folder`.

    Raises:
        MiniBertError: a file is missing or damaged, or holds what cannot be weights.
    """
    safetensors = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
    folder = local_folder(name_or_path, files=("config.json", *safetensors, *more_files), **hub)
    if not any(folder.glob("*.safetensors")):
        files = ("config.json", "pytorch_model.bin", *more_files)
        folder = local_folder(name_or_path, files=files, **hub)
    config = read_config(folder)
    layers = config.get("num_hidden_layers", 12)
    if not isinstance(layers, int) or not 0 < layers < 1000:
        raise MiniBertError(
            f"{folder}: num_hidden_layers is {layers!r} in the config; it must be an integer from "
            "1 to 999."
        )
    tensors, source = _read_tensors(folder)
    converted = set()
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS + INTEGERS:
            raise MiniBertError(
                f"{source}: {name[:100]!r} is stored as {tensor.dtype}, which minibert does not "
                "read; save the model as float16 or float32."
            )
        if tensor.dtype in FLOATS and tensor.dtype != torch.float32:
            converted.add(str(tensor.dtype).removeprefix("torch."))
            tensors[name] = tensor.to(torch.float32)
    notes = [f"stored as {dtype}, loaded as float32" for dtype in sorted(converted)]
    found = (from_google if _is_google(folder) else from_hugging_face)(tensors, layers)
    for name, tensor in found.tensors.items():
        if not tensor.is_floating_point():
            raise MiniBertError(
                f"{source}: {name} is stored as {tensor.dtype}, which cannot be a weight; save the "
                "model as float16 or float32."
            )
        if not torch.isfinite(tensor).all():
            raise MiniBertError(
                f"{source}: {name} holds NaN or infinite values, so the training that wrote it had "
                "failed; use an earlier checkpoint."
            )
    return Checkpoint(folder, found.tensors, config, source, found.unknown, found.notes + notes)


def _is_google(folder: Path) -> bool:
    return any(folder.glob("*.index")) and not any(
        (folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")
    )


def _read_tensors(folder: Path) -> tuple[dict[str, Tensor], str]:
    """Return all tensors by their names in the file, and that file."""
    if (path := folder / "model.safetensors").is_file():
        return read_safetensors(path), str(path)
    if (path := folder / "model.safetensors.index.json").is_file():
        files = read_json_object(path).get("weight_map")
        if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
            raise MiniBertError(
                f"{path} has no weight_map of names to files; copy it again from its source."
            )
        tensors: dict[str, Tensor] = {}
        for file in sorted(set(files.values())):
            if Path(file).name != file:
                raise MiniBertError(
                    f"{path} names the file {file!r} outside its folder; for safety it is not "
                    "loaded."
                )
            tensors |= read_safetensors(folder / file)
        return tensors, str(path)
    if _is_google(folder):
        path = find_checkpoint(folder)
        arrays = {name: torch.from_numpy(array) for name, array in read_tensors(path).items()}
        return arrays, f"Google's checkpoint {path}"
    if (path := folder / "pytorch_model.bin").is_file():
        return read_torch_bin(path), str(path)
    raise MiniBertError(
        f"{folder} holds no weights: it has no model.safetensors, no TensorFlow checkpoint "
        "(*.ckpt.index) and no pytorch_model.bin. Copy them there, or finish the training run that "
        "writes them (--resume)."
    )


def write_folder(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write `model.safetensors` and `config.json`, each atomically.

    Args:
        folder: made if needed; other files in it are kept.
        tensors: under our names; tensors that no BERT has keep their names.
        config: the fields of `config.json`; its `dtype` becomes float32.

    Raises:
        MiniBertError: the files cannot be written, or a name has another meaning there.
    """
    theirs = to_hugging_face(tensors, config["num_hidden_layers"])
    # `dtype` is what transformers computes in; files of before had it as `torch_dtype`.
    config = {name: value for name, value in config.items() if name != "torch_dtype"}
    write_safetensors(folder / "model.safetensors", theirs)
    write_json(folder / "config.json", config | {"dtype": "float32"})


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file, copied into memory.

    Raises:
        MiniBertError: the file is damaged or cannot be read.
    """
    try:
        # Cloned, since the file may be replaced or truncated while the model is in use.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        start = b""
        with suppress(OSError, ValueError), path.open("rb") as file:
            start = file.read(64)
        if start.startswith(b"version https://git-lfs"):
            raise MiniBertError(
                f"{path} is a Git LFS pointer, not the weights; download them: git lfs pull."
            ) from error
        raise MiniBertError(
            f"{path} is damaged or not a safetensors file ({error}); copy it again from its source."
        ) from error


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors from any device to a safetensors file, atomically.

    Raises:
        MiniBertError: the file cannot be written.
    """
    plain: dict[str, Tensor] = {}
    pointers = set()
    for name, tensor in tensors.items():
        here = tensor.detach().cpu().contiguous()
        # A file stores each tensor by itself, so one that shares memory (tied layers) is copied.
        plain[name] = here.clone() if here.data_ptr() in pointers else here
        pointers.add(here.data_ptr())
    make_folder(path.parent)
    with atomic_file(path, size=sum(tensor.nbytes for tensor in plain.values())) as temporary:
        # The library writes to a file of its own first, whose name would not tell whose it is.
        folder = temporary.with_name(f".in{temporary.name}")
        try:
            folder.mkdir(exist_ok=True)
            save_file(plain, folder / path.name, metadata={"format": "pt"})
            os.replace(folder / path.name, temporary)
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else 0
            raise OSError(code, os.strerror(code) if code else str(error)) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
