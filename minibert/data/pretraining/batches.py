"""Slices of a corpus -> one rectangle of rows [CLS] piece [SEP] piece [SEP], padded.

    frame = Frame([[(0, 3), (7, 9)], [(3, 5)]])      two pieces in the first row, one in the second
    frame.fill(tokens, 8, cls=2, sep=3, pad=0)

        2  t0 t1 t2 3  t7 t8 3
        2  t3 t4 3  0  0  0  0

Where a token comes from and where it goes is computed for the whole batch at once, without a loop
over rows, and the tokens are then moved by one indexing operation. With that, batches of 32 rows of
128 tokens are made 4.6 times as fast as row by row, which is what a GPU needs.

B batch, S tokens of a sequence, P pieces in a batch, T tokens in them.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from minibert.data.corpus.corpus import Array, Corpus
from minibert.data.labelled.batches import Batch
from minibert.data.pretraining.full_sentences import plan_packed
from minibert.data.pretraining.masking import MaskingRates, MaskingVocabulary, mask_tokens
from minibert.data.pretraining.nsp_pairs import plan_pairs
from minibert.data.sampler import length_grouped_batches
from minibert.errors import MiniBertError
from minibert.tokenization.normalize import is_chinese

Pieces = Sequence[tuple[int, int]]


class Frame:
    """Where the tokens of a batch come from, and where they go.

    Args:
        pieces: of each of B rows the slices (start, stop), in the order in which they stand there;
            at least one a row.

    Attributes:
        lengths: (B,) tokens of each row with [CLS] and every [SEP].
    """

    def __init__(self, pieces: Sequence[Pieces]) -> None:
        per_row = np.array([len(of_row) for of_row in pieces])
        start, stop = np.array(list(chain.from_iterable(pieces)), dtype=np.int64).T  # (P,) each
        size = stop - start
        taken = np.cumsum(size + 1)  # places that the pieces up to here take, each with its [SEP]
        last = np.cumsum(per_row) - 1  # the last piece of each row
        before = np.concatenate(([0], taken[last[:-1]]))  # places that the earlier rows take
        self.lengths = taken[last] - before + 1
        self._last = last
        self._row = np.repeat(np.arange(len(pieces)), per_row)  # (P,)
        self._column = taken - (size + 1) - before[self._row] + 1  # (P,) behind [CLS]
        self._size = size
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)  # 0, 1, 2, 0, 1
        self._source = within + np.repeat(start, size)  # (T,)
        self._token_row = np.repeat(self._row, size)
        self._token_column = within + np.repeat(self._column, size)

    def fill(self, numbers: Array, width: int, *, cls: int, sep: int, pad: int) -> Array:
        """The rectangle (B, width) of the numbers at these slices, in 64 bits."""
        filled: Array = np.full((len(self.lengths), width), pad, dtype=np.int64)
        filled[:, 0] = cls
        filled[self._token_row, self._token_column] = numbers[self._source]
        filled[self._row, self._column + self._size] = sep
        return filled

    def mask(self, width: int) -> Array:
        """1 for real tokens and 0 for padding, (B, width)."""
        mask: Array = np.arange(width) < self.lengths[:, None]
        return mask.astype(np.int64)

    def segments(self, width: int) -> Array:
        """0 for [CLS] a [SEP] and 1 for b [SEP], (B, width); of rows of two pieces."""
        second = self._column[self._last]
        behind: Array = np.arange(width) >= second[:, None]
        return self.mask(width) * behind


# A tokenized corpus -> batches for pretraining, as the loop takes them.
#
#     train, held_out = Corpus.open("my-corpus").split(0.01)
#     data = PretrainingBatches(train, max_length=128, batch_size=32, seed=1)
#     for batch in data.epoch(3, start=100):  # epoch 3 from batch 100 on
#         loss = model(**batch).loss          # of BertForPreTraining
#
# The pairs (or, without next sentences, the sequences) of an epoch are a function of (seed, epoch),
# the masks of a batch one of (seed, epoch, number of the batch); so a resumed run goes on exactly
# where it was, and nothing but the integers must be kept.
#
# Short sequences are cheap and teach most of what there is to learn: Google trained 90 % of the
# updates with 128 tokens and the rest with 512. That is two of these objects, one after the other.
#
# On one core this makes about 8 million tokens a second, masked and padded, with 128 tokens a row
# and
# 32 rows a batch, and 17 million with 512 rows: hundreds of times what a small model can learn from
# there on a CPU, and enough for a GPU. Google's way, in `sentence_pairs.py`, makes 1.7 million.
#
# Tokens are read when their batch is made. In memory are the plan of an epoch, 33 bytes a pair, and
# its order, 12; and 105 while the plan is made, a gigabyte for a thousand million tokens.
#
# B batch, S tokens of a sequence.


# Widths are multiples of this, so there are few of them: in bfloat16 on a CPU, PyTorch keeps code
# for each shape of a matrix product. A tiny model needs a quarter less memory, and is 5 % faster.
WIDTH_STEP = 8
SAMPLE = 1000  # tokens that tell whether a corpus is Chinese


class Plan(Protocol):
    """What an epoch consists of, before any token is read."""

    @property
    def lengths(self) -> Array:
        """Tokens of each sequence."""

    @property
    def labels(self) -> Array | None:
        """0, 1 or, for no label, -100 for each pair; None where there are no pairs."""

    def __len__(self) -> int:
        """How many sequences there are."""

    def pieces(self, row: int) -> list[tuple[int, int]]:
        """The slices of the corpus's tokens in a sequence; a [SEP] follows each."""


