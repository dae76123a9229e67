"""Turn texts into model input: the ids of [CLS] a [SEP] b [SEP], truncated and padded.

    text --normalize.py--> words --wordpiece.py--> tokens --this file--> ids, token types, mask

Arguments and results are those of `transformers.BertTokenizer`, with these differences:

- "[SEP]" in a text is plain text, unless `split_special_tokens=False`.
- By default a word has up to 200 characters, not 100, and a row 512 tokens.
- Text is normalized as in Google's code (see `normalize.py`), unless `backend="rust"`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError
from minibert.from_transformers import check_options
from minibert.tokenization.batch_encoding import BatchEncoding, LocatedTokens
from minibert.tokenization.call_options import CallOptions, read_texts, warn_if_too_long
from minibert.tokenization.fast_encoder import FastEncoder, garbage_collector_paused
from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.padding import pad_columns, pad_encodings, to_tensors
from minibert.tokenization.rust_encoder import RustEncoder
from minibert.tokenization.serialization import PretrainedTokenizer
from minibert.tokenization.truncation import join_sequences, truncate_batch
from minibert.tokenization.wordpiece import WordPiece

BACKENDS: dict[str, type[FastEncoder | RustEncoder]] = {"python": FastEncoder, "rust": RustEncoder}


class BertTokenizer(PretrainedTokenizer):
    """Google's BERT tokenizer: `normalization` (text -> words), then `wordpiece` (-> tokens).

    Args:
        vocab_file: the path of a `vocab.txt`, a dictionary token -> id, or a list of tokens.
        do_lower_case: True for uncased vocabularies and Google's Chinese one, else False.
        backend: "python" (the faster one) or "rust" (the `tokenizers` library).
        tokenize_chinese_chars: make every Chinese character a word.
        strip_accents: drop accents; None: as `do_lower_case`, like Google's code.
        split_special_tokens: read "[SEP]" in a text as plain text (True) or the special token.
        max_characters_per_word: longer words become [UNK]; see `WordPiece`.
        model_max_length: the default of `max_length`; BERT has 512 positions.
        padding_side: where to put [PAD], "right" or "left".
        truncation_side: where to truncate a text, "right" or "left".
        special_tokens: other names for `unk_token` etc.; `additional_special_tokens`, a list.

    Example:
        >>> tokenizer = BertTokenizer.from_pretrained("weights/tiny")
        >>> tokenizer("Hello, my dog").tokens()
        ['[CLS]', 'hell', '##o', ',', 'my', 'dog', '[SEP]']
    """

    model_input_names = ("input_ids", "token_type_ids", "attention_mask")

    def __init__(
        self,
        vocab_file: str | Path | Mapping[str, int] | Sequence[str],
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
        **special_tokens: Any,
    ) -> None:
        super().__init__(vocab_file, **special_tokens)
        self.do_lower_case = do_lower_case
        self.backend = backend
        self.tokenize_chinese_chars, self.strip_accents = tokenize_chinese_chars, strip_accents
        self.split_special_tokens = split_special_tokens
        self.max_characters_per_word = max_characters_per_word
        self.model_max_length = model_max_length
        self.padding_side, self.truncation_side = padding_side, truncation_side
        self.normalization = NormalizeOptions(
            lower_case=do_lower_case,
            strip_accents=do_lower_case if strip_accents is None else strip_accents,
            space_chinese=tokenize_chinese_chars,
        )
        self.wordpiece = WordPiece(
            self.base_vocabulary,
            unk_token=self.unk_token,
            max_characters_per_word=max_characters_per_word,
        )
        if backend not in BACKENDS:
            raise MiniBertError(f'backend is {backend!r}; use "python" or "rust".')
        self._encoder = BACKENDS[backend](self.wordpiece, self.normalization)
        if self.added_tokens:
            self._encoder = RustEncoder(self.wordpiece, self.normalization, self.added_tokens)

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
        **others: Any,
    ) -> BatchEncoding:
        """Turn a text, a pair of texts, or a batch of them into the input of a model.

        Args:
            text: a text, a list of texts, or a list of pairs. With `is_split_into_words`, a text
                is a list of words.
            text_pair: the second text, or a list of them; "" with a single text means none.
            add_special_tokens: put [CLS] and [SEP] around the texts.
            padding: True or "longest" (pad to the longest row), "max_length", or False.
            truncation: True or "longest_first", "only_first", "only_second", or False. None means
                True if there is a `max_length` and no padding, else False.
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
            return_offsets_mapping: return `offset_mapping`, the (start, end) of each token.
            return_length: return `length`, the number of tokens of each row.
            split_special_tokens: as in the class; by default the tokenizer's.
            **others: those of `transformers` that change nothing here.

        Returns:
            Lists for one text, lists of lists for a batch, or tensors of shape (B, S).

        Raises:
            MiniBertError: Something is not a text, or an option is unknown or impossible.
        """
        for name in check_options(others):
            raise TypeError(f"a call of BertTokenizer has no argument {name!r}")
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        pattern = self.special_pattern if split and split_special_tokens is None else None
        texts, is_batch = read_texts(text, text_pair, is_split_into_words, pattern=pattern)
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
        located = LocatedTokens(texts, self._encoder, options, self, split)
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
        rows = [join_sequences(first, second, cls, sep) for first, second in pairs]
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
        return_tensors: str | None = None,
        **options: Any,
    ) -> BatchEncoding:
        """Pad the results of earlier calls to one length, as a collate function does.

        Args:
            encoded_inputs: encodings of one text each, or one encoding of a batch. Labels and other
                columns that the tokenizer does not know are kept.
            padding: as in a call.
            return_tensors: as in a call.
            options: `max_length`, `pad_to_multiple_of` and `padding_side`, as in a call.
        """
        options["padding_side"] = options.get("padding_side") or self.padding_side
        columns = pad_encodings(
            encoded_inputs,
            pad_token_id=self.pad_token_id,
            model_max_length=self.model_max_length,
            padding=padding,
            **options,
        )
        return BatchEncoding(to_tensors(columns, return_tensors) if return_tensors else columns)
