"""Google's checkpoints -> NumPy arrays, without TensorFlow.

A checkpoint X is an index `X.index` and data files `X.data-00000-of-00001`, ...; all are called by
their common beginning, the prefix X. (`X.meta` is the program that was trained. It is not needed.)
A data file is nothing but the numbers of one tensor after another; the index says which lie where.
Google's `bert_model.ckpt` holds the weights alone; a checkpoint of a training run is three times as
large, since Adam keeps two averages for each weight.

Everything the index claims is compared with the files before a byte is allocated, and every tensor
with its checksum before it is handed out: a wrong number never passes in silence. The weights of
BERT-base (440 MB) take a second or two on one core, and no more memory than they fill.

Names and shapes stay TensorFlow's: `.../kernel` is (in, out), and LayerNorm has `gamma` and `beta`.
`names.py` translates them. Left out: writing, and what `tensorflow_index.py` refuses.

Source: TensorFlow, core/util/tensor_bundle and python/training/checkpoint_state.proto, described in
`leveldb.py` and `tensorflow_index.py`; google-research/bert, optimization.py (names of the slots).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minibert.checkpoints.tensorflow.crc32c import crc32c, masked
from minibert.checkpoints.tensorflow.index import Entry, Index, parse_index, stored_dtype
from minibert.errors import MiniBertError

# BERT-large with its optimizer has an index of 50 kB; a hostile one of 1 MB takes half a second.
MAX_INDEX_BYTES = 1 << 20

# What an optimizer keeps beside the weights, by the last part of its name.
OPTIMIZER_NAMES = frozenset(
    {
        "adam_m",
        "adam_v",
        "lamb_m",
        "lamb_v",
        "Adam",
        "Adam_1",
        "AdamWeightDecayOptimizer",
        "AdamWeightDecayOptimizer_1",
        "LAMBOptimizer",
        "LAMBOptimizer_1",
        "Momentum",
        "beta1_power",
        "beta2_power",
        "global_step",
    }
)


@dataclass(frozen=True)
class TensorFlowCheckpoint:
    """What was read.

    Attributes:
        tensors: arrays by TensorFlow's names, in ascending order; bfloat16 comes as float32.
        left_out: the names of the optimizer's tensors that were not read.
    """

    tensors: dict[str, npt.NDArray[Any]]
    left_out: tuple[str, ...]


def find_checkpoint(path: Path) -> Path:
    """The prefix of the checkpoint that `path` means.

    Args:
        path: a prefix (`.../bert_model.ckpt`), one of its files (`.../bert_model.ckpt.index`), or a
            folder. In a folder, `bert_model.ckpt` comes first; then the one that TensorFlow's text
            file `checkpoint` calls the latest; then the only one there is.

    Raises:
        MiniBertError: there is none, or there are several and nothing says which.
    """
    path = Path(path)
    if _is_file(_index_file(path)):
        return path
    if not _is_folder(path):
        prefix = path.parent / _without_ending(path.name)
        if _is_file(_index_file(prefix)):
            return prefix
        raise MiniBertError(
            f"there is no TensorFlow checkpoint at {path}: {_index_file(prefix)} does not exist; "
            f"give the folder, or the common beginning of the files (.../bert_model.ckpt)."
        )
    if _is_file(_index_file(path / "bert_model.ckpt")):
        return path / "bert_model.ckpt"
    latest = _latest(path)
    if latest is not None:
        return latest
    found = sorted(_without_ending(file.name) for file in path.glob("*.index"))
    if len(found) == 1:
        return path / found[0]
    if found:
        raise MiniBertError(
            f"{path} holds {len(found)} TensorFlow checkpoints; name one: {', '.join(found)}."
        )
    raise MiniBertError(
        f"there is no TensorFlow checkpoint in {path}: no file there ends in .index; "
        f"a checkpoint is an .index file and the .data files of the same name."
    )


def read_index(prefix: Path) -> Index:
    """What a checkpoint holds, without its numbers: names, types and shapes.

    Raises:
        MiniBertError: the index is missing, damaged, or more than minibert reads.
    """
    path = _index_file(prefix)
    size = _size(path)
    if size > MAX_INDEX_BYTES:
        raise MiniBertError(
            f"{path} has {size} bytes, where an index of BERT has less than {MAX_INDEX_BYTES}; "
            f"check that this is the right file."
        )
    try:
        return parse_index(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from error
    except MiniBertError as error:
        raise MiniBertError(f"{path}: {error}") from None


def read_tensors(
    prefix: Path, *, names: Collection[str] | None = None, with_optimizer: bool = False
) -> TensorFlowCheckpoint:
    """Read a checkpoint, every tensor verified by its checksum.

    Args:
        prefix: as `find_checkpoint` gives it.
        names: read only these.
        with_optimizer: read also what the optimizer kept, such as `.../adam_m` and `global_step`.

    Raises:
        MiniBertError: a file is missing or damaged, a name of `names` is not there, or the
            checkpoint holds what minibert does not read (text, slices, big-endian numbers).

    Example:
        >>> found = read_tensors(find_checkpoint(Path("uncased_L-12_H-768_A-12")))
        >>> found.tensors["bert/pooler/dense/kernel"].shape
        (768, 768)
    """
    prefix = Path(prefix)
    index = read_index(prefix)
    _check_places(prefix, index)
    left_out: tuple[str, ...] = ()
    if names is None and not with_optimizer:
        left_out = tuple(name for name in index.entries if _is_optimizer(name))
    wanted = set(index.entries) - set(left_out) if names is None else set(names)
    missing = sorted(wanted - set(index.entries))
    if missing:
        raise MiniBertError(
            f"{prefix} has no tensor {missing[0]!r} ({len(missing)} of {len(wanted)} names are "
            f"missing); read_index() lists the {len(index.entries)} that it has."
        )
    tensors = {
        name: _read_tensor(prefix, index.shards, name, entry)
        for name, entry in index.entries.items()
        if name in wanted
    }
    return TensorFlowCheckpoint(tensors, left_out)


def _read_tensor(prefix: Path, shards: int, name: str, entry: Entry) -> npt.NDArray[Any]:
    path = _data_file(prefix, entry.shard, shards)
    try:
        with path.open("rb") as file:
            file.seek(entry.offset)
            data = np.fromfile(file, dtype=np.uint8, count=entry.size)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) < entry.size or masked(crc32c(data)) != entry.checksum:
        raise MiniBertError(
            f"{path}: the tensor {name!r} is damaged: the checksum of its {entry.size} bytes does "
            f"not hold; copy or download the checkpoint again."
        )
    tensor = data.view(stored_dtype(entry.dtype)).reshape(entry.shape)
    if entry.dtype == "bfloat16":
        # A bfloat16 is the upper half of a float32.
        return (tensor.astype(np.uint32) << 16).view(np.float32)
    return tensor.astype(entry.dtype, copy=False)


def _check_places(prefix: Path, index: Index) -> None:
    """Hold every place in the index against the data files, and against its neighbours."""
    sizes: dict[int, int] = {}
    for name, entry in index.entries.items():
        path = _data_file(prefix, entry.shard, index.shards)
        if entry.shard not in sizes:
            sizes[entry.shard] = _size(path)
        if entry.offset + entry.size > sizes[entry.shard]:
            raise MiniBertError(
                f"{path} is too short: it has {sizes[entry.shard]} bytes, and the tensor {name!r} "
                f"ends at byte {entry.offset + entry.size}; copy or download it again."
            )
    # Tensors that share bytes could make a small file fill any memory.
    filled = [item for item in index.entries.items() if item[1].size > 0]
    filled.sort(key=lambda item: (item[1].shard, item[1].offset))
    for (name, entry), (neighbour, following) in pairwise(filled):
        if entry.shard == following.shard and entry.offset + entry.size > following.offset:
            raise MiniBertError(
                f"{_index_file(prefix)} is damaged: the tensors {name!r} and {neighbour!r} "
                f"overlap; copy or download the checkpoint again."
            )


def _latest(folder: Path) -> Path | None:
    """What TensorFlow's text file `checkpoint` names: `model_checkpoint_path: "model.ckpt-12"`."""
    path = folder / "checkpoint"
    if not _is_file(path):
        return None
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 16).splitlines()
    except OSError as error:
        raise _unreadable(path, error) from error
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model_checkpoint_path":
            # The path is that of the training machine; only its last part still holds here.
            prefix = folder / value.strip().strip("\"'").replace("\\", "/").split("/")[-1]
            if _is_file(_index_file(prefix)):
                return prefix
            raise MiniBertError(
                f"{path} calls {prefix.name[:100]!r} the latest checkpoint, but there is no .index "
                f"of that name; copy it here, or give the path of another checkpoint."
            )
    return None


