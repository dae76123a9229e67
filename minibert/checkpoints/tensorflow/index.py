"""Parse the index of a TensorFlow checkpoint: which tensor lies where.

The index `X.index` is a table in the format of LevelDB: (key, value) pairs sorted by key.

    data block | data block | ... | metaindex block | index block | footer, the last 48 bytes

    footer   offset and size of the metaindex and of the index block, zeros, a magic number
    block    pairs, restart points, their count; then one byte for compression and a checksum
    pair     shared, unshared, length of the value, the unshared bytes of the key, the value

A key stores only how it differs from the key before it: after `bert/pooler/dense/bias` comes
(18 shared bytes, "kernel"). The values of the index block are offset and size of the data blocks.
Integers are varints: seven bits per byte, lowest first, with the top bit set while more follow.

The empty key holds a header, every other key is the name of a tensor. The values are Protocol
Buffers messages, in which a field is a varint, 8 * number + kind, and its content: 0 a varint,
1 eight bytes, 5 four bytes, 2 a length and that many bytes. An absent field is zero.

    header       1 number of data files   2 byte order, 0 for little-endian   3 version
    tensor       1 type   2 shape   3 data file   4 offset   5 size   6 checksum   7 slices
    shape        2 a dimension, repeated   3 unknown rank
    dimension    1 size   2 name

The file is not trusted: a length is compared with what is left before it is used, a checksum is
verified before its block is parsed, and everything that is kept has a limit.

Left out, and refused with a reason: compressed blocks, slices, text, big-endian tensors.

Source: LevelDB, doc/table_format.md and table/block_builder.cc; TensorFlow,
core/protobuf/tensor_bundle.proto and core/framework/{types,tensor_shape}.proto; the encoding guide
of Protocol Buffers. Written from these descriptions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minibert.checkpoints.tensorflow.crc32c import crc32c, masked
from minibert.errors import MiniBertError

FOOTER_BYTES, TRAILER_BYTES = 48, 5
MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
# BERT-large with its optimizer has 1,200 tensors in an index of 50 kB.
MAX_TENSORS, MAX_KEY_BYTES, MAX_DIMENSIONS = 10_000, 512, 8
MAX_ELEMENTS = 1 << 40  # also limits shapes with a dimension of zero, whose size is zero

# TensorFlow's codes for types. NumPy has no bfloat16.
DTYPES = {
    **{1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64"},
    **{10: "bool", 14: "bfloat16", 17: "uint16", 19: "float16", 22: "uint32", 23: "uint64"},
}
TEXT = 7


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies, and what it must be."""

    dtype: str  # one of DTYPES
    shape: tuple[int, ...]
    shard: int  # index of the data file
    offset: int  # of the first byte in that file
    size: int  # number of bytes, always what shape and dtype need
    checksum: int  # masked CRC-32C of these bytes

    @property
    def stored_dtype(self) -> np.dtype[np.generic]:
        """The dtype to read the bytes with; bfloat16 is read as its bits."""
        return np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype).newbyteorder("<")


@dataclass(frozen=True)
class Index:
    """The number of data files, and the entries by name, in ascending order."""

    shards: int
    entries: dict[str, Entry]


def parse_index(data: bytes) -> Index:
    """Parse a whole `.index` file.

    Args:
        data: its bytes. Work and memory are proportional to their number, which the caller limits.

    Raises:
        MiniBertError: the index is damaged, or holds something that minibert does not read.
    """
    pairs = read_table(data)
    if not pairs or pairs[0][0] != b"":
        raise damaged("its header is missing")
    header, _ = _fields(pairs[0][1])
    if header.get(2, 0) != 0:
        raise MiniBertError(
            "the tensors were written on a big-endian machine, which minibert does not read; "
            "save the checkpoint again on a little-endian one."
        )
    shards = header.get(1, 0)
    entries = {}
    for key, message in pairs[1:]:
        try:
            name = key.decode("utf-8")
        except UnicodeDecodeError:
            raise damaged(f"the name {key!r} is not UTF-8") from None
        entries[name] = _entry(name, message, shards)
    return Index(shards, entries)


