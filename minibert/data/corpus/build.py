"""Raw text -> a tokenized corpus, once, before training; in several processes.

    report = build_corpus(["books"], tokenizer, "my-corpus", workers=4)
    print(report.in_words())
    corpus = Corpus.open("my-corpus")

One process reads files, leaves out copies, and hands on bundles of documents; the workers cut them
into sentences and those into tokens; what comes back is written in the order of the text, so the
corpus is the same for any number of workers. At most a few bundles are under way, so memory does
not grow with the text: 100 MB and 1 GB of generated English, two workers, took 224 and 236 MB in
all processes together at most, and 10 and 93 seconds.
"""

import time
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
    Array,
)
from minibert.data.corpus.documents import Document, Findings, Layout, read_documents
from minibert.data.corpus.duplicates import SeenBefore, fingerprint
from minibert.data.corpus.tokenize_shards import Segmenter, TokenizedBundle, tokenize_bundles
from minibert.errors import MiniBertError
from minibert.files import CORPUS_FILE, atomic_folder, check_folder, write_json
from minibert.tokenization.tokenizer import BertTokenizer

BUNDLE = 500_000  # characters that a worker gets at once
# A shorter paragraph that comes again ("Yes.") is language; a longer one is a copy.
SHORTEST_COPY = 80  # characters


@dataclass
class Report:
    """What became of the text.

    Attributes:
        documents, sentences, tokens: in the corpus.
        unknown_tokens: of the tokens, those that are [UNK].
        duplicate_documents: left out, because the same text came before.
        duplicate_paragraphs: likewise, of at least `SHORTEST_COPY` characters.
        findings: files and lines; see there.
        seconds: how long it took.
    """

    documents: int = 0
    sentences: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    duplicate_documents: int = 0
    duplicate_paragraphs: int = 0
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0.0

    def in_words(self) -> str:
        """A few lines for people."""
        found = self.findings
        told = [
            f"{found.files:,} files, {found.lines:,} lines: {self.documents:,} documents, "
            f"{self.sentences:,} sentences, {self.tokens:,} tokens, of which "
            f"{self.unknown_tokens / max(self.tokens, 1):.2%} are unknown to the vocabulary; "
            f"{self.seconds:.0f} s",
            f"left out as exact copies: {self.duplicate_documents:,} documents, "
            f"{self.duplicate_paragraphs:,} paragraphs",
        ]
        return "\n".join(told + found.in_words())


def build_corpus(
    paths: Sequence[Path | str],
    tokenizer: BertTokenizer,
    folder: Path | str,
    *,
    layout: Layout | None = None,
    workers: int = 1,
    segment: Segmenter | None = None,
    drop_duplicates: bool = True,
    on_progress: Callable[[Report], None] | None = None,
) -> Report:
    """Tokenize text and write it as a corpus.

    Args:
        paths: files, and folders of files; see `documents.py`.
        tokenizer: goes into the folder, too.
        folder: where the corpus goes; it must not exist yet. It is there when all is done.
        layout: how documents lie in the files.
        workers: processes that tokenize; 1 starts none. With more, a script must call this under
            `if __name__ == "__main__":`.
        segment: text -> words, for whole-word masking in Chinese (see `word_starts.py`); with
            several workers a function that an imported module defines.
        drop_duplicates: leave out exact copies of documents, and of long paragraphs.
        on_progress: called now and then with what there is so far.

    Raises:
        MiniBertError: the text cannot be read or is empty, or the folder cannot be written.
    """
    started = time.monotonic()
    if workers < 1:
        raise MiniBertError(f"workers is {workers}; it must be at least 1.")
    folder = Path(folder)
    check_folder(folder, new=True)
    report = Report()
    documents = read_documents(paths, layout or Layout(), report.findings)
    if drop_duplicates:
        documents = _without_copies(documents, report)
    with atomic_folder(folder) as temporary:
        tokenizer.save_pretrained(temporary)
        with ExitStack() as files:
            writer = _Writer(temporary, files, words=segment is not None)
            for bundle in tokenize_bundles(
                _bundles(documents), temporary, tokenizer, segment, workers=workers
            ):
                writer.write(bundle)
                report.documents += len(bundle.document_lengths)
                report.sentences += len(bundle.sentence_lengths)
                report.tokens += len(bundle.tokens)
                report.unknown_tokens += int((bundle.tokens == tokenizer.unk_token_id).sum())
                if on_progress is not None:
                    on_progress(report)
        if not report.tokens:
            told = "there is no text in these files, so there is nothing to learn"
            raise MiniBertError("; ".join([told, *report.findings.in_words()]) + ".")
        about = {
            "format": FORMAT,
            "vocab_size": tokenizer.vocab_size,
            "word_starts": segment is not None,
            **asdict(report),
        }
        del about["seconds"]  # so that the same text gives the same files
        write_json(temporary / CORPUS_FILE, about)
    report.seconds = time.monotonic() - started
    return report


def _without_copies(documents: Iterable[Document], report: Report) -> Iterator[Document]:
    """Leave out what came before, word for word."""
    document_seen, paragraph_seen = SeenBefore(), SeenBefore()
    for document in documents:
        if document_seen(fingerprint(document.text)):
            report.duplicate_documents += 1
            continue
        kept = [
            paragraph
            for paragraph in document.paragraphs
            if len(paragraph) < SHORTEST_COPY or not paragraph_seen(fingerprint(paragraph))
        ]
        report.duplicate_paragraphs += len(document.paragraphs) - len(kept)
        if kept:
            yield Document(kept, document.are_sentences)


def _bundles(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Enough documents at a time to be worth sending to another process."""
    bundle: list[Document] = []
    characters = 0
    for document in documents:
        bundle.append(document)
        characters += sum(map(len, document.paragraphs))
        if characters >= BUNDLE:
            yield bundle
            bundle, characters = [], 0
    if bundle:
        yield bundle


class _Writer:
    """Appends bundles to the files of a corpus."""

    def __init__(self, folder: Path, files: ExitStack, *, words: bool) -> None:
        names = (TOKENS, SENTENCES, DOCUMENTS, FINGERPRINTS, *((WORD_STARTS,) if words else ()))
        self._files = {name: files.enter_context((folder / name).open("wb")) for name in names}
        self._tokens = self._sentences = 0
        self._append(SENTENCES, np.zeros(1, "<i8"))
        self._append(DOCUMENTS, np.zeros(1, "<i8"))

    def write(self, bundle: TokenizedBundle) -> None:
        """Append a bundle's tokens, and the places where its sentences and documents end."""
        sentence_ends = self._tokens + np.cumsum(bundle.sentence_lengths)
        document_ends = self._sentences + np.cumsum(bundle.document_lengths)
        self._append(TOKENS, bundle.tokens)
        self._append(SENTENCES, sentence_ends.astype("<i8"))
        self._append(DOCUMENTS, document_ends.astype("<i8"))
        self._append(FINGERPRINTS, bundle.fingerprints.astype("<u8"))
        if bundle.word_starts is not None:
            self._append(WORD_STARTS, bundle.word_starts)
        self._tokens += len(bundle.tokens)
        self._sentences += len(bundle.sentence_lengths)

    def _append(self, name: str, numbers: Array) -> None:
        self._files[name].write(numbers.tobytes())
