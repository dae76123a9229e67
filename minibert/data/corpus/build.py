"""Tokenize raw text and write it to disk as a corpus, once, before pretraining.

    stats = build_corpus(["books"], tokenizer, "my-corpus", workers=4)
    print(stats.summary())
    corpus = Corpus.open("my-corpus")

One process reads the files, drops duplicates and groups documents into shards; workers tokenize
the shards. Only a few shards are in progress at a time, so memory does not grow with the text: with
two workers, all processes together took at most 224 MB for 100 MB of English, and 236 MB for 1 GB.
"""

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from minibert.data.corpus.corpus import (
    DOCUMENTS,
    FINGERPRINTS,
    FORMAT,
    SENTENCES,
    TOKENS,
    WORD_STARTS,
    describe_files,
)
from minibert.data.corpus.documents import (
    Document,
    FormatOptions,
    ReadStats,
    find_text_files,
    read_documents,
)
from minibert.data.corpus.tokenize_shards import Segmenter, text_fingerprint, tokenize_shards
from minibert.errors import MiniBertError
from minibert.files import CORPUS_FILE, atomic_folder, check_folder, write_json
from minibert.tokenization.tokenizer import BertTokenizer

SHARD_CHARS = 500_000
# A shorter paragraph may occur again by chance ("Yes."); a longer one is a copy.
MIN_DUPLICATE_CHARS = 80
SLOTS = 8  # how many entries of the table one fingerprint may be stored in


@dataclass
class CorpusStats:
    """What a corpus contains and what was left out."""

    documents: int = 0
    sentences: int = 0
    tokens: int = 0
    unknown_tokens: int = 0  # how many of the tokens are [UNK]
    duplicate_documents: int = 0  # dropped, because the same text came before
    duplicate_paragraphs: int = 0  # likewise, of at least `MIN_DUPLICATE_CHARS` characters
    findings: ReadStats = field(default_factory=ReadStats)
    seconds: float = 0.0

    def summary(self) -> str:
        """Return a few lines of text for the user."""
        unknown = self.unknown_tokens / max(self.tokens, 1)
        lines = [
            f"{self.findings.files:,} files, {self.findings.lines:,} lines: {self.documents:,} "
            f"documents, {self.sentences:,} sentences, {self.tokens:,} tokens ({unknown:.2%} "
            f"unknown to the vocabulary); {self.seconds:.0f} s",
            f"dropped exact duplicates: {self.duplicate_documents:,} documents, "
            f"{self.duplicate_paragraphs:,} paragraphs",
        ]
        return "\n".join(lines + self.findings.warnings())


class DuplicateFilter:
    """Recognize texts that occurred before, in a fixed amount of memory.

    A table holds a 64-bit fingerprint of each text. When the table is full, new fingerprints
    replace old ones, so duplicates that are millions of texts apart are missed.

    Example:
        >>> duplicates = DuplicateFilter()
        >>> [duplicates.is_duplicate(text) for text in ("a", "b", "a")]
        [False, False, True]
    """

    def __init__(self, size: int = 1 << 22) -> None:  # 32 MB
        self.table = array("Q", bytes(8 * size))

    def is_duplicate(self, text: str) -> bool:
        """Return whether the text occurred before, and remember it."""
        fingerprint = text_fingerprint(text)
        start = fingerprint % (len(self.table) - SLOTS + 1)
        slots = self.table[start : start + SLOTS]
        if fingerprint in slots:
            return True
        slot = slots.index(0) if 0 in slots else (fingerprint >> 32) % SLOTS
        self.table[start + slot] = fingerprint
        return False


