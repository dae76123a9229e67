"""Every batch is what the pretraining models take, and an epoch is a function of (seed, epoch).

A run that is resumed in the middle of an epoch sees exactly the batches it would have seen.
"""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from toy_corpus import CLS, MASK, PAD, SEP, toy_corpus

from minibert.data.corpus.build import build_corpus
from minibert.data.corpus.corpus import Corpus
from minibert.data.pretraining.batches import PretrainingBatches, collate
from minibert.data.pretraining.masking import MaskingRates
from minibert.errors import MiniBertError
from minibert.evaluation.pretraining import evaluate_pretraining
from minibert.model.config import BertConfig
from minibert.model.pretraining_heads import BertForMaskedLM, BertForPreTraining
from minibert.tokenization.padding import IGNORE_INDEX
from minibert.tokenization.tokenizer import BertTokenizer

FIRST = 6  # the id of the first token of the toy corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return toy_corpus(tmp_path_factory.mktemp("corpus"), [40, 9, 1, 60, 30] * 4, sentence_length=3)


def batches(corpus, **options):
    return PretrainingBatches(corpus, **({"max_length": 32, "batch_size": 8, "seed": 5} | options))


def unmasked(batch):
    """The ids as they were before masking."""
    return torch.where(batch["labels"] == IGNORE_INDEX, batch["input_ids"], batch["labels"])


def same(first, second):
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("next_sentence", [True, False])
def test_a_batch_is_what_the_model_takes(corpus, next_sentence):
    data = batches(corpus, next_sentence=next_sentence)
    config = BertConfig.tiny(vocab_size=corpus.tokenizer.vocab_size, max_position_embeddings=32)
    model = (BertForPreTraining if next_sentence else BertForMaskedLM)(config)
    batch = next(data.epoch(0))
    assert ("next_sentence_label" in batch) == next_sentence
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())
    assert torch.isfinite(model(**batch).loss)


def test_a_pair_has_its_special_tokens_and_a_true_label(corpus):
    document = np.repeat(np.arange(len(corpus)), np.diff(corpus.sentences[corpus.documents]))
    for batch in batches(corpus).epoch(0):
        rows = zip(
            unmasked(batch), batch["token_type_ids"], batch["attention_mask"],
            batch["next_sentence_label"].tolist(), strict=True,
        )  # fmt: skip
        for ids, types, mask, label in rows:
            length = int(mask.sum())
            assert mask[:length].all() and (ids[length:] == PAD).all()
            assert ids[0] == CLS and ids[length - 1] == SEP
            first_sep = int((ids == SEP).nonzero()[0])
            assert types[: first_sep + 1].sum() == 0
            assert types[first_sep + 1 : length].all() and types[length:].sum() == 0
            first = (ids[1:first_sep] - FIRST).tolist()
            second = (ids[first_sep + 1 : length - 1] - FIRST).tolist()
            assert first == list(range(first[0], first[0] + len(first)))
            assert second == list(range(second[0], second[0] + len(second)))
            lengths = {int((document == document[text[0]]).sum()) for text in (first, second)}
            same_document = document[first[0]] == document[second[0]]
            # Only a document of one sentence has 3 tokens.
            assert label == (IGNORE_INDEX if lengths == {3} else 0 if same_document else 1)
            if label == 0:
                # Only a few tokens at the border of A and B may have been truncated.
                assert 0 < second[0] - first[-1] <= 3


def test_pairs_without_a_label_count_for_the_masked_words_alone(tmp_path):
    corpus = toy_corpus(tmp_path, [1] * 40 + [30, 30], sentence_length=5)
    config = BertConfig.tiny(vocab_size=corpus.tokenizer.vocab_size, max_position_embeddings=32)
    torch.manual_seed(0)
    model = BertForPreTraining(config).eval()
    data = batches(corpus, batch_size=1)
    right, asked = 0, 0
    for batch in data.fixed():
        output = model(**batch)
        term = output.loss_terms["next_sentence_label"]
        label = batch["next_sentence_label"]
        if label == IGNORE_INDEX:
            assert (term.total, term.count) == (0, 0)
            assert output.loss == output.loss_terms["labels"].mean()
        else:
            asked += 1
            right += int(output.seq_relationship_logits.argmax() == label)
    assert len(list(data.fixed())) == asked + 20
    found = evaluate_pretraining(model, data.fixed())
    assert found["next_sentence_accuracy"] == pytest.approx(right / asked)


