"""Read Google's BERT checkpoints without TensorFlow.

A checkpoint X is an index `X.index` and data files `X.data-00000-of-00001`, ...; X is called its
prefix. (`X.meta`, the graph, is not needed.) A data file holds the bytes of one tensor after
another, and the index says which lie where.

All offsets and sizes in the index are checked against the files before anything is allocated, and
every tensor is verified by its checksum. BERT-base (440 MB) takes about two seconds on one core.

Names and shapes stay TensorFlow's: `.../kernel` is (in, out), and LayerNorm has `gamma` and `beta`.
`name_map.py` translates them. Left out: writing, the optimizer's tensors, and what `index.py`
refuses.

Source: TensorFlow, core/util/tensor_bundle; google-research/bert, optimization.py (Adam's names).
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minibert.checkpoints.tensorflow.crc32c import crc32c, masked
from minibert.checkpoints.tensorflow.index import Index, parse_index
from minibert.errors import MiniBertError
from minibert.files import explain_os_errors

# BERT-large with its optimizer has an index of 50 kB; a hostile one of 1 MB takes half a second.
MAX_INDEX_BYTES = 1 << 20

# The last parts of the names of tensors that an optimizer keeps.
OPTIMIZER_NAMES = frozenset(
    [
        *("adam_m", "adam_v", "Adam", "Adam_1", "lamb_m", "lamb_v", "Momentum"),
        *("AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1", "BERTAdam", "BERTAdam_1"),
        *("adafactor_m", "adafactor_v", "adafactor_vr", "adafactor_vc"),
        *("LAMBOptimizer", "LAMBOptimizer_1", "beta1_power", "beta2_power", "global_step"),
    ]
)


def find_checkpoint(folder: Path) -> Path:
    """Return the prefix of the checkpoint in a folder.

    `bert_model.ckpt` comes first, then the one that TensorFlow's text file `checkpoint` calls the
    latest, then the only one there is.

    Raises:
        MiniBertError: there is none, or several and nothing says which.
    """
    found = sorted(file.name.removesuffix(".index") for file in folder.glob("*.index"))
    latest = folder / "checkpoint"
    if "bert_model.ckpt" in found:
        return folder / "bert_model.ckpt"
    if latest.is_file():
        with (
            explain_os_errors("read", latest),
            latest.open(encoding="utf-8", errors="replace") as file,
        ):
            text = file.read(1 << 16)
        if match := re.search(
            r"^\s*model_checkpoint_path\s*:\s*[\"'](.*)[\"']", text, re.MULTILINE
        ):
            # The path is that of the machine it was trained on; only its last part is valid here.
            name = re.split(r"[/\\]", match[1])[-1]
            if name in found:
                return folder / name
            raise MiniBertError(
                f"{latest} calls {name[:100]!r} the latest checkpoint, but there is no .index file "
                "of that name; copy it into the folder, or delete the file 'checkpoint'."
            )
    if len(found) != 1:
        raise MiniBertError(
            f"{folder} holds {len(found)} TensorFlow checkpoints ({', '.join(found)[:1000]}); keep "
            "the .index file and the .data files of one of them."
        )
    return folder / found[0]


def read_index(prefix: Path) -> Index:
    """Return the names, types, shapes and positions of all tensors.

    Raises:
        MiniBertError: the index is missing, damaged, or holds what minibert does not read.
    """
    path = Path(f"{prefix}.index")  # with_suffix would replace the ".ckpt" of the prefix
    size = _size(path)
    if size > MAX_INDEX_BYTES:
        raise MiniBertError(
            f"{path} has {size} bytes, but an index of BERT has less than {MAX_INDEX_BYTES}; check "
            "that this is the right file."
        )
    with explain_os_errors("read", path):
        data = path.read_bytes()
    try:
        return parse_index(data)
    except MiniBertError as error:
        raise MiniBertError(f"{path}: {error}") from None


def read_tensors(prefix: Path) -> dict[str, npt.NDArray[Any]]:
    """Read all tensors but the optimizer's, each verified by its checksum.

    Args:
        prefix: as returned by `find_checkpoint`.

    Returns:
        The arrays by TensorFlow's names, in ascending order; bfloat16 becomes float32.

    Raises:
        MiniBertError: a file is missing or damaged, or the checkpoint holds what minibert does not
            read (text, slices, big-endian numbers).
    """
    index = read_index(prefix)
    entries = {
        name: entry
        for name, entry in index.entries.items()
        if name.rpartition("/")[2] not in OPTIMIZER_NAMES
    }
    shards = sorted({entry.shard for entry in entries.values()})
    paths = {shard: Path(f"{prefix}.data-{shard:05d}-of-{index.shards:05d}") for shard in shards}
    sizes = {shard: _size(path) for shard, path in paths.items()}
    for name, entry in entries.items():
        if entry.offset + entry.size > sizes[entry.shard]:
            raise MiniBertError(
                f"{paths[entry.shard]} is too short: it has {sizes[entry.shard]} bytes, and the "
                f"tensor {name!r} ends at byte {entry.offset + entry.size}; copy or download the "
                "checkpoint again."
            )
    # If tensors could share bytes, a small file could fill any memory.
    filled = [item for item in entries.items() if item[1].size > 0]
    filled.sort(key=lambda item: (item[1].shard, item[1].offset))
    for (name, entry), (next_name, following) in pairwise(filled):
        if entry.shard == following.shard and entry.offset + entry.size > following.offset:
            raise MiniBertError(
                f"{prefix}.index is damaged: the tensors {name!r} and {next_name!r} overlap; copy "
                "or download the checkpoint again."
            )
    tensors = {}
    for name, entry in entries.items():
        path = paths[entry.shard]
        with explain_os_errors("read", path), path.open("rb") as file:
            file.seek(entry.offset)
            data = np.fromfile(file, dtype=np.uint8, count=entry.size)
        if len(data) < entry.size or masked(crc32c(data)) != entry.checksum:
            raise MiniBertError(
                f"{path}: the tensor {name!r} is damaged: the checksum of its {entry.size} bytes "
                "is wrong; copy or download the checkpoint again."
            )
        tensor = data.view(entry.stored_dtype).reshape(entry.shape)
        if entry.dtype == "bfloat16":  # the upper half of a float32
            tensor = (tensor.astype(np.uint32) << 16).view(np.float32)
        else:
            tensor = tensor.astype(entry.dtype, copy=False)
        tensors[name] = tensor
    return tensors


def _size(path: Path) -> int:
    """Return the size of a regular file; a pipe or device has none, and reading might never end."""
    if not path.is_file():
        raise MiniBertError(
            f"{path} is missing or not a file; a TensorFlow checkpoint is its .index and all of "
            "its .data files together."
        )
    return path.stat().st_size
