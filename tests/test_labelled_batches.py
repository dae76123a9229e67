"""What you can rely on: padding adds nothing a model sees, every example comes once an epoch, and a
run that is resumed in the middle sees exactly the batches it would have seen.
"""

from collections import Counter

import numpy as np
import pytest
import torch

from minibert.data.labelled.batches import (
    LabelledBatches,
    Tokenized,
    describe_lengths,
    tokenize_examples,
)
from minibert.data.labelled.examples import Example
from minibert.data.sampler import length_grouped_batches
from minibert.errors import MiniBertError


def texts_of_lengths(lengths):
    """Text n is n n n ...: its ids tell which text it was."""
    ids = [np.full(length, n) for n, length in enumerate(lengths)]
    return Tokenized(ids, [np.zeros_like(text) for text in ids], list(lengths))


def fifty_texts(targets=None, **options):
    """Texts of 1 to 19 tokens."""
    texts = texts_of_lengths(np.random.default_rng(1).integers(1, 20, 50))
    return LabelledBatches(texts, targets, **{"pad_token_id": 0, "batch_size": 8} | options)


def collated(ids, targets=None, *, types=None, pad_token_id=0):
    """All texts as one batch."""
    texts = Tokenized(ids, types or [[0] * len(text) for text in ids], list(map(len, ids)))
    batches = LabelledBatches(texts, targets, pad_token_id=pad_token_id)
    return batches.collate(range(len(ids)))


def toy_tokenizer(texts, pairs=None, *, padding, truncation=False, max_length=None):
    """One id a character; 1 and 2 around; the longer text of a pair is truncated first."""
    assert padding is False
    encoded = {"input_ids": [], "token_type_ids": []}
    for text, pair in zip(texts, pairs or [""] * len(texts), strict=True):
        first, second = list(map(ord, text)), list(map(ord, pair))
        while truncation and len(first) + len(second) > max_length - (3 if pair else 2):
            (first if len(first) >= len(second) else second).pop()
        first = [1, *first, 2]
        second = [*second, 2] if pair else []
        encoded["input_ids"].append(first + second)
        encoded["token_type_ids"].append([0] * len(first) + [1] * len(second))
    return encoded


# Padding


