"""Reproduce Google's sentence pairs and masking: the same instances from the same seed.

`data/pretraining/nsp_pairs.py` and `data/pretraining/masking.py` run by default. They handle a
whole epoch or batch at once, which is faster, and depart from Google's code on purpose.

Sentence pairs:

- Google: a true B ends with its document, but a random B continues until the sequence is full. A
  sentence left over at the end of a document is always the A of a random pair. So the lengths of A
  and B predict the label better than chance does, and a model learns that first.
  minibert: random pairs are made by swapping Bs of about the same length, so the lengths say
  nothing about the label.
- Google: a sentence may be the random B of several pairs. minibert: it is in one pair per epoch.
- Google: a document of one sentence yields only random pairs, so more than half of the labels are
  `IS_RANDOM`. minibert: such sentences form pairs without a label.
- Google: a random B is drawn up to ten times until it is from another document. If there is only
  one document, B may even be the true next sentence. minibert: B is always from another document.
- Google: a pair that is too long loses one token at a time, each from a random end. minibert: the
  number of tokens to remove from each end is drawn at once, from the same distribution.
- Google: five sets of pairs and masks are made and repeated. minibert: every epoch has its own.

Masking:

- Google: a fixed number of tokens is picked. minibert: each is picked with the same probability.
- Google: [UNK] may be picked. minibert: it is not.
- Google: a random token may be any entry of the vocabulary, even [CLS], [SEP] or [PAD]. minibert:
  special and [unused] tokens are excluded.

Source: Google's `create_pretraining_data.py`; Devlin et al. 2018, section 3.1.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minibert.data.pretraining.nsp_pairs import IS_NEXT, IS_RANDOM
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.wordpiece import SUBWORD_PREFIX

Sentence = Sequence[int]
Document = Sequence[Sentence]


@dataclass(frozen=True)
class Pair:
    """Two texts as ids, without special tokens."""

    first: list[int]  # A
    second: list[int]  # B
    next_sentence_label: int  # IS_NEXT or IS_RANDOM


@dataclass(frozen=True)
class Instance:
    """What Google's script writes for one pair."""

    input_ids: list[int]  # [CLS] A [SEP] B [SEP], masked
    segment_ids: list[int]  # 0 for [CLS] A [SEP], 1 for B [SEP]
    masked_lm_positions: list[int]
    masked_lm_ids: list[int]  # the original ids at these positions
    next_sentence_label: int


def google_instances(
    documents: Sequence[Document],
    tokenizer: BertTokenizer,
    rng: random.Random,
    *,
    max_seq_length: int = 128,
    dupe_factor: int = 5,
    short_seq_prob: float = 0.1,
    masked_lm_prob: float = 0.15,
    max_predictions_per_seq: int = 20,
    whole_word: bool = False,
) -> list[Instance]:
    """Return the instances that Google's script writes for these documents.

    Args:
        documents: sentences as ids, without special tokens; no document is empty.
        tokenizer: the tokenizer of these ids.
        rng: `random.Random(seed)`; Google's default seed is 12345.
        max_seq_length: the number of tokens in a sequence.
        dupe_factor: passes over all documents, each with its own pairs and masks. Google's code
            has 10 by default, the command in its README 5.
        short_seq_prob: see `google_pairs`.
        masked_lm_prob: see `google_masking`.
        max_predictions_per_seq: see `google_masking`.
        whole_word: see `google_masking`; Google's `do_whole_word_mask`.

    Source: `create_training_instances`.
    """
    documents = list(documents)
    rng.shuffle(documents)
    instances = []
    for index in list(range(len(documents))) * dupe_factor:
        pairs = google_pairs(
            documents, index, rng, max_seq_length=max_seq_length, short_seq_prob=short_seq_prob
        )
        for pair in pairs:  # masking draws from the same generator, right after each pair
            ids = tokenizer.build_inputs_with_special_tokens(pair.first, pair.second)
            segments = tokenizer.create_token_type_ids_from_sequences(pair.first, pair.second)
            masked, positions = google_masking(
                ids,
                tokenizer,
                rng,
                masked_lm_prob=masked_lm_prob,
                max_predictions_per_seq=max_predictions_per_seq,
                whole_word=whole_word,
            )
            originals = [ids[position] for position in positions]
            label = pair.next_sentence_label
            instances.append(Instance(masked, segments, positions, originals, label))
    rng.shuffle(instances)
    return instances