def test_special_tokens_and_padding_are_never_masked(corpus):
    for batch in batches(corpus, rates=MaskingRates(0.9)).epoch(0):
        picked = batch["labels"] != IGNORE_INDEX
        assert batch["labels"][picked].min() >= FIRST
        assert not (picked & (batch["attention_mask"] == 0)).any()
        assert (batch["input_ids"][:, 0] == CLS).all()


def test_full_sequences_have_little_padding_and_hold_each_token_once(corpus):
    data = batches(corpus, next_sentence=False)
    seen, masks = [], []
    for batch in data.epoch(1):
        masks.append(batch["attention_mask"].flatten())
        ids = unmasked(batch)
        seen += ids[ids >= FIRST].tolist()
        assert batch["token_type_ids"].sum() == 0
        assert (ids[:, 0] == CLS).all()
    assert sorted(seen) == corpus.tokens.tolist()
    assert torch.cat(masks).float().mean() > 0.9


@pytest.mark.parametrize("next_sentence", [True, False])
def test_every_document_is_in_every_epoch(corpus, next_sentence):
    document = np.repeat(np.arange(len(corpus)), np.diff(corpus.sentences[corpus.documents]))
    data = batches(corpus, next_sentence=next_sentence)
    for epoch in range(3):
        seen = torch.cat([unmasked(batch).flatten() for batch in data.epoch(epoch)]).numpy()
        assert set(document[seen[seen >= FIRST] - FIRST]) == set(range(len(corpus)))


