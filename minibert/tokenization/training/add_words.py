"""Put new words into a vocabulary, in place of [unused0], [unused1], ...

    words = split_and_count(texts, tokenizer)         # word, its tokens, its count
    chosen = [w.word for w in most_saving(words, 500)]
    tokenizer, added = add_words(tokenizer, chosen)

Google left such tokens unused in BERT's vocabularies (994 in English, 99 in Chinese and
multilingual ones). A word that is one token makes texts shorter, and the model need not compose its
meaning from several. It must get a vector in the model (`model/resize.py`), and the model must be
pretrained for a while on texts that contain it. Without that, several tokens are better.

A new token can also change how longer words are split, because the longest match wins: with
"covid", the word "covidien" is no longer "co ##vid ##ien".

Source: Devlin's answer in the issues of google-research/bert, "Adding domain specific vocabulary".
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minibert.errors import MiniBertError
from minibert.tokenization.normalize import split_words
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.training.train_vocabulary import count_words

MIN_COUNT = 5  # a vector cannot be learned from fewer examples


@dataclass(frozen=True)
class SplitWord:
    """A word of some texts, its tokens, and how often it occurs."""

    word: str
    tokens: tuple[str, ...]
    count: int

    @property
    def tokens_saved(self) -> int:
        """How many tokens shorter the texts are if the word is one token."""
        return self.count * (len(self.tokens) - 1)


@dataclass(frozen=True)
class AddedWord:
    """A word that has become a token, its id, and its tokens before."""

    word: str
    id: int
    tokens: tuple[str, ...]


def split_and_count(texts: Iterable[str], tokenizer: BertTokenizer) -> list[SplitWord]:
    """Return each distinct word of the texts, even if it is one token already.

    Args:
        texts: lines or documents; read once.
        tokenizer: splits the words.

    Example:
        >>> words = split_and_count(["Covid, covid and flu"], tokenizer)
        >>> words[0]
        SplitWord(word='covid', tokens=('co', '##vi', '##d'), count=2)
    """
    counts = count_words(texts, tokenizer.normalization)
    split = tokenizer.wordpiece.split
    return [SplitWord(word, tuple(split(word)), count) for word, count in counts.items()]


def most_saving(
    words: Iterable[SplitWord], limit: int, *, min_count: int = MIN_COUNT
) -> list[SplitWord]:
    """Return the words that save the most tokens if added, the best first.

    Args:
        words: see `split_and_count`.
        limit: the largest number of words.
        min_count: leave out rarer words. Words without a letter are left out, too.
    """
    chosen = [
        w
        for w in words
        if w.tokens_saved and w.count >= min_count and any(map(str.isalpha, w.word))
    ]
    return sorted(chosen, key=lambda w: (-w.tokens_saved, w.word))[:limit]


def unused_ids(tokenizer: BertTokenizer) -> list[int]:
    """Return the ids of [unused0], [unused1], ... in ascending order."""
    vocabulary = tokenizer.get_vocab()
    return sorted(i for token, i in vocabulary.items() if re.fullmatch(r"\[unused\d+\]", token))


def find_new_words(words: Iterable[str], tokenizer: BertTokenizer) -> list[str]:
    """Return words as the tokenizer looks them up, without duplicates and known words.

    Raises:
        MiniBertError: An item is not a single word for the tokenizer.

    Example:
        >>> find_new_words(["Covid", "the", "covid"], tokenizer)
        ['covid']
    """
    known = tokenizer.get_vocab()
    new: dict[str, None] = {}
    for given in words:
        parts = split_words(given, tokenizer.normalization)
        if len(parts) != 1:
            raise MiniBertError(
                f"{given!r} is {len(parts)} words ({' '.join(parts)}), not one: the tokenizer "
                "splits at spaces, punctuation and every Chinese character; remove it."
            )
        if len(parts[0]) > tokenizer.max_characters_per_word:
            raise MiniBertError(
                f"{given[:20]!r}... has more than {tokenizer.max_characters_per_word} characters, "
                "and the tokenizer does not look up such long words; remove it."
            )
        if parts[0] not in known:
            new[parts[0]] = None
    return list(new)


def add_words(
    tokenizer: BertTokenizer, words: Sequence[str], *, append: bool = False
) -> tuple[BertTokenizer, list[AddedWord]]:
    """Return a tokenizer in which these words are tokens, and the words that are new in it.

    Args:
        tokenizer: is not changed.
        words: see `find_new_words`.
        append: put words for which no token is unused at the end; then the model must grow.

    Raises:
        MiniBertError: There are fewer unused tokens than words, or an item is not a single word.
    """
    new, ids = find_new_words(words, tokenizer), unused_ids(tokenizer)
    if len(new) > len(ids) and not append:
        raise MiniBertError(
            f"there are {len(new)} new words, but only {len(ids)} [unusedN] tokens to replace; "
            "give fewer words, or let the vocabulary grow at its end (--append; append=True)."
        )
    ids += range(len(tokenizer), len(tokenizer) + len(new) - len(ids))
    tokens = {index: token for token, index in tokenizer.get_vocab().items()}
    added = []
    for word, index in zip(new, ids, strict=False):
        added.append(AddedWord(word, index, tuple(tokenizer.wordpiece.split(word))))
        tokens[index] = word
    vocabulary = {token: index for index, token in tokens.items()}
    return BertTokenizer(vocabulary, backend=tokenizer.backend, **tokenizer.options), added
