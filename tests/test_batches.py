"""What you can rely on: padding adds nothing a model sees, every example comes once an epoch, and a
run that is resumed in the middle sees exactly the batches it would have seen.
"""

from collections import Counter

import numpy as np
import pytest
import torch

from minibert.data.labelled.batches import (
    TextClassificationBatches,
    Tokenized,
    batch_order,
    describe_lengths,
    pad,
    tokenize_examples,
)
from minibert.data.labelled.examples import Example
from minibert.errors import MiniBertError


def texts_of_lengths(lengths):
    """Text n is n n n ... : so that its ids tell which text it was."""
    ids = [np.full(length, n) for n, length in enumerate(lengths)]
    return Tokenized(ids, [np.zeros_like(text) for text in ids], list(lengths))


def toy_tokenizer(texts, pairs=None, *, padding, truncation=False, max_length=None):
    """One id a character; 1 and 2 around; the longer text of a pair is cut first."""
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
    batch = pad([[101, 7, 102], [101, 102]], [[0, 1, 1], [0, 0]], pad_token_id=9, labels=[1, 0])
    assert batch["input_ids"].tolist() == [[101, 7, 102], [101, 102, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 1, 1], [0, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_a_real_token_with_the_id_of_padding_stays_real():
    batch = pad([[5, 0, 5], [5]], pad_token_id=0)
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_labels_have_the_type_that_their_loss_needs():
    def labels(*values):
        return pad([[1]] * len(values), pad_token_id=0, labels=values)["labels"]

    assert labels(1, 0).dtype == torch.int64
    assert (labels(1.0, 0.5).dtype, labels(1.0, 0.5).shape) == (torch.float32, (2,))
    several = labels([1.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    assert (several.dtype, several.shape) == (torch.float32, (2, 3))


def test_a_batch_without_labels_has_none():
    assert "labels" not in pad([[1]], pad_token_id=0)


# The order of an epoch


@pytest.mark.parametrize("size", [{"batch_size": 7}, {"token_budget": 200}])
def test_every_example_comes_exactly_once_an_epoch(size):
    lengths = np.random.default_rng(0).integers(1, 90, 1003)
    for epoch in range(3):
        order = batch_order(lengths, seed=4, epoch=epoch, bucket=5, **size)
        assert sorted(i for batch in order for i in batch) == list(range(1003))


def test_seed_and_epoch_alone_decide_the_order():
    def order(**options):
        return [batch.tolist() for batch in batch_order(range(1, 200), batch_size=4, **options)]

    first = order(seed=1, epoch=0)
    np.random.seed(5)
    assert order(seed=1, epoch=0) == first
    assert order(seed=1, epoch=1) != first
    assert order(seed=2, epoch=0) != first
    assert order(seed=1, epoch=2) != order(seed=2, epoch=1)  # they are not added up


def test_no_batch_exceeds_the_token_budget_padding_included():
    lengths = np.random.default_rng(0).integers(1, 90, 1000)
    order = batch_order(lengths, token_budget=100, seed=0, epoch=0)
    assert max(len(batch) * lengths[batch].max() for batch in order) <= 100


def test_only_the_last_batch_of_an_epoch_may_be_smaller():
    order = batch_order([3] * 103, batch_size=10, seed=0, epoch=0, bucket=3)
    assert sorted(map(len, order)) == [3] + [10] * 10


def test_length_buckets_cut_the_padding_and_stay_random():
    lengths = np.random.default_rng(0).integers(5, 60, 20_000)
    data = TextClassificationBatches(texts_of_lengths(lengths), pad_token_id=0, batch_size=32)
    assert data.padding_share() < 0.05
    data.bucket = 1
    assert data.padding_share() > 0.3
    # Long and short batches are mixed: the first tenth of an epoch is as long as the rest.
    order = batch_order(lengths, batch_size=32, seed=0, epoch=0)
    start = np.mean([lengths[batch].mean() for batch in order[: len(order) // 10]])
    assert abs(start - lengths.mean()) < 8


def test_an_example_stands_anywhere_in_an_epoch():
    places = Counter()
    for epoch in range(400):
        order = batch_order(range(1, 41), batch_size=10, seed=0, epoch=epoch)
        places[next(n for n, batch in enumerate(order) if 0 in batch)] += 1
    assert min(places[n] for n in range(4)) > 60  # 100 expected


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ({}, "either batch_size or token_budget"),
        ({"batch_size": 2, "token_budget": 9}, "either batch_size or token_budget"),
        ({"batch_size": 0}, "at least 1"),
        ({"token_budget": 8}, "a text has 9 tokens, more than the token budget of a batch, 8"),
    ],
)
def test_sizes_that_cannot_work_are_refused(size, reason):
    with pytest.raises(MiniBertError, match=reason):
        batch_order([3, 9], seed=0, epoch=0, **size)


def test_no_examples_make_no_batches():
    assert batch_order([], batch_size=3, seed=0, epoch=0) == []
    assert batch_order([], token_budget=3, seed=0, epoch=0) == []


# Batches


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("size", [{"batch_size": 4}, {"token_budget": 60}])
def test_a_resumed_epoch_goes_on_with_the_very_next_batch(size):
    texts = texts_of_lengths(np.random.default_rng(1).integers(1, 20, 50))
    targets = list(range(50))
    whole = list(TextClassificationBatches(texts, targets, pad_token_id=0, **size).epoch(2))
    again = TextClassificationBatches(texts, targets, pad_token_id=0, **size)
    for start in (0, 1, 5, len(whole) - 1, len(whole)):
        rest = list(again.epoch(2, start=start))
        assert len(rest) == len(whole) - start
        assert all(map(equal, rest, whole[start:]))


def test_ids_and_labels_stay_together():
    lengths = np.random.default_rng(1).integers(1, 20, 50)
    data = TextClassificationBatches(
        texts_of_lengths(lengths), list(range(50)), pad_token_id=-1, batch_size=8
    )
    assert len(data) == 7
    for batch in data.epoch(0):
        assert torch.equal(batch["input_ids"][:, 0], batch["labels"])
        assert torch.equal(batch["attention_mask"], (batch["input_ids"] != -1).long())
        assert batch["attention_mask"].sum(1).tolist() == lengths[batch["labels"]].tolist()


def test_answers_for_evaluation_can_be_put_back_in_order():
    lengths = np.random.default_rng(1).integers(1, 20, 50)
    data = TextClassificationBatches(texts_of_lengths(lengths), pad_token_id=0, batch_size=8)
    answers = torch.zeros(50, dtype=torch.int64)
    widths = []
    for indices, batch in data.in_order(batch_size=16):
        answers[indices] = batch["input_ids"][:, 0]
        widths.append(batch["input_ids"].shape[1])
    assert answers.tolist() == list(range(50))
    assert widths == sorted(widths, reverse=True)


def test_the_padding_share_is_what_the_masks_say():
    texts = texts_of_lengths(np.random.default_rng(1).integers(1, 20, 50))
    data = TextClassificationBatches(texts, pad_token_id=0, batch_size=8, bucket=2)
    masks = torch.cat([batch["attention_mask"].flatten() for batch in data.epoch(3)])
    assert data.padding_share(3) == pytest.approx(1 - masks.float().mean().item())


def test_a_label_too_few_is_refused():
    with pytest.raises(MiniBertError, match="2 texts, but 1 labels"):
        TextClassificationBatches(texts_of_lengths([1, 2]), [0], pad_token_id=0, batch_size=1)


# Texts -> ids


def test_only_long_texts_are_cut_and_their_full_length_is_kept():
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
    texts = tokenize_examples(toy_tokenizer, examples)
    assert [ids[1] for ids in texts.input_ids] == list(range(1000, 3500))


def test_a_pair_among_single_texts_is_refused_by_its_line():
    examples = [Example("a", "b"), Example("c", where="train.tsv:3")]
    with pytest.raises(MiniBertError, match=r"train\.tsv:3: the second text is missing"):
        tokenize_examples(toy_tokenizer, examples)
    with pytest.raises(MiniBertError, match="no examples"):
        tokenize_examples(toy_tokenizer, [])


def test_the_user_is_told_how_many_texts_are_cut():
    told = describe_lengths([10] * 98 + [40, 600], max_length=128)
    assert told == (
        "tokens a text: half have up to 10, 95 % up to 10, the longest 600; "
        "longer than 128, and cut there: 1 of 100 (1.0%)."
    )
    assert "none is longer than 1,000" in describe_lengths([10, 600], max_length=1000)
