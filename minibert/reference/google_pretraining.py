"""Documents -> pairs (A, B) with the question "does B follow A?", as in Google's code.

This is the readable version, sentence by sentence; it draws the same random numbers in the same
order as Google's `create_pretraining_data.py`, and so makes the same pairs from the same seed.
`pair_plan.py` makes the pairs for training, faster and without the weaknesses below.

    pairs = list(sentence_pairs(documents, 0, max_length=128, rng=random.Random(12345)))

How a pair comes about: sentences are gathered until they fill a sequence. A random number of them
is A. In half of the cases the others are B ("B follows A"). In the other half B is taken from a
random place of another document, and the others go back to be used in the next pair.

Known weaknesses, kept because the results must be Google's:
- The other document is drawn up to ten times until it is another one. With a single document it
  never is, and then B may come from the same one and even be the real next sentence.
- A gathering of one sentence always gets a random B, so more than half of the pairs are random.
- A true B ends with its document at the latest, a random one goes on until the sequence is full. So
  where documents are short, the length of B tells something of the label.

Source: `create_instances_from_document` and `truncate_seq_pair`; Devlin et al. 2018, section 3.1.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minibert.data.pretraining.masking import google_masking
from minibert.data.pretraining.nsp_pairs import IS_NEXT, IS_RANDOM, SPECIAL_TOKENS_OF_A_PAIR
from minibert.tokenization.tokenizer import BertTokenizer

Sentence = Sequence[int]
Document = Sequence[Sentence]


@dataclass(frozen=True)
class Pair:
    """Two runs of sentences, as ids without special tokens.

    Attributes:
        first: A.
        second: B.
        next_sentence_label: 0 if B follows A, 1 if B is from elsewhere.
    """

    first: list[int]
    second: list[int]
    next_sentence_label: int


def sentence_pairs(
    documents: Sequence[Document],
    index: int,
    *,
    max_length: int,
    rng: random.Random,
    short_probability: float = 0.1,
) -> Iterator[Pair]:
    """The pairs of one document, one at a time: nothing is drawn before it is asked for.

    Args:
        documents: all of them; random B come from here.
        index: the document to make pairs of.
        max_length: tokens of a finished sequence, [CLS] and both [SEP] included.
        rng: where chance comes from.
        short_probability: how often the pairs of a document are shorter, so that the model also
            sees short texts.
    """
    document = documents[index]
    longest = max_length - SPECIAL_TOKENS_OF_A_PAIR
    target = longest
    if rng.random() < short_probability:
        target = rng.randint(2, longest)

    gathered: list[Sentence] = []
    position = 0
    while position < len(document):
        gathered.append(document[position])
        is_last = position == len(document) - 1
        if is_last or sum(map(len, gathered)) >= target:
            in_first = rng.randint(1, len(gathered) - 1) if len(gathered) >= 2 else 1
            first = _joined(gathered[:in_first])
            if len(gathered) == 1 or rng.random() < 0.5:
                label = IS_RANDOM
                second = _from_another_document(documents, index, target - len(first), rng)
                position -= len(gathered) - in_first  # put back what was not used
            else:
                label = IS_NEXT
                second = _joined(gathered[in_first:])
            _truncate(first, second, longest, rng)
            yield Pair(first, second, label)
            gathered = []
        position += 1


def _from_another_document(
    documents: Sequence[Document], index: int, wanted: int, rng: random.Random
) -> list[int]:
    """Sentences from a random place of a random document until there are `wanted` tokens."""
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    document = documents[other]
    start = rng.randint(0, len(document) - 1)
    tokens: list[int] = []
    for sentence in document[start:]:
        tokens += sentence
        if len(tokens) >= wanted:
            break
    return tokens


def _truncate(first: list[int], second: list[int], longest: int, rng: random.Random) -> None:
    """Take single tokens from either end of the longer one until both together fit."""
    while len(first) + len(second) > longest:
        longer = first if len(first) > len(second) else second
        if rng.random() < 0.5:
            del longer[0]
        else:
            longer.pop()


def _joined(sentences: Sequence[Sentence]) -> list[int]:
    return [token for sentence in sentences for token in sentence]


@dataclass(frozen=True)
class Instance:
    """What Google's script writes for one pair.

    Attributes:
        input_ids: [CLS] a [SEP] b [SEP] with words hidden.
        segment_ids: 0 for [CLS] a [SEP], 1 for b [SEP].
        masked_lm_positions: the places that must be guessed.
        masked_lm_ids: what stood there.
        next_sentence_label: 0 if B follows A, 1 if B is from elsewhere.
    """

    input_ids: list[int]
    segment_ids: list[int]
    masked_lm_positions: list[int]
    masked_lm_ids: list[int]
    next_sentence_label: int


def google_instances(
    documents: Sequence[Document],
    tokenizer: BertTokenizer,
    rng: random.Random,
    *,
    max_length: int = 128,
    repeats: int = 5,
    short_probability: float = 0.1,
    masked_share: float = 0.15,
    most_masked: int = 20,
) -> list[Instance]:
    """All that Google's script writes for these documents.

    Args:
        documents: sentences as ids, without special tokens; no document is empty.
        tokenizer: of these ids.
        rng: `random.Random(seed)`; Google's default seed is 12345.
        max_length: tokens of a sequence.
        repeats: passes over all documents, each with its own pairs and masks (`dupe_factor`).
        short_probability: see `sentence_pairs`.
        masked_share: see `google_masking`.
        most_masked: see `google_masking`.
    """
    documents = list(documents)
    rng.shuffle(documents)
    instances = []
    for index in list(range(len(documents))) * repeats:
        pairs = sentence_pairs(
            documents, index, max_length=max_length, rng=rng, short_probability=short_probability
        )
        # Masking draws from the same numbers, right after each pair.
        for pair in pairs:
            ids = tokenizer.build_inputs_with_special_tokens(pair.first, pair.second)
            segments = tokenizer.create_token_type_ids_from_sequences(pair.first, pair.second)
            masked = google_masking(ids, tokenizer, rng, share=masked_share, most=most_masked)
            instances.append(
                Instance(
                    masked.input_ids,
                    segments,
                    masked.positions,
                    masked.original_ids,
                    pair.next_sentence_label,
                )
            )
    rng.shuffle(instances)
    return instances
