"""A tokenized corpus: flat arrays on disk, of which only what is used is in memory.

    tokens      [ 2023 2003 1037 ... | 1996 ... | 2016 ... ]     every token of every document
    sentences   [ 0, 12, 31, ... ]                               where each sentence begins
    documents   [ 0, 7, 19, ... ]                                which sentence each document
                                                                 begins with
So a sentence, a run of sentences and a document are each one slice of `tokens`. There are no
special tokens in it. `build_corpus.py` writes it; `docs/corpus_format.md` is the format.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from minibert.errors import MiniBertError
from minibert.files import CORPUS_FILE, read_json_object
from minibert.tokenization.tokenizer import BertTokenizer

FORMAT = 1
TOKENS, SENTENCES, DOCUMENTS = "tokens.bin", "sentences.bin", "documents.bin"
FINGERPRINTS, WORD_STARTS = "fingerprints.bin", "word_starts.bin"

Array = np.ndarray[Any, np.dtype[Any]]


def token_type(vocab_size: int) -> str:
    """The numbers that tokens are stored as: two bytes where that is enough, else four."""
    return "<u2" if vocab_size < 65_536 else "<u4"


@dataclass(frozen=True)
class Corpus:
    """Documents as ids, all of a folder or a part of them.

    Attributes:
        folder: where it lies.
        tokens: all ids of the folder, in the order of the text.
        sentences: (sentences + 1,) where in `tokens` each sentence begins; last, where all ends.
        documents: (documents + 1,) likewise, where in `sentences` each document begins.
        fingerprints: (documents,) the same text has the same number.
        word_starts: as long as `tokens`, 1 where a word begins; None if no segmenter was used.
        chosen: the numbers of the documents that belong to this corpus.
        about: what `corpus.json` says.
        part: which documents these are, in words.

    Example:
        >>> corpus = Corpus.open("my-corpus")
        >>> corpus.document(0)[0]  # the ids of the first sentence of the first document
    """

    folder: Path
    tokens: Array
    sentences: Array
    documents: Array
    fingerprints: Array
    word_starts: Array | None
    chosen: Array
    about: Mapping[str, Any]
    part: str = "in it"

    @classmethod
    def open(cls, folder: Path | str) -> "Corpus":
        """Open what `build_corpus` wrote. Nothing is read yet but what a file's length tells.

        Raises:
            MiniBertError: the folder is no corpus, or a file in it is missing, short or damaged.
        """
        folder = Path(folder)
        if not (folder / CORPUS_FILE).is_file():
            raise MiniBertError(
                f"{folder} is no tokenized corpus (it has no {CORPUS_FILE}); make one from "
                "text with minibert prepare."
            )
        about = read_json_object(folder / CORPUS_FILE)
        names = ("tokens", "sentences", "documents", "vocab_size")
        counts = [n for n in map(about.get, names) if isinstance(n, int) and n > 0]
        if about.get("format") != FORMAT or len(counts) < len(names):
            raise MiniBertError(
                f"{folder / CORPUS_FILE} does not describe a corpus of format {FORMAT}; "
                "make the corpus anew from its text."
            )
        tokens, sentences, documents, vocab_size = counts
        words = about.get("word_starts") is True
        corpus = cls(
            folder=folder,
            tokens=_map(folder / TOKENS, token_type(vocab_size), tokens),
            sentences=_map(folder / SENTENCES, "<i8", sentences + 1),
            documents=_map(folder / DOCUMENTS, "<i8", documents + 1),
            fingerprints=_map(folder / FINGERPRINTS, "<u8", documents),
            word_starts=_map(folder / WORD_STARTS, "<u1", tokens) if words else None,
            chosen=np.arange(documents),
            about=about,
        )
        _check_starts(folder / SENTENCES, corpus.sentences, tokens)
        _check_starts(folder / DOCUMENTS, corpus.documents, sentences)
        return corpus

    def __len__(self) -> int:
        return len(self.chosen)

    def document(self, index: int) -> list[Array]:
        """The sentences of a document, each the ids of its tokens; views, not copies."""
        start = self.documents[self.chosen[index]]
        end = self.documents[self.chosen[index] + 1]
        starts = self.sentences[start : end + 1].tolist()
        return [self.tokens[a:b] for a, b in pairwise(starts)]

    @cached_property
    def token_count(self) -> int:
        """Tokens of the chosen documents."""
        starts = self.sentences[self.documents]
        return int(np.diff(starts)[self.chosen].sum())

    @cached_property
    def sentence_count(self) -> int:
        """Sentences of the chosen documents."""
        return int(np.diff(self.documents)[self.chosen].sum())

    @cached_property
    def identity(self) -> str:
        """The same for the same texts, cut into the same sentences and pieces: what a run that
        resumes must find.
        """
        digest = hashlib.blake2b(self.fingerprints[self.chosen].tobytes(), digest_size=8)
        digest.update(self.sentences.data)
        digest.update(b"words" if self.word_starts is not None else b"")
        for name in ("vocab.txt", "tokenizer_config.json"):
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()

    @cached_property
    def tokenizer(self) -> BertTokenizer:
        """The tokenizer that made the ids; its files lie in the same folder."""
        return BertTokenizer.from_pretrained(self.folder)

    def split(self, share: float, *, seed: int = 0) -> tuple["Corpus", "Corpus"]:
        """Hold out documents for evaluation.

        A document's place is decided by its text and the seed alone: copies of a document stay on
        one side, and so does each document when text is added. A larger share holds out the same
        documents and more.

        Args:
            share: how likely a document is held out, between 0 and 1; at least two are, since a
                random next sentence needs another document.
            seed: another seed holds out others.

        Returns:
            (to train on, held out).

        Raises:
            MiniBertError: the share is not between 0 and 1, or nothing would be left.
        """
        if not 0 < share < 1:
            raise MiniBertError(f"the share to hold out is {share}; it must be between 0 and 1.")
        factor = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] | np.uint64(1)
        rank = self.fingerprints[self.chosen] * factor  # modulo 2^64: shuffles the fingerprints
        border = np.uint64(share * 2.0**64)
        if len(self) > 1:
            held_out = rank <= max(border, np.partition(rank, 1)[1])
            if not held_out.all():
                return self._only(~held_out, "to train on"), self._only(held_out, "held out")
        raise MiniBertError(
            f"{self.folder}: holding out a share of {share:g} of {len(self)} documents, and at "
            "least two, leaves none to train on; add documents. (A blank line ends one; minibert "
            "prepare --lines says otherwise.)"
        )

    def _only(self, wanted: Array, part: str) -> "Corpus":
        return replace(self, chosen=self.chosen[wanted], part=part)


def _map(path: Path, kind: str, length: int) -> Array:
    """A file of `length` numbers as an array that is read where it is looked at."""
    expected = length * np.dtype(kind).itemsize
    try:
        found = path.stat().st_size
        if found == expected:
            # As a plain array: a view of a `memmap` takes ten times as long to make.
            return np.asarray(np.memmap(path, dtype=kind, mode="r", shape=(length,)))
    except OSError as error:
        raise MiniBertError(f"could not read {path}: {error.strerror}.") from error
    raise MiniBertError(
        f"{path} has {found:,} bytes where {CORPUS_FILE} says {expected:,}; the corpus is "
        "damaged: copy it again, or make it anew from its text."
    )


def _check_starts(path: Path, starts: Array, end: int) -> None:
    """A list of beginnings begins at 0 and ends where the numbers it points into end."""
    if starts[0] != 0 or starts[-1] != end:
        raise MiniBertError(f"{path} is damaged; copy the corpus again, or make it anew.")