def read_table(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return all pairs of a table, in ascending order of their keys."""
    if len(data) < FOOTER_BYTES or data[-8:] != MAGIC:
        raise damaged("it does not end in the magic number of a TensorFlow index")
    footer = data[-FOOTER_BYTES:-8]
    handles, position = [], 0
    for _ in range(4):
        number, position = varint(footer, position)
        handles.append(number)
    if any(footer[position:]):
        raise damaged("its footer is not padded with zeros")
    _block(data, handles[0], handles[1])  # the metaindex is not needed, but must be intact

    pairs: list[tuple[bytes, bytes]] = []
    end = 0  # of the data blocks so far
    for _, handle in _pairs(_block(data, handles[2], handles[3])):
        offset, position = varint(handle, 0)
        size, _ = varint(handle, position)
        if offset < end:
            raise damaged(f"two of its blocks overlap at byte {offset}")
        end = offset + size + TRAILER_BYTES
        known = len(pairs)
        for key, value in _pairs(_block(data, offset, size)):
            if pairs and key <= pairs[-1][0]:
                fault = "appears twice" if key == pairs[-1][0] else "is out of order"
                raise damaged(f"the name {key!r} {fault}")
            if len(pairs) > MAX_TENSORS:
                raise damaged(f"it lists more than {MAX_TENSORS} tensors")
            pairs.append((key, value))
        if len(pairs) == known:
            raise damaged(f"its block at byte {offset} is empty")
    return pairs


def varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number of up to 64 bits at `position`, and the position after it.

    Example:
        >>> varint(bytes([0xAC, 0x02]), 0)  # 0x2C + (0x02 << 7)
        (300, 2)
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise damaged("a number runs past the end of its block")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise damaged("a number has more than 64 bits")
            return value, position
    raise damaged("a number is longer than 10 bytes")


def damaged(fault: str) -> MiniBertError:
    """Return the error for an index that no correct program could have written."""
    return MiniBertError(f"the index is damaged: {fault}; copy or download the checkpoint again.")


def _block(data: bytes, offset: int, size: int) -> bytes:
    """Return the bytes of a block after verifying its checksum."""
    end = offset + size
    if end + TRAILER_BYTES > len(data) - FOOTER_BYTES:
        raise damaged(f"a block of {size} bytes at byte {offset} does not fit into the file")
    stored = int.from_bytes(data[end + 1 : end + TRAILER_BYTES], "little")
    if masked(crc32c(data[offset : end + 1])) != stored:
        raise damaged(f"the checksum of the block at byte {offset} is wrong")
    if data[end] != 0:
        raise MiniBertError(
            "the index is compressed, which TensorFlow never does and minibert cannot read; save "
            "the checkpoint again with TensorFlow's own Saver."
        )
    return data[offset:end]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise damaged(f"a block of {len(block)} bytes cannot hold {restarts} restart points")
    block, key, position = block[:end], b"", 0
    while position < end:
        shared, position = varint(block, position)
        unshared, position = varint(block, position)
        length, position = varint(block, position)
        if shared > len(key):
            raise damaged(f"a name repeats {shared} bytes of a name that has {len(key)}")
        if unshared + length > end - position:
            raise damaged("a name and its value run past the end of their block")
        if shared + unshared > MAX_KEY_BYTES:
            raise damaged(f"a name is longer than {MAX_KEY_BYTES} bytes")
        value = position + unshared
        key = key[:shared] + block[position:value]
        position = value + length
        yield key, block[value:position]


def _entry(name: str, message: bytes, shards: int) -> Entry:
    """Parse the message of one tensor and check that it is consistent."""
    numbers, parts = _fields(message)
    if 7 in parts:
        raise MiniBertError(
            f"the tensor {name!r} is stored in slices (a partitioned variable), which minibert "
            "does not read; save the checkpoint again without a partitioner."
        )
    code = numbers.get(1, 0)
    if code == TEXT:
        raise MiniBertError(
            f"the tensor {name!r} is text, as in the object checkpoints of TensorFlow 2; minibert "
            "reads the checkpoints of Google's BERT, which the Saver of TensorFlow 1 writes."
        )
    if code not in DTYPES:
        raise damaged(f"the tensor {name!r} has the unknown type {code}")
    shape_numbers, shape_parts = _fields(b"".join(parts.get(2, [])))
    dimensions = shape_parts.get(2, [])
    if shape_numbers.get(3, 0) != 0:
        raise damaged(f"the tensor {name!r} has no known shape")
    if len(dimensions) > MAX_DIMENSIONS:
        raise damaged(f"the tensor {name!r} has more than {MAX_DIMENSIONS} dimensions")
    # A negative number would be encoded as 2^64 minus its absolute value, which is too large, too.
    shape = tuple(_fields(dimension)[0].get(1, 0) for dimension in dimensions)
    if math.prod(size or 1 for size in shape) > MAX_ELEMENTS:
        raise damaged(f"the tensor {name!r} has the impossible shape {shape}")
    shard, offset, size = (numbers.get(number, 0) for number in (3, 4, 5))
    if shard >= shards:
        raise damaged(
            f"the tensor {name!r} is in data file {shard} (from 0), but there are {shards}"
        )
    entry = Entry(DTYPES[code], shape, shard, offset, size, numbers.get(6, 0))
    expected = math.prod(shape) * entry.stored_dtype.itemsize
    if size != expected:
        raise damaged(
            f"the tensor {name!r}, {entry.dtype} of shape {shape}, has {expected} bytes, not {size}"
        )
    return entry


def _fields(message: bytes) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """Return the fields of a message by number: those that are integers, and those of bytes."""
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
