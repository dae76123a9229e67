"""Texts that are nearly the same, found without comparing each with each.

Two texts are near copies if the words they share are at least 80 % of the words that occur in
either (the Jaccard index of their word sets). Order and number of words play no part.

Source of the shortcut: prefix filtering (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and
Srikant 2007).
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
from typing import Literal

import numpy as np

from minibert.data.builtin.prose import (
    LIBRARIES,
    docstrings,
    library_folder,
    library_version,
    paragraphs,
    sentences,
    source_files,
)
from minibert.data.labelled.examples import Example, normalize_text
from minibert.errors import MiniBertError
from minibert.files import write_atomic

SAME_WORDS = 0.8


def distinct(texts: Sequence[str], *, same_words: float = SAME_WORDS) -> list[int]:
    """The indices of the texts that are no near copy of one kept before.

    If sets x and y have a Jaccard index of at least t, they share at least t |x| words. So at least
    one of any |x| - ceil(t |x|) + 1 words of x is shared; taking the rarest words, only few texts
    are left to compare with. 20,000 sentences take about a second, where all pairs take minutes.

    Args:
        texts: what to look at, in order of preference.
        same_words: the share t of common words, above 0 and up to 1, that makes a near copy.

    Example:
        >>> distinct(["Return the largest value here.", "Return here the largest value!", "No."])
        [0, 2]
    """
    words = [frozenset(normalize_text(text).split()) for text in texts]
    frequency = Counter(word for text in words for word in text)
    kept: list[int] = []
    kept_with: defaultdict[str, list[int]] = defaultdict(list)  # rare word -> texts that are kept
    for index, text in enumerate(words):
        rarest_first = sorted(text, key=lambda word: (frequency[word], word))
        prefix = rarest_first[: len(text) - math.ceil(same_words * len(text)) + 1]
        rivals = {rival for word in prefix for rival in kept_with[word]}
        if any(jaccard(text, words[rival]) >= same_words for rival in rivals):
            continue
        kept.append(index)
        for word in prefix:
            kept_with[word].append(index)
    return kept


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """The share of the words of either text that stand in both."""
    return len(first & second) / max(len(first | second), 1)


# The embedded data set: which library does this sentence of documentation come from?
#
# Every installation of minibert carries real English text: the documentation inside Python's
# standard
# library, numpy, torch and matplotlib. Their sentences make a task of four classes that is neither
# trivial nor hopeless, needs no download, and can be tried with a sentence of one's own.
#
# - No sentence names its library, and none stands in two libraries.
# - Sentences that share most of their words count as copies; one of them is kept.
# - Train, dev and test share no docstring: neighbouring sentences speak of the same thing, and a
#   model could recognise it. They do share files. Most of numpy's documentation stands in a dozen
#   files, so a split by file would give each split other topics, and change with every release.
# - Which sentences there are depends on the installed releases: scores compare on one machine only.
#
# Finding the sentences (`docstrings.py`, `prose.py`) takes some seconds and is kept in a cache.


Document = tuple[str, list[str]]
"""The place of a docstring ("numpy/lib/_histograms_impl.py:366") and texts out of it, in order."""
Cache = Path | Literal["default"] | None
"""A folder to keep results in; the user's own cache folder; or none."""

HELD_OUT_SHARE = 0.1  # of the sentences, for dev and again for test

_OWN_NAMES = re.compile(
    r"python|numpy|\bnp\b|torch|matplotlib|\bmpl\b|pyplot|\bplt\b|pylab", re.IGNORECASE
)
_RULES = ("prose.py", "library_docs.py", "../labelled/examples.py")


def library_sentences(
    *, per_class: int = 2000, seed: int = 0, cache: Cache = "default"
) -> dict[str, list[Example]]:
    """Sentences with the library they come from, in three splits with equal shares of each class.

    Args:
        per_class: sentences of each library: 80 % train, 10 % dev, 10 % test. If the smallest
            library has fewer, all classes have as many as it has.
        seed: which docstrings go where.
        cache: where to keep what was found; None keeps nothing.

    Returns:
        `{"train": ..., "dev": ..., "test": ...}`, each shuffled.

    Raises:
        MiniBertError: a library is missing or has no source files, or too few sentences were found.

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
            f"{size} sentences a class are too few to split ({smallest} has {sizes[smallest]:,}); "
            "ask for at least 10."
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
    """All documentation as text to pretrain on: documents, each a list of paragraphs.

    Args:
        without: sentences to keep out, such as the dev and test sentences of `library_sentences`: a
            paragraph with one of them is left out, so that no score rests on texts seen before.
        cache: as in `library_sentences`.

    Returns:
        One document for each docstring, in the order of the files. Libraries are named in them.
    """
    documents = library_documents(cache=cache).values()
    all_texts = [texts for docs in documents for _, texts in docs]
    if not without:
        return all_texts
    kept_out = {normalize_text(example.text) for example in without}
    kept = (
        [text for text in texts if kept_out.isdisjoint(map(normalize_text, sentences(text)))]
        for texts in all_texts
    )
    return [texts for texts in kept if texts]


def library_documents(*, cache: Cache = "default") -> dict[str, list[Document]]:
    """The prose of every docstring of the libraries, by library.

    Raises:
        MiniBertError: a library is missing or has no source files.
    """
    return _cached("documents", cache, lambda: {library: _scan(library) for library in LIBRARIES})


def default_cache() -> Path | None:
    """The user's cache folder for minibert; None if the system tells of no home."""
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
    """What `build` returns, from the cache if it is there; a cache in trouble is passed by."""
    folder = default_cache() if cache == "default" else cache
    if folder is None:
        return build()
    file = folder / f"library-{name}-{_cache_key()}.json"
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


def _cache_key() -> str:
    """Another release of a library, or a change in these rules, asks for another file."""
    key = hashlib.sha256()
    for library in LIBRARIES:
        key.update(f"{library} {library_version(library)}\n".encode())
    for name in _RULES:
        key.update((Path(__file__).parent / name).read_bytes())
    return key.hexdigest()[:16]


def _scan(library: str) -> list[Document]:
    """The paragraphs of every docstring of a library."""
    folder = library_folder(library)
    documents = []
    for file in source_files(folder):
        with contextlib.suppress(OSError):
            place = f"{library}/{file.relative_to(folder).as_posix()}"
            for line, text in docstrings(file.read_bytes()):
                prose = paragraphs(text)
                if prose:
                    documents.append((f"{place}:{line}", prose))
    if not documents:
        raise MiniBertError(f"{folder} holds no source files of {library}; reinstall it.")
    return documents


def _own_sentences(
    documents: Mapping[str, Sequence[Document]],
) -> dict[str, list[Document]]:
    """The sentences that name no library, stand in one library only, and are no copies."""
    found = [
        (library, where, text)
        for library, docs in documents.items()
        for where, texts in docs
        for paragraph in texts
        for text in sentences(paragraph)
        if not _OWN_NAMES.search(text)
    ]
    libraries_with = Counter(text for _, text in {(lib, normalize_text(t)) for lib, _, t in found})
    found = [entry for entry in found if libraries_with[normalize_text(entry[2])] == 1]
    own: dict[str, dict[str, list[str]]] = {library: {} for library in documents}
    for index in distinct([text for _, _, text in found]):
        library, where, text = found[index]
        own[library].setdefault(where, []).append(text)
    return {library: list(docs.items()) for library, docs in own.items()}
