"""A folder of weights: read from Hugging Face's and Google's, written as Hugging Face's.

What is read, in this order of preference:

    model.safetensors (or its shards)   + config.json        transformers today, and minibert
    *.ckpt.index, *.ckpt.data-*         + bert_config.json   Google, without TensorFlow
    pytorch_model.bin                   + config.json        transformers before 2023

A `.bin` is a pickle, and goes through the gates of `pickled.py`. All weights become float32. This
file knows tensors and names, but no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from minibert.checkpoints import name_map as names
from minibert.checkpoints.tensorflow import checkpoint as tensorflow
from minibert.checkpoints.torch_bin import read_pickled
from minibert.errors import MiniBertError
from minibert.files import (
    CORPUS_FILE,
    atomic_file,
    make_folder,
    read_json_object,
    write_json,
)
from minibert.hub import local_folder

# What `read_folder` wants from a hub; and what it wants if there are no weights among them.
FILES = ("config.json", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
OLD_FILES = ("config.json", "pytorch_model.bin")
# The types that weights are stored in, and those of what lies beside them (position numbers).
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
WHOLE_NUMBERS = (torch.int64, torch.int32, torch.uint8, torch.bool)


@dataclass
class Checkpoint:
    """What a folder holds."""

    tensors: dict[str, Tensor]  # under our names, all float32
    config: dict[str, Any]  # the fields of its config file
    source: str  # where it was read from and what it was, in words
    unknown: dict[str, Tensor]  # what no BERT has, under the file's names
    notes: list[str]  # what was put right while reading, in words


def read_folder(folder: Path) -> Checkpoint:
    """Read the weights and the config of a folder, whoever wrote it.

    Raises:
        MiniBertError: a file is missing or damaged; the sentence says which and what to do.
    """
    if not folder.is_dir():
        raise MiniBertError(f"{folder} is not a folder; give the folder that holds config.json.")
    config = read_config(folder)
    layers = config.get("num_hidden_layers", 12)
    if not isinstance(layers, int) or not 0 < layers < 1000:
        raise MiniBertError(f"{folder}: the config says num_hidden_layers {layers!r}.")
    tensors, source, by_google = _read_tensors(folder)
    notes = _to_float32(tensors, source)
    translate = names.from_google if by_google else names.from_hugging_face
    found = translate(tensors, layers)
    for name, tensor in found.tensors.items():
        _refuse_no_weight(source, name, tensor)
    if by_google and config.get("hidden_act") == "gelu":
        # What Google's code calls "gelu" is the tanh form; transformers' "gelu" is another.
        config["hidden_act"] = "gelu_tanh"
    return Checkpoint(found.tensors, config, source, found.unknown, found.notes + notes)


def write_folder(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write `model.safetensors` and `config.json` as `transformers` does, each whole or not at all.

    Args:
        folder: made if it is not there; other files in it stay.
        tensors: under our names; what no BERT has keeps its name.
        config: the fields of `config.json`; its `dtype` becomes float32.

    Raises:
        MiniBertError: the system refused to write, or a name has another meaning there.
    """
    theirs = names.to_hugging_face(tensors, config["num_hidden_layers"])
    # What to load the weights as. transformers would else compute in what this field held before,
    # or in what the file is stored in.
    config = {name: value for name, value in config.items() if name != "torch_dtype"}
    write_safetensors(folder / "model.safetensors", theirs)
    write_json(folder / "config.json", config | {"dtype": "float32"})


def weights_folder(name_or_path: str | Path, *, more: Sequence[str] = ()) -> Path:
    """The local folder of a model, fetched from the hub if need be; a `.bin` only where needed.

    Args:
        name_or_path: a folder or a hub name.
        more: further files to fetch.

    Raises:
        MiniBertError: there is no such folder or name.
    """
    folder = local_folder(name_or_path, files=(*FILES, *more))
    if not any(folder.glob("*.safetensors")):
        folder = local_folder(name_or_path, files=(*OLD_FILES, *more))
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """The fields of the folder's `config.json` or `bert_config.json`.

    Raises:
        MiniBertError: there is neither, as in a corpus, or it is no JSON object.
    """
    for name in ("config.json", "bert_config.json"):
        if (folder / name).is_file():
            return read_json_object(folder / name)
    if (folder / CORPUS_FILE).is_file():
        raise MiniBertError(
            f"{folder} is a corpus, made by minibert prepare, and not a model; give the folder of "
            "a model."
        )
    if any(folder.glob("training/step-*")):
        raise MiniBertError(
            f"{folder} holds a training that is not finished; go on with it: the same command with "
            "--resume."
        )
    raise MiniBertError(
        f"{folder} has no config.json (or Google's bert_config.json); copy it there from where the "
        "weights came, or give the folder of a finished training."
    )


