"""Make padded and masked batches for pretraining from a tokenized corpus.

    train, held_out = Corpus.open("my-corpus").split(0.01)
    data = PretrainingBatches(train, max_length=128, batch_size=32, seed=1)
    for batch in data.epoch(3, start=100):  # epoch 3 from batch 100
        loss = model(**batch).loss          # of BertForPreTraining

The sequences of an epoch depend only on (seed, epoch), and the masks of a batch only on (seed,
epoch, batch number). So a run needs only these integers to resume exactly.

Google trained 90 % of the steps with sequences of 128 tokens and the rest with 512. To do the same,
use two `PretrainingBatches`, one after the other.

One core makes about 8 million tokens per second with 32 rows of 128 tokens, and 17 million with
rows of 512. An epoch takes 33 bytes of memory per pair, 12 for the order, and 105 while pairs are
made: about 1 GB for a billion tokens. The tokens of a batch are read from disk when it is made.

Letters: B batch, S sequence length, P spans, T tokens in them.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch

from minibert.data.corpus.corpus import Array, Corpus
from minibert.data.pretraining.full_sentences import FullSentences, make_full_sentences
from minibert.data.pretraining.masking import MaskingRates, MaskingVocabulary, mask_tokens
from minibert.data.pretraining.nsp_pairs import SentencePairs, make_sentence_pairs
from minibert.data.sampler import Batch, length_grouped_batches
from minibert.errors import MiniBertError
from minibert.tokenization.normalize import is_chinese

# Batch widths are multiples of this. With fewer different shapes, bfloat16 on a CPU takes a quarter
# less memory and is 5 % faster, since PyTorch generates and keeps code for each shape.
WIDTH_STEP = 8
CHINESE_SAMPLE = 1000  # the number of tokens inspected to recognize a Chinese corpus
Sequences = SentencePairs | FullSentences  # the sequences of an epoch


def collate(
    numbers: Array, spans: Array, row: Array, width: int, *, cls: int, sep: int, pad: int
) -> Array:
    """Return rows of [CLS] span [SEP] span [SEP] ..., padded, as 64-bit integers, (B, width).

    Args:
        numbers: the array that the spans index.
        spans: (P, 2) the start and stop of each span.
        row: (P,) the row of each span, ascending; each row has at least one.
        width: the number of columns.
        cls: the number for [CLS].
        sep: the number for [SEP].
        pad: the number for padding.
    """
    start, size = spans[:, 0], spans[:, 1] - spans[:, 0]
    column = np.cumsum(size + 1) - size  # (P,) of each first token, as if all spans were in one row
    first = np.flatnonzero(np.diff(row, prepend=-1))  # (B,) the first span of each row
    column -= column[first][row] - 1
    offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)  # (T,) 0 1 2 0 1
    filled: Array = np.full((len(first), width), pad, dtype=np.int64)
    filled[:, 0] = cls
    source = np.repeat(start, size) + offset  # (T,)
    filled[np.repeat(row, size), np.repeat(column, size) + offset] = numbers[source]
    filled[row, column + size] = sep
    return filled


class PretrainingBatches:
    """Batches of masked sequences, for both pretraining tasks or for masked language modeling.

    Args:
        corpus: the documents.
        max_length: the number of tokens in a sequence, special tokens included.
        batch_size: the number of sequences in a batch.
        seed: determines the pairs, their order and the masks.
        next_sentence: make sentence pairs, for `BertForPreTraining`; otherwise full sequences, for
            `BertForMaskedLM`.
        short_seq_prob: the probability that the pairs of a document are shorter.
        rates: the masking rates; those of the paper by default.
        whole_word: mask whole words. A Chinese corpus must have been prepared with a segmenter.
        bucket: see `length_grouped_batches`.
        device: the device on which batches are masked and returned.

    Raises:
        MiniBertError: the corpus is too small, an option is out of range, or the word boundaries
            of a Chinese corpus are unknown.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        max_length: int,
        batch_size: int,
        seed: int = 0,
        next_sentence: bool = True,
        short_seq_prob: float = 0.1,
        rates: MaskingRates | None = None,
        whole_word: bool = False,
        bucket: int = 50,
        device: torch.device | str = "cpu",
    ) -> None:
        self.corpus = corpus
        self.max_length, self.batch_size, self.seed = max_length, batch_size, seed
        self.next_sentence, self.short_seq_prob = next_sentence, short_seq_prob
        self.rates, self.whole_word = rates or MaskingRates(), whole_word
        self.bucket, self.device = bucket, torch.device(device)
        self.vocabulary = MaskingVocabulary(corpus.tokenizer, self.device)
        self._check_options()
        self._latest: tuple[int, Sequences] | None = None
        self._length = math.ceil(len(self.sequences(0).lengths) / batch_size)

    def __len__(self) -> int:
        """Return the number of batches in epoch 0; other epochs differ by a percent or two."""
        return self._length

    def length(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        if epoch == 0:
            return self._length
        return math.ceil(len(self.sequences(epoch).lengths) / self.batch_size)

    def sequences(self, epoch: int) -> Sequences:
        """Return the sequences of an epoch, and keep them until another epoch is requested."""
        if self._latest is None or self._latest[0] != epoch:
            self._latest = None  # never hold two epochs in memory
            options = {"max_length": self.max_length, "seed": self.seed, "epoch": epoch}
            if self.next_sentence:
                pairs = make_sentence_pairs(
                    self.corpus, **options, short_seq_prob=self.short_seq_prob
                )
                self._latest = epoch, pairs
            else:
                self._latest = epoch, make_full_sentences(self.corpus, **options)
        return self._latest[1]

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[Batch]:
        """Yield the batches start, start + step, ... of an epoch.

        Yields:
            input_ids, attention_mask, token_type_ids and labels, each (B, S), and for pairs also
            next_sentence_label, (B,): 0 if B follows A, 1 if not, -100 for no label.
        """
        sequences = self.sequences(epoch)
        order = length_grouped_batches(
            sequences.lengths,
            batch_size=self.batch_size,
            seed=self.seed,
            epoch=epoch,
            bucket=self.bucket,
        )
        for number in range(start, len(order), step):
            entropy = np.random.SeedSequence((self.seed, epoch, number))
            seed = int(entropy.generate_state(1, np.uint64)[0])
            batch, word_starts = self._unmasked_batch(sequences, order[number])
            batch["input_ids"], batch["labels"] = mask_tokens(
                batch["input_ids"],
                self.vocabulary,
                generator=torch.Generator(self.device).manual_seed(seed),
                rates=self.rates,
                word_starts=word_starts,
            )
            yield batch

    def fixed(self) -> Iterator[Batch]:
        """Return the same batches with the same masks every time, for evaluation."""
        return self.epoch(0)

    def _unmasked_batch(
        self, sequences: Sequences, rows: Array
    ) -> tuple[Batch, torch.Tensor | None]:
        """Return an unmasked batch and, for whole-word masking, where its words start."""
        spans, row = sequences.spans(rows)  # (P, 2), (P,)
        size = spans[:, 1] - spans[:, 0]
        lengths = np.bincount(row, size + 1).astype(np.int64) + 1  # (B,)
        width = min(math.ceil(lengths.max() / WIDTH_STEP) * WIDTH_STEP, self.max_length)
        tokenizer = self.corpus.tokenizer
        special = {"cls": tokenizer.cls_token_id, "sep": tokenizer.sep_token_id}
        ids = collate(self.corpus.tokens, spans, row, width, pad=tokenizer.pad_token_id, **special)
        columns = np.arange(width)
        mask = columns < lengths[:, None]  # (B, S)
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        if sequences.labels is not None:
            # 0 for [CLS] A [SEP] and 1 for B [SEP]; the spans are A, B, A, B, ...
            arrays["token_type_ids"] = mask & (columns >= size[::2, None] + 2)
            arrays["next_sentence_label"] = sequences.labels[rows]
        batch = {
            name: torch.from_numpy(array.astype(np.int64)).to(self.device)
            for name, array in arrays.items()
        }
        if not self.whole_word:
            return batch, None
        if self.corpus.word_starts is None:
            return batch, self.vocabulary.starts_word[batch["input_ids"]]
        starts = collate(self.corpus.word_starts, spans, row, width, cls=1, sep=1, pad=1)
        return batch, torch.from_numpy(starts).to(self.device, torch.bool)

    def _check_options(self) -> None:
        if self.batch_size < 1:
            raise MiniBertError(f"the batch size is {self.batch_size}; it must be at least 1.")
        if not 0 <= self.seed < 2**31:
            raise MiniBertError(f"the seed is {self.seed}; it must be from 0 to {2**31 - 1}.")
        rates = self.rates
        shares = (rates.to_mask, rates.to_random, rates.unchanged)
        if not 0 < rates.picked <= 1 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise MiniBertError(
                f"the rate of picked tokens (--mask-rate) is {rates.picked}; it must be above 0 "
                f"and at most 1. Of these tokens, to_mask={rates.to_mask}, to_random="
                f"{rates.to_random} and unchanged={rates.unchanged} must add up to 1."
            )
        if not len(self.vocabulary.words):
            raise MiniBertError(
                "the vocabulary has only special tokens, so nothing can be masked; learn a "
                "vocabulary with minibert train-vocab."
            )
        shortest = 5 if self.next_sentence else 3  # [CLS] A [SEP] B [SEP], or [CLS] text [SEP]
        if self.max_length < shortest:
            raise MiniBertError(f"max_length is {self.max_length}; it must be at least {shortest}.")
        part = f"{self.corpus.part} documents".strip()
        sentences = np.diff(self.corpus.documents)[self.corpus.chosen]
        if self.next_sentence and (sentences > 1).sum() < 2:
            raise MiniBertError(
                f"{self.corpus.folder}: only {(sentences > 1).sum()} of {len(sentences):,} {part} "
                "have two sentences, and next-sentence prediction needs two such documents. Add "
                "text, change --held-out, prepare the corpus with another --lines, or pass "
                "--no-next-sentence."
            )
        if self.whole_word and self.corpus.word_starts is None:
            sample = self.corpus.tokens[:: max(1, len(self.corpus.tokens) // CHINESE_SAMPLE)]
            tokens = self.corpus.tokenizer.convert_ids_to_tokens(sample.tolist())
            if 2 * sum(len(t) == 1 and is_chinese(t) for t in tokens) >= len(tokens):
                raise MiniBertError(
                    f"{self.corpus.folder} is Chinese and was prepared without a segmenter, so "
                    "whole words cannot be masked; prepare it again with --segmenter "
                    "MODULE:FUNCTION, such as jieba:lcut, or mask single characters."
                )