def build_corpus(
    paths: Sequence[Path | str],
    tokenizer: BertTokenizer,
    folder: Path | str,
    *,
    format_options: FormatOptions | None = None,
    workers: int = 1,
    segmenter: Segmenter | None = None,
    drop_duplicates: bool = True,
    on_progress: Callable[[CorpusStats], None] | None = None,
) -> CorpusStats:
    """Tokenize text and write it as a corpus.

    Args:
        paths: text files, and folders of text files.
        tokenizer: makes the ids; a copy is saved in `folder`.
        folder: must not exist yet; it appears when the corpus is complete.
        format_options: how documents are laid out in the files.
        workers: the number of processes that tokenize; 1 means this process alone. With more, a
            script must call this function under `if __name__ == "__main__":`.
        segmenter: text -> words, for whole-word masking in Chinese. With several workers, it must
            be defined in an importable module.
        drop_duplicates: drop exact duplicates of documents, and of long paragraphs.
        on_progress: called after each shard.

    Raises:
        MiniBertError: the text cannot be read or is empty, or the folder cannot be written.
    """
    started = time.monotonic()
    if workers < 1:
        raise MiniBertError(f"workers is {workers}; it must be at least 1.")
    folder = Path(folder)
    check_folder(folder, new=True)
    stats = CorpusStats()
    text_files = find_text_files(paths, stats.findings.folders)
    documents = read_documents(text_files, format_options or FormatOptions(), stats.findings)
    if drop_duplicates:
        documents = _drop_duplicates(documents, stats)
    names = [TOKENS, SENTENCES, DOCUMENTS, FINGERPRINTS] + [WORD_STARTS] * (segmenter is not None)
    with atomic_folder(folder) as temporary:
        tokenizer.save_pretrained(temporary)
        with ExitStack() as stack:
            files = {name: stack.enter_context((temporary / name).open("wb")) for name in names}
            files[SENTENCES].write(bytes(8))
            files[DOCUMENTS].write(bytes(8))
            for shard in tokenize_shards(
                _shards(documents), temporary, tokenizer, segmenter, workers=workers
            ):
                sentence_starts = stats.tokens + np.cumsum(shard.sentence_lengths)
                document_starts = stats.sentences + np.cumsum(shard.document_lengths)
                files[TOKENS].write(shard.tokens.tobytes())
                files[SENTENCES].write(sentence_starts.astype("<i8").tobytes())
                files[DOCUMENTS].write(document_starts.astype("<i8").tobytes())
                files[FINGERPRINTS].write(shard.fingerprints.astype("<u8").tobytes())
                if shard.word_starts is not None:
                    files[WORD_STARTS].write(shard.word_starts.tobytes())
                stats.documents += len(shard.document_lengths)
                stats.sentences += len(shard.sentence_lengths)
                stats.tokens += len(shard.tokens)
                stats.unknown_tokens += int((shard.tokens == tokenizer.unk_token_id).sum())
                if on_progress is not None:
                    on_progress(stats)
        if not stats.tokens:
            reasons = ["these files contain no text", *stats.findings.warnings()]
            raise MiniBertError("; ".join(reasons) + ".")
        description = {
            "format": FORMAT,
            "vocab_size": tokenizer.vocab_size,
            "word_starts": segmenter is not None,
            **asdict(stats),
            "files": describe_files(temporary),
        }
        del description["seconds"]  # so that the same text gives the same files
        write_json(temporary / CORPUS_FILE, description)
    stats.seconds = time.monotonic() - started
    return stats


def _drop_duplicates(documents: Iterable[Document], stats: CorpusStats) -> Iterator[Document]:
    """Drop exact duplicates of documents and of long paragraphs."""
    seen_documents, seen_paragraphs = DuplicateFilter(), DuplicateFilter()
    for document in documents:
        if seen_documents.is_duplicate(document.text):
            stats.duplicate_documents += 1
            continue
        kept = [
            paragraph
            for paragraph in document.paragraphs
            if len(paragraph) < MIN_DUPLICATE_CHARS or not seen_paragraphs.is_duplicate(paragraph)
        ]
        stats.duplicate_paragraphs += len(document.paragraphs) - len(kept)
        if kept:
            yield Document(kept, document.are_sentences)


def _shards(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Group documents into shards of `SHARD_CHARS` characters or a little more."""
    shard: list[Document] = []
    characters = 0
    for document in documents:
        shard.append(document)
        characters += sum(map(len, document.paragraphs))
        if characters >= SHARD_CHARS:
            yield shard
            shard, characters = [], 0
    if shard:
        yield shard
