"""Split paragraphs into sentences, by rules for English and Chinese.

- Chinese: 。！？； and …… end a sentence.
- English: . ! ? and … before a space end a sentence, unless a lower-case letter or a comma follows.
  A period after an abbreviation ("Mr."), after an initial ("J. Smith") or in a number ("3.5") does
  not end a sentence.
- Closing quotes and brackets belong to the sentence before them.

The rules are heuristics: pretraining only needs boundaries that are mostly correct. A sentence that
ends in an abbreviation is joined with the next one ("at 5 p.m. She left"). The punctuation of other
languages is not supported. Only the whitespace between sentences is dropped.
"""

import re

# Titles and shortened words. A capital letter after one does not start a sentence.
_ABBREVIATIONS = frozenset(
    "mr mrs ms messrs mme mlle dr prof rev hon capt col gen lt maj sgt cmdr adm gov pres sen rep "
    "st ste mt ft jr sr vs viz cf al approx fig figs eq no nos vol vols ch chap sec pp ed eds "
    "trans dept univ inc ltd co corp bros jan feb mar apr jun jul aug sept sep oct nov dec "
    "e.g i.e a.m p.m u.s u.k a.d b.c ph.d".split()
)
# These are abbreviations before a digit only: "No." is a sentence, "No. 5" is not.
_BEFORE_NUMBERS = frozenset("no nos fig figs eq vol vols ch chap sec pp".split())

_CHINESE = "一-鿿“「『"
_CLOSING = "\"'”’」』）)】》〉\\]"
_OPENING = "\"'“‘(«[_*¿¡—–- "
_CANDIDATE = re.compile(
    rf"""
      (?P<chinese> (?: [。！？；] | …… | ⋯⋯ )++ [.!?…⋯]*+ [{_CLOSING}]*+ )
    | (?P<western> (?<![.!?…]) [.!?…]++ [{_CLOSING}_*]*+ ) (?= \s | [{_CHINESE}] | $ )
    """,
    re.VERBOSE,
)
_STARTS_CHINESE = re.compile(f"[{_CHINESE}]")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘—–/-]+$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Z]")  # of "J. Smith" and of "J.R.R. Tolkien"
_MAX_ABBREVIATION = 20  # characters


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph.

    Args:
        text: one paragraph; a line break counts as a space.

    Returns:
        The sentences, without the whitespace around them; none is empty.

    Example:
        >>> split_sentences('Mr. Hall rose. "Is it 3.5 km?" he asked. 他说：“好。”我们走吧！')
        ['Mr. Hall rose.', '"Is it 3.5 km?" he asked.', '他说：“好。”', '我们走吧！']
    """
    ends = [
        candidate.end()
        for candidate in _CANDIDATE.finditer(text)
        if candidate["chinese"] or _ends_sentence(text, candidate.start(), candidate.end())
    ]
    parts = [text[start:end].strip() for start, end in zip([0, *ends], [*ends, None], strict=True)]
    return [sentence for sentence in parts if sentence]


def _ends_sentence(text: str, start: int, end: int) -> bool:
    """Return whether the western punctuation text[start:end] ends a sentence."""
    following = text[end : end + 8].lstrip()
    if not following:
        return True
    if text[start] in ".…" and _STARTS_CHINESE.match(following):
        return text[end].isspace()  # "3.好" is a numbered item
    first_letter = following.lstrip(_OPENING)[:1]
    if first_letter.islower() or following[0] in ",;:，；：、":
        return False  # '"Is it far?" he asked.'
    if text[start] != "." or text[start : start + 2] == "..":
        return True
    found = _LAST_WORD.search(text, max(0, start - _MAX_ABBREVIATION), start)
    word = found.group() if found else ""
    if word.lower() in _BEFORE_NUMBERS:
        return not first_letter.isdigit()
    # "J. Smith" and "at 4 A. M." continue. "So do I. She left." are two sentences: I is a word.
    is_initial = word.lower() != "i" and _INITIALS.fullmatch(word)
    return not is_initial and word.lower() not in _ABBREVIATIONS
