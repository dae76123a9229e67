"""Provide the built-in data: English text from the documentation of the installed libraries.

Every installation of minibert has the documentation of Python, numpy, torch and matplotlib on disk.
Its sentences make a classification task without a download: which library does a sentence come
from? All of it makes a text to pretrain on, about 1.3 million tokens: enough to see a loss fall,
too little for a useful model.

- No sentence names its library, and none is in two libraries.
- Of sentences that share most of their words, one is kept.
- No docstring is in two splits: neighboring sentences have the same topic. Files are in several
  splits. Most of numpy's documentation is in a dozen files, so a split by file would give each
  split other topics, and change with every release.
- The sentences depend on the installed versions, so compare scores on one machine only.

Finding the sentences takes some seconds; they are kept in a cache.
"""

import contextlib
import hashlib
import json
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from minibert.data.builtin.docstrings import (
    LIBRARIES,
    docstrings,
    library_folder,
    library_version,
    source_files,
)
from minibert.data.builtin.prose import paragraphs, sentences
from minibert.data.corpus.build import CorpusStats, build_corpus
from minibert.data.labelled.examples import Example, normalize_text
from minibert.errors import MiniBertError
from minibert.files import write_atomic
from minibert.tokenization.fast_encoder import garbage_collector_paused
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.training.train_vocabulary import train_vocabulary

Document = tuple[str, list[str]]
"""The place of a docstring ("numpy/lib/_histograms_impl.py:366") and texts from it, in order."""
Cache = Path | Literal["default"] | None
"""A folder to keep results in, the user's cache folder, or no cache."""

HELD_OUT_SHARE = 0.1  # of the sentences, for dev and again for test

_LIBRARY_NAMES = re.compile(
    r"python|numpy|\bnp\b|torch|matplotlib|\bmpl\b|pyplot|\bplt\b|pylab", re.IGNORECASE
)


def library_sentences(
    *, per_class: int = 2000, seed: int = 0, cache: Cache = "default"
) -> dict[str, list[Example]]:
    """Return sentences labelled with their library, in three splits with equal class shares.

    Args:
        per_class: sentences of each library: 80 % train, 10 % dev, 10 % test. If a library has
            fewer, all classes have as many as it has.
        seed: of the assignment of docstrings to splits.
        cache: where to keep what was found.

    Returns:
        `{"train": ..., "dev": ..., "test": ...}`, each shuffled.

    Raises:
        MiniBertError: a library is missing or has no source files, or there are too few sentences.

    Example:
        >>> library_sentences()["dev"][0]                               # doctest: +SKIP
        Example(text='The number of samples to generate.', text_pair=None, label='numpy', ...)
    """
    found = _cached("sentences", cache, lambda: _own_sentences(library_documents(cache=cache)))
    sizes = {library: sum(len(texts) for _, texts in found[library]) for library in LIBRARIES}
    smallest = min(LIBRARIES, key=lambda library: sizes[library])
    size = min(per_class, sizes[smallest])
    held_out = round(size * HELD_OUT_SHARE)
    if held_out < 1:
        raise MiniBertError(
            f"{size} sentences per class are too few to split ({smallest} has "
            f"{sizes[smallest]:,}); ask for at least 10."
        )
    splits: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for number, library in enumerate(LIBRARIES):
        random = np.random.Generator(np.random.PCG64([seed, number]))
        documents = [found[library][i] for i in random.permutation(len(found[library]))]
        for split in ("test", "dev", "train"):
            wanted = held_out if split != "train" else size - 2 * held_out
            taken: list[Example] = []
            while documents and len(taken) < wanted:
                where, texts = documents.pop()
                taken += [Example(text, label=library, where=where) for text in texts]
            splits[split] += taken[:wanted]
    random = np.random.Generator(np.random.PCG64([seed, len(LIBRARIES)]))
    return {
        split: [examples[i] for i in random.permutation(len(examples))]
        for split, examples in splits.items()
    }


def library_paragraphs(
    *, without: Sequence[Example] = (), cache: Cache = "default"
) -> list[list[str]]:
    """Return all documentation as documents to pretrain on, each a list of paragraphs.

    Args:
        without: sentences to exclude, such as dev and test of `library_sentences`; paragraphs
            that have one of them are left out.
        cache: as in `library_sentences`.

    Returns:
        One document per docstring, in the order of the files. They may name libraries.
    """
    excluded = {normalize_text(example.text) for example in without}
    kept = (
        [text for text in texts if excluded.isdisjoint(map(normalize_text, sentences(text)))]
        for documents in library_documents(cache=cache).values()
        for _, texts in documents
    )
    return [texts for texts in kept if texts]


def write_library_text(path: Path) -> int:
    """Write the documentation as text, and return the number of documents.

    Each paragraph is a line, and a blank line ends a document. The dev and test sentences of
    `library_sentences` are left out, so that no model is scored on texts from its pretraining.

    Raises:
        MiniBertError: a library is missing, or the file cannot be written.
    """
    task = library_sentences()
    documents = library_paragraphs(without=task["dev"] + task["test"])
    write_atomic(path, "\n\n".join("\n".join(paragraphs) for paragraphs in documents) + "\n")
    return len(documents)


