"""What you can rely on: from Google's seed come Google's 60 instances, id for id; and the fast way
to make pairs keeps to the same rules, but a random B is never from the document of A, and is as
long as a true one.
"""

import json
import random
import tracemalloc
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from conftest import shared
from scipy.stats import binomtest, ks_2samp
from toy_corpus import toy_corpus

from minibert.data.corpus.documents import Findings, Layout, read_documents
from minibert.data.pretraining.full_sentences import plan_packed
from minibert.data.pretraining.nsp_pairs import plan_pairs
from minibert.data.sampler import length_grouped_batches
from minibert.errors import MiniBertError
from minibert.reference.google_pretraining import (
    IS_NEXT,
    IS_RANDOM,
    google_instances,
    sentence_pairs,
)
from minibert.tokenization.padding import IGNORE_INDEX
from minibert.tokenization.tokenizer import BertTokenizer


def test_googles_seed_gives_googles_sixty_instances():
    tokenizer = BertTokenizer(shared("data/vocab/bert-base-uncased-vocab.txt"))
    golden = shared("golden/google_pretraining_data")
    layout = Layout(lines="sentences")
    documents = [
        [tokenizer.encode(sentence, add_special_tokens=False) for sentence in document.paragraphs]
        for document in read_documents([golden / "sample_text.txt"], layout, Findings())
    ]
    instances = google_instances(documents, tokenizer, random.Random(12345))
    lines = (golden / "instances.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(instances) == 60
    assert [asdict(instance) for instance in instances] == [json.loads(line) for line in lines]


# By hand: sentence s of document d is the tokens 100 d + s, so a token tells where it is from


def one_token_sentences(*counts):
    return [[[100 * d + s] for s in range(count)] for d, count in enumerate(counts)]


def test_a_true_b_follows_a_and_a_random_b_does_not():
    documents = one_token_sentences(40, 40, 40)
    labels = Counter()
    for seed in range(50):
        for pair in sentence_pairs(documents, 1, max_length=13, rng=random.Random(seed)):
            follows = pair.second[0] == pair.first[-1] + 1
            assert pair.next_sentence_label == (IS_NEXT if follows else IS_RANDOM)
            labels[pair.next_sentence_label] += 1
    assert IS_NEXT == 0 and IS_RANDOM == 1  # as in Google's code, and in released weights
    assert 0.4 < labels[IS_RANDOM] / labels.total() < 0.6


def test_unused_sentences_come_back_in_the_next_pair():
    documents = one_token_sentences(40, 40)
    for seed in range(20):
        used = []
        for pair in sentence_pairs(documents, 0, max_length=13, rng=random.Random(seed)):
            used += pair.first + (pair.second if pair.next_sentence_label == IS_NEXT else [])
        assert used == list(range(40))  # each sentence once, in order, the last one, too


def test_googles_weakness_with_a_single_document_is_what_the_text_says():
    documents = one_token_sentences(40)
    pairs = list(sentence_pairs(documents, 0, max_length=13, rng=random.Random(0)))
    assert any(pair.next_sentence_label == IS_RANDOM for pair in pairs)


# The fast way


def spans(corpus, plan):
    """For each pair: A's tokens, B's tokens, label."""
    for row, label in enumerate(plan.labels.tolist()):
        first, second = (corpus.tokens[a:b].tolist() for a, b in plan.pieces(row))
        yield first, second, label


def test_the_fast_pairs_tell_the_truth_about_b(tmp_path):
    corpus = toy_corpus(tmp_path, [40, 7, 1, 25])
    document_of = np.repeat(np.arange(4), [40, 7, 1, 25])
    for epoch in range(40):
        plan = plan_pairs(corpus, max_length=13, seed=1, epoch=epoch)
        for row, label in enumerate(plan.labels.tolist()):
            (first_start, first_end), (second_start, second_end) = plan.pieces(row)
            assert first_start < first_end and second_start < second_end
            same = document_of[first_start] == document_of[second_start]
            assert same == (label == IS_NEXT)  # a random B never is from A's own document
            assert label in (IS_NEXT, IS_RANDOM)
            assert len(set(document_of[second_start:second_end])) == 1
            if label == IS_NEXT:
                assert second_start == first_end


def test_every_sentence_is_in_one_fast_pair(tmp_path):
    corpus = toy_corpus(tmp_path, [40, 7, 25, 2, 1, 1])
    cuts = set()
    for epoch in range(20):
        # Pairs of 2 to 100 tokens, where 103 have room: nothing is cut off.
        plan = plan_pairs(corpus, max_length=103, seed=1, epoch=epoch, short_probability=1.0)
        used = [token for first, second, _ in spans(corpus, plan) for token in first + second]
        assert sorted(used) == corpus.tokens.tolist()
        cuts |= {tuple(plan.lengths.tolist())}
    assert len(cuts) > 10


def test_documents_of_one_sentence_are_pairs_without_a_label(tmp_path):
    corpus = toy_corpus(tmp_path, [1, 4, 1, 1, 4, 1, 1])
    single = {6, 11, 12, 17, 18}  # by hand: the first token is 6
    met = set()
    for epoch in range(30):
        plan = plan_pairs(corpus, max_length=13, seed=1, epoch=epoch)
        pairs = [pair for pair in spans(corpus, plan) if single & {*pair[0], *pair[1]}]
        assert len(pairs) == 2  # of five sentences one sits out, another one each time
        for first, second, label in pairs:
            assert label == IGNORE_INDEX and {*first, *second} <= single
            met |= {*first, *second}
    assert met == single


def uneven(corpus, *, seed=0):
    """The same tokens and numbers of sentences, but every sentence has a length of its own."""
    rng = np.random.default_rng(seed)
    cuts = rng.choice(np.arange(1, len(corpus.tokens)), corpus.sentence_count - 1, replace=False)
    return replace(corpus, sentences=np.array([0, *sorted(cuts), len(corpus.tokens)]))


def test_no_length_tells_a_fast_pairs_label(tmp_path):
    # Short documents: Google's true Bs are often cut short by the end of a document, random ones
    # are not, and a model that counts tokens is right more often than chance.
    corpus = uneven(toy_corpus(tmp_path, [2, 3, 4, 9, 40] * 200, sentence_length=5))
    documents = [[sentence.tolist() for sentence in corpus.document(i)] for i in range(len(corpus))]
    fast, google, options = [], [], {"max_length": 32}
    for epoch in range(2):
        fast += spans(corpus, plan_pairs(corpus, seed=0, epoch=epoch, **options))
        rng = random.Random(epoch)
        for index in range(len(documents)):
            pairs = sentence_pairs(documents, index, rng=rng, **options)
            google += [(pair.first, pair.second, pair.next_sentence_label) for pair in pairs]

    def chance(pairs, length):
        """How likely it is that both labels have the same distribution of a length."""
        true, not_true = (
            [length(len(first), len(second)) for first, second, label in pairs if label == kind]
            for kind in (IS_NEXT, IS_RANDOM)
        )
        return ks_2samp(true, not_true).pvalue

    lengths = [lambda a, b: a, lambda a, b: b, lambda a, b: a + b, lambda a, b: a - b]
    assert min(chance(google, length) for length in lengths) < 1e-9
    assert min(chance(fast, length) for length in lengths) > 0.001


def test_a_document_longer_than_all_others_keeps_true_pairs(tmp_path):
    corpus = toy_corpus(tmp_path, [2000, 200, 200])
    plan = plan_pairs(corpus, max_length=13, seed=0, epoch=0, short_probability=0)
    # By hand: 200 + 20 + 20 pairs. About 20 of the short ones' shall be random, and at most each of
    # them takes one of the long document's along.
    assert len(plan) == 240
    assert 20 / 240 <= plan.labels.mean() <= 60 / 240
    from_the_long_one = plan.places[plan.labels == IS_RANDOM][:, [0, 2]] < 2000
    assert (from_the_long_one.sum(axis=1) <= 1).all()


def test_the_fast_pairs_fit_and_most_are_full(tmp_path):
    corpus = toy_corpus(tmp_path, [200] * 20, sentence_length=7)
    lengths = plan_pairs(corpus, max_length=64, seed=0, epoch=0, short_probability=0.0).lengths
    assert lengths.max() == 64
    assert (lengths == 64).mean() > 0.9
    short = plan_pairs(corpus, max_length=64, seed=0, epoch=0, short_probability=1.0).lengths
    assert short.mean() < 45


@pytest.mark.parametrize(("longest", "sizes"), [(12, (6, 6)), (13, (7, 6))])
def test_the_fast_pairs_are_cut_like_googles(tmp_path, longest, sizes):
    # Sentences of 9 tokens in pairs of at most 12 or 13: every pair must be cut.
    corpus = toy_corpus(tmp_path, [50] * 10, sentence_length=9)
    documents = [[sentence.tolist() for sentence in corpus.document(i)] for i in range(len(corpus))]
    options = {"max_length": longest + 3, "short_probability": 0.0}

    def sizes_and_cuts(pairs):
        found = Counter((len(first), len(second)) for first, second, _ in pairs)
        # The 9 tokens of a sentence are t, t + 1, ... t + 8 with t a multiple of 9.
        front = np.mean([(first[0] - 6) % 9 for first, _, _ in pairs])
        return found, front

    fast, google = [], []
    for epoch in range(4):
        plan = plan_pairs(corpus, seed=0, epoch=epoch, **options)
        fast += list(spans(corpus, plan))
        rng = random.Random(epoch)
        for index in range(len(documents)):
            pairs = sentence_pairs(documents, index, rng=rng, **options)
            google += [(pair.first, pair.second, pair.next_sentence_label) for pair in pairs]
    fast_sizes, fast_front = sizes_and_cuts(fast)
    google_sizes, google_front = sizes_and_cuts(google)
    assert fast_sizes.keys() == google_sizes.keys() == {sizes}
    assert abs(fast_front - google_front) < 0.2


@pytest.mark.parametrize("documents", [[400] * 30, [3] * 3000])
def test_half_of_the_fast_pairs_are_true(tmp_path, documents):
    labels = plan_pairs(toy_corpus(tmp_path, documents), max_length=23, seed=0, epoch=0).labels
    assert binomtest(int((labels == IS_RANDOM).sum()), len(labels), 0.5).pvalue > 0.001


def test_half_of_the_labels_are_true_however_many_documents_have_one_sentence(tmp_path):
    # They could only be A or B of random pairs: to call all pairs random would be right too often.
    corpus = toy_corpus(tmp_path, [1] * 600 + [6] * 400)
    labels = plan_pairs(corpus, max_length=13, seed=0, epoch=0).labels
    assert (labels == IGNORE_INDEX).sum() == 300
    asked = labels[labels != IGNORE_INDEX]
    assert binomtest(int((asked == IS_RANDOM).sum()), len(asked), 0.5).pvalue > 0.001


def test_a_plan_and_its_order_take_little_memory(tmp_path):
    corpus = toy_corpus(tmp_path, [20] * 1000)
    tracemalloc.start()
    try:
        plan = plan_pairs(corpus, max_length=5, seed=0, epoch=0)
        kept, while_made = tracemalloc.get_traced_memory()
        length_grouped_batches(plan.lengths, batch_size=32, seed=0, epoch=0)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        order = length_grouped_batches(plan.lengths, batch_size=32, seed=0, epoch=0)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(plan) == sum(map(len, order)) == 10_000
    assert kept < 40 * len(plan)
    assert while_made < 120 * len(plan)
    assert after - before < 15 * len(plan)


def test_pairs_depend_on_seed_and_epoch_only(tmp_path):
    corpus = toy_corpus(tmp_path, [40, 7, 25])

    def places(**options):
        return plan_pairs(corpus, max_length=13, **options).places.tolist()

    assert places(seed=1, epoch=2) == places(seed=1, epoch=2)
    assert places(seed=1, epoch=2) != places(seed=1, epoch=3)
    assert places(seed=1, epoch=2) != places(seed=2, epoch=2)


@pytest.mark.parametrize(
    ("documents", "max_length", "message"),
    [
        ([9], 13, r"documents in it too few have a second sentence \(1 of 1;"),
        ([1, 1, 1], 13, r"documents in it too few have a second sentence \(0 of 3;"),
        ([9, 1, 1], 13, r"documents in it too few have a second sentence \(1 of 3;"),
        ([3, 3], 4, "at least 5"),
    ],
)
def test_what_cannot_give_pairs_is_refused(tmp_path, documents, max_length, message):
    corpus = toy_corpus(tmp_path, documents)
    with pytest.raises(MiniBertError, match=message):
        plan_pairs(corpus, max_length=max_length, seed=0, epoch=0)


def test_the_refusal_names_the_part_of_the_corpus_that_has_no_pairs(tmp_path):
    train, held_out = toy_corpus(tmp_path, [1] * 30 + [2] * 2).split(1e-9)
    plan_pairs(train, max_length=13, seed=0, epoch=0)
    with pytest.raises(MiniBertError, match=r"documents held out too few .* \(0 of 2;"):
        plan_pairs(held_out, max_length=13, seed=0, epoch=0)
    train, _ = toy_corpus(tmp_path, [2] * 3, name="small").split(1e-9)
    with pytest.raises(MiniBertError, match=r"documents to train on too few .* \(1 of 1;"):
        plan_pairs(train, max_length=13, seed=0, epoch=0)


# Without next sentences


@pytest.mark.parametrize("max_length", [3, 4, 5, 12, 1000])
def test_packed_sequences_hold_every_token_once_and_are_full(tmp_path, max_length):
    corpus = toy_corpus(tmp_path, [4, 1, 9, 30, 2], sentence_length=3)
    for epoch in range(10):
        plan = plan_packed(corpus, max_length=max_length, seed=0, epoch=epoch)
        used = []
        for row in range(len(plan)):
            pieces = [corpus.tokens[a:b].tolist() for a, b in plan.pieces(row)]
            assert all(pieces)  # so no [SEP] follows another or [CLS]
            assert 1 + sum(len(piece) + 1 for piece in pieces) == plan.lengths[row]
            used += [token for piece in pieces for token in piece]
        assert sorted(used) == corpus.tokens.tolist()
        assert plan.lengths.max() <= max_length
        # A cut at a [SEP] makes a sequence shorter by that [SEP]; else only the ends are short.
        assert sum(plan.lengths < max_length - 2) <= 2


def test_a_new_epoch_packs_the_documents_in_another_order(tmp_path):
    corpus = toy_corpus(tmp_path, [5] * 10)
    orders = [plan_packed(corpus, max_length=9, seed=0, epoch=e).order.tolist() for e in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
