"""Pack documents into full sequences without next-sentence pairs, as RoBERTa does.

    documents   a a a a   b b b   c c c c c                  (shuffled)
    stream      a a a a [SEP] b b b [SEP] c c c c c [SEP]    a [SEP] after each document
    sequences   [CLS] a a a a [SEP] b [SEP]                  pieces of equal length
                [CLS] b b [SEP] c c c [SEP]
                [CLS] c c [SEP]

There is almost no padding, and a sequence may hold the end of one document and the start of the
next. The length of the first piece is random, so that pieces end elsewhere in every epoch.

Source: Liu et al. 2019 (RoBERTa), section 4.2, "FULL-SENTENCES". Their sequences consist of whole
sentences; here a piece may end inside a sentence.

Letters: N sequences, P spans.
"""

from dataclasses import dataclass

import numpy as np

from minibert.data.corpus.corpus import Array, Corpus

SPECIAL_TOKENS = 2  # [CLS] text [SEP]


@dataclass(frozen=True)
class FullSentences:
    """The sequences of an epoch, as pieces of the stream of documents.

    A position in the stream is the number of tokens and [SEP] before it.
    """

    corpus: Corpus
    order: Array  # (documents,) the documents in the order of the stream
    ends: Array  # (documents,) where each document ends in the stream, after its [SEP]
    starts: Array  # (N,) where each sequence starts in the stream, never at a [SEP]
    stops: Array  # (N,) where each sequence ends, never after a [SEP]
    labels: None = None  # only sentence pairs have labels

    @property
    def lengths(self) -> Array:
        """The number of tokens in each sequence with [CLS] and [SEP], (N,)."""
        return self.stops - self.starts + SPECIAL_TOKENS

    def spans(self, rows: Array) -> tuple[Array, Array]:
        """Return the spans of some sequences (P, 2), one per document, and the row of each (P,)."""
        start, stop = self.starts[rows], self.stops[rows]
        first = np.searchsorted(self.ends, start, side="right")  # the document of the first token
        last = np.searchsorted(self.ends, stop - 1, side="right")  # the document of the last token
        row = np.repeat(np.arange(len(rows)), last - first + 1)  # (P,)
        number = np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)])
        document = self.corpus.chosen[self.order[number]]  # (P,)
        begin, end = (self.corpus.sentences[self.corpus.documents[document + i]] for i in (0, 1))
        offset = end - (self.ends[number] - 1)  # from stream to corpus positions
        spans = np.maximum(start[row] + offset, begin), np.minimum(stop[row] + offset, end)
        return np.stack(spans, axis=1), row


def make_full_sentences(corpus: Corpus, *, max_length: int, seed: int, epoch: int) -> FullSentences:
    """Return the sequences of an epoch. Each token is in exactly one of them.

    Args:
        corpus: the documents.
        max_length: the number of tokens in a sequence, [CLS] and [SEP] included; at least 3.
        seed: the same (seed, epoch) gives the same sequences on any machine.
        epoch: from 0.
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = rng.permutation(len(corpus))
    lengths = np.diff(corpus.sentences[corpus.documents])[corpus.chosen[order]]
    ends = np.cumsum(lengths + 1)
    separators = ends - 1
    size = max_length - SPECIAL_TOKENS
    # A stream that fits into one sequence is not split.
    first = int(rng.integers(1, size + 1)) if separators[-1] > size else size + 1
    cuts = np.concatenate(([0], np.arange(first, ends[-1], size), ends[-1:]))
    starts = cuts[:-1] + np.isin(cuts[:-1], separators)
    stops = cuts[1:] - np.isin(cuts[1:] - 1, separators)
    is_text = starts < stops  # a piece may consist of a [SEP] alone
    return FullSentences(corpus, order, ends, starts[is_text], stops[is_text])
