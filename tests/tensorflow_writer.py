"""Writes TensorFlow checkpoints for the tests, honest ones and, from the same pieces, hostile ones.

It follows the same description as the reader and shares with it only the checksum, which
`test_tensorflow_checkpoint.py` holds against published values.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minibert.checkpoints.name_map import to_google
from minibert.checkpoints.tensorflow.crc32c import crc32c, masked
from minibert.model.pretrained import PretrainedModel

MAGIC = bytes.fromhex("57fb808b247547db")
CODES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}

Pairs = list[tuple[bytes, bytes]]


def varint(number: int) -> bytes:
    """A number, seven bits a byte; a negative one as the encoding has it, plus 2^64."""
    number %= 1 << 64
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def field(number: int, content: int | bytes) -> bytes:
    """A field of a message: a whole number, or bytes."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def fixed32(number: int, content: int) -> bytes:
    return varint(number << 3 | 5) + content.to_bytes(4, "little")


def header(shards: int = 1, *, endianness: int = 0) -> bytes:
    return field(1, shards) + field(2, endianness) + field(3, field(1, 1))


def entry(
    *,
    code: int = 1,
    shape: Iterable[int] = (),
    shard: int = 0,
    offset: int = 0,
    size: int = 0,
    checksum: int = 0,
) -> bytes:
    """What the index says of one tensor."""
    dimensions = b"".join(field(2, field(1, dimension)) for dimension in shape)
    return (
        field(1, code)
        + field(2, dimensions)
        + field(3, shard)
        + field(4, offset)
        + field(5, size)
        + fixed32(6, checksum)
    )


def block(pairs: Pairs, *, restart_every: int = 16) -> bytes:
    """Pairs, each key cut to what differs from the one before, and the restart points."""
    content, restarts, previous = bytearray(), [0], b""
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % restart_every:
            while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
                shared += 1
        elif number:
            restarts.append(len(content))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value))
        content += key[shared:] + value
        previous = key
    points = b"".join(point.to_bytes(4, "little") for point in [*restarts, len(restarts)])
    return bytes(content) + points


def sealed(content: bytes, *, kind: int = 0) -> bytes:
    """A block as it lies in the file: with its kind and its checksum."""
    content += bytes([kind])
    return content + masked(crc32c(content)).to_bytes(4, "little")


def footer(metaindex: tuple[int, int], index: tuple[int, int]) -> bytes:
    handles = b"".join(varint(number) for number in (*metaindex, *index))
    return handles.ljust(40, b"\0") + MAGIC


def table_of_blocks(blocks: list[bytes], *, index: bytes | None = None) -> bytes:
    """A table file out of data blocks; `index` replaces the right index block."""
    file, handles = b"", []
    for number, content in enumerate(blocks):
        handles.append((b"%06d" % number, varint(len(file)) + varint(len(content))))
        file += sealed(content)
    metaindex = block([])
    index = block(handles, restart_every=1) if index is None else index
    middle = len(file) + len(metaindex) + 5
    ends = footer((len(file), len(metaindex)), (middle, len(index)))
    return file + sealed(metaindex) + sealed(index) + ends


def table(pairs: Pairs, *, pairs_in_block: int = 1000) -> bytes:
    """A whole table file."""
    starts = range(0, len(pairs), pairs_in_block)
    return table_of_blocks([block(pairs[start : start + pairs_in_block]) for start in starts])


def write_checkpoint(
    prefix: Path,
    tensors: Mapping[str, np.ndarray[Any, Any]],
    *,
    shards: int = 1,
    pairs_in_block: int = 1000,
    codes: Mapping[str, int] | None = None,
) -> None:
    """Write a checkpoint, its tensors dealt out over `shards` data files.

    Args:
        codes: TensorFlow's number for the type of a tensor, where it is not that of the array
            (bfloat16 comes as uint16).
    """
    paths = [Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}") for shard in range(shards)]
    files = [path.open("wb") for path in paths]
    pairs = [(b"", header(shards))]
    for number, name in enumerate(sorted(tensors, key=str.encode)):
        array = tensors[name]
        data = array.astype(array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
        file = files[number % shards]
        message = entry(
            code=(codes or {}).get(name, CODES[array.dtype.name]),
            shape=array.shape,
            shard=number % shards,
            offset=file.tell(),
            size=len(data),
            checksum=masked(crc32c(data)),
        )
        data.tofile(file)
        pairs.append((name.encode(), message))
    for file in files:
        file.close()
    Path(f"{prefix}.index").write_bytes(table(pairs, pairs_in_block=pairs_in_block))


GOOGLE_FIELDS = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "type_vocab_size", "initializer_range"),
)


def write_google_folder(folder: Path, model: PretrainedModel) -> None:
    """Write a model with `hidden_act="gelu_tanh"` as Google's code would have saved it."""
    tensors = to_google(model.named_tensors(), model.config.num_hidden_layers)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    write_checkpoint(folder / "bert_model.ckpt", arrays | {"global_step": np.array(12)})
    config = {field: getattr(model.config, field) for field in GOOGLE_FIELDS}
    text = json.dumps(config | {"hidden_act": "gelu"})
    (folder / "bert_config.json").write_text(text, encoding="utf-8")
