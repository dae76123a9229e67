"""Extract the paragraphs of plain text and the places of headings from Markdown.

Front matter, headings, code, tables, rules, images and HTML tags are dropped. The text of a link is
kept, and each list item is a paragraph. This is enough for books, notes and READMEs; nested lists
and indented code are not supported.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

MAX_FRONT_MATTER_LINES = 100  # if it is longer, the `---` on the first line is a rule

_FIELD = re.compile(r"[\w.-]+\s*:|#|---")  # the first line of front matter, or its end
_HEADING = re.compile(r"#{1,6}(\s|$)")
_RULE = re.compile(r"([-*_=])(\s*\1){2,}$")
_UNDERLINE = re.compile(r"(=+|-+)$")
# A language may follow opening backticks. If another backtick follows, it is inline code.
_FENCE = re.compile(r"`{3,}(?=[^`]*$)|~{3,}")
_TABLE = re.compile(r"\||(?=[-:| ]+$).*-\|")
_BULLET = re.compile(r"([-*+]|\d{1,3}[.)])\s+")
# No pattern runs past a character that it could start with, so "[[[[..." takes linear time.
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
    r"""Yield the paragraphs of a file, and None in place of each heading.

    Args:
        lines: the lines of the file, without line breaks.

    Example:
        >>> list(markdown_paragraphs(["# Emma", "", "Emma was *clever*", "and rich."]))
        [None, 'Emma was clever and rich.']
    """
    lines = iter(lines)
    head = list(islice(lines, 1))
    if head and head[0].strip() == "---":
        head += islice(lines, MAX_FRONT_MATTER_LINES)
        ends = [i for i, line in enumerate(head) if i and line.strip() in ("---", "...")]
        head = head[ends[0] + 1 :] if ends and _FIELD.match(head[1]) else head

    paragraph: list[str] = []
    in_block = False  # whether the paragraph is in a list or a quote, which a rule ends
    fence = ""
    for line in chain(head, lines, [""]):
        text = line.strip()
        quoted = text.startswith(">")
        text = text.lstrip("> ") if quoted else text
        if fence:
            if text.startswith(fence) and not text.strip(fence[0]):
                fence = ""
            continue
        underline = _UNDERLINE.match(text) if paragraph else None
        if underline and not in_block:  # the lines before it are a heading
            # "---" is also a rule. In doubt it is one, because the text of a heading is dropped.
            is_text = len(paragraph) > 1 or paragraph[0].endswith((".", "。"))
            if not (text.startswith("-") and is_text):
                paragraph = []
                yield None
                continue
        bullet = _BULLET.match(text)
        opening = _FENCE.match(text, bullet.end() if bullet else 0)
        heading = _HEADING.match(text)
        dropped = opening or heading or underline or _RULE.match(text) or _TABLE.match(text)
        if paragraph and (not text or dropped or bullet):
            plain = " ".join(paragraph)
            for pattern, replacement in _INLINE:
                plain = pattern.sub(replacement, plain)
            if plain.strip():
                yield plain.strip()
            paragraph = []
        if heading:
            yield None
        elif opening:
            fence = opening.group()
        elif text and not dropped:
            in_block = bool(bullet or quoted) or (in_block and bool(paragraph))
            paragraph.append(text[bullet.end() :] if bullet else text)
