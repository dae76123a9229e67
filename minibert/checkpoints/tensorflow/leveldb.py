"""The bytes of a table of LevelDB -> its (key, value) pairs; TensorFlow's index is such a table.

LevelDB is a store of pairs sorted by key. One file of it is

    data block | data block | ... | metaindex block | index block | footer, the last 48 bytes

    footer   where the metaindex and the index block lie, zeros up to 40 bytes, a magic number
    block    pairs, restart points, their count; then one byte for its kind and a checksum of it all
    pair     shared, unshared, length of the value, the unshared bytes of the key, the value

A key says only how it differs from the key before it: after `bert/pooler/dense/bias` comes
(18 shared bytes, "kernel"). The values of the index block say where the data blocks lie. Numbers
are varints: seven bits a byte, the lowest first, the top bit set as long as more bytes follow.

Nothing here trusts the file. A length is compared with what is left before it is used, a checksum
is compared before its block is read, and all that is kept has a limit.

Left out: compressed blocks (refused by name), and the search for one key, which is what metaindex
and restart points are for; we always want every pair.

Source: LevelDB, doc/table_format.md and the comments of table/block_builder.cc; written from these
descriptions.
"""

from collections.abc import Iterator

from minibert.checkpoints.tensorflow.crc32c import crc32c, masked
from minibert.errors import MiniBertError

FOOTER_BYTES, TRAILER_BYTES = 48, 5
MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")

# BERT-large with its optimizer has 1,200 tensors in an index of 50 kB.
MAX_PAIRS = 10_000
MAX_KEY_BYTES = 512


def read_table(data: bytes) -> list[tuple[bytes, bytes]]:
    """All pairs of a table, in ascending order of their keys.

    Args:
        data: the whole file. Its length bounds the work and the memory: the caller limits it.

    Raises:
        MiniBertError: the bytes are damaged or compressed. Every cause has its own sentence.
    """
    if len(data) < FOOTER_BYTES or data[-8:] != MAGIC:
        raise damaged("it does not end in the magic number of a TensorFlow index")
    footer = data[-FOOTER_BYTES:-8]
    metaindex, position = _handle(footer, 0)
    index, position = _handle(footer, position)
    if any(footer[position:]):
        raise damaged("its footer is not filled up with zeros")
    _block(data, metaindex)  # of no use to us, but its checksum must hold too

    pairs: list[tuple[bytes, bytes]] = []
    free = 0  # the first byte that no data block has used yet
    for _, value in _pairs(_block(data, index)):
        (offset, size), _ = _handle(value, 0)
        if offset < free:
            raise damaged(f"two of its blocks overlap at byte {offset}")
        free = offset + size + TRAILER_BYTES
        known = len(pairs)
        for key, content in _pairs(_block(data, (offset, size))):
            if pairs and key <= pairs[-1][0]:
                fault = "appears twice" if key == pairs[-1][0] else "is out of order"
                raise damaged(f"the name {key!r} {fault}")
            if len(pairs) > MAX_PAIRS:
                raise damaged(f"it lists more than {MAX_PAIRS} tensors")
            pairs.append((key, content))
        if len(pairs) == known:
            raise damaged(f"its block at byte {offset} is empty")
    return pairs


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The number of up to 64 bits at `position`, and the position after it.

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
    """The error for an index that no intact program could have written."""
    return MiniBertError(f"the index is damaged: {fault}; copy or download the checkpoint again.")


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """The offset and the size of a block, and the position after them."""
    offset, position = varint(data, position)
    size, position = varint(data, position)
    return (offset, size), position


def _block(data: bytes, handle: tuple[int, int]) -> bytes:
    """The bytes of a block, once its checksum holds."""
    offset, size = handle
    end = offset + size
    if end + TRAILER_BYTES > len(data) - FOOTER_BYTES:
        raise damaged(f"a block of {size} bytes at byte {offset} does not fit into the file")
    stored = int.from_bytes(data[end + 1 : end + TRAILER_BYTES], "little")
    if masked(crc32c(data[offset : end + 1])) != stored:
        raise damaged(f"the checksum of the block at byte {offset} does not hold")
    if data[end] != 0:
        raise MiniBertError(
            "the index is compressed, which minibert does not read and TensorFlow does not write; "
            "save the checkpoint again with TensorFlow's own Saver."
        )
    return data[offset:end]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block, one after another."""
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
            raise damaged(f"a name shares {shared} bytes with a name of {len(key)}")
        if unshared + length > end - position:
            raise damaged("a name and its value run past the end of their block")
        if shared + unshared > MAX_KEY_BYTES:
            raise damaged(f"a name is longer than {MAX_KEY_BYTES} bytes")
        value = position + unshared
        key = key[:shared] + block[position:value]
        position = value + length
        yield key, block[value:position]
