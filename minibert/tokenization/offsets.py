"""Find where each token lies in the caller's text.

Lower-casing, stripping accents and dropping characters change the length of a text. So the steps
of `normalize.split_words` are repeated here on characters that keep their index in the source.
Tests hold the words equal.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from minibert.tokenization.call_options import Pair, Source, Texts
from minibert.tokenization.normalize import (
    NormalizeOptions,
    is_accent,
    is_chinese,
    is_dropped,
    is_punctuation,
)
from minibert.tokenization.vocab import Vocabulary
from minibert.tokenization.wordpiece import SUBWORD_PREFIX, WordPiece


class Token(NamedTuple):
    """A token that lies at `text[start:end]` of the caller's text.

    Attributes:
        id: its id in the vocabulary.
        start: the index of its first character.
        end: the index after its last character.
        word: the number of its word in the text.
        sequence: 0 in the first text, 1 in the second, None for special tokens and padding.
    """

    id: int
    start: int = 0
    end: int = 0
    word: int = 0
    sequence: int | None = 0


Located = tuple[str, int]  # a character and its index in the source
Tokenize = Callable[[str], Sequence[Token]]


def encode_with_offsets(texts: Texts, tokenize: Tokenize) -> list[Pair[Token]]:
    """Return the tokens of every text and second text.

    In a list of words, offsets count within each word, and the words are numbered as listed.
    """

    def encode(source: Source, sequence: int) -> list[Token]:
        if isinstance(source, str):
            tokens = list(tokenize(source))
        else:
            numbered = enumerate(map(tokenize, source))
            tokens = [token._replace(word=number) for number, word in numbered for token in word]
        return [token._replace(sequence=1) for token in tokens] if sequence == 1 else tokens

    return [(encode(a, 0), None if b is None else encode(b, 1)) for a, b in texts]


def split_at_special_tokens(
    text: str, *, tokenize: Tokenize, vocabulary: Vocabulary
) -> list[Token]:
    """Return the tokens of a text in which special tokens are recognized.

    A special token is a word of its own, even in the middle of another word. `tokenize` finds the
    tokens between the special tokens.
    """
    parts: list[tuple[int, Sequence[Token]]] = []
    start = 0
    for number, part in enumerate(vocabulary.special_pattern.split(text)):
        # Text and special tokens alternate.
        special = number % 2 == 1
        index = vocabulary.convert_tokens_to_ids(part)
        found = [Token(index, 0, len(part))] if special else tokenize(part)
        parts.append((start, found))
        start += len(part)
    return join_parts(parts)


def join_parts(parts: Iterable[tuple[int, Sequence[Token]]]) -> list[Token]:
    """Join the tokens of the parts of a text; each part comes with the index of its beginning."""
    joined: list[Token] = []
    words = 0
    for offset, tokens in parts:
        joined += [
            Token(identity, offset + start, offset + end, words + word)
            for identity, start, end, word, _ in tokens
        ]
        words = joined[-1].word + 1 if joined else 0
    return joined


def tokenize_with_offsets(
    text: str, *, wordpiece: WordPiece, options: NormalizeOptions
) -> tuple[Token, ...]:
    """Return the tokens of a text, without special tokens."""
    found = []
    for number, word in enumerate(split_words_with_offsets(text, options)):
        start = 0
        tokens = wordpiece.split("".join(character for character, _ in word))
        for token in tokens:
            length = len(token) - (len(SUBWORD_PREFIX) if start > 0 else 0)
            if tokens == [wordpiece.unk_token]:
                length = len(word)
            end = start + length
            identity = wordpiece.vocabulary[token]
            found.append(Token(identity, word[start][1], word[end - 1][1] + 1, number))
            start = end
    return tuple(found)


def split_words_with_offsets(text: str, options: NormalizeOptions) -> list[list[Located]]:
    """Return the words of `normalize.split_words` as characters with their index in `text`."""
    located = [
        (" " if character.isspace() else character, index)
        for index, character in enumerate(text)
        if not is_dropped(character)
    ]
    words: list[list[Located]] = []
    for word in _split(located, is_chinese if options.space_chinese else None):
        normalized = word
        if options.lower_case:
            # As one string, because the lower case of a sigma depends on its neighbors.
            lowered = iter("".join(character for character, _ in word).lower())
            normalized = [(next(lowered), index) for old, index in word for _ in old.lower()]
        if options.strip_accents:
            normalized = [item for item in decompose(normalized) if not is_accent(item[0])]
        words += _split(normalized, is_punctuation)
    return words


def _split(
    located: Iterable[Located], stands_alone: Callable[[str], bool] | None
) -> Iterator[list[Located]]:
    """Split at spaces, and on both sides of characters that stand alone."""
    word: list[Located] = []
    for item in located:
        alone = stands_alone is not None and stands_alone(item[0])
        if word and (alone or item[0] == " "):
            yield word
            word = []
        if alone:
            yield [item]
        elif item[0] != " ":
            word.append(item)
    if word:
        yield word


def decompose(word: list[Located]) -> list[Located]:
    """Apply Unicode's NFD: decompose each character, then sort runs of combining marks by class."""
    keyed = []
    run = 0
    for character, index in word:
        for part in unicodedata.normalize("NFD", character):
            combining_class = unicodedata.combining(part)
            run += combining_class == 0
            keyed.append(((run, combining_class), (part, index)))
    return [item for _, item in sorted(keyed, key=lambda pair: pair[0])]  # the sort is stable
