"""A tokenized corpus: memory-mapped arrays of token ids, sentences and documents.

    tokens      [ 2023 2003 1037 ... | 1996 ... | 2016 ... ]   the ids of all documents
    sentences   [ 0, 12, 31, ... ]   where each sentence starts in `tokens`
    documents   [ 0, 7, 19, ... ]    where each document starts in `sentences`

A sentence, a document, or any consecutive sentences are one slice of `tokens`. It holds no special
tokens. `build.py` writes the files; `docs/corpus_format.md` describes them.

Opening a corpus compares size and checksum (CRC-32) of every file with those in `corpus.json`. All
CPUs share the blocks of the files: 1.6 GB per second and CPU, so that the disk sets the speed. What
is read here is still in memory when training needs it.
"""

import hashlib
import json
import os
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from minibert.errors import MiniBertError
from minibert.files import CORPUS_FILE, TOKENIZER_FILES, explain_os_errors, read_json_object
from minibert.tokenization.tokenizer import BertTokenizer

FORMAT = 1
TOKENS, SENTENCES, DOCUMENTS = "tokens.bin", "sentences.bin", "documents.bin"
FINGERPRINTS, WORD_STARTS = "fingerprints.bin", "word_starts.bin"
FILES = (TOKENS, SENTENCES, DOCUMENTS, FINGERPRINTS, WORD_STARTS, *TOKENIZER_FILES)
BLOCK = 1 << 22  # bytes whose checksum a thread computes at a time

Array = np.ndarray[Any, np.dtype[Any]]


def token_dtype(vocab_size: int) -> str:
    """Return the dtype of token ids on disk: two bytes if the vocabulary allows it, else four."""
    return "<u2" if vocab_size < 65_536 else "<u4"