def test_a_batch_is_as_wide_as_its_longest_text():
    batch = collated([[101, 7, 102], [101, 102]], [1, 0], types=[[0, 1, 1], [0, 0]], pad_token_id=9)
    assert batch["input_ids"].tolist() == [[101, 7, 102], [101, 102, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 1, 1], [0, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_a_token_with_the_id_of_padding_is_not_padding():
    batch = collated([[5, 0, 5], [5]], pad_token_id=0)
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_labels_have_the_type_that_their_loss_needs():
    def labels(*values):
        return collated([[1]] * len(values), values)["labels"]

    assert labels(1, 0).dtype == torch.int64
    assert (labels(1.0, 0.5).dtype, labels(1.0, 0.5).shape) == (torch.float32, (2,))
    several = labels([1.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    assert (several.dtype, several.shape) == (torch.float32, (2, 3))


def test_a_batch_without_targets_has_no_labels():
    assert "labels" not in collated([[1]])


# The order of an epoch


def test_every_example_comes_exactly_once_an_epoch():
    lengths = np.random.default_rng(0).integers(1, 90, 1003)
    for epoch in range(3):
        order = length_grouped_batches(lengths, batch_size=7, seed=4, epoch=epoch, bucket=5)
        assert sorted(i for batch in order for i in batch) == list(range(1003))


def test_seed_and_epoch_alone_decide_the_order():
    def order(seed, epoch):
        batches = length_grouped_batches(range(1, 200), batch_size=4, seed=seed, epoch=epoch)
        return [batch.tolist() for batch in batches]

    first = order(1, 0)
    np.random.seed(5)
    assert order(1, 0) == first
    assert order(1, 1) != first
    assert order(2, 0) != first
    assert order(1, 2) != order(2, 1)  # they are not added up


def test_only_the_last_batch_of_an_epoch_may_be_smaller():
    order = length_grouped_batches([3] * 103, batch_size=10, seed=0, epoch=0, bucket=3)
    assert sorted(map(len, order)) == [3] + [10] * 10


def test_length_buckets_save_padding_and_stay_random():
    lengths = np.random.default_rng(0).integers(5, 60, 20_000)

    def order(bucket):
        return length_grouped_batches(lengths, batch_size=32, seed=0, epoch=0, bucket=bucket)

    def padding_share(batches):
        return 1 - lengths.sum() / sum(len(batch) * lengths[batch].max() for batch in batches)

    assert padding_share(order(50)) < 0.05
    assert padding_share(order(1)) > 0.3
    # Long and short batches are mixed: the first tenth of an epoch is as long as the rest.
    start = np.mean([lengths[batch].mean() for batch in order(50)[: len(order(50)) // 10]])
    assert abs(start - lengths.mean()) < 8


def test_an_example_stands_anywhere_in_an_epoch():
    places = Counter()
    for epoch in range(400):
        order = length_grouped_batches(range(1, 41), batch_size=10, seed=0, epoch=epoch)
        places[next(n for n, batch in enumerate(order) if 0 in batch)] += 1
    assert min(places[n] for n in range(4)) > 60  # 100 expected


def test_no_examples_make_no_batches():
    assert length_grouped_batches([], batch_size=3, seed=0, epoch=0) == []


# Batches


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_resumed_epoch_goes_on_with_the_very_next_batch():
    whole = list(fifty_texts(list(range(50)), batch_size=4).epoch(2))
    again = fifty_texts(list(range(50)), batch_size=4)
    for start in (0, 1, 5, len(whole) - 1, len(whole)):
        rest = list(again.epoch(2, start=start))
        assert len(rest) == len(whole) - start
        assert all(map(equal, rest, whole[start:]))


def test_processes_that_share_an_epoch_see_all_of_it_once():
    batches = fifty_texts(list(range(50)), batch_size=4)
    parts = [list(batches.epoch(1, start=process, step=3)) for process in range(3)]
    labels = [label for part in parts for batch in part for label in batch["labels"].tolist()]
    assert sorted(labels) == list(range(50))
    assert batches.length(1) == len(batches) == sum(map(len, parts))


def test_ids_and_labels_stay_together():
    data = fifty_texts(list(range(50)), pad_token_id=-1)
    assert len(data) == 7
    for batch in data.epoch(0):
        assert torch.equal(batch["input_ids"][:, 0], batch["labels"])
        assert torch.equal(batch["attention_mask"], (batch["input_ids"] != -1).long())
        assert batch["attention_mask"].sum(1).tolist() == data.lengths[batch["labels"]].tolist()


def test_predictions_can_be_put_back_in_order_after_evaluation():
    predictions = torch.zeros(50, dtype=torch.int64)
    widths = []
    for indices, batch in fifty_texts().longest_first(batch_size=16):
        predictions[indices] = batch["input_ids"][:, 0]
        widths.append(batch["input_ids"].shape[1])
    assert predictions.tolist() == list(range(50))
    assert widths == sorted(widths, reverse=True)


def test_the_fingerprint_changes_with_a_label_and_with_an_id():
    same = fifty_texts(list(range(50))).fingerprint()
    assert same == fifty_texts(list(range(50)), seed=5, batch_size=3).fingerprint()
    assert same.startswith("50 examples, crc32 ")
    assert fifty_texts([1, *range(1, 50)]).fingerprint() != same
    changed = fifty_texts(list(range(50)))
    changed.texts.input_ids[7][0] += 1
    assert changed.fingerprint() != same


def test_a_label_too_few_and_a_batch_of_nothing_are_refused():
    with pytest.raises(MiniBertError, match="2 texts, but 1 labels"):
        LabelledBatches(texts_of_lengths([1, 2]), [0], pad_token_id=0, batch_size=1)
    with pytest.raises(MiniBertError, match="batch_size is 0; it must be at least 1"):
        fifty_texts(batch_size=0)


# Texts -> ids


def test_only_long_texts_are_truncated_and_their_full_length_is_kept():
    texts = tokenize_examples(toy_tokenizer, [Example("ab"), Example("abcdef")], max_length=5)
    assert [ids.tolist() for ids in texts.input_ids] == [[1, 97, 98, 2], [1, 97, 98, 99, 2]]
    assert texts.full_lengths == [4, 8]


def test_pairs_are_tokenized_as_pairs():
    texts = tokenize_examples(toy_tokenizer, [Example("a", "b"), Example("abc", "d")], max_length=6)
    assert [types.tolist() for types in texts.token_type_ids] == [
        [0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1, 1],
    ]
    assert texts.full_lengths == [5, 7]


def test_more_texts_than_go_into_one_call_keep_their_order():
    examples = [Example(chr(1000 + n)) for n in range(2500)]
    texts = tokenize_examples(toy_tokenizer, examples, max_length=9)
    assert [ids[1] for ids in texts.input_ids] == list(range(1000, 3500))


def test_a_pair_among_single_texts_is_refused_by_its_line():
    examples = [Example("a", "b"), Example("c", where="train.tsv:3")]
    with pytest.raises(MiniBertError, match=r"train\.tsv:3: the second text is missing"):
        tokenize_examples(toy_tokenizer, examples, max_length=9)


def test_no_examples_are_refused():
    with pytest.raises(MiniBertError, match="no examples"):
        tokenize_examples(toy_tokenizer, [], max_length=9)


def test_the_user_is_told_how_many_texts_are_truncated():
    told = describe_lengths([10] * 98 + [40, 600], max_length=128)
    assert told == (
        "tokens per text: half have up to 10, 95% up to 10, the longest 600; "
        "truncated to 128: 1 of 100 (1.0%)."
    )
    assert "truncated to 1,000: none." in describe_lengths([10, 600], max_length=1000)
