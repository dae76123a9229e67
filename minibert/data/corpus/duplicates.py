"""Have I met this text before? Exact copies, in a fixed amount of memory.

Each text leaves a fingerprint of 64 bits in a table that is made once and never grows. When it is
full, old fingerprints make room for new ones, so copies that lie many millions of texts apart are
no longer found. Texts that are only nearly the same are another matter (`near_copies.py`).
"""

import hashlib
from array import array

PLACES = 1 << 22  # 32 MB: room for about four million texts
NEIGHBOURS = 8  # places that a fingerprint may take


def fingerprint(text: str) -> int:
    """64 bits that tell a text from nearly all others, the same on every machine; never 0."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


class SeenBefore:
    """Remembers texts.

    Example:
        >>> seen = SeenBefore()
        >>> [seen(fingerprint(text)) for text in ("a", "b", "a")]
        [False, False, True]
    """

    def __init__(self, places: int = PLACES) -> None:
        self._table = array("Q", bytes(8 * places))

    def __call__(self, mark: int) -> bool:
        """Whether this fingerprint was here before; it is remembered from now on."""
        start = mark % (len(self._table) - NEIGHBOURS + 1)
        near = self._table[start : start + NEIGHBOURS]
        if mark in near:
            return True
        place = near.index(0) if 0 in near else (mark >> 32) % NEIGHBOURS
        self._table[start + place] = mark
        return False
