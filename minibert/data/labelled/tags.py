"""Tag schemes: spans of words written as one tag for each word, and read back.

    words     Peter    Blackburn  visits  New      York
    IOB2      B-PER    I-PER      O       B-LOC    I-LOC     B begins every span
    IOB1      I-PER    I-PER      O       I-LOC    I-LOC     B only between two adjacent ones
    BIOES     B-PER    E-PER      O       B-LOC    E-LOC     and S is a span of one word
    BILOU     B-PER    L-PER      O       B-LOC    L-LOC     likewise with L and U
    BMES      B-PER    E-PER      O       B-LOC    E-LOC     likewise with M for I

Tags such as NN and VB have no scheme: they mark no spans, and each word is judged by itself.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from minibert.errors import MiniBertError

# The letters of the first, an inner and the last word of a span, and of a span of one word.
SCHEMES = {"IOB1": "IIII", "IOB2": "BIIB", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
OUTSIDE = "O"
TAG = re.compile(r"O|([BIEMSLU])(?:[-_](.+))?")
UNTYPED = "_"  # the type of spans whose tags are letters alone, as for words in Chinese text
_COMMON = str.maketrans("MLU", "IES")  # the letters of BIOES for those of other schemes


class Span(NamedTuple):
    """The words `start` to `end - 1` of a sentence, of a type such as "PER"."""

    type: str
    start: int
    end: int


def find_spans(tags: Sequence[str], scheme: str | None = None) -> list[Span]:
    """Return the spans of a sentence.

    Args:
        tags: in any scheme.
        scheme: None reads broken sequences as the script of the CoNLL shared tasks (`conlleval`)
            does, so an I after an O begins a span, and one that never ends is a span, too. With a
            scheme, only spans that are written exactly as it says are returned.

    Example:
        >>> find_spans(["O", "I-PER", "I-PER", "B-LOC"])
        [Span(type='PER', start=1, end=3), Span(type='LOC', start=3, end=4)]
        >>> find_spans(["O", "I-PER", "I-PER", "B-LOC"], "IOB2")
        [Span(type='LOC', start=3, end=4)]
    """
    spans: list[Span] = []
    start, before, type_before = 0, OUTSIDE, ""
    for index, tag in enumerate([*tags, OUTSIDE]):
        letter, kind = _letter_and_type(tag)
        begins = letter in "BS" or before in "ESO" or kind != type_before
        if before != OUTSIDE and (begins or letter == OUTSIDE):
            spans.append(Span(type_before, start, index))
        if letter != OUTSIDE and begins:
            start = index
        before, type_before = letter, kind
    if scheme is None:
        return spans
    written = write_tags(spans, len(tags), scheme)
    return [span for span in spans if written[slice(*span[1:])] == [*tags[slice(*span[1:])]]]


@cache
def _letter_and_type(tag: str) -> tuple[str, str]:
    """Return the letter of a tag, as in BIOES, and its type; of a tag that marks no span, O."""
    match = TAG.fullmatch(tag)
    if not match or not match[1]:
        return OUTSIDE, ""
    return match[1].translate(_COMMON), match[2] or UNTYPED


def write_tags(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Return the tags of a sentence of `length` words.

    Example:
        >>> write_tags([Span("PER", 0, 2), Span("LOC", 3, 4)], 4, "BIOES")
        ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    first, inner, last, single = [*SCHEMES[scheme]]
    tags = [OUTSIDE] * length
    previous = Span("", 0, 0)
    for span in spans:
        letters = [first, *[inner] * (span.end - span.start - 2), last]
        letters = letters if span.end - span.start > 1 else [single]
        if scheme == "IOB1" and (previous.end, previous.type) == (span.start, span.type):
            letters[0] = "B"
        kind = "" if span.type == UNTYPED else f"-{span.type}"
        tags[span.start : span.end] = [letter + kind for letter in letters]
        previous = span
    return tags


def guess_scheme(sentences: Iterable[Sequence[str]]) -> str | None:
    """Return the scheme in which the tags of sentences are written; None for tags without spans.

    With B and I alone, it is IOB1 if most spans begin with I. Those with a B where another span of
    the same type ends tell nothing.
    """
    letters: set[str] = set()
    begins: Counter[str] = Counter()
    for tags in sentences:
        for tag in tags:
            letters.add(tag[:1])
            if tag != OUTSIDE and _letter_and_type(tag)[0] == OUTSIDE:
                return None
        previous = Span("", 0, 0)
        for span in find_spans(tags):
            adjacent = (previous.end, previous.type) == (span.start, span.type)
            begins[tags[span.start][0] + " adjacent" * adjacent] += 1
            previous = span
    if not letters - {OUTSIDE}:
        return None
    if letters & {"L", "U"}:
        return "BILOU"
    if "M" in letters:
        return "BMES"
    if letters & {"E", "S"}:
        return "BIOES"
    return "IOB1" if begins["I"] > begins["B"] else "IOB2"


@dataclass(frozen=True)
class TagSet:
    """The tags of a task, in the order of the outputs of its model.

    Attributes:
        names: for example "O", "B-LOC", "I-LOC".
        scheme: one of `SCHEMES`, or None for tags without spans.
    """

    names: tuple[str, ...]
    scheme: str | None

    @classmethod
    def from_tags(cls, sentences: Sequence[Sequence[str]], scheme: str | None) -> "TagSet":
        """Collect the tags of the training sentences; with a scheme, all tags of each type.

        Raises:
            MiniBertError: all words have the same tag.
        """
        used = {tag for tags in sentences for tag in tags}
        names = sorted(used)
        if scheme is not None:
            types = sorted({span.type for tags in sentences for span in find_spans(tags)})
            letters = dict.fromkeys("BI" if scheme == "IOB1" else SCHEMES[scheme])
            names = [OUTSIDE] * (OUTSIDE in used or UNTYPED not in types)
            names += [
                letter if kind == UNTYPED else f"{letter}-{kind}"
                for kind in types
                for letter in letters
            ]
        if len(names) < 2:
            raise MiniBertError(
                f"all words have the tag {names[0]!r:.100}; a tagger needs at least two tags."
            )
        return cls(tuple(names), scheme)

    @property
    def config(self) -> dict[str, Any]:
        """The fields of a `BertConfig` for these tags."""
        return {"num_labels": len(self.names), "id2label": dict(enumerate(self.names))}

    @property
    def label2id(self) -> dict[str, int]:
        """The class of each tag."""
        return {name: index for index, name in enumerate(self.names)}

    def well_formed(self, tags: Sequence[str]) -> list[str]:
        """Return the tags of a sentence in the scheme of this set, read as `conlleval` does."""
        if self.scheme is None:
            return list(tags)
        return write_tags(find_spans(tags), len(tags), self.scheme)
