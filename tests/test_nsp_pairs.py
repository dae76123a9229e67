"""A random B is never from the document of A, and is as long as a true one.

Each sentence is in one pair per epoch, and what does not fit is truncated as in Google's code.
"""

import random
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, ks_2samp
from toy_corpus import toy_corpus

from minibert.data.pretraining.nsp_pairs import IS_NEXT, IS_RANDOM, make_sentence_pairs
from minibert.data.sampler import length_grouped_batches
from minibert.reference.google_pretraining import google_pairs
from minibert.tokenization.padding import IGNORE_INDEX


def texts_of(corpus, pairs):
    """For each pair: A's tokens, B's tokens, label."""
    for (a, a_end, b, b_end), label in zip(pairs.bounds, pairs.labels.tolist(), strict=True):
        yield corpus.tokens[a:a_end].tolist(), corpus.tokens[b:b_end].tolist(), label


def google_texts_of(corpus, *, epochs, **options):
    """The same of Google's pairs, with another seed in each epoch."""
    documents = [[sentence.tolist() for sentence in corpus.document(i)] for i in range(len(corpus))]
    for epoch in range(epochs):
        rng = random.Random(epoch)
        for index in range(len(documents)):
            for pair in google_pairs(documents, index, rng, **options):
                yield pair.first, pair.second, pair.next_sentence_label


def test_the_label_tells_whether_b_follows_a(tmp_path):
    corpus = toy_corpus(tmp_path, [40, 7, 1, 25])
    document_of = np.repeat(np.arange(4), [40, 7, 1, 25])
    for epoch in range(40):
        pairs = make_sentence_pairs(corpus, max_length=13, seed=1, epoch=epoch)
        for (a, a_end, b, b_end), label in zip(pairs.bounds, pairs.labels, strict=True):
            assert a < a_end and b < b_end
            assert len(set(document_of[b:b_end])) == 1
            same = document_of[a] == document_of[b]
            assert label == (IS_NEXT if same else IS_RANDOM)  # a random B is never from A's own
            if label == IS_NEXT:
                assert b == a_end


def test_every_sentence_is_in_one_pair(tmp_path):
    corpus = toy_corpus(tmp_path, [40, 7, 25, 2, 1, 1])
    different = set()
    for epoch in range(20):
        # Pairs of 2 to 100 tokens, where 103 have room: nothing is truncated.
        pairs = make_sentence_pairs(corpus, max_length=103, seed=1, epoch=epoch, short_seq_prob=1.0)
        used = [token for first, second, _ in texts_of(corpus, pairs) for token in first + second]
        assert sorted(used) == corpus.tokens.tolist()
        different.add(tuple(pairs.lengths.tolist()))
    assert len(different) > 10


def test_documents_of_one_sentence_are_pairs_without_a_label(tmp_path):
    corpus = toy_corpus(tmp_path, [1, 4, 1, 1, 4, 1, 1])
    single = {6, 11, 12, 17, 18}  # by hand: the first token is 6
    met = set()
    for epoch in range(30):
        pairs = make_sentence_pairs(corpus, max_length=13, seed=1, epoch=epoch)
        texts = [text for text in texts_of(corpus, pairs) if single & {*text[0], *text[1]}]
        assert len(texts) == 2  # of five sentences one is left out, another one each time
        for first, second, label in texts:
            assert label == IGNORE_INDEX and {*first, *second} <= single
            met |= {*first, *second}
    assert met == single


def with_uneven_sentences(corpus, *, seed=0):
    """The same tokens and numbers of sentences, but every sentence has a length of its own."""
    rng = np.random.default_rng(seed)
    count = len(corpus.sentences) - 2
    borders = rng.choice(np.arange(1, len(corpus.tokens)), count, replace=False)
    return replace(corpus, sentences=np.array([0, *sorted(borders), len(corpus.tokens)]))


def test_no_length_predicts_the_label(tmp_path):
    # Short documents: Google's true Bs often end early with their document, random ones do not, and
    # a model that counts tokens is right more often than by chance.
    corpus = with_uneven_sentences(toy_corpus(tmp_path, [2, 3, 4, 9, 40] * 200, sentence_length=5))
    ours = [
        text
        for epoch in range(2)
        for text in texts_of(
            corpus, make_sentence_pairs(corpus, max_length=32, seed=0, epoch=epoch)
        )
    ]
    google = list(google_texts_of(corpus, epochs=2, max_seq_length=32))

    def chance(texts, length):
        """How likely it is that both labels have the same distribution of a length."""
        true, not_true = (
            [length(len(first), len(second)) for first, second, label in texts if label == kind]
            for kind in (IS_NEXT, IS_RANDOM)
        )
        return ks_2samp(true, not_true).pvalue

    lengths = [lambda a, b: a, lambda a, b: b, lambda a, b: a + b, lambda a, b: a - b]
    assert min(chance(google, length) for length in lengths) < 1e-9
    assert min(chance(ours, length) for length in lengths) > 0.001


