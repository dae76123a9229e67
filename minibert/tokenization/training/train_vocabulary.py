"""Learn a WordPiece vocabulary from texts.

First the words are counted; the vocabulary depends on these counts alone. They are the words that
the tokenizer will look up, so Chinese characters and punctuation are words of one character and
are never merged. Then `pair_merging.py`, or its fast twin in the `tokenizers` library, merges
tokens.

Left out: sampling from a corpus that is too large to count.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from minibert.errors import MiniBertError
from minibert.tokenization.fast_encoder import FastNormalizer
from minibert.tokenization.normalize import (
    NormalizeOptions,
    is_accent,
    is_chinese,
    is_punctuation,
    strip_accents,
)
from minibert.tokenization.training.pair_merging import learnable_words, merge_steps
from minibert.tokenization.vocab import SPECIAL_TOKENS
from minibert.tokenization.wordpiece import SUBWORD_PREFIX

SCORES = ("frequency", "likelihood")
MAX_VOCABULARY_SIZE = 2**24  # as in `BertConfig`
# A chunk of Chinese is a whole sentence that hardly ever repeats, so not all chunks can be kept.
MAX_CHUNKS_HELD = 500_000


def train_vocabulary(
    texts: Iterable[str],
    *,
    size: int = 8192,
    do_lower_case: bool = True,
    strip_accents: bool | None = None,
    min_frequency: int = 2,
    alphabet_limit: int | None = None,
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    unused: int = 0,
    score: str = "frequency",
    fast: bool = True,
) -> list[str]:
    """Return a vocabulary learned from texts; the index of a token is its id.

    The special tokens come first, then the unused ones, the alphabet (see `first_tokens`) and the
    merged tokens in the order in which they were found. So the first half of a vocabulary is the
    one that half the `size` would have given. It is shorter than `size` if no frequent pair is
    left.

    Args:
        texts: lines, documents or whole books; read once.
        size: the largest number of tokens, including all of the above.
        do_lower_case: lower-case the text; `BertTokenizer` needs the same value.
        strip_accents: likewise; None: as `do_lower_case`.
        min_frequency: rarer pairs are not merged.
        alphabet_limit: the number of characters to keep, the most frequent ones; words with others
            become [UNK]. None keeps all. For text from the web: 1000, with Chinese 7000.
        special_tokens: the first tokens.
        unused: the number of tokens "[unused0]", "[unused1]", ... to reserve for later words.
        score: "frequency" or "likelihood", see `pair_merging.py`.
        fast: merge with the `tokenizers` library, if by frequency; the result is the same. On
            107 MB of English books and one core, 30,522 tokens take 13 seconds. The library counts
            pairs in 32 bits: pass False if one pair of letters may occur more than two billion
            times (some 50 GB of English).

    Raises:
        MiniBertError: There is no text, `size` is too small for the alphabet, or an option is out
            of its range.

    Example:
        >>> train_vocabulary(["low lower lowest"] * 2, size=22)[-3:]
        ['lo', 'low', 'lowe']
    """
    if score not in SCORES:
        raise MiniBertError(f"score={score!r} is unknown; choose one of {', '.join(SCORES)}.")
    ranges = {
        "size": (size, 1, MAX_VOCABULARY_SIZE),
        "min_frequency": (min_frequency, 1, 2**31 - 1),
        "alphabet_limit": (alphabet_limit, 1, MAX_VOCABULARY_SIZE),
        "unused": (unused, 0, size),
    }
    for name, (value, least, most) in ranges.items():
        if value is not None and not least <= value <= most:
            raise MiniBertError(f"{name} is {value}; give {least} to {most:,}.")
    strip = do_lower_case if strip_accents is None else strip_accents
    words = count_words(texts, NormalizeOptions(lower_case=do_lower_case, strip_accents=strip))
    reserved = [*special_tokens, *(f"[unused{index}]" for index in range(unused))]
    tokens = first_tokens(words, size=size, reserved=reserved, alphabet_limit=alphabet_limit)
    if fast and score == "frequency":
        return _merge_with_library(words, tokens, size=size, min_frequency=min_frequency)
    vocabulary = dict.fromkeys(tokens)
    for step in merge_steps(words, tokens, min_frequency=min_frequency, score=score):
        if len(vocabulary) >= size:
            break
        vocabulary[step.merged] = None  # already there if it is also a special token
    return list(vocabulary)


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
        raise MiniBertError("texts is a str; give a list of texts, or [text] for a single text.")
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
                f"item {index} of texts must be a str, not {type(text).__name__}; convert it."
            )
        for line in text.split("\n"):
            # Not `str.split`, which splits at characters that BERT drops.
            chunks.update(line.replace("\t", " ").replace("\r", " ").split(" "))
            if len(chunks) > MAX_CHUNKS_HELD:
                move_chunks_to_words()
    move_chunks_to_words()
    return words


def describe_accents(texts: Sequence[str]) -> str | None:
    """Return how many words of the first 5,000 texts have accents that a vocabulary should keep.

    Accents are all nonspacing marks: in Hindi and Thai, vowel signs and tone marks. Stripping them
    does no harm if they are in less than 1% of the words, as in English; then this returns None.

    Example:
        >>> describe_accents(["मेरा कुल", "आने वाला कल", "a café"])
        "57% of the words have accents or vowel signs; without them, 'कुल' and 'कल' are the same"
    """
    words = count_words(texts[:5000], NormalizeOptions(strip_accents=False))
    with_accents, same = 0, ""
    seen: dict[str, str] = {}
    for word, count in words.most_common():
        composed, plain = unicodedata.normalize("NFC", word[:100]), strip_accents(word[:100])
        with_accents += count * any(map(is_accent, unicodedata.normalize("NFD", word[:100])))
        first = seen.setdefault(plain, composed)
        if first != composed and not same:
            same = f"; without them, '{first}' and '{composed}' are the same"
    share = with_accents / max(1, words.total())
    return f"{share:.0%} of the words have accents or vowel signs{same}" if share > 0.01 else None


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
        raise MiniBertError("these texts contain no words; give other texts.")
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
            f"a vocabulary size of {size} is too small: {len(reserved)} special or unused tokens "
            f"and {len(alphabet)} characters already need {len(tokens)} tokens. Choose a larger "
            "size (--vocab-size), or keep fewer characters (--limit-alphabet)."
        )
    return tokens


def _merge_with_library(
    words: Mapping[str, int], tokens: list[str], *, size: int, min_frequency: int
) -> list[str]:
    """Return the tokens and the merged ones, as `merge_steps` finds them.

    The alphabet is passed as "special tokens", which keep their order. Otherwise the library
    numbers "##a", "##b", ... in the order of a hash table and breaks ties by these numbers: on
    300 kB of English, five runs gave five orders and four different sets of 3,000 tokens.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=tokens,
        limit_alphabet=0,
        continuing_subword_prefix=SUBWORD_PREFIX,
        show_progress=False,
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # The library's normalizer departs from `normalize.py`, so it gets words instead of texts.
    tokenizer.train_from_iterator(_repeated(learnable_words(words, tokens)), trainer)
    vocabulary: dict[str, int] = tokenizer.get_vocab(with_added_tokens=False)
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _repeated(words: Mapping[str, int], words_per_text: int = 10_000) -> Iterator[str]:
    """Yield every word as often as it was counted, because the library takes texts, not counts."""
    for word, count in words.items():
        for done in range(0, count, words_per_text):
            yield " ".join([word] * min(words_per_text, count - done))
