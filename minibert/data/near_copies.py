"""Texts that are nearly the same, found without comparing each with each.

Two texts are near copies if the words they share are at least 80 % of the words that occur in
either (the Jaccard index of their word sets). Order and number of words play no part.

Source of the shortcut: prefix filtering (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and
Srikant 2007).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from minibert.data.splits import normalised

SAME_WORDS = 0.8


def distinct(texts: Sequence[str], *, same_words: float = SAME_WORDS) -> list[int]:
    """The indices of the texts that are no near copy of one kept before.

    If sets x and y have a Jaccard index of at least t, they share at least t |x| words. So at least
    one of any |x| - ceil(t |x|) + 1 words of x is shared; taking the rarest words, only few texts
    are left to compare with. 20,000 sentences take about a second, where all pairs take minutes.

    Args:
        texts: what to look at, in order of preference.
        same_words: the share t of common words, above 0 and up to 1, that makes a near copy.

    Example:
        >>> distinct(["Return the largest value here.", "Return here the largest value!", "No."])
        [0, 2]
    """
    words = [frozenset(normalised(text).split()) for text in texts]
    frequency = Counter(word for text in words for word in text)
    kept: list[int] = []
    kept_with: defaultdict[str, list[int]] = defaultdict(list)  # rare word -> texts that are kept
    for index, text in enumerate(words):
        rarest_first = sorted(text, key=lambda word: (frequency[word], word))
        prefix = rarest_first[: len(text) - math.ceil(same_words * len(text)) + 1]
        rivals = {rival for word in prefix for rival in kept_with[word]}
        if any(jaccard(text, words[rival]) >= same_words for rival in rivals):
            continue
        kept.append(index)
        for word in prefix:
            kept_with[word].append(index)
    return kept


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """The share of the words of either text that stand in both."""
    return len(first & second) / max(len(first | second), 1)