def _is_optimizer(name: str) -> bool:
    return name.rpartition("/")[2] in OPTIMIZER_NAMES


def _index_file(prefix: Path) -> Path:
    # Not with_suffix, which would cut the ".ckpt" of the prefix.
    return Path(f"{prefix}.index")


def _data_file(prefix: Path, shard: int, shards: int) -> Path:
    return Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}")


def _without_ending(name: str) -> str:
    return name.removesuffix(".index").removesuffix(".meta").partition(".data-")[0]


def _is_file(path: Path) -> bool:
    # A pipe or a device is no file: it has no size, and reading it might never end.
    return _yes(path.is_file)


def _is_folder(path: Path) -> bool:
    return _yes(path.is_dir)


def _yes(question: Callable[[], bool]) -> bool:
    """What the system says of a path; no, where it cannot even have such a name."""
    try:
        return question()
    except (OSError, ValueError):
        return False


def _size(path: Path) -> int:
    if not _is_file(path):
        raise MiniBertError(
            f"{path} is missing or not a file; a TensorFlow checkpoint is its .index and all its "
            f".data files together."
        )
    return path.stat().st_size


def _unreadable(path: Path, error: OSError) -> MiniBertError:
    return MiniBertError(f"cannot read {path}: {error.strerror or error}; check its permissions.")