def google_pairs(
    documents: Sequence[Document],
    index: int,
    rng: random.Random,
    *,
    max_seq_length: int,
    short_seq_prob: float = 0.1,
) -> Iterator[Pair]:
    """Yield the pairs of one document, drawing from `rng` only when a pair is requested.

    Sentences are collected until they fill a sequence. A random number of them become A. In half of
    the cases the others become B. In the other half B is taken from a random position in another
    document, and the others are put back for the next pair.

    Args:
        documents: all documents, from which random Bs are taken.
        index: the index of the document to make pairs of.
        rng: the source of randomness.
        max_seq_length: the number of tokens in a sequence, [CLS] and both [SEP] included.
        short_seq_prob: the probability that the pairs of a document are shorter, so that the model
            also learns short sequences.

    Source: `create_instances_from_document`.
    """
    document = documents[index]
    max_num_tokens = max_seq_length - 3  # [CLS], [SEP], [SEP]
    target = max_num_tokens
    if rng.random() < short_seq_prob:
        target = rng.randint(2, max_num_tokens)

    gathered: list[Sentence] = []
    position = 0
    while position < len(document):
        gathered.append(document[position])
        is_last = position == len(document) - 1
        if is_last or sum(map(len, gathered)) >= target:
            a_end = rng.randint(1, len(gathered) - 1) if len(gathered) >= 2 else 1
            first = [token for sentence in gathered[:a_end] for token in sentence]
            if len(gathered) == 1 or rng.random() < 0.5:
                label = IS_RANDOM
                second = _random_text(documents, index, target - len(first), rng)
                position -= len(gathered) - a_end  # put back what was not used
            else:
                label = IS_NEXT
                second = [token for sentence in gathered[a_end:] for token in sentence]
            while len(first) + len(second) > max_num_tokens:  # `truncate_seq_pair`
                longer = first if len(first) > len(second) else second
                longer.pop(0 if rng.random() < 0.5 else -1)
            yield Pair(first, second, label)
            gathered = []
        position += 1


def _random_text(
    documents: Sequence[Document], index: int, target: int, rng: random.Random
) -> list[int]:
    """Return `target` or more tokens from a random position in another document, if it has them."""
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    document = documents[other]
    start = rng.randint(0, len(document) - 1)
    tokens: list[int] = []
    for sentence in document[start:]:
        tokens += sentence
        if len(tokens) >= target:
            break
    return tokens


def google_masking(
    input_ids: Sequence[int],
    tokenizer: BertTokenizer,
    rng: random.Random,
    *,
    masked_lm_prob: float = 0.15,
    max_predictions_per_seq: int = 20,
    whole_word: bool = False,
) -> tuple[list[int], list[int]]:
    """Return the masked ids of one sequence, and the positions to predict, ascending.

    Args:
        input_ids: [CLS] A [SEP] B [SEP].
        tokenizer: the tokenizer of these ids.
        rng: the source of randomness.
        masked_lm_prob: the share of all tokens, special ones included, to pick; at least one token.
        max_predictions_per_seq: the largest number of tokens to pick.
        whole_word: pick all tokens of a word or none. A word with too many tokens is skipped.

    Source: `create_masked_lm_predictions`.
    """
    words: list[list[int]] = []  # the positions of each word; without `whole_word`, of each token
    for position, token in enumerate(tokenizer.convert_ids_to_tokens(input_ids)):
        if token in (tokenizer.cls_token, tokenizer.sep_token):
            continue
        if whole_word and words and token.startswith(SUBWORD_PREFIX):
            words[-1].append(position)
        else:
            words.append([position])
    rng.shuffle(words)

    masked = list(input_ids)
    positions: list[int] = []
    wanted = min(max_predictions_per_seq, max(1, round(len(input_ids) * masked_lm_prob)))
    for word in words:
        if len(positions) >= wanted:
            break
        if len(positions) + len(word) > wanted:
            continue
        for position in word:
            if rng.random() < 0.8:
                masked[position] = tokenizer.mask_token_id
            elif rng.random() >= 0.5:  # half of the other 20 % become a random token
                masked[position] = rng.randint(0, tokenizer.vocab_size - 1)
            positions.append(position)
    return masked, sorted(positions)
