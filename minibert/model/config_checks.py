"""How many classes, and what they are called: three fields of a config that must say the same.

    num_labels 2    id2label {0: "no", 1: "yes"}    label2id {"no": 0, "yes": 1}

Any one of them may be given, by a user or by a `config.json`, whose keys are texts: {"0": "no"}.
"""

from typing import Any

from minibert.errors import MiniBertError

MOST_LABELS = 2**17  # a hostile file asks for more


def settle_labels(
    num_labels: Any, id2label: Any, label2id: Any
) -> tuple[int, dict[int, str], dict[str, int]]:
    """All three from those that are given; without any, LABEL_0 and LABEL_1.

    Args:
        num_labels: the number of classes, or None.
        id2label: names by id, or None.
        label2id: ids by name, or None.

    Raises:
        MiniBertError: they contradict each other, or are no numbers and names.

    Example:
        >>> settle_labels(None, {"0": "no", "1": "yes"}, None)
        (2, {0: 'no', 1: 'yes'}, {'no': 0, 'yes': 1})
    """
    names = _pairs("id2label", id2label)
    turned = _pairs("label2id", label2id)
    if names is not None and turned is not None and names != turned:
        raise MiniBertError("label2id does not say the same as id2label; leave one of them out.")
    names = names if names is not None else turned
    count = num_labels if num_labels is not None else 2 if names is None else len(names)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_LABELS:
        raise MiniBertError(
            f"num_labels is {count!r}; it must be a whole number from 1 to {MOST_LABELS:,}."
        )
    if names is None:
        names = {index: f"LABEL_{index}" for index in range(count)}
    if sorted(names) != list(range(count)):
        raise MiniBertError(
            f"num_labels is {count} but id2label names the ids {sorted(names)[:20]}; it must name "
            f"0 to {count - 1}."
        )
    ids = {label: index for index, label in names.items()}
    if len(ids) != count:
        raise MiniBertError(f"id2label gives two ids the same label: {list(names.values())[:20]}.")
    return count, names, ids


def _pairs(field: str, mapping: Any) -> dict[int, str] | None:
    """Either field as names by id, in the order of the ids."""
    if mapping is None:
        return None
    try:
        items = mapping.items()
        pairs = items if field == "id2label" else [(index, name) for name, index in items]
        named = dict(sorted((int(index), str(name)) for index, name in pairs))
    except (AttributeError, TypeError, ValueError) as error:
        raise MiniBertError(
            f"{field} must pair whole numbers with names; it is {str(mapping)[:200]}."
        ) from error
    if len(named) < len(mapping):
        raise MiniBertError(f"{field} names an id twice: {str(mapping)[:200]}.")
    return named
