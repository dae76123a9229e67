"""Split shards of documents into sentences and tokenize them, here or in worker processes.

A shard is a group of documents, large enough to be worth sending to a worker. Tokenized shards are
returned in the original order, so a corpus is the same for any number of workers.

English tokens show where words start ("##ing" continues a word). In Chinese every character is a
token, so a segmenter must find the words: any function from a text to its words, such as
`jieba.lcut`.
"""

import copy
import hashlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np

from minibert.data.corpus.corpus import Array, token_dtype
from minibert.data.corpus.documents import Document
from minibert.data.corpus.sentence_splitter import split_sentences
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.wordpiece import SUBWORD_PREFIX

Segmenter = Callable[[str], Iterable[str]]


class TokenizedShard(NamedTuple):
    """A shard as arrays, which are quick to send between processes."""

    tokens: Array  # the ids of all sentences, concatenated
    sentence_lengths: Array  # the number of tokens in each sentence, at least 1
    document_lengths: Array  # the number of sentences in each document, at least 1
    fingerprints: Array  # a hash of each document's text
    word_starts: Array | None  # for each token, 1 if a word starts with it


def text_fingerprint(text: str) -> int:
    """Return a 64-bit hash of a text, the same on every machine and never 0."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def tokenize_shard(
    documents: list[Document], tokenizer: BertTokenizer, segmenter: Segmenter | None
) -> TokenizedShard:
    """Split documents into sentences and tokenize them.

    Sentences without tokens, and documents without sentences, are dropped.
    """
    tokenizer = copy.copy(tokenizer)
    tokenizer.model_max_length = sys.maxsize  # sentences may have any length here
    sentences: list[str] = []
    document_ends: list[int] = []
    for document in documents:
        for paragraph in document.paragraphs:
            sentences += [paragraph] if document.are_sentences else split_sentences(paragraph)
        document_ends.append(len(sentences))
    word_starts = None
    if segmenter is None:
        ids = tokenizer.encode(sentences, add_special_tokens=False, truncation=False)
    else:
        ids, starts = _encode_with_word_starts(sentences, tokenizer, segmenter)
        word_starts = np.fromiter(starts, np.uint8)
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    # kept_before[n] is how many of the first n sentences have tokens.
    kept_before = np.concatenate(([0], np.cumsum(lengths > 0)))
    document_lengths = np.diff(kept_before[[0, *document_ends]])
    fingerprints = np.array([text_fingerprint(d.text) for d in documents], dtype=np.uint64)
    return TokenizedShard(
        tokens=np.fromiter(chain.from_iterable(ids), token_dtype(tokenizer.vocab_size)),
        sentence_lengths=lengths[lengths > 0],
        document_lengths=document_lengths[document_lengths > 0],
        fingerprints=fingerprints[document_lengths > 0],
        word_starts=word_starts,
    )


def _encode_with_word_starts(
    sentences: list[str], tokenizer: BertTokenizer, segmenter: Segmenter
) -> tuple[list[list[int]], list[bool]]:
    """Return the ids of each sentence and, for all tokens in a row, whether each starts a word."""
    encoded = tokenizer(
        sentences, add_special_tokens=False, return_offsets_mapping=True, truncation=False
    )
    ids: list[list[int]] = encoded["input_ids"]
    starts = []
    for text, row, offsets in zip(sentences, ids, encoded["offset_mapping"], strict=True):
        word_of_character = [-1] * len(text)
        end = 0
        for number, word in enumerate(map(str.strip, segmenter(text))):
            start = text.find(word, end)
            if start < 0:
                raise MiniBertError(
                    f"the segmenter returned {word!r}, which is not in the text {text[:40]!r} "
                    f"after character {end}; it must return the words as they occur in the text."
                )
            end = start + len(word)
            word_of_character[start:end] = [number] * len(word)
        previous = None
        for token, (start, _) in zip(tokenizer.convert_ids_to_tokens(row), offsets, strict=True):
            word_number = word_of_character[start]
            starts.append(not token.startswith(SUBWORD_PREFIX) and word_number != previous)
            previous = word_number
    return ids, starts


def tokenize_shards(
    shards: Iterable[list[Document]],
    folder: Path,
    tokenizer: BertTokenizer,
    segmenter: Segmenter | None,
    *,
    workers: int,
) -> Iterator[TokenizedShard]:
    """Yield the tokenized shards in order, with at most 2 x `workers` + 1 in progress.

    With one worker, this process does the work. Worker processes load the tokenizer from `folder`.
    """
    if workers == 1:
        yield from (tokenize_shard(shard, tokenizer, segmenter) for shard in shards)
        return
    try:
        ForkingPickler.dumps(segmenter)
    except Exception as error:
        raise MiniBertError(
            f"the segmenter cannot be sent to other processes ({error}); use a function defined "
            "in an importable module, or workers=1."
        ) from error
    pending: deque[Future[TokenizedShard]] = deque()
    # Spawned, because a fork would copy locks that the threads of torch may hold.
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            for shard in shards:
                with _without_ctrl_c():  # the first call starts the workers
                    pending.append(pool.submit(_tokenize_in_worker, shard, folder, segmenter))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool as error:
            raise MiniBertError(
                "a worker process could not start or was killed; in a script, call build_corpus "
                'under `if __name__ == "__main__":`, and if memory is short, use fewer workers.'
            ) from error


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Delay Ctrl-C until the block ends; processes that it starts never receive it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Make a worker exit when its parent does, and only then.

    A parent that is killed cannot stop its workers, so a thread in each worker waits for the parent
    to exit. Ctrl-C reaches all processes at once, and only the parent handles it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def exit_after(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    Thread(target=exit_after, args=(parent_process(),), daemon=True).start()


def _tokenize_in_worker(
    documents: list[Document], folder: Path, segmenter: Segmenter | None
) -> TokenizedShard:
    return tokenize_shard(documents, _load_tokenizer(folder), segmenter)


@lru_cache(maxsize=1)
def _load_tokenizer(folder: Path) -> BertTokenizer:
    # Once per process, so that the tokenizer's cache of words stays warm.
    return BertTokenizer.from_pretrained(folder)
