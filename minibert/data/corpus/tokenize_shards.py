"""Which tokens begin a word, told by a segmenter: for whole-word masking in Chinese.

In English the pieces tell: "##ing" continues a word. In Chinese every character is a piece, and
which of them make a word is a matter of opinion. The opinion is the caller's to choose: any
function from a text to its words, in order, such as `jieba.lcut`. It is asked once, when the
corpus is made, and what it says is kept beside the tokens.
"""

import copy
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from multiprocessing import get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from threading import Thread

import numpy as np

from minibert.data.corpus.corpus import Array, token_type
from minibert.data.corpus.documents import Document
from minibert.data.corpus.duplicates import fingerprint
from minibert.data.corpus.sentence_splitter import split_sentences
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.wordpiece import CONTINUES

Segmenter = Callable[[str], Iterable[str]]


def tokens_with_word_starts(
    sentences: Sequence[str], tokenizer: BertTokenizer, segment: Segmenter
) -> tuple[list[list[int]], list[list[bool]]]:
    """Tokenize sentences, and say of each token whether it begins a word.

    Args:
        sentences: texts.
        tokenizer: gives the tokens and their places in the text.
        segment: text -> words; together they must be the text, but for spaces.

    Raises:
        MiniBertError: the segmenter gives a word that does not stand in the text.

    Example:
        >>> tokens_with_word_starts(["我爱北京"], tokenizer, lambda text: ["我", "爱", "北京"])[1]
        [[True, True, True, False]]
    """
    encoded = tokenizer(
        list(sentences), add_special_tokens=False, return_offsets_mapping=True, truncation=False
    )
    ids: list[list[int]] = encoded["input_ids"]
    starts = []
    for sentence, row, places in zip(sentences, ids, encoded["offset_mapping"], strict=True):
        word_at = _word_numbers(sentence, segment)
        words = [word_at[start] for start, _ in places]
        pieces = tokenizer.convert_ids_to_tokens(row)
        begins = [
            not piece.startswith(CONTINUES) and (number == 0 or words[number - 1] != word)
            for number, (piece, word) in enumerate(zip(pieces, words, strict=True))
        ]
        starts.append(begins)
    return ids, starts


def _word_numbers(text: str, segment: Segmenter) -> list[int]:
    """For each character the number of the word it belongs to."""
    numbers = [-1] * len(text)
    end = 0
    for number, word in enumerate(segment(text)):
        start = text.find(word.strip(), end)
        if start < 0:
            raise MiniBertError(
                f"the segmenter made a word {word!r} that is not in the text {text[:40]!r} after "
                f"character {end}; it must return the words of the text as they stand there."
            )
        end = start + len(word.strip())
        numbers[start:end] = [number] * (end - start)
    return numbers


# Bundles of documents -> sentences -> tokens, in this process or in several others.
#
# The work that `build_corpus.py` shares out. A bundle comes back as arrays, which are quick to
# send;
# and bundles come back in their order, so the result is the same for any number of workers.


@dataclass(frozen=True)
class TokenizedBundle:
    """A bundle as arrays.

    Attributes:
        tokens: the ids of all sentences, one after the other.
        sentence_lengths: tokens of each sentence, at least 1.
        document_lengths: sentences of each document, at least 1.
        fingerprints: one for each document.
        word_starts: for each token 1 if a word begins with it; None without a segmenter.
    """

    tokens: Array
    sentence_lengths: Array
    document_lengths: Array
    fingerprints: Array
    word_starts: Array | None


def tokenize_bundle(
    documents: Sequence[Document], tokenizer: BertTokenizer, segment: Segmenter | None
) -> TokenizedBundle:
    """Sentences, then tokens; a sentence without tokens, and a document without any, is dropped."""
    tokenizer = copy.copy(tokenizer)
    tokenizer.model_max_length = sys.maxsize  # no warnings: sequences are cut when they are made
    sentences: list[str] = []
    ends: list[int] = []
    for document in documents:
        for paragraph in document.paragraphs:
            sentences += [paragraph] if document.are_sentences else split_sentences(paragraph)
        ends.append(len(sentences))
    starts = None
    if segment is None:
        ids = tokenizer.encode(sentences, add_special_tokens=False, truncation=False)
    else:
        ids, starts = tokens_with_word_starts(sentences, tokenizer, segment)
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    counts = np.diff(np.concatenate(([0], np.cumsum(lengths > 0)))[[0, *ends]])
    marks = np.array([fingerprint(document.text) for document in documents], dtype=np.uint64)
    return TokenizedBundle(
        tokens=np.fromiter(chain.from_iterable(ids), token_type(tokenizer.vocab_size)),
        sentence_lengths=lengths[lengths > 0],
        document_lengths=counts[counts > 0],
        fingerprints=marks[counts > 0],
        word_starts=None if starts is None else np.fromiter(chain.from_iterable(starts), np.uint8),
    )


def tokenize_bundles(
    bundles: Iterable[list[Document]],
    folder: Path,
    tokenizer: BertTokenizer,
    segment: Segmenter | None,
    *,
    workers: int,
) -> Iterator[TokenizedBundle]:
    """The bundles tokenized, in their order; only a few are under way at any time.

    Args:
        bundles: some documents at a time.
        folder: where the tokenizer is saved: workers load it from there.
        tokenizer: the same one, for `workers` = 1.
        segment: text -> words, or None.
        workers: processes; 1 starts none.

    Raises:
        MiniBertError: a worker died, or the segmenter cannot be sent to it.
    """
    if workers == 1:
        for bundle in bundles:
            yield tokenize_bundle(bundle, tokenizer, segment)
        return
    _check_can_be_sent(segment)
    under_way: deque[Future[TokenizedBundle]] = deque()
    # Spawned, not forked: a fork copies locks that the threads of torch may hold just then.
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            for bundle in bundles:
                under_way.append(pool.submit(_tokenize_in_worker, bundle, folder, segment))
                if len(under_way) > 2 * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            raise MiniBertError(
                "a worker process could not start or was killed; in a script, call build_corpus "
                'under `if __name__ == "__main__":`; if memory is short, use fewer workers.'
            ) from error


def _end_with_parent() -> None:
    """Let a worker end when its parent does, and only then.

    A killed parent cannot tell its workers, and they would wait for it forever. Ctrl-C reaches all
    processes at once: the parent alone answers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _tokenize_in_worker(
    documents: Sequence[Document], folder: Path, segment: Segmenter | None
) -> TokenizedBundle:
    return tokenize_bundle(documents, _tokenizer_in_worker(folder), segment)


@lru_cache(maxsize=1)
def _tokenizer_in_worker(folder: Path) -> BertTokenizer:
    # Loaded once a process, so that its cache of words stays warm.
    return BertTokenizer.from_pretrained(folder)


def _check_can_be_sent(segment: Segmenter | None) -> None:
    try:
        ForkingPickler.dumps(segment)
    except Exception as error:
        raise MiniBertError(
            f"the segmenter cannot be sent to other processes ({error}); use a function that an "
            "imported module defines, or workers=1."
        ) from error
