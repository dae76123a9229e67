"""Read `pytorch_model.bin` files safely: they are pickles, which could run any code.

A pickle is a program. It passes three checks: every name that it refers to is read from its
opcodes, without running it, and must be on a short list; PyTorch then runs it with
`weights_only=True`; and the result may not be larger than the file. All models from before 2023,
among them most Chinese BERTs, exist in this format only.

Left out: writing. minibert writes safetensors, which hold no code.

Source: Python's `pickletools`; PyTorch, torch/serialization.py (the two formats, zip and legacy).
"""

import pickletools
import zipfile
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from minibert.errors import MiniBertError

# All that a dictionary of tensors refers to.
ALLOWED = frozenset(
    ["collections OrderedDict"]
    + [f"torch._utils _rebuild_{kind}" for kind in ("tensor", "tensor_v2", "parameter")]
    + [
        f"torch {kind}Storage"
        for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Byte", "Bool")
    ]
)
# The pickle of BERT-large has 60 kB; a longer one would only cost time.
MAX_PICKLE_BYTES = 1 << 20
# The format before PyTorch 1.6 starts with five pickles: three numbers, the tensors, a list.
LEGACY_PICKLES = 5


def read_torch_bin(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `.bin` file.

    Raises:
        MiniBertError: the file is damaged, or is more than a dictionary of tensors.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_zip(path, archive)
        else:
            with path.open("rb") as file:
                for _ in range(LEGACY_PICKLES):
                    _check_pickle(path, file)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except MiniBertError:
        raise
    except Exception as error:  # neither zip files nor the unpickler have one error class
        raise MiniBertError(
            f"{path} is damaged or was not written by PyTorch ({type(error).__name__}); nothing in "
            "it was run. Copy it again from its source."
        ) from error
    if not isinstance(content, dict):
        raise MiniBertError(f"{path} is not a dictionary of tensors; save model.state_dict().")
    for key in ("state_dict", "model_state_dict", "model"):  # as Lightning and many loops save it
        if isinstance(content.get(key), dict):
            content = content[key]
    for name, value in content.items():
        if (
            not isinstance(value, Tensor)
            or value.layout != torch.strided
            or value.device.type != "cpu"
            or value.is_quantized
        ):
            raise MiniBertError(
                f"{path} holds more than plain tensors ({str(name)[:100]!r}); save "
                "model.state_dict() alone."
            )
    # A tied decoder is stored once and counted twice.
    if sum(tensor.nbytes for tensor in content.values()) > 2 * path.stat().st_size:
        raise MiniBertError(
            f"{path} describes more numbers than it has bytes, so it is not loaded; download it "
            "again or ask for model.safetensors."
        )
    # Cloned, so that no two parameters share memory, whatever the file says.
    return {str(name): tensor.detach().clone() for name, tensor in content.items()}


def _check_zip(path: Path, archive: zipfile.ZipFile) -> None:
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:  # a small file could fill any memory
            raise MiniBertError(
                f"{path} is compressed, which PyTorch never does, so it is not loaded; download it "
                "again or ask for model.safetensors."
            )
        if member.filename.endswith("data.pkl"):
            with archive.open(member) as file:
                _check_pickle(path, file)


def _check_pickle(path: Path, file: IO[bytes]) -> None:
    """Read one pickle to its end without running it, and raise if it refers to other names."""
    start = file.tell()
    for opcode, argument, position in pickletools.genops(file):
        if position is not None and position - start > MAX_PICKLE_BYTES:
            raise MiniBertError(
                f"{path} describes far more than the tensors of a BERT; download it again or ask "
                "for model.safetensors."
            )
        if opcode.name == "GLOBAL" and argument not in ALLOWED:
            name = str(argument).replace(" ", ".")[:100]
        elif opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            name = f"something by {opcode.name}"
        else:
            continue
        raise MiniBertError(
            f"{path} is a pickle that refers to {name!r}, which no tensor needs; nothing in it was "
            "run, and it is not loaded. If you trust its author, ask for model.safetensors."
        )
