"""An epoch of full sequences for the masked words alone, without pairs and nearly without padding.

The documents of an epoch, shuffled, are one long stream, with a [SEP] after each; the stream is cut
into pieces, and each piece becomes [CLS] piece [SEP]. So a sequence may hold the end of one
document and the beginning of another, and a cut may go through a sentence.

Source: Liu et al. 2019 (RoBERTa), section 4.2, "FULL-SENTENCES", but for the cut, which there is
made between sentences.
"""

from dataclasses import dataclass

import numpy as np

from minibert.data.corpus.corpus import Array, Corpus
from minibert.errors import MiniBertError

SPECIAL_TOKENS_OF_A_TEXT = 2  # [CLS] text [SEP]


@dataclass(frozen=True)
class PackedPlan:
    """Which part of the stream makes up which sequence.

    Attributes:
        corpus: where the tokens are.
        order: (documents,) the documents in the order of the stream.
        ends: (documents,) where in the stream each of them ends, its [SEP] included.
        starts: (sequences,) where in the stream sequences begin, never at a [SEP].
        stops: (sequences,) where they end, never behind one: each gets a last [SEP] of its own.
        labels: none; pairs have them.
    """

    corpus: Corpus
    order: Array
    ends: Array
    starts: Array
    stops: Array
    labels: None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> Array:
        """Tokens of each sequence with [CLS] and [SEP]."""
        return self.stops - self.starts + SPECIAL_TOKENS_OF_A_TEXT

    def pieces(self, row: int) -> list[tuple[int, int]]:
        """The slices of the corpus's tokens in a sequence, one a document; a [SEP] follows each."""
        start, stop = int(self.starts[row]), int(self.stops[row])
        number = int(np.searchsorted(self.ends, start, side="right"))
        found = []
        while start < stop:
            text_end = int(self.ends[number]) - 1  # where its [SEP] stands
            document = self.corpus.chosen[self.order[number]]
            offset = int(self.corpus.sentences[self.corpus.documents[document + 1]]) - text_end
            found.append((start + offset, min(stop, text_end) + offset))
            start, number = text_end + 1, number + 1
        return found


def plan_packed(corpus: Corpus, *, max_length: int, seed: int, epoch: int) -> PackedPlan:
    """Plan an epoch: each token of each document is in exactly one sequence.

    Args:
        corpus: the documents.
        max_length: tokens of a sequence, [CLS] and [SEP] included.
        seed: the same (seed, epoch) gives the same plan on any machine.
        epoch: from 0.

    Raises:
        MiniBertError: `max_length` has no room for a token.
    """
    if max_length <= SPECIAL_TOKENS_OF_A_TEXT:
        raise MiniBertError(f"max_length is {max_length}; [CLS] text [SEP] takes at least 3.")
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = rng.permutation(len(corpus))
    lengths = np.diff(corpus.sentences[corpus.documents])[corpus.chosen[order]]
    ends = np.cumsum(lengths + 1)
    width = max_length - SPECIAL_TOKENS_OF_A_TEXT
    separators = ends - 1
    # The first piece is shorter, so that each epoch cuts in other places; what fits is not cut.
    first = int(rng.integers(1, width + 1)) if separators[-1] > width else width + 1
    cuts = np.concatenate(([0], np.arange(first, int(ends[-1]), width), ends[-1:]))
    starts = cuts[:-1] + np.isin(cuts[:-1], separators)
    stops = cuts[1:] - np.isin(cuts[1:] - 1, separators)
    filled = starts < stops
    return PackedPlan(corpus, order, ends, starts[filled], stops[filled])
