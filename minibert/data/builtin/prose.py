"""Extract the prose of a documentation string: paragraphs, and sentences that read as such.

Documentation mixes prose with code, tables, lists of parameters and reStructuredText. A paragraph
is prose. A sentence begins with a capital letter, ends with a full stop, and has 6 to 40 words,
nearly all of them plain, and no code.

These are rules of thumb for English, made by looking at what they accept. They miss many good
sentences and accept a few bad ones.
"""

import re
from collections.abc import Iterator

SHORTEST, LONGEST = 6, 40  # words
LONGEST_PARAGRAPH = 10_000  # characters; the time of _MARKUP can grow with their square
PLAIN_SHARE = 0.9  # of the words of a sentence: no digits, no signs
PLAIN_SHARE_OF_PARAGRAPH = 0.7  # prose has `code` and numbers, but no formulas

# Lines that are not prose.
_UNDERLINE = re.compile(r"([-=~^\"'*#+])\1{2,}$")
_SECTION = re.compile(r"[A-Z]\w*( \w+)?:$")  # Args:
_NUMPY_ITEM = re.compile(r"[\w*., ]+ : ")  # x : array_like
_GOOGLE_ITEM = re.compile(r"\*{0,2}[\w.]+( ?\(.*?\))?: +")  # x (Tensor): the input
_BULLET = re.compile(r"([-*+•]|\(?\d+[.)]|\(?[a-z]\)|:[^:`]+:) +")
_PROSE_DIRECTIVE = re.compile(r"\.\. (note|warning|tip|important|caution|attention|hint):: *")

_TABLE = re.compile(r"[|+][-=|+ ]|={3,}|-{3,}")
_LEGAL = re.compile(r"copyright|licen[sc]e|warrant|all rights|permission is|https?:|www\.", re.I)

_MARKUP = (
    (re.compile(r":[\w:+.-]+:`[~!]?(?:[\w.]*\.)?([^`<]+?)(?: *<[^>`]*>)?`"), r"\1"),  # :func:`~a.b`
    (re.compile(r"`([^`<]+?) *<[^>`]*>`__?"), r"\1"),  # `text <target>`_
    (re.compile(r"``(.+?)``|`([^`]+)`_?_?"), r"\1\2"),
    (re.compile(r"(?<![\w*])(\*\*?)([^\s*](?:[^*]*[^\s*])?)\1(?![\w*])"), r"\2"),  # *x*, **x**
    (re.compile(r"\\ "), ""),
    (re.compile(r"  +"), " "),
)

_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!cf\.)(?<!vs\.)(?<!al\.)(?<!Fig\.) +(?=[A-Z\"'(])"
)
_SHAPE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'\"()./%-]*[a-z0-9)\"']\.")
_CODE = re.compile(r"\.[A-Za-z]|[.!?] |\.\.|[a-z][A-Z]|\(\)|\w\(|::|--|//|,,|\b[b-zB-HJ-Z]\b")
_FRAGMENT = re.compile(r"(If|When)\b[^,]*$")  # of an entry "Raises: ValueError: If it is empty."
_PLAIN_WORD = re.compile(r"[\"'(]*[A-Za-z]+(?:[-'/][A-Za-z]+)*[\"'),;:.]*")
_ABBREVIATIONS = re.compile(r"\be\.g\.|\bi\.e\.|\betc\.|\bvs\.|\bcf\.")
_FUNCTION_WORD = re.compile(
    r"\b(an?|and|are|as|at|be|by|can|do|for|from|has|if|in|is|it|not|of|on|or|that|the|this|to|was"
    r"|when|which|will|with|you)\b",
    re.IGNORECASE,
)


def paragraphs(docstring: str) -> list[str]:
    r"""Return the paragraphs of prose of a docstring, without markup.

    Example:
        >>> paragraphs("Sum\n---\n\n>>> sum(x)\n3\n\nIt is as :func:`~m.fast` as ``exact``.")
        ['It is as fast as exact.']
    """
    found = []
    for lines in _blocks(docstring.splitlines()):
        text = " ".join(lines)
        if len(text) > LONGEST_PARAGRAPH or _TABLE.search(text) or _LEGAL.search(text):
            continue
        for pattern, replacement in _MARKUP:
            text = pattern.sub(replacement, text)
        words = text.split()
        if len(words) >= SHORTEST and _plain(words) >= PLAIN_SHARE_OF_PARAGRAPH * len(words):
            found.append(text)
    return found


def sentences(paragraph: str) -> list[str]:
    """Return the parts of a paragraph that read as sentences.

    Example:
        >>> sentences("See also: x. The end of the file is always the last line.")
        ['The end of the file is always the last line.']
    """
    return [part for part in _SENTENCE_END.split(paragraph) if reads_as_sentence(part)]


def reads_as_sentence(text: str) -> bool:
    """Return whether a text is an English sentence of 6 to 40 words, without code and signs."""
    if not _SHAPE.fullmatch(text):
        return False
    bare = _ABBREVIATIONS.sub("", text)
    words = text.split()
    return (
        SHORTEST <= len(words) <= LONGEST
        and _plain(words) >= PLAIN_SHARE * len(words)
        and len(_FUNCTION_WORD.findall(text)) >= 2
        and not _CODE.search(bare)
        and not _FRAGMENT.match(text)
        and text.count("(") == text.count(")")
        and text.count('"') % 2 == 0
    )


def _plain(words: list[str]) -> int:
    return sum(_PLAIN_WORD.fullmatch(word) is not None for word in words)


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Yield the lines of each paragraph and each list item of a docstring.

    A block ends at a blank line and where the indentation changes; only the second line of a list
    item may be indented further than its first. Doctests, literal blocks (after `::`), directives
    and headings are skipped, with their bodies.
    """
    block: list[str] = []
    indent, item, doctest = 0, False, False
    literal: int | None = None  # lines indented further belong to code or a directive
    for line in [*lines, ""]:
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        begins_item = _BULLET.match(text) or (
            (not block or item or depth != indent) and _GOOGLE_ITEM.match(text)
        )
        continues = block and (depth == indent or (item and depth > indent)) and not begins_item
        if text and not doctest and literal is None and continues and not _UNDERLINE.match(text):
            block.append(text)
            continue
        # Every other line ends the block.
        if block and block[-1].endswith("::"):
            block[-1] = block[-1][:-1]
            literal = indent
        if block and not _UNDERLINE.match(text):
            yield block
        block, item = [], False
        doctest = bool(text) and (doctest or text.startswith((">>>", "$ ", "% ")))
        if literal is not None and text and depth <= literal:
            literal = None
        if not text or doctest or literal is not None or _UNDERLINE.match(text):
            continue
        indent = depth
        if text.startswith(".. "):
            prose = _PROSE_DIRECTIVE.match(text)
            if prose is None:
                literal = depth
                continue
            text, item = text[prose.end() :], True
        elif begins_item:
            text, item = text[begins_item.end() :], True
        elif _SECTION.match(text) or _NUMPY_ITEM.match(text):
            continue
        if text:
            block.append(text)
