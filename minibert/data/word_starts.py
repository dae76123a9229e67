"""Which tokens begin a word, told by a segmenter: for whole-word masking in Chinese.

In English the pieces tell: "##ing" continues a word. In Chinese every character is a piece, and
which of them make a word is a matter of opinion. The opinion is the caller's to choose: any
function from a text to its words, in order, such as `jieba.lcut`. It is asked once, when the
corpus is made, and what it says is kept beside the tokens.
"""

from collections.abc import Callable, Iterable, Sequence

from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.wordpiece import CONTINUES

Segmenter = Callable[[str], Iterable[str]]


def tokens_with_word_starts(
    sentences: Sequence[str], tokenizer: BertTokenizer, segment: Segmenter
) -> tuple[list[list[int]], list[list[bool]]]:
    """Tokenize sentences, and say of each token whether it begins a word.

    Args:
        sentences: texts.
        tokenizer: gives the tokens and their places in the text.
        segment: text -> words; together they must be the text, but for spaces.

    Raises:
        MiniBertError: the segmenter gives a word that does not stand in the text.

    Example:
        >>> tokens_with_word_starts(["我爱北京"], tokenizer, lambda text: ["我", "爱", "北京"])[1]
        [[True, True, True, False]]
    """
    encoded = tokenizer(
        list(sentences), add_special_tokens=False, return_offsets_mapping=True, truncation=False
    )
    ids: list[list[int]] = encoded["input_ids"]
    starts = []
    for sentence, row, places in zip(sentences, ids, encoded["offset_mapping"], strict=True):
        word_at = _word_numbers(sentence, segment)
        words = [word_at[start] for start, _ in places]
        pieces = tokenizer.convert_ids_to_tokens(row)
        begins = [
            not piece.startswith(CONTINUES) and (number == 0 or words[number - 1] != word)
            for number, (piece, word) in enumerate(zip(pieces, words, strict=True))
        ]
        starts.append(begins)
    return ids, starts


def _word_numbers(text: str, segment: Segmenter) -> list[int]:
    """For each character the number of the word it belongs to."""
    numbers = [-1] * len(text)
    end = 0
    for number, word in enumerate(segment(text)):
        start = text.find(word.strip(), end)
        if start < 0:
            raise MiniBertError(
                f"the segmenter made a word {word!r} that is not in the text {text[:40]!r} after "
                f"character {end}; it must return the words of the text as they stand there."
            )
        end = start + len(word.strip())
        numbers[start:end] = [number] * (end - start)
    return numbers
