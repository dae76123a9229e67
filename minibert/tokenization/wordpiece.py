"""Split a word into word pieces: greedy longest match first.

The second half of BERT's tokenizer (Wu et al. 2016, section 4.1; `WordpieceTokenizer` in Google's
`tokenization.py`). `fast_encoder.py` caches the results, `training/` learns a vocabulary.
"""

from collections.abc import Mapping

SUBWORD_PREFIX = "##"  # marks a token that continues a word


class WordPiece:
    """Splits a word into tokens of a vocabulary.

    Args:
        vocabulary: token -> id.
        unk_token: the token of a word that cannot be split.
        max_characters_per_word: longer words become `unk_token`. Google's code has 200, which is
            the default here, and Hugging Face's has 100. The two differ only for words of 101 to
            200 characters, such as long links, or Thai without spaces.

    Example:
        >>> wordpiece = WordPiece({"[UNK]": 0, "un": 1, "##aff": 2, "##able": 3})
        >>> wordpiece.split("unaffable"), wordpiece.split("unknown")
        (['un', '##aff', '##able'], ['[UNK]'])
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        *,
        unk_token: str = "[UNK]",
        max_characters_per_word: int = 200,
    ) -> None:
        self.vocabulary = vocabulary
        self.unk_token = unk_token
        self.max_characters_per_word = max_characters_per_word
        self.max_token_length = max(map(len, vocabulary), default=0)

    def split(self, word: str) -> list[str]:
        """Return the tokens of a word, or `[unk_token]` if some part of it has no match."""
        if len(word) > self.max_characters_per_word:
            return [self.unk_token]
        tokens: list[str] = []
        start = 0
        while start < len(word):
            prefix = SUBWORD_PREFIX if start > 0 else ""
            # No token is longer than this, so the work is linear in the length of the word.
            longest_end = min(len(word), start + self.max_token_length)
            for end in range(longest_end, start, -1):
                token = prefix + word[start:end]
                if token in self.vocabulary:
                    break
            else:
                return [self.unk_token]
            tokens.append(token)
            start = end
        return tokens