@pytest.mark.parametrize("options", [{}, {"next_sentence": False}, {"whole_word": True}])
def test_a_resumed_epoch_goes_on_exactly(corpus, options):
    whole = list(batches(corpus, **options).epoch(2))
    for start in (0, 1, len(whole) // 2, len(whole)):
        assert same(list(batches(corpus, **options).epoch(2, start=start)), whole[start:])


def test_each_epoch_and_seed_has_its_own_pairs_and_masks(corpus):
    data = batches(corpus)
    first, second = next(data.epoch(0)), next(data.epoch(1))
    assert not same([first], [second])
    assert not same([first], [next(batches(corpus, seed=6).epoch(0))])


def test_no_two_batches_of_any_epochs_are_masked_in_the_same_places(corpus):
    data = batches(corpus, next_sentence=False)
    places = [
        batch["labels"] != IGNORE_INDEX
        for epoch in range(3)
        for batch in data.epoch(epoch)
        if batch["labels"].shape == (8, 32)
    ]
    for first, second in combinations(places, 2):
        assert (first & second).float().mean() < 0.08  # by chance about 0.15 squared


def test_batches_do_not_depend_on_the_global_random_state(corpus):
    torch.manual_seed(1)
    first = list(batches(corpus).epoch(0))
    torch.manual_seed(2)
    assert same(first, list(batches(corpus).epoch(0)))


def test_evaluation_sees_the_same_masks_every_time(corpus):
    train, held_out = corpus.split(0.3)
    data = batches(held_out)
    once = list(data.fixed())
    list(data.epoch(4))
    assert same(once, list(data.fixed()))
    ids = set(torch.cat([unmasked(batch).flatten() for batch in once]).tolist())
    trained = {token for index in range(len(train)) for s in train.document(index) for token in s}
    assert not ids & trained


def test_the_number_of_batches_is_that_of_epoch_0_and_others_are_close(corpus):
    data = batches(corpus)
    assert len(list(data.epoch(0))) == len(data)
    assert abs(len(list(data.epoch(3))) - len(data)) <= 0.2 * len(data)


def test_there_are_few_widths_and_none_above_the_limit(corpus):
    for limit, allowed in ((64, range(8, 65, 8)), (45, (*range(8, 45, 8), 45))):
        data = batches(corpus, max_length=limit, batch_size=2, short_seq_prob=1.0)
        widths = {batch["input_ids"].shape[1] for batch in data.epoch(0)}
        assert widths <= set(allowed)
        assert len(widths) > 2


def every_two(text):
    return [text[start : start + 2] for start in range(0, len(text), 2)]


def test_chinese_words_of_the_segmenter_are_masked_as_a_whole(tmp_path):
    characters = [chr(0x4E00 + n) for n in range(90)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join("".join(characters[n : n + 30]) for n in (0, 30, 60)), "utf-8")
    tokenizer = BertTokenizer({token: index for index, token in enumerate(tokens)})
    build_corpus([path], tokenizer, tmp_path / "corpus", segmenter=every_two)
    options = {"next_sentence": False, "max_length": 200, "batch_size": 1}
    for whole_word in (True, False):
        data = batches(Corpus.open(tmp_path / "corpus"), whole_word=whole_word, **options)
        split_words = 0
        for epoch in range(50):
            (batch,) = data.epoch(epoch)
            picked = dict(
                zip(unmasked(batch)[0].tolist(), batch["labels"][0].tolist(), strict=True)
            )
            split_words += sum(
                (picked[token] == IGNORE_INDEX) != (picked[token + 1] == IGNORE_INDEX)
                for token in range(5, 95, 2)
            )
        assert (split_words == 0) == whole_word


def test_whole_word_masking_of_chinese_without_a_segmenter_is_refused(tmp_path):
    characters = [chr(0x4E00 + n) for n in range(90)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s", *characters]
    tokenizer = BertTokenizer({token: index for index, token in enumerate(tokens)})
    chinese, english = "".join(characters), "cats " * 90
    for name, text, words in [
        ("chinese", chinese, False),
        ("mostly", chinese + "cats " * 20, False),
        ("segmented", chinese, True),
        ("english", english + chinese[:40], False),
    ]:
        (tmp_path / f"{name}.txt").write_text(f"{text}\n\n{text}!", encoding="utf-8")
        segmenter = every_two if words else None
        build_corpus([tmp_path / f"{name}.txt"], tokenizer, tmp_path / name, segmenter=segmenter)
        found = Corpus.open(tmp_path / name)
        batches(found, next_sentence=False)
        if name in ("chinese", "mostly"):
            with pytest.raises(MiniBertError, match=f"{name} is Chinese.* --segmenter"):
                batches(found, next_sentence=False, whole_word=True)
        else:
            batches(found, next_sentence=False, whole_word=True)


def test_fifteen_percent_of_the_words_in_the_batches_are_masked(corpus):
    data = batches(corpus, next_sentence=False, batch_size=64)
    words = picked = 0
    for epoch in range(70):
        for batch in data.epoch(epoch):
            words += int((unmasked(batch) >= FIRST).sum())
            picked += int((batch["labels"] != IGNORE_INDEX).sum())
    assert words > 100_000
    assert binomtest(picked, words, 0.15).pvalue > 0.001


def test_most_masked_positions_show_the_mask_token(corpus):
    data = batches(corpus)
    shown = [
        batch["input_ids"][batch["labels"] != IGNORE_INDEX]
        for epoch in range(20)
        for batch in data.epoch(epoch)
    ]
    assert 0.76 < (torch.cat(shown) == MASK).float().mean() < 0.84


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"max_length": 4}, "at least 5"),
        ({"max_length": 2, "next_sentence": False}, "at least 3"),
        ({"rates": MaskingRates(picked=0)}, "must add up to 1"),
        ({"rates": MaskingRates(picked=1.5)}, "must add up to 1"),
        ({"rates": MaskingRates(to_mask=0.9)}, "must add up to 1"),
        ({"rates": MaskingRates(to_random=-0.1, unchanged=0.3)}, "must add up to 1"),
    ],
)
def test_options_that_are_out_of_range_are_refused(corpus, options, message):
    with pytest.raises(MiniBertError, match=message):
        batches(corpus, **options)