def build_library_corpus(folder: Path, *, vocabulary_size: int = 8192) -> CorpusStats:
    """Train a vocabulary on that text, and write the tokenized text to a new folder.

    Raises:
        MiniBertError: a library is missing, or the folder cannot be written.
    """
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "documentation.txt"
        write_library_text(path)
        lines = path.read_text(encoding="utf-8").splitlines()
        tokens = train_vocabulary(lines, size=vocabulary_size)
        tokenizer = BertTokenizer({token: index for index, token in enumerate(tokens)})
        return build_corpus([path], tokenizer, folder)


def library_documents(*, cache: Cache = "default") -> dict[str, list[Document]]:
    """Return the paragraphs of every docstring, by library.

    Raises:
        MiniBertError: a library is missing or has no source files.
    """
    return _cached("documents", cache, lambda: {library: _scan(library) for library in LIBRARIES})


@garbage_collector_paused()  # a fifth faster: syntax trees are many objects
def _scan(library: str) -> list[Document]:
    folder = library_folder(library)
    documents = []
    for file in source_files(folder):
        with contextlib.suppress(OSError):
            place = f"{library}/{file.relative_to(folder).as_posix()}"
            for line, text in docstrings(file.read_bytes()):
                if prose := paragraphs(text):
                    documents.append((f"{place}:{line}", prose))
    if not documents:
        raise MiniBertError(f"{folder} has no source files of {library}; reinstall it.")
    return documents


def _own_sentences(documents: Mapping[str, Sequence[Document]]) -> dict[str, list[Document]]:
    """Keep the sentences that name no library, are in one library only, and are no duplicates."""
    found = [
        (library, where, text)
        for library, docs in documents.items()
        for where, texts in docs
        for paragraph in texts
        for text in sentences(paragraph)
        if not _LIBRARY_NAMES.search(text)
    ]
    libraries = Counter(key for _, key in {(lib, normalize_text(text)) for lib, _, text in found})
    found = [entry for entry in found if libraries[normalize_text(entry[2])] == 1]
    own: dict[str, dict[str, list[str]]] = {library: {} for library in documents}
    for index in drop_near_duplicates([text for _, _, text in found]):
        library, where, text = found[index]
        own[library].setdefault(where, []).append(text)
    return {library: list(docs.items()) for library, docs in own.items()}


def drop_near_duplicates(texts: Sequence[str], *, threshold: float = 0.8) -> list[int]:
    """Return the indices of the texts that are no near duplicate of one kept before.

    Near duplicates have sets of words with a Jaccard index (common words / words in either) of at
    least `threshold`, above 0 and up to 1. Order and repetition of words do not matter.

    If sets x and y have an index of at least t, they share at least t |x| words. So of any
    |x| - ceil(t |x|) + 1 words of x, at least one is shared. With the rarest words, few texts are
    left to compare with: prefix filtering (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and
    Srikant 2007). 20,000 sentences take a second; to compare all pairs takes minutes.

    Example:
        >>> drop_near_duplicates(["Return the last value.", "return: the value, last!", "No."])
        [0, 2]
    """
    words = [frozenset(normalize_text(text).split()) for text in texts]
    frequency = Counter(word for text in words for word in text)
    kept: list[int] = []
    kept_with: defaultdict[str, list[int]] = defaultdict(list)  # rare word -> texts that are kept
    for index, text in enumerate(words):
        rarest_first = sorted(text, key=lambda word: (frequency[word], word))
        prefix = rarest_first[: len(text) - math.ceil(threshold * len(text)) + 1]
        candidates = {words[other] for word in prefix for other in kept_with[word]}
        if any(len(text & other) / len(text | other) >= threshold for other in candidates):
            continue
        kept.append(index)
        for word in prefix:
            kept_with[word].append(index)
    return kept


def default_cache() -> Path | None:
    """Return the user's cache folder for minibert; None without a home folder."""
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        folder = Path(os.environ.get(variable, ""))
        if folder.is_absolute():
            return folder / "minibert"
    try:
        return Path.home() / ".cache" / "minibert"
    except RuntimeError:
        return None


def _cached(
    name: str, cache: Cache, build: Callable[[], dict[str, list[Document]]]
) -> dict[str, list[Document]]:
    """Return what `build` returns, from the cache if possible; its failures are ignored."""
    folder = default_cache() if cache == "default" else cache
    if folder is None:
        return build()
    # Another version of a library, or a change of these rules, needs another file.
    key = hashlib.sha256()
    for library in LIBRARIES:
        key.update(f"{library} {library_version(library)}\n".encode())
    here = Path(__file__).parent
    for rules in (*sorted(here.glob("*.py")), here.parent / "labelled" / "examples.py"):
        key.update(rules.read_bytes())
    file = folder / f"library-{name}-{key.hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        checksum, _, body = file.read_text(encoding="utf-8").partition("\n")
        if hashlib.sha256(body.encode()).hexdigest() == checksum:
            return {
                library: [(where, texts) for where, texts in documents]
                for library, documents in json.loads(body).items()
            }
    built = build()
    body = json.dumps(built)
    with contextlib.suppress(OSError, MiniBertError):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(file, f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}")
    return built
