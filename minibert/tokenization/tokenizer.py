"""BertTokenizer: turn texts into the ids of [CLS] a [SEP] b [SEP], with padding and truncation.

    text --normalize.py--> words --wordpiece.py--> tokens --this file--> the input of a model

Arguments and results are those of `transformers.BertTokenizer`, with these differences:

- Text that spells "[SEP]" is plain text, unless `split_special_tokens=False`.
- By default a word has up to 200 characters, not 100, and a row 512 tokens.
- Text is normalized as in Google's code (see `normalize.py`); `backend="rust"` does it as
  `transformers` does.
- There are no added tokens; `training/add_words.py` puts new words in the place of "[unusedN]".
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError
from minibert.files import TOKENIZER_FILES
from minibert.hub import local_folder
from minibert.tokenization.call_options import CallOptions, read_texts, warn_if_too_long
from minibert.tokenization.encoding import BatchEncoding, LocatedTokens
from minibert.tokenization.fast_encoder import FastEncoder, garbage_collector_paused
from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.offsets import split_at_special_tokens
from minibert.tokenization.padding import pad_columns, pad_encodings, to_tensors
from minibert.tokenization.rust_encoder import RustEncoder
from minibert.tokenization.serialization import OPTIONS, read_tokenizer, write_tokenizer
from minibert.tokenization.truncation import join_sequences, truncate_batch
from minibert.tokenization.vocab import Vocabulary
from minibert.tokenization.wordpiece import WordPiece

BACKENDS: dict[str, type[FastEncoder | RustEncoder]] = {"python": FastEncoder, "rust": RustEncoder}


class BertTokenizer(Vocabulary):
    """Google's BERT tokenizer.

    Args:
        vocab_file: the path of a `vocab.txt`, or a vocabulary as a dictionary token -> id.
        do_lower_case: True for uncased vocabularies and Google's Chinese one, else False.
        backend: "python" (the faster one) or "rust" (the `tokenizers` library).
        tokenize_chinese_chars: make every Chinese character a word.
        strip_accents: drop accents; None means if `do_lower_case`, as in Google's code.
        split_special_tokens: read "[SEP]" in a text as plain text (True) or the special token.
        max_characters_per_word: longer words become [UNK]; see `WordPiece`.
        model_max_length: the default of `max_length`; BERT has 512 positions.
        padding_side: where to put [PAD], "right" or "left".
        truncation_side: where to truncate a text, "right" or "left".
        special_tokens: other names for `unk_token`, `sep_token` and so on.

    Attributes:
        normalization, wordpiece: the rules text -> words and words -> tokens.

    Raises:
        MiniBertError: The vocabulary is damaged or lacks a special token.

    Example:
        >>> tokenizer = BertTokenizer.from_pretrained("weights/tiny")
        >>> tokenizer("Hello, my dog").tokens()
        ['[CLS]', 'hell', '##o', ',', 'my', 'dog', '[SEP]']
    """

    model_input_names = ("input_ids", "token_type_ids", "attention_mask")

    def __init__(
        self,
        vocab_file: str | Path | Mapping[str, int],
        do_lower_case: bool = True,
        *,
        backend: str = "python",
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        split_special_tokens: bool = True,
        max_characters_per_word: int = 200,
        model_max_length: int = 512,
        padding_side: str = "right",
        truncation_side: str = "right",
        **special_tokens: str,
    ) -> None:
        super().__init__(vocab_file, **special_tokens)
        self.do_lower_case = do_lower_case
        self.backend = backend
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self.strip_accents = strip_accents
        self.split_special_tokens = split_special_tokens
        self.max_characters_per_word = max_characters_per_word
        self.model_max_length = model_max_length
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.normalization = NormalizeOptions(
            lower_case=do_lower_case,
            strip_accents=do_lower_case if strip_accents is None else strip_accents,
            space_chinese=tokenize_chinese_chars,
        )
        self.wordpiece = WordPiece(
            self._ids,
            unk_token=self.unk_token,
            max_characters_per_word=max_characters_per_word,
        )
        if backend not in BACKENDS:
            raise MiniBertError(f'backend is {backend!r}; use "python" or "rust".')
        self._encoder = BACKENDS[backend](self.wordpiece, self.normalization)
        longest_first = sorted(self.all_special_tokens, key=len, reverse=True)
        self._special_tokens = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        self._tokenize_with_special_tokens = partial(
            split_at_special_tokens,
            tokenize=self._encoder.tokens,
            special_tokens=self._special_tokens,
            ids=self._ids,
        )

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> "BertTokenizer":
        """Load a saved tokenizer.

        Args:
            name_or_path: a folder written by minibert, Google or Hugging Face, or a hub name.
            options: arguments of `BertTokenizer`; they take precedence over the folder's.

        Raises:
            MiniBertError: There is no such folder or name, or no vocabulary in it; or the
                vocabulary is cased and nothing says whether to lower-case the text.
        """
        folder = local_folder(name_or_path, files=TOKENIZER_FILES)
        vocabulary, found = read_tokenizer(folder, options)
        return cls(vocabulary, **found)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `vocab.txt` and `tokenizer_config.json`, which `transformers` also reads."""
        write_tokenizer(folder, self._ids, self.options)

    @property
    def options(self) -> dict[str, Any]:
        """The current value of every argument but the vocabulary and the backend."""
        return {name: getattr(self, name) for name in OPTIONS}

    @garbage_collector_paused()
    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool = True,
        return_attention_mask: bool = True,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Turn a text, a pair of texts, or a batch of them into the input of a model.

        Args:
            text: a text, a list of texts, or a list of pairs. With `is_split_into_words`, a text
                is a list of words.
            text_pair: the second text, or a list of them; "" beside one text means none.
            add_special_tokens: put [CLS] and [SEP] around the texts.
            padding: True or "longest" (row of the batch), "max_length", or False.
            truncation: True or "longest_first", "only_first", "only_second", or False. None
                truncates if there is a `max_length` and no padding.
            max_length: tokens per row, with special tokens; by default `model_max_length`.
            stride: tokens that an overflowing row shares with the row before it.
            is_split_into_words: the texts are lists of words; offsets count within each word.
            pad_to_multiple_of: round the padded length up.
            padding_side: "right" or "left"; by default the tokenizer's.
            return_tensors: "pt" for PyTorch, "np" for NumPy, None for lists.
            return_token_type_ids: return 0 for [CLS] a [SEP] and 1 for b [SEP].
            return_attention_mask: return 1 for tokens, 0 for padding.
            return_overflowing_tokens: return what was truncated as further rows, and
                `overflow_to_sample_mapping`, the index of the text of each row.
            return_special_tokens_mask: return 1 for [CLS], [SEP] and [PAD], 0 for other tokens.
            return_offsets_mapping: return the (start, end) of each token in its text, as
                `offset_mapping`.
            return_length: return the tokens of each row, as `length`.
            split_special_tokens: as in the class; by default the tokenizer's.

        Returns:
            Lists for one text, lists of lists for a batch, or tensors of shape (B, S).

        Raises:
            MiniBertError: Something is not a text, or an option is unknown or impossible.
        """
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        texts, is_batch = read_texts(
            text,
            text_pair,
            is_split_into_words=is_split_into_words,
            special_tokens=self._special_tokens if split and split_special_tokens is None else None,
        )
        options = CallOptions(
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            model_max_length=self.model_max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
            truncation_side=self.truncation_side,
            add_special_tokens=add_special_tokens,
            return_overflowing_tokens=return_overflowing_tokens,
        )
        tokenize = self._encoder.tokens if split else self._tokenize_with_special_tokens
        located = LocatedTokens(texts, tokenize, options, vocabulary=self)
        if return_offsets_mapping or is_split_into_words or not split:
            pairs, samples = located.ids
        else:
            every = [source for pair in texts for source in pair if isinstance(source, str)]
            ids = iter(self._encoder.batch_ids(every))
            encoded = [(next(ids), None if second is None else next(ids)) for _, second in texts]
            pairs, samples = truncate_batch(encoded, options)

        # [CLS] a [SEP] has token type 0, and b [SEP] has 1.
        cls = [self.cls_token_id] if add_special_tokens else []
        sep = [self.sep_token_id] if add_special_tokens else []
        rows = [join_sequences(first, second, cls=cls, sep=sep) for first, second in pairs]
        columns: dict[str, Any] = {"input_ids": [row for row, _ in rows]}
        if return_token_type_ids:
            columns["token_type_ids"] = [token_type_ids for _, token_type_ids in rows]
        if return_attention_mask:
            columns["attention_mask"] = [[1] * len(row) for row, _ in rows]
        columns = pad_columns(columns, options, pad_token_id=self.pad_token_id)
        if options.truncation == "do_not_truncate":
            warn_if_too_long(columns["input_ids"], self.model_max_length)

        if return_special_tokens_mask:
            columns["special_tokens_mask"] = [
                [int(token.sequence is None) for token in row] for row in located.rows
            ]
        if return_offsets_mapping:
            columns["offset_mapping"] = [[(t.start, t.end) for t in row] for row in located.rows]
        if return_length:
            columns["length"] = list(map(len, columns["input_ids"]))
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = list(samples)
        if return_tensors is not None:
            columns = to_tensors(columns, return_tensors)
        elif not is_batch and not return_overflowing_tokens:
            # `length` stays a list, as in Hugging Face.
            columns = {k: v if k == "length" else v[0] for k, v in columns.items()}
        return BatchEncoding(columns, located)

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """Return the `input_ids` of a call with these arguments."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self,
        text: str,
        pair: str | None = None,
        *,
        add_special_tokens: bool = False,
        **options: Any,
    ) -> list[str]:
        """Return the tokens of a text, such as ["puppet", "##eer"] for "puppeteer"."""
        if not isinstance(text, str):
            raise MiniBertError(
                f"tokenize takes one text, not {type(text).__name__}; call it for each text."
            )
        ids: list[int] = self.encode(text, pair, add_special_tokens=add_special_tokens, **options)
        return self.convert_ids_to_tokens(ids)

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        *,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Pad the results of earlier calls to one length, as a collate function does.

        `encoded_inputs` are encodings of one text each, or one encoding of a batch. Labels and
        other columns that the tokenizer does not know are kept. Options as in a call.

        Raises:
            MiniBertError: There are no `input_ids`, or a column does not make a tensor.
        """
        options = CallOptions(
            padding=padding,
            truncation=False,
            max_length=max_length,
            model_max_length=self.model_max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
        )
        columns = pad_encodings(encoded_inputs, options, pad_token_id=self.pad_token_id)
        return BatchEncoding(to_tensors(columns, return_tensors) if return_tensors else columns)
