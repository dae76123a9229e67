"""Pad the rows of a batch to one length, and turn them into tensors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from minibert.errors import MiniBertError
from minibert.tokenization.call_options import CallOptions

IGNORE_INDEX = -100  # the label that torch.nn.functional.cross_entropy ignores

_PADDING_VALUES = {  # of the columns other than `input_ids`
    "token_type_ids": 0,
    "attention_mask": 0,
    "special_tokens_mask": 1,
    "offset_mapping": (0, 0),
}


def pad_columns(
    columns: dict[str, Any], options: CallOptions, *, pad_token_id: Any
) -> dict[str, Any]:
    """Pad the columns of a tokenizer; leave others, such as labels, as they are.

    Args:
        columns: name -> one value per row, among them `input_ids`.
        options: whether to pad, to which length and on which side. A longer row stays as it is.
        pad_token_id: the padding of `input_ids`.

    Example:
        >>> pad_columns({"input_ids": [[7], [7, 8]]}, CallOptions(padding=True), pad_token_id=0)
        {'input_ids': [[7, 0], [7, 8]]}
    """
    if options.padding == "do_not_pad":
        return columns
    length = max(map(len, columns["input_ids"]), default=0)
    if options.padding == "max_length" and options.max_length is not None:
        length = options.max_length
    multiple = options.pad_to_multiple_of or 1
    length = -(-length // multiple) * multiple
    padded = dict(columns)
    for name, value in {"input_ids": pad_token_id, **_PADDING_VALUES}.items():
        if name not in columns:
            continue
        if options.padding_side == "left":
            padded[name] = [[value] * (length - len(row)) + row for row in columns[name]]
        else:
            padded[name] = [row + [value] * (length - len(row)) for row in columns[name]]
    return padded


def pad_encodings(
    encodings: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    pad_token_id: int,
    model_max_length: int,
    padding: bool | str,
    padding_side: str,
    max_length: int | None = None,
    pad_to_multiple_of: int | None = None,
) -> dict[str, Any]:
    """Pad finished encodings; arguments as in `BertTokenizer.pad`.

    Raises:
        MiniBertError: There are no `input_ids`.
    """
    options = CallOptions(
        padding=padding,
        truncation=False,
        max_length=max_length,
        model_max_length=model_max_length,
        pad_to_multiple_of=pad_to_multiple_of,
        padding_side=padding_side,
    )
    if isinstance(encodings, Mapping):
        columns = {name: _as_list(value) for name, value in encodings.items()}
        columns = {
            name: [*map(_as_list, rows)] if isinstance(rows, list) else rows
            for name, rows in columns.items()
        }
    else:
        names = [*encodings[0]] if encodings else ["input_ids"]
        for index, item in enumerate(encodings):
            if not isinstance(item, Mapping) or item.keys() != set(names):
                found = ", ".join(item) if isinstance(item, Mapping) else repr(item)
                raise MiniBertError(
                    f"example {index} to pad has {found:.60}; give every example the same columns"
                    f"{f' as example 0: {names}' if index else ', by name'}."
                )
        columns = {name: [_as_list(item[name]) for item in encodings] for name in names}
    if "input_ids" not in columns:
        raise MiniBertError(
            f"cannot pad without input_ids (found: {', '.join(columns) or 'nothing'}); give the "
            "output of the tokenizer."
        )
    is_one_text = bool(columns["input_ids"]) and isinstance(columns["input_ids"][0], int)
    if is_one_text:
        columns = {name: [value] for name, value in columns.items()}
    columns.setdefault("attention_mask", [[1] * len(row) for row in columns["input_ids"]])
    padded = pad_columns(columns, options, pad_token_id=pad_token_id)
    return {name: value[0] for name, value in padded.items()} if is_one_text else padded


def to_tensors(columns: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return every column as a tensor (kind "pt") or a NumPy array (kind "np").

    Integers become int64 and other numbers float32, as in `torch.tensor`.

    Raises:
        MiniBertError: The kind is unknown, rows differ in length, or a column is not of numbers.
    """
    if kind not in ("pt", "np"):
        raise MiniBertError(f'return_tensors is {kind!r}; use "pt" for PyTorch or "np" for NumPy.')
    arrays = {name: _as_array(name, rows) for name, rows in columns.items()}
    if kind == "np":
        return arrays
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _as_array(name: str, rows: Any) -> Any:
    import numpy as np

    with suppress(ValueError):  # rows of different lengths
        array = np.array(rows)
        # NumPy gives an empty array the type of floats.
        if array.size == 0 or np.can_cast(array.dtype, np.int64):
            return array.astype(np.int64, copy=False)
        if array.dtype.kind == "f":
            return array.astype(np.float32)
    for value in _values(rows):
        if not isinstance(value, int | float) or abs(value) >= 2**63:
            raise MiniBertError(
                f"the column {name} holds {value!r:.60}, not a number that a tensor can hold; "
                "remove the column, or convert it."
            )
    raise MiniBertError(
        f"the rows of {name} have different lengths, so they cannot become one tensor; pass "
        "padding=True, and truncation=True if some are too long."
    )


def _values(nested: Any) -> Iterator[Any]:
    """Yield what nested lists hold."""
    if isinstance(nested, list | tuple):
        for item in nested:
            yield from _values(item)
    else:
        yield _as_list(nested)


def _as_list(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
