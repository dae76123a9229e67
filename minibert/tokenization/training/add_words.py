"""Words of your own in a vocabulary that is there: they take the places of [unused0], [unused1] ...

    words = count_pieces(texts, tokenizer)            # which words are cut, how often, into what
    chosen = [w.word for w in most_saving(words, 500)]
    tokenizer, added = put_words(tokenizer, chosen)

Google left such places free in BERT's vocabularies (994 in English, 99 in Chinese and multilingual
ones). A word that becomes one piece makes texts shorter, and no longer has to be understood anew
from its splinters. The model must then be given a vector for it (`model/resize.py`) and be
pretrained for a while on text that has it; without that, words are better left in pieces.

A new piece can also change how longer words are cut, since the longest match wins: beside "covid",
"covidien" is no longer "co ##vid ##ien".

Source: Devlin's answer in the issues of google-research/bert, "Adding domain specific vocabulary".
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minibert.errors import MiniBertError
from minibert.tokenization.fast_encoder import PythonEncoder
from minibert.tokenization.normalize import split_words
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.training.word_counts import count_words

SEEN_AT_LEAST = 5  # from fewer examples no vector can be learned
_UNUSED = re.compile(r"\[unused\d+\]")


@dataclass(frozen=True)
class CutWord:
    """A word of a text, and what the vocabulary makes of it."""

    word: str
    pieces: tuple[str, ...]
    count: int  # how often the text has it

    @property
    def saved(self) -> int:
        """How many tokens shorter the text is when the word is one piece."""
        return self.count * (len(self.pieces) - 1)


@dataclass(frozen=True)
class NewWord:
    """A word that has become a piece."""

    word: str
    id: int
    pieces: tuple[str, ...]  # what it was cut into before


def count_pieces(texts: Iterable[str], tokenizer: BertTokenizer) -> list[CutWord]:
    """Every different word of the texts, whole ones too; the tokens of the text are their sum.

    Args:
        texts: lines or documents; read once.
        tokenizer: the vocabulary.

    Example:
        >>> words = count_pieces(["Covid, covid and flu"], tokenizer)
        >>> words[0]
        CutWord(word='covid', pieces=('co', '##vid'), count=2)
    """
    wordpiece = tokenizer.wordpiece
    encoder = PythonEncoder(wordpiece, tokenizer.normalization)
    counts = count_words(texts, split=lambda chunk, _: encoder.words(chunk))
    return [CutWord(word, tuple(wordpiece.split(word)), n) for word, n in counts.items()]


def most_saving(
    words: Iterable[CutWord], most: int, *, seen_at_least: int = SEEN_AT_LEAST
) -> list[CutWord]:
    """The words that make the text shortest when they are pieces, the best first.

    Args:
        words: see `count_pieces`.
        most: how many.
        seen_at_least: leave out rarer ones. Numbers are left out, too.
    """
    cut = [w for w in words if w.saved and w.count >= seen_at_least and _has_letter(w.word)]
    return sorted(cut, key=lambda w: (-w.saved, w.word))[:most]


def token_count(words: Iterable[CutWord], tokenizer: BertTokenizer) -> int:
    """How many tokens a text with these words has in another vocabulary."""
    wordpiece = tokenizer.wordpiece
    return sum(len(wordpiece.split(word.word)) * word.count for word in words)


def free_places(tokenizer: BertTokenizer) -> list[int]:
    """The ids of [unused0], [unused1], ... in order."""
    return sorted(i for piece, i in tokenizer.get_vocab().items() if _UNUSED.fullmatch(piece))


def as_new_words(words: Iterable[str], tokenizer: BertTokenizer) -> list[str]:
    """The words as the tokenizer will look them up; without doubles and those that it knows.

    Raises:
        MiniBertError: something is no single word to the tokenizer.

    Example:
        >>> as_new_words(["Covid", "the", "covid"], tokenizer)
        ['covid']
    """
    known = tokenizer.get_vocab()
    found: dict[str, None] = {}
    for given in words:
        parts = split_words(given, tokenizer.normalization)
        if len(parts) != 1:
            raise MiniBertError(
                f"{given!r} is {len(parts)} words to the tokenizer ({' '.join(parts)}): it "
                "cuts at spaces, punctuation and every Chinese character; leave it out."
            )
        if len(parts[0]) > tokenizer.max_characters_per_word:
            raise MiniBertError(
                f"{given[:20]!r}... has more than {tokenizer.max_characters_per_word} characters, "
                "and such words are never looked up; leave it out."
            )
        if parts[0] not in known:
            found[parts[0]] = None
    return list(found)


def put_words(
    tokenizer: BertTokenizer, words: Sequence[str], *, append: bool = False
) -> tuple[BertTokenizer, list[NewWord]]:
    """A tokenizer to which these words are pieces.

    Args:
        tokenizer: stays as it is.
        words: see `as_new_words`.
        append: put what finds no free place at the end; then the model must grow.

    Returns:
        The new tokenizer, and the words that are new in it.

    Raises:
        MiniBertError: there are fewer free places than words, or something is no single word.
    """
    new, places = as_new_words(words, tokenizer), free_places(tokenizer)
    if len(new) > len(places) and not append:
        raise MiniBertError(
            f"new words: {len(new)}, free places ([unusedN]) for them: {len(places)}; give fewer "
            "words, or let the vocabulary grow at its end (--append; append=True)."
        )
    places += range(len(tokenizer), len(tokenizer) + len(new) - len(places))
    pieces = dict(enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))))
    added = []
    for word, place in zip(new, places, strict=False):
        added.append(NewWord(word, place, tuple(tokenizer.wordpiece.split(word))))
        pieces[place] = word
    ids = {piece: index for index, piece in pieces.items()}
    return BertTokenizer(ids, backend=tokenizer.backend, **tokenizer.options), added


def _has_letter(word: str) -> bool:
    return any(character.isalpha() for character in word)
