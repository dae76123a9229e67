"""The index of a TensorFlow checkpoint: the bytes of `X.index` -> where each tensor lies.

The index is a table (see `leveldb.py`). Its empty key holds a header, and each other key is the
name of a tensor. The values are messages in the encoding of Protocol Buffers: a field is a varint,
8 times its number plus its kind, followed by its content. There are four kinds: 0 a varint, 1 eight
bytes, 5 four bytes, 2 a length and so many bytes, which may be a message again.

    header       1 number of data files   2 byte order, 0 for little-endian   3 version
    tensor       1 type   2 shape   3 which data file   4 offset   5 size   6 checksum   7 slices
    shape        2 a dimension, as often as there are dimensions   3 "unknown"
    dimension    1 size   2 name

A field that is absent is zero. Fields that we do not know are passed over, as the encoding asks.

Left out: partitioned variables (slices), text and big-endian tensors; each is refused by name.

Source: TensorFlow, core/protobuf/tensor_bundle.proto, core/framework/{types,tensor_shape}.proto;
the encoding guide of Protocol Buffers. Written from these descriptions.
"""

import math
from dataclasses import dataclass

import numpy as np

from minibert.checkpoints.tensorflow.leveldb import damaged, read_table, varint
from minibert.errors import MiniBertError

MAX_DIMENSIONS = 8
MAX_NUMBERS = 1 << 40  # also where a dimension of zero makes the size zero, whatever the others say

# TensorFlow's numbers for those types that NumPy has too, and for bfloat16.
DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
TEXT = 7


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies, and what it must be.

    Attributes:
        dtype: a name out of `DTYPES`.
        shape: as TensorFlow has it; the kernel of a linear layer is (in, out).
        shard: in which data file, counted from 0.
        offset: its first byte there.
        size: its number of bytes; always what shape and type ask for.
        checksum: the masked CRC-32C of these bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


@dataclass(frozen=True)
class Index:
    """A whole index: the number of data files, and the entries by name, in ascending order."""

    shards: int
    entries: dict[str, Entry]


def parse_index(data: bytes) -> Index:
    """Read the bytes of a whole `.index` file.

    Raises:
        MiniBertError: the bytes are damaged, or hold something that minibert does not read. Every
            cause has its own sentence.
    """
    pairs = read_table(data)
    if not pairs or pairs[0][0] != b"":
        raise damaged("its header is missing")
    shards = _shards(pairs[0][1])
    entries = {}
    for key, message in pairs[1:]:
        try:
            name = key.decode("utf-8")
        except UnicodeDecodeError:
            raise damaged(f"the name {key!r} is not UTF-8") from None
        entries[name] = _entry(name, message, shards)
    return Index(shards, entries)


def stored_dtype(name: str) -> np.dtype[np.generic]:
    """The type of the bytes on disk. NumPy has no bfloat16: its bits pass as whole numbers."""
    return np.dtype("uint16" if name == "bfloat16" else name).newbyteorder("<")


def _shards(message: bytes) -> int:
    """The number of data files, out of the header."""
    numbers, _ = _fields(message)
    if numbers.get(2, 0) != 0:
        raise MiniBertError(
            "the tensors were written on a big-endian machine, which minibert does not read; "
            "save the checkpoint again on a common (little-endian) one."
        )
    return numbers.get(1, 0)


def _entry(name: str, message: bytes, shards: int) -> Entry:
    """All that the message of one tensor says, checked against itself."""
    numbers, parts = _fields(message)
    if 7 in parts:
        raise MiniBertError(
            f"the tensor {name!r} is stored in slices (a partitioned variable), which minibert "
            f"does not read; save the checkpoint again without a partitioner."
        )
    code = numbers.get(1, 0)
    if code == TEXT:
        raise MiniBertError(
            f"the tensor {name!r} is text, as in the object checkpoints of TensorFlow 2; minibert "
            f"reads those of Google's BERT, which the Saver of TensorFlow 1 writes."
        )
    if code not in DTYPES:
        raise damaged(f"the tensor {name!r} has the unknown type {code}")
    dtype, shape = DTYPES[code], _shape(name, parts.get(2, []))
    shard, offset, size = (_signed(numbers.get(field, 0)) for field in (3, 4, 5))
    if not 0 <= shard < shards:
        raise damaged(f"the tensor {name!r} lies in data file {shard}, but there are {shards}")
    if offset < 0:
        raise damaged(f"the tensor {name!r} starts at byte {offset}")
    # Python's whole numbers cannot overflow, so this comparison is also right for absurd shapes.
    expected = math.prod(shape) * stored_dtype(dtype).itemsize
    if size != expected:
        raise damaged(
            f"the tensor {name!r}, {dtype} of shape {shape}, has {expected} bytes, not {size}"
        )
    return Entry(dtype, shape, shard, offset, size, numbers.get(6, 0))


def _shape(name: str, messages: list[bytes]) -> tuple[int, ...]:
    """The dimensions of a tensor; none means a single number."""
    numbers, parts = _fields(b"".join(messages))
    dimensions = parts.get(2, [])
    if numbers.get(3, 0) != 0:
        raise damaged(f"the tensor {name!r} has no known shape")
    if len(dimensions) > MAX_DIMENSIONS:
        raise damaged(f"the tensor {name!r} has more than {MAX_DIMENSIONS} dimensions")
    shape = tuple(_signed(_fields(dimension)[0].get(1, 0)) for dimension in dimensions)
    if any(size < 0 for size in shape):
        raise damaged(f"the tensor {name!r} has a negative dimension in {shape}")
    if math.prod(size or 1 for size in shape) > MAX_NUMBERS:
        raise damaged(f"the tensor {name!r} has the absurd shape {shape}")
    return shape


def _signed(number: int) -> int:
    """A number below 2^64 as the encoding means it where a field can be negative."""
    return number - (1 << 64) if number >> 63 else number


def _fields(message: bytes) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """The fields of a message by their number: those that are numbers, and those that are bytes."""
    numbers: dict[int, int] = {}
    parts: dict[int, list[bytes]] = {}
    position = 0
    while position < len(message):
        tag, position = varint(message, position)
        field, kind = tag >> 3, tag & 7
        if kind not in (0, 1, 2, 5):
            raise damaged(f"a message has a field of the unknown kind {kind}")
        number, position = varint(message, position) if kind in (0, 2) else (0, position)
        length = {0: 0, 1: 8, 2: number, 5: 4}[kind]  # bytes that follow
        content = message[position : position + length]
        if len(content) < length:
            raise damaged(f"a field of {length} bytes runs past the end of its message")
        position += length
        if kind == 2:
            parts.setdefault(field, []).append(content)
        elif field in numbers:
            raise damaged(f"a message has field {field} twice")
        else:
            numbers[field] = number if kind == 0 else int.from_bytes(content, "little")
    return numbers, parts
