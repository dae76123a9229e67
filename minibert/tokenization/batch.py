"""What a caller may hand over as text, brought into one form."""

from typing import Any

from minibert.errors import MiniBertError

# One text, or the words of one text.
Source = str | list[str]
Batch = list[tuple[Source, Source | None]]


def as_batch(
    text: Any, text_pair: Any = None, *, is_split_into_words: bool = False
) -> tuple[Batch, bool]:
    """Give a list of (text, second text or None), and whether a batch was handed over.

    Example:
        >>> as_batch("a", "b"), as_batch(["a", ("b", "c")])
        (([('a', 'b')], False), ([('a', None), ('b', 'c')], True))

    Raises:
        MiniBertError: something that is no text, or two lists of different lengths.
    """
    if not _is_list(text) and not isinstance(text, str):
        raise MiniBertError(
            f"{_shown(text)} is no text; give a str or a list of str (call .tolist()?)."
        )
    if is_split_into_words:
        is_batch = _is_list(text) and bool(text) and _is_list(text[0])
    else:
        is_batch = _is_list(text)
        if is_batch and text_pair is None and all(isinstance(item, str) for item in text):
            # The usual case, made short: large batches of plain texts.
            return [(item, None) for item in text], True
    if not is_batch:
        # As in Hugging Face, "" beside one text means that there is no second one.
        pair = (text, text_pair or None)
        return [_checked(pair, 0, is_split_into_words)], False
    if text_pair is None:
        items = [
            tuple(item) if _is_pair(item, is_split_into_words) else (item, None) for item in text
        ]
    elif not _is_list(text_pair) or len(text_pair) != len(text):
        found = len(text_pair) if _is_list(text_pair) else _shown(text_pair)
        raise MiniBertError(
            f"text is a list of {len(text)}, text_pair is {found}; give both as lists of the "
            "same length."
        )
    else:
        items = list(zip(text, text_pair, strict=True))
    return [_checked(item, index, is_split_into_words) for index, item in enumerate(items)], True


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_pair(item: Any, is_split_into_words: bool) -> bool:
    """A list of two texts is a pair; where words are given, two lists of words are."""
    return (
        _is_list(item) and len(item) == 2 and (not is_split_into_words or all(map(_is_list, item)))
    )


def _checked(
    pair: tuple[Any, Any], index: int, is_split_into_words: bool
) -> tuple[Source, Source | None]:
    for source in pair:
        if isinstance(source, str) and not is_split_into_words:
            continue
        if source is None and source is not pair[0]:
            continue
        if is_split_into_words and _is_list(source) and all(isinstance(w, str) for w in source):
            continue
        wanted = "a list of words" if is_split_into_words else "a text"
        raise MiniBertError(
            f"item {index} is {_shown(source)}, not {wanted}; clean the data first."
        )
    return pair


def _shown(value: Any) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) < 40 else shown[:40] + '...'}"
