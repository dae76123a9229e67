"""The report of a fine-tuning as one HTML page that opens offline, without a script.

`report_page.html` is the page. Names, texts and labels come from files and may hold anything, so
everything is escaped where it enters the page, and the page's policy forbids every request.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from minibert.evaluation.attributions import WordAttribution
from minibert.evaluation.metrics import IntegerArray, confusion_table

LARGEST_MATRIX = 20  # classes; of more, only the most frequent errors are listed


@dataclass(frozen=True)
class WrongExample:
    """A text that a model got wrong, and what each word has added to the wrong answer."""

    where: str  # "file:line"
    texts: tuple[str, ...]  # one, or two of a pair
    label: str
    prediction: str
    loss: float
    words: Sequence[WordAttribution]


def report_page(title: str, sections: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        title: any text.
        sections: HTML by heading, made with the functions below.
    """
    page = resources.files("minibert.plots").joinpath("report_page.html")
    body = "\n".join(
        f"<section>\n<h2>{escape(heading)}</h2>\n{content}\n</section>"
        for heading, content in sections.items()
    )
    parts = {"title": escape(title), "sections": body}
    text = page.read_text(encoding="utf-8")
    # All are inserted in one pass, so a text that spells {{title}} stays as it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], text)


def paragraph(text: str) -> str:
    """Return a note of plain text."""
    return f'<p class="note">{escape(text)}</p>'


def plain(text: str) -> str:
    """Return a text table as it is."""
    return f"<pre>{escape(text)}</pre>"


def definitions(items: Mapping[str, object]) -> str:
    """Return names and values."""
    rows = (f"<div><dt>{_cell(k)}</dt><dd>{_cell(v)}</dd></div>" for k, v in items.items())
    return f"<dl>{''.join(rows)}</dl>"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of at least one row; numbers are aligned at the right."""
    names = (
        f"<th{' class=number' if isinstance(value, (int, float)) else ''}>{escape(name)}</th>"
        for name, value in zip(header, rows[0], strict=True)
    )
    body = (f"<tr>{''.join(map(_table_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{"".join(names)}</tr>{"".join(body)}</table></div>'


def bars(scores: Mapping[str, float], *, own: str = "", unit: float = 1.0) -> str:
    """Return names and scores with a bar each.

    Args:
        scores: by name.
        own: the name of the score to emphasize.
        unit: the score of a full bar.
    """
    rows = []
    for name, score in scores.items():
        share = max(0.0, min(score / unit, 1.0))
        bar = f'<td><span class="bar" style="--share: {share:.3f}"></span></td>'
        kind = " class=own" if name == own else ""
        rows.append(f"<tr{kind}><td>{_cell(name)}</td>{_table_cell(score)}{bar}</tr>")
    return f'<table class="bars">{"".join(rows)}</table>'


def picture(png: bytes, caption: str) -> str:
    """Return a PNG file as part of the page."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return f'<div class="scroll"><img alt="{escape(caption)}" src="{source}"></div>'


def confusion(matrix: IntegerArray, names: Sequence[str]) -> str:
    """Return a confusion matrix, or the most frequent errors if there are many classes."""
    if len(names) > LARGEST_MATRIX:
        return plain(confusion_table(matrix, names))
    columns = "".join(f"<th>{_cell(name)}</th>" for name in names)
    rows = []
    for true, counts in enumerate(matrix.tolist()):
        cells = []
        for predicted, count in enumerate(counts):
            share = count / max(1, sum(counts))
            # Errors are rare: with the square root of the share, 1 % differs visibly from 5 %.
            kind, shade = ("right", share) if true == predicted else ("wrong", share**0.5)
            cells.append(f'<td class="{kind}" style="--share: {shade:.3f}">{count:,}</td>')
        rows.append(f"<tr><th>{_cell(names[true])}</th>{''.join(cells)}</tr>")
    return (
        paragraph("Rows are the labels, columns the predictions.")
        + f'<div class="scroll"><table class="matrix"><tr><th></th>{columns}</tr>'
        + f"{''.join(rows)}</table></div>"
    )


def wrong_examples(examples: Sequence[WrongExample]) -> str:
    """Return the texts with their words colored by what they have added to the wrong answer."""
    return "\n".join(map(_article, examples))


def _article(example: WrongExample) -> str:
    strongest = max((abs(word.score) for word in example.words), default=0.0) or 1.0
    texts = []
    for number, text in enumerate(example.texts):
        parts, done = [], 0
        for word in example.words:
            start = max(word.start, done)  # two words may share a character, such as a fraction
            if word.sequence == number and start < word.end:
                kind = "for" if word.score > 0 else "against"
                share = abs(word.score) / strongest
                parts += [
                    escape(text[done:start]),
                    f'<span class="{kind}" style="--share: {share:.2f}" title="{word.score:+.3f}">',
                    f"{escape(text[start : word.end])}</span>",
                ]
                done = word.end
        parts.append(f'<span class="unread">{escape(text[done:])}</span>')
        texts.append(f'<div class="text" dir="auto">{"".join(parts)}</div>')
    return (
        f"<article><header><span>label <b>{_cell(example.label)}</b></span>"
        f"<span>predicted <b>{_cell(example.prediction)}</b></span>"
        f"<small>loss {example.loss:.3f}, {_cell(example.where)}</small></header>"
        f"{''.join(texts)}</article>"
    )


def _cell(value: object) -> str:
    """Return a value as HTML; `bdi` keeps a name written from right to left apart."""
    return f"<bdi>{escape(f'{value:.4g}' if isinstance(value, float) else str(value))}</bdi>"


def _table_cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.4f}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{_cell(value)}</td>"
