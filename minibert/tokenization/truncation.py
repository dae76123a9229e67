"""[CLS] a [SEP] b [SEP]: joining one or two sequences, and cutting them to a length.

Everything here works on lists of anything: ids, pieces or offsets. The rules for cutting are
those of the `tokenizers` library, which `transformers` uses.
"""

from typing import TypeVar

from minibert.errors import MiniBertError

Item = TypeVar("Item")
Pair = tuple[list[Item], list[Item] | None]


def frame(
    first: list[Item], second: list[Item] | None, *, start: Item, stop: Item, special: bool = True
) -> list[Item]:
    """[CLS] a [SEP], or [CLS] a [SEP] b [SEP]; without `special` only a, or a b.

    Example:
        >>> frame(["a"], ["b", "c"], start="[CLS]", stop="[SEP]")
        ['[CLS]', 'a', '[SEP]', 'b', 'c', '[SEP]']
    """
    if not special:
        return [*first, *(second or [])]
    if second is None:
        return [start, *first, stop]
    return [start, *first, stop, *second, stop]


def segments(first: list[Item], second: list[Item] | None, *, special: bool = True) -> list[int]:
    """The segment (token type) of every item of `frame`: 0 for [CLS] a [SEP], 1 for b [SEP]."""
    zeros = [0] * (len(first) + 2 * special)
    return zeros if second is None else zeros + [1] * (len(second) + special)


def cut(
    first: list[Item],
    second: list[Item] | None,
    *,
    room: int,
    strategy: str,
    side: str,
    stride: int,
    overflow: bool,
) -> list[Pair[Item]]:
    """Cut one or two sequences until they fit.

    Args:
        first: the first sequence.
        second: the second sequence, or None.
        room: how many items may stay, in both together.
        strategy: "longest_first" takes from the longer one until both are equally long, and then
            from both; "only_first" and "only_second" take from that one.
        side: "right" drops the end, "left" the beginning.
        stride: how many items a window shares with the one before it.
        overflow: give the windows over what was dropped as well.

    Returns:
        The pair that fits, and with `overflow` every further pair of windows.

    Raises:
        MiniBertError: the sequence to cut is shorter than what must go, or `stride` leaves no
            progress.
    """
    lengths = len(first), len(second or [])
    if sum(lengths) <= room:
        return [(first, second)]
    size_first, size_second = _sizes(*lengths, room=room, strategy=strategy)
    firsts = _windows(first, size_first, side, stride, overflow)
    if second is None:
        return [(window, None) for window in firsts]
    seconds = _windows(second, size_second, side, stride, overflow)
    main, further = firsts[0], firsts[1:]
    pairs: list[Pair[Item]] = [(main, seconds[0])]
    # The library's order: each further window of the first with all of the second, then the
    # reverse.
    pairs += [(window, other) for window in further for other in seconds]
    pairs += [(main, other) for other in seconds[1:]]
    return pairs


def _sizes(first: int, second: int, *, room: int, strategy: str) -> tuple[int, int]:
    """How many items of each sequence stay."""
    if strategy == "longest_first":
        shorter = min(first, second)
        if 2 * shorter > room:
            half = room // 2
            # The odd item goes to the longer one.
            return (half, room - half) if first <= second else (room - half, half)
        return (shorter, room - shorter) if first <= second else (room - shorter, shorter)
    surplus = first + second - room
    length = first if strategy == "only_first" else second
    if surplus >= length:
        raise MiniBertError(
            f'truncation="{strategy}" must take {surplus} tokens from a sequence of {length}; '
            'raise max_length or use truncation="longest_first".'
        )
    return (first - surplus, second) if strategy == "only_first" else (first, second - surplus)


def _windows(
    items: list[Item], size: int, side: str, stride: int, overflow: bool
) -> list[list[Item]]:
    """The window that stays, and with `overflow` those that follow it, `stride` items apart."""
    length = len(items)
    if size >= length:
        return [items]
    if not overflow or size == 0:
        kept = items[:size] if side == "right" else items[length - size :]
        return [kept, items] if overflow else [kept]
    if stride >= size:
        raise MiniBertError(
            f"stride is {stride}, but a window has only {size} tokens of the text; choose a "
            "smaller stride."
        )
    windows = []
    for passed in range(0, length, size - stride):
        # Counted from the right end where the beginning is dropped.
        window = slice(passed, passed + size)
        if side == "left":
            window = slice(max(0, length - passed - size), length - passed)
        windows.append(items[window])
        if passed + size >= length:
            break
    return windows
