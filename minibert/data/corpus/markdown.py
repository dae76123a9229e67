"""Lines of Markdown -> paragraphs of plain text, and the borders that headings are.

Front matter, headings, code, tables, pictures and HTML tags go; of links the words stay. Good
enough for books, notes and READMEs; it leaves out the rarer corners of CommonMark (nested lists,
indented code, which cannot be told from a poem).
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

LONGEST_FRONT_MATTER = 100  # lines; a rule that opens a text is no front matter

_HEADING = re.compile(r"#{1,6}(\s|$)")
_RULE = re.compile(r"([-*_=])(\s*\1){2,}$")
_UNDERLINE = re.compile(r"(=+|-+)$")
# What follows the opening backticks names a language; with a backtick in it, it is code in a text.
_FENCE = re.compile(r"`{3,}(?=[^`]*$)|~{3,}")
_TABLE = re.compile(r"\||(?=[-:| ]+$).*-\|")
_BULLET = re.compile(r"([-*+]|\d{1,3}[.)])\s+")
# Each pattern stops where it could begin anew: else a text of nothing but "[" takes forever.
_TARGET = r"\([^()]*(?:\([^()]*\)[^()]*)*+\)"  # (https://a.org/b_(c))
_INLINE = (
    (re.compile(r"<!--(?:(?!<!--).)*?-->|</?[A-Za-z][^<>]*>"), ""),
    (re.compile(rf"!\[[^][]*\]{_TARGET}"), ""),
    (re.compile(rf"\[([^][]+)\](?:{_TARGET}|\[[^][]*\])"), r"\1"),
    (re.compile(r"(?<!`)`++([^`]+)`+"), r"\1"),
    (re.compile(r"(?<![\w*])(\*{1,3})(?=\S)([^*]+)(?<=\S)\1(?![\w*])"), r"\2"),
    (re.compile(r"(?<!\w)(_{1,3})(?=\S)([^_]+)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"\\([][\\`*_{}()#+.!<>~|-])"), r"\1"),
)


def markdown_paragraphs(lines: Iterable[str]) -> Iterator[str | None]:
    r"""The paragraphs of a file, and None where a heading was.

    Args:
        lines: without their ends.

    Example:
        >>> list(markdown_paragraphs(["# Emma", "", "Emma was *clever*", "and rich."]))
        [None, 'Emma was clever and rich.']
    """
    paragraph: list[str] = []
    fence = ""
    for line in chain(_without_front_matter(iter(lines)), [""]):
        text = line.strip()
        text = text.lstrip("> ") if text.startswith(">") else text
        if fence:
            if text.startswith(fence) and not text.strip(fence[0]):
                fence = ""
            continue
        if paragraph and _UNDERLINE.match(text):  # what came before it was a heading
            paragraph = []
            yield None
            continue
        bullet = _BULLET.match(text)
        opening = _FENCE.match(text, bullet.end() if bullet else 0)
        heading = _HEADING.match(text)
        dropped = opening or heading or _RULE.match(text) or _TABLE.match(text)
        if paragraph and (not text or dropped or bullet):
            yield from _plain(paragraph)
            paragraph = []
        if heading:
            yield None
        elif opening:
            fence = opening.group()
        elif text and not dropped:
            paragraph.append(text[bullet.end() :] if bullet else text)


def _without_front_matter(lines: Iterator[str]) -> Iterator[str]:
    """Drop what stands between `---` on the first line and the next `---`."""
    head = list(islice(lines, 1))
    if head and head[0].strip() == "---":
        head += islice(lines, LONGEST_FRONT_MATTER)
        ends = [i for i, line in enumerate(head) if i and line.strip() in ("---", "...")]
        head = head[ends[0] + 1 :] if ends else head
    return chain(head, lines)


def _plain(lines: list[str]) -> Iterator[str]:
    """A paragraph without marks, if anything is left of it."""
    text = " ".join(lines)
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    if text.strip():
        yield text.strip()