def _read_tensors(folder: Path) -> tuple[dict[str, Tensor], str, bool]:
    """All tensors under the names in the file, where they come from, and whether it is Google's."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    pickled = folder / "pytorch_model.bin"
    if single.is_file():
        return read_safetensors(single), str(single), False
    if index.is_file():
        return _read_shards(index), str(index), False
    if any(folder.glob("*.index")):
        prefix = tensorflow.find_checkpoint(folder)
        arrays = tensorflow.read_tensors(prefix).tensors
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return tensors, f"Google's checkpoint {prefix}", True
    if pickled.is_file():
        return read_pickled(pickled), str(pickled), False
    raise MiniBertError(
        f"{folder} holds no weights: minibert looked for model.safetensors, a TensorFlow "
        "checkpoint (*.ckpt.index) and pytorch_model.bin. If a training was to write them, let it "
        "finish (--resume)."
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, copied into memory.

    Raises:
        MiniBertError: the file is damaged or cannot be read.
    """
    try:
        # Cloned, since the file may be replaced or cut while the model is in use.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        if _is_pointer(path):
            raise MiniBertError(
                f"{path} only says where the weights are (a pointer of Git LFS); fetch them: "
                "git lfs pull."
            ) from error
        raise MiniBertError(
            f"{path} is damaged or no safetensors file ({error}); copy it again from where it came."
        ) from error


def _is_pointer(path: Path) -> bool:
    """Whether a file is what Git leaves in place of a large one that it has not fetched."""
    try:
        with path.open("rb") as file:
            return file.read(64).startswith(b"version https://git-lfs")
    except (OSError, ValueError):  # a name that no system takes
        return False


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors from any device to a safetensors file, whole or not at all.

    Raises:
        MiniBertError: the system refused to write.
    """
    make_folder(path.parent)
    with atomic_file(path) as temporary:
        try:
            save_file(_each_by_itself(tensors), temporary, metadata={"format": "pt"})
        except SafetensorError as error:
            raise MiniBertError(
                f"could not write {path}: {error}; free some space or choose another place."
            ) from error


def _each_by_itself(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, and no two in the same memory, as tied layers are: a file holds them twice."""
    plain: dict[str, Tensor] = {}
    seen = set()
    for name, tensor in tensors.items():
        here = tensor.detach().cpu().contiguous()
        plain[name] = here.clone() if here.data_ptr() in seen else here
        seen.add(here.data_ptr())
    return plain


def _read_shards(index: Path) -> dict[str, Tensor]:
    places = read_json_object(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise MiniBertError(f"{index} has no weight_map of names to files; copy it again.")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name:
            raise MiniBertError(
                f"{index} points outside its folder, to {name!r}; it is not loaded."
            )
        tensors |= read_safetensors(index.parent / name)
    return tensors


def _to_float32(tensors: dict[str, Tensor], source: str) -> list[str]:
    """Turn all floating-point tensors into float32, in place; say of which types they were."""
    others = set()
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS + WHOLE_NUMBERS:
            raise MiniBertError(
                f"{source}: {name[:100]!r} is stored as {tensor.dtype}, which minibert does not "
                "read; save the model as float16 or float32."
            )
        if tensor.dtype in FLOATS and tensor.dtype != torch.float32:
            others.add(str(tensor.dtype).removeprefix("torch."))
            tensors[name] = tensor.to(torch.float32)
    return [f"stored as {kind}, loaded as float32" for kind in sorted(others)]


def _refuse_no_weight(source: str, name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise MiniBertError(f"{source}: {name} holds {tensor.dtype}, which is no weight's type.")
    if not torch.isfinite(tensor).all():
        raise MiniBertError(
            f"{source}: {name} holds NaN or infinite values, so the training that wrote it had "
            "failed; use an earlier checkpoint."
        )
