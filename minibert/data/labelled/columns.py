"""Choose the columns of a table that hold the text, the second text and the label.

1.  A column that the user asks for is taken, by name or by number from 1.
2.  With column names, well-known ones are taken. Text: a known pair ("sentence1", "sentence2"),
    or "text" or "sentence", or the only other known name for a text, or the only column beside
    the label. Label: the first known name.
3.  Of two columns without known names, the one with more distinct values is the text, and the
    other one is the label. A single column is the text. Columns of row numbers are skipped.
4.  Anything else is an error that lists the columns and says which option to pass.
"""

import difflib
import re
from collections.abc import Sequence

from minibert.data.labelled.guess_task import suggest_task
from minibert.data.labelled.header import (
    LABELS,
    MAX_NAME_LENGTH,
    OTHER_TEXTS,
    PAIRS,
    TEXTS,
    Column,
    Columns,
    is_column_number,
    is_number,
)
from minibert.data.labelled.tables import Table
from minibert.errors import MiniBertError

# Not a text and not a label, unless nothing else is there.
_ROW_NUMBERS = re.compile(r"id|idx|index|no\.?|#|序号|编号|unnamed: \d+| \(column \d+\)")


def choose_columns(
    table: Table, requested: Columns, *, labelled: bool
) -> tuple[str, str | None, str | None, str]:
    """Choose the columns to read.

    Returns:
        The names of the columns of the text, the second text and the label, and a sentence that
        says how they were chosen.

    Raises:
        MiniBertError: a requested column is missing, or the text or label cannot be guessed.
    """
    text, pair, label = (_find(column, table) for column in requested[:3])
    guessed = []
    if text is None:
        free = [name for name in table.names if name not in (pair, label)]
        text, second = _guess_text(table, free, undecided=label is None)
        pair = pair or second
        guessed.append("text")
    if labelled and label is None:
        free = [name for name in table.names if name not in (text, pair)]
        known = {name.strip().casefold(): name for name in free if table.has_header}
        free = [known[name] for name in LABELS if name in known][:1] or _without_row_numbers(free)
        label = free[0] if len(free) == 1 else None
        guessed.append("label")
    if text is None or (labelled and label is None):
        role = "text" if text is None else "label"
        advice = f" Pass its name or its number from 1 (--{role}-column)."
        flags = [n for n in table.names if {str(row.get(n)) for _, row in table.rows} <= {"0", "1"}]
        if len(flags) > 1 and role == "label":
            advice = (
                f" {len(flags)} columns hold 0s and 1s, one for each class? Then write a .jsonl "
                'file with the names of those that apply, as in {"text": "...", "labels": '
                f'["{flags[0][:MAX_NAME_LENGTH]}"]}}, or pass one of them (--label-column).'
            )
        raise MiniBertError(
            f"{table.path}: cannot tell which column is the {role}; {_describe(table)}"
            f"{suggest_task(table) or advice}"
        )
    roles = (("text", text), ("second text", pair), ("label", label))
    chosen = {role: name for role, name in roles if name is not None}
    if len(set(chosen.values())) < len(chosen):
        raise MiniBertError(
            f"{table.path}: the text, its pair and the label must be different columns; name them "
            "with --text-column, --pair-column and --label-column."
        )
    quote = "'" if table.has_header else ""
    read = ", ".join(f"{role} = column {quote}{name}{quote}" for role, name in chosen.items())
    header = "names from the file" if table.has_header else "no header"
    how = f"{' and '.join(guessed)} guessed" if guessed else "as requested"
    form = "".join(f"; {note}" for note in table.notes)
    return text, pair, label, f"{table.path}: {read} ({header}, {how}{form})."


def _find(column: Column, table: Table) -> str | None:
    """Return the name of a requested column; None if there is no request."""
    if column is None or (isinstance(column, str) and column in table.names):
        return column
    for name in table.names:
        if table.has_header and name.strip().casefold() == str(column).strip().casefold():
            return name
    number = int(column) if is_column_number(column) else 0
    if 1 <= number <= len(table.names):
        return table.names[number - 1]
    close = difflib.get_close_matches(str(column)[:MAX_NAME_LENGTH], table.names[:100], n=1)
    hint = f" Did you mean '{close[0]}'?" if close and len(table.names) > 1 else ""
    hint = hint or suggest_task(table)
    raise MiniBertError(f"{table.path} has no column '{column}'; {_describe(table)}{hint}")


def _without_row_numbers(names: Sequence[str]) -> list[str]:
    return [name for name in names if not _ROW_NUMBERS.fullmatch(name.casefold())]


def _guess_text(
    table: Table, free: Sequence[str], *, undecided: bool
) -> tuple[str | None, str | None]:
    """Return the names of the text and of the second text, each None if it is not found.

    Args:
        table: the file.
        free: the names of the columns that are not chosen yet.
        undecided: whether the label is one of them.
    """
    known = {name.strip().casefold(): name for name in free}
    for first, second in PAIRS:
        if first in known and second in known:
            return known[first], known[second]
    for name in TEXTS:
        if name in known:
            return known[name], None
    others = [known[name] for name in OTHER_TEXTS if name in known]
    if not others:
        cells = {name: [str(row.get(name, "")) for _, row in table.rows] for name in free}
        others = [name for name in _without_row_numbers(free) if name.casefold() not in LABELS]
        if table.has_header:
            others = [name for name in others if not all(map(is_number, cells[name]))]
            undecided = undecided and not any(name.casefold() in LABELS for name in free)
        else:
            undecided = len(free) == 2
        if undecided and len(others) == 2:  # labels repeat and are short
            others = [max(others, key=lambda n: (len(set(cells[n])), sum(map(len, cells[n]))))]
    return (others[0] if len(others) == 1 else None), None


def _describe(table: Table) -> str:
    """Return a sentence that lists the columns, for error messages."""
    names, first_row = table.names, table.rows[0][1]
    more = " and more" if len(names) > 20 else ""
    if table.has_header:
        listed = ", ".join(f"'{name[:MAX_NAME_LENGTH]}'" for name in names[:20])
        told = (
            f"it has the column{'s' * (len(names) > 1)} {listed}{more}."
            if names
            else "it has no columns."
        )
    else:
        cells = " | ".join(str(cell)[:30] for cell in list(first_row.values())[:20])
        told = f"it has {len(names)} column{'s' * (len(names) > 1)} without names ({cells}{more})."
    if len(names) == 1 and any(mark in f"{names}{first_row}" for mark in (";", "\\t")):
        told += " Check the separators: tabs in a .tsv file, commas in a .csv file."
    if repeated := sorted({m[1] for n in names if (m := re.fullmatch(r"(.+) \(column \d+\)", n))}):
        told += f" There are two columns named '{repeated[0]}'."
    return told
