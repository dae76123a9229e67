"""Full sequences hold each token once, and nearly all of them are full."""

import numpy as np
import pytest
from toy_corpus import toy_corpus

from minibert.data.pretraining.full_sentences import make_full_sentences


@pytest.mark.parametrize("max_length", [3, 4, 5, 12, 1000])
def test_full_sequences_hold_every_token_once_and_are_full(tmp_path, max_length):
    corpus = toy_corpus(tmp_path, [4, 1, 9, 30, 2], sentence_length=3)
    document_of = np.repeat(np.arange(5), np.diff(corpus.sentences[corpus.documents]))
    for epoch in range(10):
        sequences = make_full_sentences(corpus, max_length=max_length, seed=0, epoch=epoch)
        spans, row = sequences.spans(np.arange(len(sequences.lengths)))
        assert (spans[:, 0] < spans[:, 1]).all()  # so no [SEP] follows another one or [CLS]
        texts = [corpus.tokens[start:stop].tolist() for start, stop in spans]
        assert sorted(token for text in texts for token in text) == corpus.tokens.tolist()
        for start, stop in spans:
            assert len(set(document_of[start:stop])) == 1  # a span is of one document
        lengths = np.bincount(row, np.diff(spans)[:, 0] + 1) + 1
        assert lengths.tolist() == sequences.lengths.tolist()
        assert lengths.max() <= max_length
        # A sequence that is cut at a [SEP] is shorter by that one. Only two others may be short.
        assert sum(lengths < max_length - 2) <= 2


def test_some_sequences_may_be_asked_for_in_any_order(tmp_path):
    corpus = toy_corpus(tmp_path, [4, 1, 9, 30, 2], sentence_length=3)
    sequences = make_full_sentences(corpus, max_length=12, seed=0, epoch=0)
    count = len(sequences.lengths)
    spans, row = sequences.spans(np.arange(count))
    for rows in ([count - 1, 0, 3], [2], [1, 1]):
        some, its_row = sequences.spans(np.array(rows))
        assert some.tolist() == [span for r in rows for span in spans[row == r].tolist()]
        assert its_row.tolist() == [n for n, r in enumerate(rows) for _ in spans[row == r]]


def test_a_new_epoch_packs_the_documents_in_another_order(tmp_path):
    corpus = toy_corpus(tmp_path, [5] * 10)

    def order(epoch):
        return make_full_sentences(corpus, max_length=9, seed=0, epoch=epoch).order.tolist()

    assert order(0) == order(0) != order(1)