@dataclass(frozen=True)
class Corpus:
    """All documents of a corpus folder, or a part of them."""

    folder: Path
    tokens: Array  # all ids in the folder, in the order of the text
    sentences: Array  # (sentences + 1,) where each starts in `tokens`; then the end of the last
    documents: Array  # (documents + 1,) where each starts in `sentences`; then the end of the last
    fingerprints: Array  # (documents,) a hash of each document's text
    word_starts: Array | None  # as long as `tokens`, 1 where a word starts; needs a segmenter
    chosen: Array  # indices of the documents that belong to this part
    part: str = ""  # the name of this part in error messages, such as "held-out"
    checksums: str = ""  # of all files; "" if an earlier version prepared the corpus

    @classmethod
    def open(cls, folder: Path | str) -> "Corpus":
        """Open a folder that `build_corpus` wrote, and check that its files are as it wrote them.

        Tokens are mapped into memory, and read from disk when they are used.

        Raises:
            MiniBertError: the folder is not a corpus, or a file in it is missing or damaged.
        """
        folder = Path(folder)
        if not (folder / CORPUS_FILE).is_file():
            raise MiniBertError(
                f"{folder} is not a tokenized corpus (it has no {CORPUS_FILE}); make one "
                "from text with minibert prepare."
            )
        about = read_json_object(folder / CORPUS_FILE)
        names = ("tokens", "sentences", "documents", "vocab_size")
        counts = [n for n in map(about.get, names) if isinstance(n, int) and n > 0]
        if about.get("format") != FORMAT or len(counts) < len(names):
            raise MiniBertError(
                f"{folder / CORPUS_FILE} does not describe a corpus of format {FORMAT}; "
                "rebuild the corpus from its text."
            )
        tokens, sentences, documents, vocab_size = counts
        segmented = about.get("word_starts") is True
        recorded = about.get("files")
        found = describe_files(folder)
        if recorded is None:
            warnings.warn(
                f"{folder} has no checksums, because an earlier version prepared it; damage to its "
                "files may go unnoticed. Prepare it again to have them checked.",
                stacklevel=2,
            )
        elif recorded != found:
            recorded = recorded if isinstance(recorded, dict) else {}
            bad = [n for n in FILES if recorded.get(n) != found.get(n)] or [CORPUS_FILE]
            state = "missing" if bad[0] not in {*found, CORPUS_FILE} else "not as it was prepared"
            raise _damaged(folder / bad[0], f"is {state}")
        if segmented != (WORD_STARTS in found):
            raise _damaged(folder / CORPUS_FILE, f"contradicts that there is (no) {WORD_STARTS}")
        corpus = cls(
            folder=folder,
            tokens=_map_array(folder / TOKENS, token_dtype(vocab_size), tokens),
            sentences=_map_array(folder / SENTENCES, "<i8", sentences + 1),
            documents=_map_array(folder / DOCUMENTS, "<i8", documents + 1),
            fingerprints=_map_array(folder / FINGERPRINTS, "<u8", documents),
            word_starts=_map_array(folder / WORD_STARTS, "<u1", tokens) if segmented else None,
            chosen=np.arange(documents),
            checksums="" if recorded is None else json.dumps(found, sort_keys=True),
        )
        for name, starts, total in (
            (SENTENCES, corpus.sentences, tokens),
            (DOCUMENTS, corpus.documents, sentences),
        ):
            if starts[0] != 0 or starts[-1] != total or (starts[1:] <= starts[:-1]).any():
                raise _damaged(folder / name, f"does not ascend from 0 to {total:,}")
        if len(corpus.tokenizer) != vocab_size:
            problem = f"has {len(corpus.tokenizer):,} tokens; {CORPUS_FILE} says {vocab_size:,}"
            raise _damaged(folder / "vocab.txt", problem)
        if (highest := int(corpus.tokens.max())) >= vocab_size:
            problem = f"has the id {highest:,}, beyond a vocabulary of {vocab_size:,} tokens"
            raise _damaged(folder / TOKENS, problem)
        return corpus

    def __len__(self) -> int:
        return len(self.chosen)

    def document(self, index: int) -> list[Array]:
        """Return the sentences of a document, each as a view of its token ids."""
        document = self.chosen[index]
        start, end = self.documents[document : document + 2]
        starts = self.sentences[start : end + 1].tolist()
        return [self.tokens[a:b] for a, b in pairwise(starts)]

    @cached_property
    def token_count(self) -> int:
        """The number of tokens in the documents of this part."""
        return int(np.diff(self.sentences[self.documents])[self.chosen].sum())

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the texts, their sentence boundaries and the tokenizer.

        A run can only be resumed on a corpus with the same fingerprint.
        """
        digest = hashlib.blake2b(self.fingerprints[self.chosen].tobytes(), digest_size=8)
        digest.update(self.checksums.encode())
        digest.update(self.sentences.data)
        digest.update(b"words" if self.word_starts is not None else b"")
        for name in ("vocab.txt", "tokenizer_config.json"):
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()

    @cached_property
    def tokenizer(self) -> BertTokenizer:
        """The tokenizer that made the ids, saved in the same folder."""
        return BertTokenizer.from_pretrained(self.folder)

    def split(self, fraction: float, *, seed: int = 0) -> tuple["Corpus", "Corpus"]:
        """Return a training part and a held-out part for evaluation.

        Which part a document belongs to depends only on its text and the seed. So duplicates are
        always in the same part, and adding text moves no document. A larger fraction holds out the
        same documents and more.

        Args:
            fraction: the probability that a document is held out, between 0 and 1. At least two
                are, since a random next sentence needs another document.
            seed: determines which documents are held out.

        Raises:
            MiniBertError: the fraction is out of range, or no training document would be left.
        """
        if not 0 < fraction < 1:
            raise MiniBertError(
                f"the fraction to hold out is {fraction}; it must be between 0 and 1."
            )
        factor = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] | np.uint64(1)
        rank = self.fingerprints[self.chosen] * factor  # modulo 2^64, a bijection
        threshold = np.uint64(fraction * 2.0**64)
        if len(self) > 1:
            held_out = rank <= max(threshold, np.partition(rank, 1)[1])
            if not held_out.all():
                return (
                    replace(self, chosen=self.chosen[~held_out], part="training"),
                    replace(self, chosen=self.chosen[held_out], part="held-out"),
                )
        raise MiniBertError(
            f"{self.folder} has too few documents ({len(self)}): holding out {fraction:g} of them, "
            "at least two, leaves none to train on. Add documents. (A blank line ends a document, "
            "unless minibert prepare --lines says otherwise.)"
        )


def describe_files(folder: Path) -> dict[str, dict[str, int]]:
    """Return the size of each file of a corpus, and a checksum of the checksums of its blocks."""

    def checksum(block: tuple[Path, int]) -> bytes:
        with block[0].open("rb") as file:
            file.seek(block[1])
            return zlib.crc32(file.read(BLOCK)).to_bytes(4, "little")

    with explain_os_errors("read", folder), ThreadPoolExecutor(os.cpu_count()) as threads:
        described = {}
        for path in (folder / name for name in FILES if (folder / name).is_file()):
            size = path.stat().st_size
            blocks = threads.map(checksum, ((path, start) for start in range(0, size, BLOCK)))
            described[path.name] = {"bytes": size, "crc32": zlib.crc32(b"".join(blocks))}
        return described


def _damaged(path: Path, problem: str) -> MiniBertError:
    return MiniBertError(
        f"{path} {problem}; copy the corpus again, or prepare it again from its text."
    )


def _map_array(path: Path, dtype: str, length: int) -> Array:
    """Map a file of `length` numbers into memory."""
    try:
        array = np.memmap(path, dtype=dtype, mode="r")
    except (OSError, ValueError) as error:  # ValueError: an empty or truncated file
        raise _damaged(path, f"could not be read ({error})") from error
    if len(array) != length:
        raise _damaged(path, f"holds {len(array):,} numbers; {CORPUS_FILE} says {length:,}")
    return np.asarray(array)  # slicing a `memmap` is ten times as slow
