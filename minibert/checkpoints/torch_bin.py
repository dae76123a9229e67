"""Old `pytorch_model.bin` files: pickles, of which only what makes tensors is let through.

A pickle is a program. Three gates stand before its numbers: what it names is read off its opcodes,
without running it, and must be on a short list; PyTorch then runs it with `weights_only=True`; and
what comes out may not be larger than the file, however cleverly it was packed. Most of the Chinese
BERTs, and all models from before 2023, exist in this form only.

Left out: writing. minibert writes safetensors, which hold no program.

Source: Python's `pickletools`; PyTorch, torch/serialization.py (the two layouts, zip and legacy).
"""

import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from minibert.errors import MiniBertError

# Everything that a dictionary of tensors is made of.
NEEDED = frozenset(
    ["collections OrderedDict"]
    + [f"torch._utils _rebuild_{thing}" for thing in ("tensor", "tensor_v2", "parameter")]
    + [
        f"torch {kind}Storage"
        for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Byte", "Bool")
    ]
)
# BERT-large has 60 kB of program; a longer one would only take our time.
MAX_PROGRAM_BYTES = 1 << 20
# Before zip files (PyTorch 1.6) five pickles came first: three of numbers, the program, a list.
LEGACY_PICKLES = 5


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.bin` file.

    Raises:
        MiniBertError: the file is damaged, or is more than a dictionary of tensors.
    """
    try:
        for program in _programs(path):
            _refuse_other_names(path, program)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except MiniBertError:
        raise
    except Exception as error:  # neither zip files nor the unpickler have one error class
        raise MiniBertError(
            f"{path} is damaged or was not written by PyTorch ({type(error).__name__}); nothing in "
            "it was run; copy it again from where it came."
        ) from error
    if not isinstance(content, dict):
        raise MiniBertError(f"{path} holds no dictionary of tensors; save model.state_dict().")
    strange = [name for name, value in content.items() if not _is_plain(value)]
    if strange:
        raise MiniBertError(
            f"{path} holds other things than tensors ({str(strange[:3])[:100]}); save "
            "model.state_dict() alone."
        )
    # A tied decoder is stored once and counted twice.
    if sum(tensor.nbytes for tensor in content.values()) > 2 * path.stat().st_size:
        raise MiniBertError(f"{path} claims more numbers than it has bytes; it is not loaded.")
    # Cloned, so that no two of a model's parameters share memory, whatever the file says.
    return {str(name): tensor.detach().clone() for name, tensor in content.items()}


def _programs(path: Path) -> Iterator[IO[bytes]]:
    """The pickles in a file, each ready to be read."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            for _ in range(LEGACY_PICKLES):
                yield file
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise MiniBertError(
                f"{path} is compressed, which PyTorch never does: a small file could fill any "
                "memory; it is not loaded."
            )
        for member in members:
            if member.filename.endswith("data.pkl"):
                with archive.open(member) as program:
                    yield program


def _refuse_other_names(path: Path, program: IO[bytes]) -> None:
    """Read one pickle to its end, and refuse it if it names anything that is not needed."""
    start = program.tell()
    for opcode, argument, position in pickletools.genops(program):
        if position is not None and position - start > MAX_PROGRAM_BYTES:
            raise MiniBertError(f"{path} describes far more than the tensors of a BERT.")
        if opcode.name == "GLOBAL" and argument not in NEEDED:
            named = str(argument).replace(" ", ".")[:100]
        elif opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            named = f"something by {opcode.name}"
        else:
            continue
        raise MiniBertError(
            f"{path} is a pickle that asks for {named!r}, which no tensor needs; nothing in it was "
            "run, and it is not loaded. If you trust its author, ask for model.safetensors."
        )


def _is_plain(value: object) -> bool:
    """Whether this is a tensor whose numbers lie in memory, one after another."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )
