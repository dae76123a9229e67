"""Count the words of texts, and make the first tokens of a new vocabulary from them.

This is all that the trainers of a vocabulary see of the texts. The words are those that the
tokenizer will look up, so Chinese characters and punctuation are words of one character and are
never merged.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from minibert.errors import MiniBertError
from minibert.tokenization.fast_encoder import FastNormalizer
from minibert.tokenization.normalize import NormalizeOptions, is_chinese, is_punctuation
from minibert.tokenization.vocab import SPECIAL_TOKENS
from minibert.tokenization.wordpiece import SUBWORD_PREFIX

MAX_VOCABULARY_SIZE = 2**24  # as in `BertConfig`
MAX_WORD_LENGTH = 200  # the tokenizer makes [UNK] of longer words
# A chunk of Chinese is a whole sentence that hardly ever repeats, so not all chunks can be kept.
MAX_CHUNKS_HELD = 500_000


def count_words(texts: Iterable[str], options: NormalizeOptions | None = None) -> Counter[str]:
    """Count the words of texts as the tokenizer splits them.

    Args:
        texts: lines, documents or whole books; read once.
        options: those of the tokenizer, by default uncased.

    Raises:
        MiniBertError: An item is not a text.

    Example:
        >>> count_words(["The cat, the dog: 猫狗猫"]).most_common(2)
        [('the', 2), ('猫', 2)]
    """
    if isinstance(texts, str):
        raise MiniBertError("texts is one str; give a list of texts, or [text] for a single one.")
    split_words = FastNormalizer(options or NormalizeOptions()).split_words
    words: Counter[str] = Counter()
    # Splitting a chunk between spaces into words is slow, so each different chunk is split once.
    chunks: Counter[str] = Counter()

    def move_chunks_to_words() -> None:
        for chunk, count in chunks.items():
            for word in split_words(chunk):
                words[word] += count
        chunks.clear()

    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise MiniBertError(
                f"item {index} of texts is {type(text).__name__}, not str; clean the data first."
            )
        for line in text.split("\n"):
            # Not `str.split`, which splits at characters that BERT drops.
            chunks.update(line.replace("\t", " ").replace("\r", " ").split(" "))
            if len(chunks) > MAX_CHUNKS_HELD:
                move_chunks_to_words()
    move_chunks_to_words()
    return words


def first_tokens(
    words: Mapping[str, int],
    *,
    size: int,
    reserved: Sequence[str] = SPECIAL_TOKENS,
    alphabet_limit: int | None = None,
) -> list[str]:
    """Return the tokens that exist before the first merge: reserved ones, then the alphabet.

    Every character of the alphabet is a token, "x". Unless it is Chinese or punctuation, which
    stand alone, it is also "##x", even if the texts do not have it inside a word. So no word in
    this alphabet becomes [UNK].

    Args:
        words: word -> count.
        size: the size of the final vocabulary.
        reserved: special and unused tokens.
        alphabet_limit: the number of characters to keep, the most frequent ones; None keeps all.

    Raises:
        MiniBertError: There are no words, `size` is too small for these tokens, or a reserved
            token occurs twice or is not one word.

    Example:
        >>> first_tokens({"on": 2, "no": 1, "!": 1}, size=100, reserved=["[UNK]"])
        ['[UNK]', '!', 'n', 'o', '##n', '##o']
    """
    if not words:
        raise MiniBertError("there is not one word in these texts; give texts with words in them.")
    for token, count in Counter(reserved).items():
        if token.split() != [token] or count > 1:
            raise MiniBertError(
                f"the special token {token!r} is given twice or is not one word; choose another."
            )
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            # A Python string can hold a lone UTF-16 surrogate, but a UTF-8 file cannot.
            if not "\ud800" <= character <= "\udfff":
                counts[character] += count
    # Of equally frequent characters, those with the smaller code points are kept.
    by_count = sorted(counts, key=lambda character: (-counts[character], character))
    alphabet = sorted(by_count[:alphabet_limit])
    inside = [c for c in alphabet if not is_chinese(c) and not is_punctuation(c)]
    tokens = list(dict.fromkeys([*reserved, *alphabet, *(SUBWORD_PREFIX + c for c in inside)]))
    if len(tokens) > size:
        raise MiniBertError(
            f"size={size} is too small: {len(reserved)} special or unused tokens and "
            f"{len(alphabet)} characters make {len(tokens)} tokens before the first merge; "
            f"give a greater size, or an alphabet_limit far below {len(alphabet)}."
        )
    return tokens


def prepare_training(
    texts: Iterable[str],
    *,
    size: int,
    do_lower_case: bool,
    min_frequency: int,
    alphabet_limit: int | None,
    special_tokens: Sequence[str],
    unused: int,
) -> tuple[Counter[str], list[str]]:
    """Return the counted words and the first tokens for the arguments of `train_vocabulary`.

    Raises:
        MiniBertError: A number is out of its range. This is found before the texts are read.
    """
    ranges = {
        "size": (size, 1, MAX_VOCABULARY_SIZE),
        "min_frequency": (min_frequency, 1, 2**31 - 1),
        "alphabet_limit": (alphabet_limit, 1, MAX_VOCABULARY_SIZE),
        "unused": (unused, 0, size),
    }
    for name, (value, least, most) in ranges.items():
        if value is not None and not least <= value <= most:
            raise MiniBertError(f"{name} is {value}; give {least} to {most:,}.")
    options = NormalizeOptions(lower_case=do_lower_case, strip_accents=do_lower_case)
    words = count_words(texts, options)
    reserved = [*special_tokens, *(f"[unused{index}]" for index in range(unused))]
    return words, first_tokens(words, size=size, reserved=reserved, alphabet_limit=alphabet_limit)


def split_characters(word: str) -> list[str]:
    """Return the characters of a word as tokens: "cat" is c ##a ##t."""
    return [word[0], *(SUBWORD_PREFIX + character for character in word[1:])]


def learnable_words(words: Mapping[str, int], tokens: Iterable[str]) -> dict[str, int]:
    """Return the words that these tokens can spell; the tokenizer makes [UNK] of all others."""
    known = set(tokens)
    return {
        word: count
        for word, count in words.items()
        if len(word) <= MAX_WORD_LENGTH and known.issuperset(split_characters(word))
    }
