"""CRC-32C, the checksum that TensorFlow stores with every tensor and every block of an index.

The bits of the data are the coefficients of one long polynomial. Its checksum is the remainder
modulo a fixed polynomial P of degree 32, where adding is XOR. The usual loop handles one byte at a
time and needs minutes for BERT-base; with NumPy it takes seconds. A message of 2n words is

    first half * x^(32 n) + second half

so multiplying the first half by x^(32 n) modulo P and adding the second half leaves n words with
the same remainder, and repeating that leaves one word. A product is linear: that of a word is the
XOR of the products of its four bytes, which are looked up.

Words are reflected, as the standard asks: the lowest bit belongs to the highest power of x.

Source: RFC 3720, appendix B.4; LevelDB, doc/table_format.md (the mask).
"""

from functools import cache

import numpy as np
import numpy.typing as npt

POLYNOMIAL = 0x82F63B78  # P without its highest power, reflected
ALL_ONES = 0xFFFFFFFF
PIECE = 17  # 2^17 words at a time, 512 kB, stay in the processor's cache
# The standard starts from a remainder of ones; these four bytes in front have that remainder.
START = bytes.fromhex("54641f64")

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]


def crc32c(data: bytes | Bytes) -> int:
    """Return the CRC-32C of `data`.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    message = np.frombuffer(data, dtype=np.uint8)
    step = 4 << PIECE
    head = len(message) % step
    remainder = _remainder(np.frombuffer(START + message[:head].tobytes(), dtype=np.uint8))
    for start in range(head, len(message), step):
        remainder = _shift(remainder, PIECE) ^ _remainder(message[start : start + step])
    return int(_shift(remainder, 0)[0]) ^ ALL_ONES


def masked(checksum: int) -> int:
    """Return the form in which a checksum is stored: rotated, plus a constant."""
    rotated = (checksum >> 15 | checksum << 17) & ALL_ONES
    return (rotated + 0xA282EAD8) & ALL_ONES


def _remainder(message: Bytes) -> Words:
    """Reduce a message to one word. (bytes,) -> (1,)."""
    levels = (-(-len(message) // 4) - 1).bit_length()
    padded = np.zeros(4 << levels, dtype=np.uint8)  # leading zeros change no remainder
    padded[-len(message) :] = message
    words = padded.view("<u4")  # (bytes,) -> (2^levels,)
    for level in reversed(range(levels)):
        half = 1 << level
        words = _shift(words[:half], level) ^ words[half:]  # (2 half,) -> (half,)
    return words


def _shift(words: Words, level: int) -> Words:
    """Multiply each word by x^(32 * 2^level) modulo P. (n,) -> (n,)."""
    table = _table(level)
    places = words.astype("<u4", copy=False).view(np.uint8).reshape(-1, 4)  # (n,) -> (n, 4)
    product: Words = table[0][places[:, 0]]
    for place in range(1, 4):
        product ^= table[place][places[:, place]]
    return product


@cache
def _table(level: int) -> Words:
    """Return the product of each byte in each of the four places of a word: (4, 256)."""
    if level:  # shifting twice doubles the exponent
        return _shift(_table(level - 1).reshape(-1), level - 1).reshape(4, 256)
    shifts = np.array([[0], [8], [16], [24]], dtype=np.uint32)
    words: Words = np.arange(256, dtype=np.uint32) << shifts
    for _ in range(32):  # times x
        words = words >> np.uint32(1) ^ (words & np.uint32(1)) * np.uint32(POLYNOMIAL)
    return words
