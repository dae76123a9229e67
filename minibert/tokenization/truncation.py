"""Truncate two sequences to a length, and join them: [CLS] a [SEP] b [SEP].

The sequences may hold anything: ids or tokens with offsets. The rules of truncation are those of
the `tokenizers` library, which `transformers` uses.
"""

from collections.abc import Sequence

from minibert.errors import MiniBertError
from minibert.tokenization.call_options import CallOptions, Item, Pair


def join_sequences(
    first: Sequence[Item], second: Sequence[Item] | None, cls: Sequence[Item], sep: Sequence[Item]
) -> tuple[list[Item], list[int]]:
    """Return [CLS] a [SEP], or [CLS] a [SEP] b [SEP], and the token type of each item.

    Args:
        first: a.
        second: b, or None.
        cls: one item, or none to leave out [CLS].
        sep: one item, or none to leave out [SEP].

    Example:
        >>> join_sequences(["a"], ["b", "c"], cls=["[CLS]"], sep=["[SEP]"])
        (['[CLS]', 'a', '[SEP]', 'b', 'c', '[SEP]'], [0, 0, 0, 1, 1, 1])
    """
    row = [*cls, *first, *sep]
    token_type_ids = [0] * len(row)
    if second is not None:
        row += [*second, *sep]
        token_type_ids += [1] * (len(second) + len(sep))
    return row, token_type_ids


def truncate_batch(
    pairs: Sequence[Pair[Item]], options: CallOptions
) -> tuple[Sequence[Pair[Item]], Sequence[int]]:
    """Truncate every pair as the options say.

    Returns:
        The rows, and for each row the index of its pair: with `return_overflowing_tokens`, a long
        pair becomes several rows.
    """
    if options.truncation == "do_not_truncate" or options.max_length is None:
        return pairs, range(len(pairs))
    rows: list[Pair[Item]] = []
    samples: list[int] = []
    for index, (first, second) in enumerate(pairs):
        special = 0 if not options.add_special_tokens else 2 if second is None else 3
        if options.max_length < special:
            raise MiniBertError(
                f"max_length is {options.max_length}, but a row has {special} special tokens; give "
                "a larger max_length."
            )
        windows = truncate(
            first,
            second,
            max_length=options.max_length - special,
            strategy=str(options.truncation),
            side=options.truncation_side,
            stride=options.stride,
            overflow=options.return_overflowing_tokens,
        )
        rows += windows
        samples += [index] * len(windows)
    return rows, samples


def truncate(
    first: list[Item],
    second: list[Item] | None,
    *,
    max_length: int,
    strategy: str = "longest_first",
    side: str = "right",
    stride: int = 0,
    overflow: bool = False,
) -> list[Pair[Item]]:
    """Truncate one or two sequences.

    Args:
        first: The first sequence.
        second: The second sequence, or None.
        max_length: The number of items to keep, in both sequences together.
        strategy: "longest_first" shortens the longer sequence until both are equally long, then
            both; "only_first" and "only_second" shorten that one.
        side: "right" drops the end, "left" the beginning.
        stride: The number of items that a window shares with the one before it.
        overflow: Also return windows over what was dropped.

    Returns:
        The truncated pair, and with `overflow` every further pair of windows.

    Raises:
        MiniBertError: More items have to be dropped than the sequence has, or `stride` is as long
            as a window.
    """
    lengths = len(first), len(second or [])
    if sum(lengths) <= max_length:
        return [(first, second)]
    if strategy == "longest_first":
        # The longer sequence gets what the shorter one leaves: at least half, rounded up.
        kept = min(*lengths, max_length // 2)
        sizes = (kept, max_length - kept) if lengths[0] <= lengths[1] else (max_length - kept, kept)
    else:
        surplus = sum(lengths) - max_length
        shortened = 0 if strategy == "only_first" else 1
        if surplus >= lengths[shortened]:
            raise MiniBertError(
                f'truncation="{strategy}" would have to remove {surplus} tokens of a text that has '
                f'{lengths[shortened]}; raise max_length or use truncation="longest_first".'
            )
        sizes = lengths[0] - surplus * (1 - shortened), lengths[1] - surplus * shortened
    firsts = _windows(first, sizes[0], side, stride, overflow)
    if second is None:
        return [(window, None) for window in firsts]
    seconds = _windows(second, sizes[1], side, stride, overflow)
    # In the order of the library: each further window of the first sequence with all windows of the
    # second, then the first window with the further ones of the second.
    return [
        (firsts[0], seconds[0]),
        *((window, other) for window in firsts[1:] for other in seconds),
        *((firsts[0], other) for other in seconds[1:]),
    ]


def _windows(
    items: list[Item], size: int, side: str, stride: int, overflow: bool
) -> list[list[Item]]:
    """Return the items that are kept, and with `overflow` windows over the rest."""
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
        begin, end = passed, passed + size
        if side == "left":  # counted from the right end
            begin, end = max(0, length - end), length - begin
        windows.append(items[begin:end])
        if passed + size >= length:
            break
    return windows