def test_a_document_longer_than_all_others_keeps_true_pairs(tmp_path):
    corpus = toy_corpus(tmp_path, [2000, 200, 200])
    pairs = make_sentence_pairs(corpus, max_length=13, seed=0, epoch=0, short_seq_prob=0)
    # By hand: 200 + 20 + 20 pairs. About 20 of the short documents' pairs should be random, and
    # each of them makes at most one pair of the long document random.
    assert len(pairs.labels) == 240
    assert 20 / 240 <= pairs.labels.mean() <= 60 / 240
    from_the_long_one = pairs.bounds[pairs.labels == IS_RANDOM][:, [0, 2]] < 2000
    assert (from_the_long_one.sum(axis=1) <= 1).all()


def test_pairs_fit_and_most_are_full(tmp_path):
    corpus = toy_corpus(tmp_path, [200] * 20, sentence_length=7)

    def lengths(short_seq_prob):
        options = {"max_length": 64, "seed": 0, "epoch": 0, "short_seq_prob": short_seq_prob}
        return make_sentence_pairs(corpus, **options).lengths

    assert lengths(0.0).max() == 64
    assert (lengths(0.0) == 64).mean() > 0.9
    assert lengths(1.0).mean() < 45


@pytest.mark.parametrize(("max_tokens", "sizes"), [(12, (6, 6)), (13, (7, 6))])
def test_pairs_are_truncated_like_googles(tmp_path, max_tokens, sizes):
    # Sentences of 9 tokens in pairs of at most 12 or 13: every pair must be truncated.
    corpus = toy_corpus(tmp_path, [50] * 10, sentence_length=9)
    options = {"max_length": max_tokens + 3, "seed": 0, "short_seq_prob": 0.0}
    ours = [
        text
        for epoch in range(4)
        for text in texts_of(corpus, make_sentence_pairs(corpus, epoch=epoch, **options))
    ]
    google = google_texts_of(corpus, epochs=4, max_seq_length=max_tokens + 3, short_seq_prob=0.0)

    def sizes_and_front(texts):
        # The 9 tokens of a sentence are t, t + 1, ... t + 8 with t - 6 a multiple of 9.
        texts = list(texts)
        found = {(len(first), len(second)) for first, second, _ in texts}
        return found, np.mean([(first[0] - 6) % 9 for first, _, _ in texts])

    (our_sizes, our_front), (google_sizes, google_front) = map(sizes_and_front, (ours, google))
    assert our_sizes == google_sizes == {sizes}
    assert abs(our_front - google_front) < 0.2


@pytest.mark.parametrize("documents", [[400] * 30, [3] * 3000])
def test_half_of_the_pairs_are_true(tmp_path, documents):
    corpus = toy_corpus(tmp_path, documents)
    labels = make_sentence_pairs(corpus, max_length=23, seed=0, epoch=0).labels
    assert binomtest(int((labels == IS_RANDOM).sum()), len(labels), 0.5).pvalue > 0.001


def test_half_of_the_labels_are_true_however_many_documents_have_one_sentence(tmp_path):
    # They could only be A or B of random pairs: to call all pairs random would be right too often.
    corpus = toy_corpus(tmp_path, [1] * 600 + [6] * 400)
    labels = make_sentence_pairs(corpus, max_length=13, seed=0, epoch=0).labels
    assert (labels == IGNORE_INDEX).sum() == 300
    asked = labels[labels != IGNORE_INDEX]
    assert binomtest(int((asked == IS_RANDOM).sum()), len(asked), 0.5).pvalue > 0.001


def test_pairs_and_their_order_take_little_memory(tmp_path):
    corpus = toy_corpus(tmp_path, [20] * 1000)
    tracemalloc.start()
    try:
        pairs = make_sentence_pairs(corpus, max_length=5, seed=0, epoch=0)
        kept, while_made = tracemalloc.get_traced_memory()
        length_grouped_batches(pairs.lengths, batch_size=32, seed=0, epoch=0)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        order = length_grouped_batches(pairs.lengths, batch_size=32, seed=0, epoch=0)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    count = len(pairs.labels)
    assert count == sum(map(len, order)) == 10_000
    assert kept < 40 * count
    assert while_made < 120 * count
    assert after - before < 15 * count


def test_pairs_depend_on_seed_and_epoch_only(tmp_path):
    corpus = toy_corpus(tmp_path, [40, 7, 25])

    def bounds(**options):
        return make_sentence_pairs(corpus, max_length=13, **options).bounds.tolist()

    assert bounds(seed=1, epoch=2) == bounds(seed=1, epoch=2)
    assert bounds(seed=1, epoch=2) != bounds(seed=1, epoch=3)
    assert bounds(seed=1, epoch=2) != bounds(seed=2, epoch=2)
