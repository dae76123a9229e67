"""Running text -> sentences, for English and Chinese.

Every place where a sentence may end is found by one pattern, and `_ends_here` decides. Nothing is
lost: the sentences, put one after the other, are the text but for the space between them.

Rules of thumb, not a parser. A sentence that is wrongly cut or not cut costs pretraining little:
the two tasks only need borders that mostly make sense. Left out: other languages' signs, text that
is wrapped into short lines (`documents.py` joins those first), and the end of a sentence that ends
in an abbreviation ("at 5 p.m. She left" stays one).
"""

import re
from collections.abc import Iterator

# A title or shortened word: a capital after it does not begin a sentence.
_ABBREVIATIONS = frozenset(
    "mr mrs ms messrs mme mlle dr prof rev hon capt col gen lt maj sgt cmdr adm gov pres sen rep "
    "st ste mt ft jr sr vs viz cf al approx fig figs eq no nos vol vols ch chap sec pp ed eds "
    "trans dept univ inc ltd co corp bros jan feb mar apr jun jul aug sept sep oct nov dec "
    "e.g i.e a.m p.m u.s u.k a.d b.c ph.d".split()
)
# "No." is nearly always a sentence, "No. 5" never; so these need a digit after them.
_BEFORE_NUMBERS = frozenset("no nos fig figs eq vol vols ch chap sec pp".split())

# In either language closing quotes and brackets belong to the sentence before them.
_CLOSING = "\"'”’」』）)】》〉\\]"
_CANDIDATE = re.compile(
    rf"""
      (?P<chinese> (?: [。！？；] | …… | ⋯⋯ )++ [.!?…⋯]*+ [{_CLOSING}]*+ )
    | (?P<western> (?<![.!?…]) [.!?…]++ [{_CLOSING}_*]*+ ) (?= \s | [一-鿿“「『] | $ )
    """,
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘—–/-]+$")
_INITIALS = re.compile(
    r"(?:[A-Za-z]\.)*[A-Z]"
)  # the J of "J. Smith", the J.R.R of "J.R.R. Tolkien"
_CHINESE = re.compile("[一-鿿“「『]")
_OPENING = "\"'“‘(«[_*¿¡—–- "
_LOOK_BACK = 20  # longer than any abbreviation


def split_sentences(text: str) -> list[str]:
    """Cut a paragraph into sentences.

    Args:
        text: one paragraph; a line end counts as a space.

    Returns:
        The sentences, none empty, without space around them.

    Example:
        >>> split_sentences('Mr. Hall rose. "Is it 3.5 km?" he asked. 他说：“好。”我们走吧！')
        ['Mr. Hall rose.', '"Is it 3.5 km?" he asked.', '他说：“好。”', '我们走吧！']
    """
    return [sentence for part in _parts(text) if (sentence := part.strip())]


def _parts(text: str) -> Iterator[str]:
    start = 0
    for candidate in _CANDIDATE.finditer(text):
        if candidate["chinese"] or _ends_here(text, candidate.start(), candidate.end()):
            yield text[start : candidate.end()]
            start = candidate.end()
    yield text[start:]


def _ends_here(text: str, sign: int, after: int) -> bool:
    """Whether a western sign at `sign`, with space or a Chinese character `after` it, is an end."""
    following = text[after : after + 8].lstrip()
    if not following:
        return True
    if text[sign] in ".…" and _CHINESE.match(following[0]):
        return text[after].isspace()  # "3.好" is a numbered item
    beginning = following.lstrip(_OPENING)[:1]
    if beginning.islower() or following[0] in ",;:，；：、":
        return False  # '"Is it far?" he asked.'
    is_full_stop = text[sign] == "." and text[sign : sign + 2] != ".."
    return not is_full_stop or not _is_abbreviated(text, sign, beginning)


def _is_abbreviated(text: str, sign: int, beginning: str) -> bool:
    """Whether the full stop at `sign`, with `beginning` after it, belongs to the word before it."""
    word = _LAST_WORD.search(text, max(0, sign - _LOOK_BACK), sign)
    if word is None:
        return False
    last = word.group().lower()
    if last in _BEFORE_NUMBERS:
        return beginning.isdigit()
    # "J. Smith" and "at 4 A. M." go on; "So do I. She left" ends, for I is a word.
    return last in _ABBREVIATIONS or (last != "i" and bool(_INITIALS.fullmatch(word.group())))
