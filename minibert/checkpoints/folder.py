"""Read the weights and the config of a model folder, and write them as `transformers` does.

Formats, in order of preference:

    model.safetensors (or its shards)   + config.json        transformers and minibert
    *.ckpt.index, *.ckpt.data-*         + bert_config.json   Google, without TensorFlow
    pytorch_model.bin (or its shards)   + config.json        transformers before 2023

All weights become float32. This file knows tensors and their names, but no model.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from minibert.checkpoints.foreign_config import architectures, check_is_bert
from minibert.checkpoints.name_map import from_google, from_hugging_face, to_hugging_face
from minibert.checkpoints.tensorflow.checkpoint_reader import find_checkpoint, read_tensors
from minibert.checkpoints.torch_bin import read_torch_bin
from minibert.errors import MiniBertError
from minibert.files import (
    CORPUS_FILE,
    TASK_FILE,
    atomic_file,
    check_download,
    check_files,
    explain_os_errors,
    make_folder,
    read_json_object,
    record_files,
    write_json,
)
from minibert.hub import local_folder

# The dtypes of weights, and those of other tensors that files hold (position ids, counts).
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
INTEGERS = (torch.int64, torch.int32, torch.uint8, torch.bool)
CONFIG_FILES = ("config.json", "bert_config.json")
WEIGHT_FILES = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
OF_A_RUN = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state)")  # of a Trainer
LAYER = re.compile(r"(?<![^./])layer[._](\d{1,3})[./]")
MERGE_ADAPTER = (
    "which minibert does not add to a model; merge them into it with peft's merge_and_unload() and "
    "save the result"
)
_CONVERT = "load it with transformers and save it with save_pretrained()"
# What may be in a folder without the files of a BERT, and what to do then.
OTHER_FILES = {
    CORPUS_FILE: "is a corpus made by minibert prepare, not a model; give a model folder",
    "training/step-*": "holds an unfinished training run; run the same command with --resume to "
    "finish it",
    "adapter_config.json": f"has the weights of an adapter (LoRA), {MERGE_ADAPTER}",
    "adapter_model.*": f"has the weights of an adapter (LoRA), {MERGE_ADAPTER}",
    **dict.fromkeys(
        (f"{folder}/{name}" for folder in ("checkpoint-*", "*") for name in WEIGHT_FILES),
        "holds no weights itself, but its subfolder does: give {path.parent}",
    ),
    "model.*.safetensors": "holds no model.safetensors; rename {name} to that",
    "pytorch_model.*.bin": "holds no pytorch_model.bin; rename {name} to that",
    "model-*.safetensors": "has parts of the weights ({name}), but not model.safetensors.index.json"
    "; copy it from their source",
    "tf_model.h5": "has weights for TensorFlow only ({name}), in a format that minibert does not "
    "read; " + _CONVERT + " (from_tf=True, before transformers 5)",
    "flax_model.msgpack": "has weights for Flax only ({name}), in a format that minibert does not "
    "read; " + _CONVERT + " (from_flax=True, before transformers 5)",
    **dict.fromkeys(
        ("*.onnx", "onnx/*.onnx", "openvino_model.*", "saved_model.pb", "*.gguf"),
        "has only an exported program ({name}), from which no model can be loaded; get "
        "model.safetensors from the source of the model",
    ),
    **dict.fromkeys(
        ("*.ckpt", "*.pt", "*.pth", "*.bin"),
        "holds {name}, a name that minibert does not know; load it with torch.load, and save its "
        "state_dict as pytorch_model.bin",
    ),
    "*.safetensors": "holds {name}, a name that minibert does not know; if it has the weights of "
    "the model, rename it to model.safetensors",
}


@dataclass
class Checkpoint:
    """The content of a model folder."""

    folder: Path  # where it is, in the cache if it was downloaded
    tensors: dict[str, Tensor]  # under our names, all float32
    config: dict[str, Any]  # the fields of its config file
    source: str  # the file that it was read from
    unknown: dict[str, Tensor]  # tensors that no BERT has, under the file's names
    notes: list[str]  # what was changed while reading

    @property
    def names(self) -> str:
        """A few of the unknown names, quoted and truncated, as a file may contain any name."""
        return ", ".join(repr(name[:100]) for name in list(self.unknown)[:3]) or "none"


def read_config(folder: Path) -> dict[str, Any]:
    """Return the fields of the folder's `config.json` or `bert_config.json`.

    Raises:
        MiniBertError: there is neither, it is not a JSON object, or it describes another model.
    """
    path = next((folder / n for n in CONFIG_FILES if (folder / n).exists()), None)
    if path is None or (folder / "adapter_config.json").exists():
        raise _explained(
            folder,
            f"{folder} has no config.json (or Google's bert_config.json); copy it there from the "
            "source of the weights, or give the folder of a finished training run.",
        )
    config = read_json_object(path)
    try:
        check_is_bert(config)
    except MiniBertError as error:
        raise MiniBertError(f"{path}: {error}") from error
    if _is_google(folder) and config.get("hidden_act") == "gelu":
        # Google's code calls the tanh approximation "gelu"; transformers calls erf "gelu".
        config["hidden_act"] = "gelu_tanh"
    return config


def read_folder(
    name_or_path: str | Path,
    *,
    more_files: Sequence[str] = (),
    num_hidden_layers: int | None = None,
    **hub: Any,
) -> Checkpoint:
    """Read the weights and the config of a model, in any of the formats.

    Args:
        name_or_path: a folder, or a hub name. A `.bin` is downloaded only if there is nothing else.
        more_files: further files to download from the hub.
        num_hidden_layers: how many layers to use of those in the file; default: all, and as many
            must be in the config.
        **hub: see `local_folder`.

    Raises:
        MiniBertError: a file is missing or damaged, or holds what cannot be weights.
    """
    more_files = (*more_files, TASK_FILE)
    safetensors = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
    folder = local_folder(name_or_path, files=("config.json", *safetensors, *more_files), **hub)
    if not any(folder.glob("*.safetensors")):
        old = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")
        folder = local_folder(name_or_path, files=("config.json", *old, *more_files), **hub)
    config = read_config(folder)
    check_files(folder, "model.safetensors")
    layers = config.setdefault("num_hidden_layers", 12)
    layers = layers if num_hidden_layers is None else num_hidden_layers
    if type(layers) is not int or not 0 < layers < 1000:
        raise MiniBertError(
            f"{folder}: num_hidden_layers is {layers!r:.100} in the config; it must be an integer "
            "from 1 to 999."
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
    in_file = len({match[1] for name in tensors if (match := LAYER.search(name))})
    try:
        found = (from_google if _is_google(folder) else from_hugging_face)(tensors, in_file)
    except MiniBertError as error:
        raise MiniBertError(f"{source}: {error}") from error
    notes += found.notes
    checkpoint = Checkpoint(folder, found.tensors, config, source, found.unknown, notes)
    if layers > in_file:
        raise MiniBertError(
            f"{source} has {in_file} of the {layers} layers in its config: it is incomplete, or "
            f"the config belongs to another model. Names that no BERT has: {checkpoint.names}."
        )
    if layers < in_file and num_hidden_layers is None:
        raise MiniBertError(
            f"{source} has {in_file} layers, but its config has num_hidden_layers {layers}; "
            "correct the config, or use only the first layers with "
            f"from_pretrained(..., num_hidden_layers={layers})."
        )
    if any("lora_" in name for name in found.unknown):
        raise MiniBertError(f"{source} has LoRA weights ({checkpoint.names}), {MERGE_ADAPTER}.")
    for name, tensor in (found.tensors | found.unknown).items():  # unknown: of a class of yours
        if not torch.isfinite(tensor).all():
            raise MiniBertError(
                f"{source}: {name} holds NaN or infinite values, so the training that wrote it had "
                "failed; use an earlier checkpoint."
            )
    if found.tied is not None:  # what the file has counts, not what the config says
        config["tie_word_embeddings"] = found.tied
    notes += _count_labels(config, found.tensors)
    return checkpoint


def _count_labels(config: dict[str, Any], tensors: Mapping[str, Tensor]) -> list[str]:
    """Add the labels of a classifier to a config that does not name them; return a note on it."""
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    rows = tensors["classifier.bias"].numel() if "classifier.bias" in tensors else 0
    if (
        not rows
        or not isinstance(names, dict)
        or any(label != f"LABEL_{index}" for index, label in names.items())
        or rows == len(names) == config.get("num_labels", rows)
        or "BertForMultipleChoice" in architectures(config)
    ):
        return []
    config["id2label"] = {str(index): f"LABEL_{index}" for index in range(rows)}
    config["label2id"] = {label: int(index) for index, label in config["id2label"].items()}
    config.pop("num_labels", None)
    return [f"the classifier has {rows} labels, and the config names none: they are LABEL_0, ..."]


def _is_google(folder: Path) -> bool:
    return any(folder.glob("*.index")) and not any((folder / n).is_file() for n in WEIGHT_FILES[:2])


def _read_tensors(folder: Path) -> tuple[dict[str, Tensor], str]:
    """Return all tensors by their names in the file, and that file."""
    if _is_google(folder):
        path = find_checkpoint(folder)
        arrays = {name: torch.from_numpy(array) for name, array in read_tensors(path).items()}
        return arrays, f"Google's checkpoint {path}"
    found = next((folder / n for n in WEIGHT_FILES if (folder / n).exists()), None)
    if found is not None and not found.is_file():  # reading a pipe could block
        raise MiniBertError(f"cannot read {found}: it is not a file; copy the right file there.")
    if found is None:
        listed = ", ".join(sorted(repr(path.name[:100]) for path in folder.iterdir())[:10])
        raise _explained(
            folder,
            f"{folder} holds no weights: it has no model.safetensors, no TensorFlow checkpoint "
            "(*.ckpt.index) and no pytorch_model.bin. Copy them there, or finish the training run "
            f"that writes them (--resume). It has {listed}.",
        )
    if found.suffix != ".json":
        return _read_file(found), str(found)
    places = read_json_object(found).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise MiniBertError(
            f"{found} has no weight_map of names to files; copy it again from its source."
        )
    tensors: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        if Path(file).name != file:
            raise MiniBertError(
                f"{found} names the file {file!r} outside its folder; for safety it is not loaded."
            )
        for name, tensor in _read_file(folder / file).items():
            if name in tensors and not torch.equal(tensors[name], tensor):
                raise MiniBertError(
                    f"two files of {found} have different tensors {name[:100]!r}; copy them again "
                    "from their source."
                )
            tensors[name] = tensor
    if missing := sorted(places.keys() - tensors.keys()):
        raise MiniBertError(
            f"{folder / places[missing[0]]} lacks {missing[0][:100]!r}, which {found.name} says is "
            "in it; copy both again from their source."
        )
    return tensors, str(found)


def _read_file(path: Path) -> dict[str, Tensor]:
    with explain_os_errors("read", path):
        if not path.is_file():  # a pipe could block
            raise MiniBertError(f"there is no file {path}; copy it there from its source.")
        with path.open("rb") as file:
            check_download(path, file.read(64))
    return read_torch_bin(path) if path.suffix == ".bin" else read_safetensors(path)


def _explained(folder: Path, otherwise: str) -> MiniBertError:
    """Return the error for a folder without the files of a BERT, by what is there instead."""
    for pattern, advice in OTHER_FILES.items():
        if pattern == "*/model.safetensors" and any((folder / n).is_file() for n in WEIGHT_FILES):
            break  # only the config is missing
        paths = [path for path in folder.glob(pattern) if path.is_file() or path.is_dir()]
        found = [path for path in paths if not OF_A_RUN.match(path.name)]
        if found:
            # The last checkpoint-* has the highest number.
            path = max(sorted(found), key=lambda path: int(re.sub(r"\D", "", f"0{path}")[-9:]))
            path = path if "checkpoint" in pattern else min(found)
            return MiniBertError(f"{folder} {advice.format(path=path, name=path.name)}.")
    return MiniBertError(otherwise)


def write_folder(
    folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], *, prefix: str = ""
) -> None:
    """Write `model.safetensors` and `config.json`, each atomically.

    Args:
        folder: made if needed; other files in it are kept.
        tensors: under our names; tensors that no BERT has keep their names.
        config: the fields of `config.json`; its `dtype` becomes that of the tensors.
        prefix: is removed from all names: "bert." for a bare encoder, as `transformers` does.

    Raises:
        MiniBertError: the files cannot be written, or a name has another meaning there.
    """
    theirs = to_hugging_face(tensors, config["num_hidden_layers"])
    theirs = {name.removeprefix(prefix): tensor for name, tensor in theirs.items()}
    dtype = next((t.dtype for t in theirs.values() if t.is_floating_point()), torch.float32)
    # Before version 5, transformers called `dtype` `torch_dtype`.
    config = {name: value for name, value in config.items() if name != "torch_dtype"}
    write_safetensors(folder / "model.safetensors", theirs)
    write_json(folder / "config.json", config | {"dtype": str(dtype).removeprefix("torch.")})
    record_files(folder, "model.safetensors")


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file, copied into memory.

    Raises:
        MiniBertError: the file is damaged or cannot be read.
    """
    try:
        # Cloned, since the file may be replaced or truncated while the model is in use.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
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
        # The library first writes a temporary file, whose name would not say which run left it.
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