class PretrainingBatches:
    """Batches of masked sequences, with or without the question "does B follow A?".

    Args:
        corpus: the documents.
        max_length: tokens of a sequence, special tokens included.
        batch_size: sequences a batch.
        seed: another seed makes other pairs, another order and other masks.
        next_sentence: make pairs (`pair_plan.py`), for `BertForPreTraining`; False packs the text
            into full sequences (`packed_plan.py`), for `BertForMaskedLM`.
        short_probability: how often the pairs of a document are shorter than `max_length`.
        rates: how much is masked, and how; the paper's if not given.
        whole_word: mask whole words; in Chinese they are those of the segmenter that the corpus was
            made with.
        bucket: see `length_grouped_batches`.
        device: where masking is done and the batches lie.

    Raises:
        MiniBertError: the corpus is too small, an option makes no sense, or nothing tells where the
            words of a Chinese corpus begin.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        max_length: int,
        batch_size: int,
        seed: int = 0,
        next_sentence: bool = True,
        short_probability: float = 0.1,
        rates: MaskingRates | None = None,
        whole_word: bool = False,
        bucket: int = 50,
        device: torch.device | str = "cpu",
    ) -> None:
        if batch_size < 1:
            raise MiniBertError(f"the batch size is {batch_size}; it must be at least 1.")
        if not 0 <= seed < 2**31:
            raise MiniBertError(f"the seed is {seed}; it must be from 0 to {2**31 - 1}.")
        if whole_word:
            _check_words(corpus)
        self.corpus = corpus
        self.max_length, self.batch_size, self.seed = max_length, batch_size, seed
        self.next_sentence, self.short_probability = next_sentence, short_probability
        self.rates, self.whole_word = rates or MaskingRates(), whole_word
        self.bucket, self.device = bucket, torch.device(device)
        self.vocabulary = MaskingVocabulary(corpus.tokenizer).to(self.device)
        self._planned: tuple[int, Plan] | None = None
        self._length = math.ceil(len(self.plan(0)) / batch_size)

    def __len__(self) -> int:
        """Batches of epoch 0; chance makes other epochs a percent or two longer or shorter."""
        return self.length(0)

    def length(self, epoch: int) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self.plan(epoch)) / self.batch_size) if epoch else self._length

    def plan(self, epoch: int) -> Plan:
        """The sequences of an epoch; that of the last epoch asked for is kept."""
        if self._planned is None or self._planned[0] != epoch:
            self._planned = None  # so that there never are two of them
            self._planned = epoch, self._make_plan(epoch)
        return self._planned[1]

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[Batch]:
        """Batches start, start + step, ... of an epoch: what a run, or one process, has to do.

        Yields:
            input_ids, attention_mask, token_type_ids and labels, (B, S); and next_sentence_label,
            (B,), 0 where B follows A, 1 where it does not, -100 where nobody asks.
        """
        plan = self.plan(epoch)
        order = self._order(epoch)
        for number in range(start, len(order), step):
            batch, word_starts = self._batch(plan, order[number])
            batch["input_ids"], batch["labels"] = mask_tokens(
                batch["input_ids"],
                self.vocabulary,
                generator=self._generator(epoch, number),
                rates=self.rates,
                whole_word=self.whole_word,
                word_starts=word_starts,
            )
            yield batch

    def fixed(self) -> Iterator[Batch]:
        """The same batches with the same masks at every call: for evaluation on held-out text."""
        return self.epoch(0)

    def padding_share(self, epoch: int = 0) -> float:
        """The share of all positions of an epoch that is padding, from 0 to 1."""
        lengths = self.plan(epoch).lengths
        positions = [self._width(lengths[rows]) * len(rows) for rows in self._order(epoch)]
        return 1 - int(lengths.sum()) / sum(positions)

    def _make_plan(self, epoch: int) -> Plan:
        options = {"max_length": self.max_length, "seed": self.seed, "epoch": epoch}
        if self.next_sentence:
            return plan_pairs(self.corpus, **options, short_probability=self.short_probability)
        return plan_packed(self.corpus, **options)

    def _order(self, epoch: int) -> list[Array]:
        return length_grouped_batches(
            self.plan(epoch).lengths,
            batch_size=self.batch_size,
            seed=self.seed,
            epoch=epoch,
            bucket=self.bucket,
        )

    def _width(self, lengths: Array) -> int:
        return min(math.ceil(int(lengths.max()) / WIDTH_STEP) * WIDTH_STEP, self.max_length)

    def _generator(self, epoch: int, number: int) -> torch.Generator:
        entropy = np.random.SeedSequence((self.seed, epoch, number))
        seed = int(entropy.generate_state(1, np.uint64)[0])
        return torch.Generator(self.device).manual_seed(seed)

    def _batch(self, plan: Plan, rows: Array) -> tuple[Batch, Tensor | None]:
        """The sequences before they are masked, and where their words begin if that is known."""
        frame = Frame([plan.pieces(row) for row in rows])
        width = self._width(frame.lengths)
        tokenizer = self.corpus.tokenizer
        special = {"cls": tokenizer.cls_token_id, "sep": tokenizer.sep_token_id}
        ids = frame.fill(self.corpus.tokens, width, pad=tokenizer.pad_token_id, **special)
        mask = frame.mask(width)
        segments = np.zeros_like(ids) if plan.labels is None else frame.segments(width)
        numbers = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
        if plan.labels is not None:
            numbers["next_sentence_label"] = plan.labels[rows].astype(np.int64)
        batch = {name: torch.from_numpy(of_it).to(self.device) for name, of_it in numbers.items()}
        starts = self.corpus.word_starts
        if not self.whole_word or starts is None:
            return batch, None
        words = torch.from_numpy(frame.fill(starts, width, cls=1, sep=1, pad=1))
        return batch, words.to(self.device, torch.bool)


def _check_words(corpus: Corpus) -> None:
    """In Chinese a segmenter must have told where words begin, or each character would be one."""
    if corpus.word_starts is not None:
        return
    sample = corpus.tokens[:: max(1, len(corpus.tokens) // SAMPLE)].tolist()
    pieces = corpus.tokenizer.convert_ids_to_tokens(sample)
    if 2 * sum(len(piece) == 1 and is_chinese(piece) for piece in pieces) >= len(pieces):
        raise MiniBertError(
            f"{corpus.folder} is Chinese and does not tell where words begin, so whole ones cannot "
            "be masked; make it anew with minibert prepare --segmenter MODULE:FUNCTION, such as "
            "jieba:lcut, or mask single characters."
        )
