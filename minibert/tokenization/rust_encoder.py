"""The Rust backend: turn texts into ids with the `tokenizers` library.

The library normalizes, splits into word pieces and finds offsets. The rest (special tokens, pairs,
truncation, padding) is shared with the Python backend. This backend serves as an independent check
and gives exactly what `transformers` computes. It differs from Google's code for the few
characters that `tests/test_tokenizer_unicode.py` lists with the reason for each.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.offsets import Token
from minibert.tokenization.wordpiece import WordPiece

# A Python string can hold a lone UTF-16 surrogate (JSON may contain one), but Rust refuses it. It
# is replaced by a code point that is never a character and that no vocabulary has.
_without_surrogates = partial(re.compile("[\ud800-\udfff]").sub, "\uffff")


class RustEncoder:
    """The Rust backend: texts -> ids, or tokens with offsets."""

    def __init__(self, wordpiece: WordPiece, options: NormalizeOptions) -> None:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

        self._tokenizer: Any = Tokenizer(
            models.WordPiece(
                dict(wordpiece.vocabulary),
                unk_token=wordpiece.unk_token,
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

    def batch_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of every text, without special tokens."""
        encodings = self._tokenizer.encode_batch_fast(list(map(_without_surrogates, texts)))
        return [encoding.ids for encoding in encodings]

    def tokens(self, text: str) -> list[Token]:
        """Return the tokens of a text with their offsets, without special tokens."""
        encoding = self._tokenizer.encode(_without_surrogates(text))
        found = zip(encoding.ids, encoding.offsets, encoding.word_ids, strict=True)
        return [Token(identity, start, end, word) for identity, (start, end), word in found]
