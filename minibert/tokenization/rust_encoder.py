"""The same interface over the `tokenizers` library: the second backend.

Normalising, WordPiece and offsets are the library's own; all above them (special tokens, pairs,
truncation, padding) is shared with the Python backend. It is here as an independent check and for
those who must have exactly what `transformers` computes. It differs from Google's code on the few
characters that `tests/test_tokenizer_unicode.py` lists, with the reason for each.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.offsets import Piece
from minibert.tokenization.wordpiece import WordPiece

# Half of a pair of UTF-16 code units: legal in JSON and in a Python string, but no character, so
# that Rust refuses it. It is exchanged for a code point that will never be one, and no vocabulary
# has.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NEVER_A_CHARACTER = "\uffff"


class RustEncoder:
    """The Rust backend: texts -> ids, and texts -> pieces with their places."""

    def __init__(self, wordpiece: WordPiece, options: NormalizeOptions) -> None:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

        self.wordpiece = wordpiece
        self.options = options
        self._tokenizer: Any = Tokenizer(
            models.WordPiece(
                dict(wordpiece.vocabulary),
                unk_token=wordpiece.unknown_token,
                max_input_chars_per_word=wordpiece.max_characters_per_word,
            )
        )
        self._tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=options.space_chinese,
            strip_accents=options.strip_accents,
            lowercase=options.lower_case,
        )
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def words(self, text: str) -> list[str]:
        """What the library makes of a text before it looks up the pieces."""
        normalized = self._tokenizer.normalizer.normalize_str(_readable(text))
        return [word for word, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(normalized)]

    def batch_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of every text, without special tokens; threads are the library's business."""
        encodings = self._tokenizer.encode_batch_fast(list(map(_readable, texts)))
        return [encoding.ids for encoding in encodings]

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text, each with its place in the text and the number of its word."""
        encoding = self._tokenizer.encode(_readable(text))
        places = zip(encoding.ids, encoding.offsets, encoding.word_ids, strict=True)
        return [Piece(identity, start, end, word) for identity, (start, end), word in places]


_readable = partial(_LONE_SURROGATE.sub, _NEVER_A_CHARACTER)