@pytest.mark.parametrize("documents", [[9], [1, 1, 1], [9, 1, 1]])
def test_a_corpus_without_two_documents_of_two_sentences_gives_no_pairs(tmp_path, documents):
    corpus = toy_corpus(tmp_path, documents)
    have = sum(count > 1 for count in documents)
    with pytest.raises(
        MiniBertError, match=f"only {have} of {len(documents)} documents have two sentences"
    ):
        batches(corpus)
    assert list(batches(corpus, next_sentence=False).epoch(0))


def test_the_refusal_names_the_part_of_the_corpus_that_has_no_pairs(tmp_path):
    train, held_out = toy_corpus(tmp_path, [1] * 30 + [2] * 2).split(1e-9)
    batches(train)
    with pytest.raises(MiniBertError, match="only 0 of 2 held-out documents have"):
        batches(held_out)
    train, _ = toy_corpus(tmp_path, [2] * 3, name="small").split(1e-9)
    with pytest.raises(MiniBertError, match="only 1 of 1 training documents have"):
        batches(train)


def test_a_vocabulary_of_special_tokens_alone_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one", encoding="utf-8")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"]
    tokenizer = BertTokenizer({token: index for index, token in enumerate(special)})
    build_corpus([tmp_path / "a.txt"], tokenizer, tmp_path / "corpus")
    with pytest.raises(MiniBertError, match="only special tokens"):
        batches(Corpus.open(tmp_path / "corpus"), next_sentence=False)


# Slices of a corpus become the rows that one would write by hand.

NUMBERS = np.arange(10, 20)  # number n is n + 10


def rows_of(spans, row, width, numbers=NUMBERS):
    filled = collate(numbers, np.array(spans), np.array(row), width, cls=CLS, sep=SEP, pad=PAD)
    assert filled.dtype == np.int64
    return filled.tolist()


def test_two_pairs_by_hand():
    assert rows_of([(0, 3), (7, 9), (3, 5), (5, 6)], [0, 0, 1, 1], width=9) == [
        [CLS, 10, 11, 12, SEP, 17, 18, SEP, PAD],
        [CLS, 13, 14, SEP, 15, SEP, PAD, PAD, PAD],
    ]


def test_rows_may_have_any_number_of_spans():
    assert rows_of([(2, 3), (0, 1), (4, 6), (9, 10)], [0, 1, 1, 1], width=8) == [
        [CLS, 12, SEP, PAD, PAD, PAD, PAD, PAD],
        [CLS, 10, SEP, 14, 15, SEP, 19, SEP],
    ]


def test_a_span_may_be_empty_and_may_occur_twice():
    assert rows_of([(4, 4), (1, 3), (1, 3), (1, 3)], [0, 0, 1, 1], width=7) == [
        [CLS, SEP, 11, 12, SEP, PAD, PAD],
        [CLS, 11, 12, SEP, 11, 12, SEP],
    ]


def test_the_two_byte_ids_of_a_corpus_become_64_bits():
    numbers = np.array([65_535, 1], dtype="<u2")
    assert rows_of([(0, 2)], [0], width=4, numbers=numbers) == [[CLS, 65_535, 1, SEP]]


@pytest.mark.parametrize("seed", range(5))
def test_many_rows_at_once_are_what_one_row_at_a_time_gives(seed):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(5, 1000, 300)
    row = np.sort([*range(40), *rng.integers(0, 40, 60)])
    start = rng.integers(0, 280, len(row))
    spans = np.stack([start, start + rng.integers(1, 20, len(row))], axis=1)
    expected = [[CLS] for _ in range(40)]
    for number, (first, stop) in zip(row, spans, strict=True):
        expected[number] += [*numbers[first:stop].tolist(), SEP]
    width = max(map(len, expected)) + 3
    padded = [line + [PAD] * (width - len(line)) for line in expected]
    assert rows_of(spans, row, width, numbers) == padded
