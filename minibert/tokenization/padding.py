"""Rows of different lengths -> rows of one length -> tensors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from minibert.errors import MiniBertError
from minibert.tokenization.inputs import CallOptions

IGNORE_INDEX = -100  # the label that torch.nn.functional.cross_entropy ignores

_PADDING_VALUES = {
    "token_type_ids": 0,
    "attention_mask": 0,
    "special_tokens_mask": 1,
    "offset_mapping": (0, 0),
}


def padded_length(lengths: Sequence[int], options: CallOptions) -> int:
    """How long rows of these lengths become: 0 means as they are, and a longer row stays as it is.

    Example:
        >>> padded_length([3, 9], CallOptions(padding="longest", pad_to_multiple_of=8))
        16
    """
    if not options.pads:
        return 0
    longest = max(lengths, default=0)
    length = longest if options.padding == "longest" else options.max_length or 0
    multiple = options.pad_to_multiple_of or 1
    return -(-length // multiple) * multiple


def pad_rows(rows: list[list[Any]], length: int, *, value: Any, side: str) -> list[list[Any]]:
    """Fill every row up to `length` with `value`."""
    if not length:
        return rows
    if side == "left":
        return [[value] * (length - len(row)) + row for row in rows]
    return [row + [value] * (length - len(row)) for row in rows]


def pad_columns(
    encodings: Mapping[str, Any] | Sequence[Mapping[str, Any]], options: CallOptions, *, pad_id: int
) -> dict[str, Any]:
    """Pad finished encodings; columns that are not the tokenizer's stay as they are.

    Raises:
        MiniBertError: there are no `input_ids`.
    """
    if isinstance(encodings, Mapping):
        columns = {name: _plain(value) for name, value in encodings.items()}
    else:
        names = list(encodings[0]) if encodings else ["input_ids"]
        columns = {name: [_plain(item[name]) for item in encodings] for name in names}
    if "input_ids" not in columns:
        raise MiniBertError(
            f"no input_ids to pad, only {', '.join(columns)}; give what the tokenizer gave."
        )
    rows = columns["input_ids"]
    alone = bool(rows) and isinstance(rows[0], int)
    if alone:
        columns = {name: [value] for name, value in columns.items()}
        rows = [rows]
    columns.setdefault("attention_mask", [[1] * len(row) for row in rows])
    values = {**_PADDING_VALUES, "input_ids": pad_id}
    length = padded_length(list(map(len, rows)), options)
    for name in columns.keys() & values.keys():
        columns[name] = pad_rows(
            columns[name], length, value=values[name], side=options.padding_side
        )
    return {name: value[0] for name, value in columns.items()} if alone else columns


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def to_tensors(columns: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Every column as a tensor (kind "pt") or a NumPy array (kind "np").

    Whole numbers become 64-bit integers, others 32-bit floats, as `torch.tensor` has it.

    Raises:
        MiniBertError: another kind, rows of different lengths, or a column that is not of numbers.
    """
    if kind not in ("pt", "np"):
        raise MiniBertError(f'return_tensors is {kind!r}; use "pt" for PyTorch or "np" for NumPy.')
    arrays = {name: _as_array(name, rows) for name, rows in columns.items()}
    if kind == "np":
        return arrays
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _as_array(name: str, rows: Any) -> Any:
    import numpy

    with suppress(ValueError):  # rows of different lengths
        array = numpy.array(rows)
        # NumPy calls an array of nothing one of floats.
        if array.size == 0 or numpy.can_cast(array.dtype, numpy.int64):
            return array.astype(numpy.int64, copy=False)
        if array.dtype.kind == "f":
            return array.astype(numpy.float32)
    for value in _values(rows):
        if not isinstance(value, int | float) or abs(value) >= 2**63:
            raise MiniBertError(
                f"the column {name} holds {value!r:.60}, which no tensor can hold; leave the "
                "column out, or turn it into numbers."
            )
    raise MiniBertError(
        f"the rows of {name} have different lengths and make no tensor; "
        "ask for padding=True, and for truncation=True if some are too long."
    )


def _values(rows: Any) -> Iterator[Any]:
    """What lists of lists hold in the end."""
    if isinstance(rows, list | tuple):
        for row in rows:
            yield from _values(row)
    else:
        yield _plain(rows)
