"""The Rust backend: turn texts into ids with the `tokenizers` library.

The library normalizes, splits into word pieces and finds offsets. The rest (special tokens, pairs,
truncation, padding) is shared with the Python backend. This backend serves as an independent check
and gives exactly what `transformers` computes. It differs from Google's code for the few
characters that `tests/test_tokenizer_unicode.py` lists with the reason for each.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.offsets import Token
from minibert.tokenization.wordpiece import SUBWORD_PREFIX, WordPiece

if TYPE_CHECKING:
    from minibert.tokenization.tokenizer import BertTokenizer

# A Python string can hold a lone UTF-16 surrogate (JSON may contain one), but Rust refuses it. It
# is replaced by a code point that is never a character and that no vocabulary has.
_without_surrogates = partial(re.compile("[\ud800-\udfff]").sub, "\uffff")


class RustEncoder:
    """The Rust backend: texts -> ids, or tokens with offsets."""

    def __init__(
        self,
        wordpiece: WordPiece,
        options: NormalizeOptions,
        added_tokens: Mapping[str, Mapping[str, bool]] | None = None,
    ) -> None:
        from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

        self._tokenizer: Any = Tokenizer(
            models.WordPiece(
                dict(wordpiece.vocabulary),
                unk_token=wordpiece.unk_token,
                max_input_chars_per_word=min(wordpiece.max_characters_per_word, 2**31),
            )
        )
        self._tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=options.space_chinese,
            strip_accents=options.strip_accents,
            lowercase=options.lower_case,
        )
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        added = [AddedToken(text, **flags) for text, flags in (added_tokens or {}).items()]
        self._tokenizer.add_tokens(added)

    def batch_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of every text, without special tokens."""
        encodings = self._tokenizer.encode_batch_fast(list(map(_without_surrogates, texts)))
        return [encoding.ids for encoding in encodings]

    def tokens(self, text: str) -> list[Token]:
        """Return the tokens of a text with their offsets, without special tokens."""
        encoding = self._tokenizer.encode(_without_surrogates(text))
        found = zip(encoding.ids, encoding.offsets, encoding.word_ids, strict=True)
        return [Token(identity, start, end, word) for identity, (start, end), word in found]


def post_processed(post_processor: Any) -> list[tuple[int, int]]:
    """Return the ids and token types that a post-processor of a `tokenizer.json` makes of 0, 0.

    The first and second text have one token each, with the id 0.
    """
    from tokenizers import Tokenizer, models

    words = json.loads(Tokenizer(models.WordLevel({"x": 0}, unk_token="x")).to_str())
    try:
        library = Tokenizer.from_str(json.dumps(words | {"post_processor": post_processor}))
    except Exception:  # the library has no class of its own for it
        return []
    pair = library.encode("x", "x")
    return list(zip(pair.ids, pair.type_ids, strict=True))


def tokenizer_json(tokenizer: "BertTokenizer") -> str:
    """Return the `tokenizer.json` of a tokenizer, which the `tokenizers` library reads."""
    from tokenizers import decoders, processors

    encoder = RustEncoder(tokenizer.wordpiece, tokenizer.normalization, tokenizer.added_tokens)
    library = encoder._tokenizer
    library.normalizer.strip_accents = tokenizer.strip_accents  # None stays None
    library.add_special_tokens([*tokenizer.special_tokens_map.values()])
    sep, cls = tokenizer.sep_token, tokenizer.cls_token
    library.post_processor = processors.BertProcessing(
        (sep, tokenizer.sep_token_id), (cls, tokenizer.cls_token_id)
    )
    library.decoder = decoders.WordPiece(prefix=SUBWORD_PREFIX)
    text: str = library.to_str(pretty=True)
    return text
