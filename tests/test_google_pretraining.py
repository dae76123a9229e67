"""Google's seed gives Google's 60 instances, id for id; and the weaknesses are as documented."""

import json
import random
from collections import Counter
from dataclasses import asdict

from conftest import shared

from minibert.data.corpus.documents import FormatOptions, ReadStats, read_documents
from minibert.data.pretraining.nsp_pairs import IS_NEXT, IS_RANDOM
from minibert.reference.google_pretraining import google_instances, google_masking, google_pairs
from minibert.tokenization.tokenizer import BertTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS, PIECES = [f"w{n}" for n in range(40)], ["##p0", "##p1"]
TOKENIZER = BertTokenizer({token: i for i, token in enumerate([*SPECIAL, *WORDS, *PIECES])})
CLS, SEP, FIRST_WORD, FIRST_PIECE = 2, 3, 5, 45


def test_googles_seed_gives_googles_sixty_instances():
    tokenizer = BertTokenizer(shared("data/vocab/bert-base-uncased-vocab.txt"))
    golden = shared("golden/google_pretraining_data")
    options = FormatOptions(lines="sentences")
    documents = [
        [tokenizer.encode(sentence, add_special_tokens=False) for sentence in document.paragraphs]
        for document in read_documents([golden / "sample_text.txt"], options, ReadStats())
    ]
    instances = google_instances(documents, tokenizer, random.Random(12345))
    lines = (golden / "instances.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(instances) == 60
    assert [asdict(instance) for instance in instances] == [json.loads(line) for line in lines]


# Pairs by hand: sentence s of document d is the token 100 d + s, so a token tells where it is from.


def one_token_sentences(*counts):
    return [[[100 * d + s] for s in range(count)] for d, count in enumerate(counts)]


def test_a_true_b_follows_a_and_a_random_b_does_not():
    documents = one_token_sentences(40, 40, 40)
    labels = Counter()
    for seed in range(50):
        for pair in google_pairs(documents, 1, random.Random(seed), max_seq_length=13):
            follows = pair.second[0] == pair.first[-1] + 1
            assert pair.next_sentence_label == (IS_NEXT if follows else IS_RANDOM)
            labels[pair.next_sentence_label] += 1
    assert IS_NEXT == 0 and IS_RANDOM == 1  # as in Google's code, and in released weights
    assert 0.4 < labels[IS_RANDOM] / labels.total() < 0.6


def test_unused_sentences_are_used_in_the_next_pair():
    documents = one_token_sentences(40, 40)
    for seed in range(20):
        used = []
        for pair in google_pairs(documents, 0, random.Random(seed), max_seq_length=13):
            used += pair.first + (pair.second if pair.next_sentence_label == IS_NEXT else [])
        assert used == list(range(40))  # each sentence once, in order, with the last one


def test_a_single_document_gives_random_pairs_from_itself():
    documents = one_token_sentences(40)
    pairs = list(google_pairs(documents, 0, random.Random(0), max_seq_length=13))
    random_pairs = [pair for pair in pairs if pair.next_sentence_label == IS_RANDOM]
    assert random_pairs
    assert all(token < 100 for pair in random_pairs for token in pair.second)


# Masking


def test_a_fixed_number_of_tokens_is_picked_and_never_more_than_the_limit():
    def picked(words, **options):
        ids = [CLS, *range(FIRST_WORD, FIRST_WORD + words), SEP]
        return len(google_masking(ids, TOKENIZER, random.Random(0), **options)[1])

    assert picked(40) == 6  # 42 * 0.15
    assert picked(40, max_predictions_per_seq=3) == 3
    assert picked(1) == 1


def test_whole_words_are_picked_as_a_whole_and_within_the_limit():
    ids = [CLS]
    for n in range(60):  # words of 1, 2 and 3 tokens in turn
        ids += [FIRST_WORD + n % 40, *range(FIRST_PIECE, FIRST_PIECE + n % 3)]
    ids.append(SEP)
    for seed in range(20):
        masked, positions = google_masking(ids, TOKENIZER, random.Random(seed), whole_word=True)
        for position in positions:
            if ids[position + 1] >= FIRST_PIECE:
                assert position + 1 in positions
        assert 0 < len(positions) <= 18  # 122 * 0.15
        changed = [n for n, (old, new) in enumerate(zip(ids, masked, strict=True)) if old != new]
        assert set(changed) <= set(positions)


def test_instances_of_whole_words():
    sentence = [FIRST_WORD, FIRST_PIECE, FIRST_PIECE + 1] * 10  # ten words
    documents = [[sentence, sentence]] * 2
    instances = google_instances(documents, TOKENIZER, random.Random(0), whole_word=True)
    for instance in instances:
        pieces = [token for token in instance.masked_lm_ids if token >= FIRST_PIECE]
        assert len(pieces) * 3 == len(instance.masked_lm_ids) * 2 > 0
