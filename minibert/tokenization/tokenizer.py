"""BertTokenizer: texts -> [CLS] a [SEP] b [SEP] as ids, with padding, truncation, places and words.

    text --normalize--> words --wordpiece--> ids --pairs--> rows --padding--> a batch

The arguments and results are those of `transformers.BertTokenizer`, but for this:
- A text that spells "[SEP]" is text, unless `split_special_tokens=False` says otherwise.
- Where no folder says otherwise, a word has up to 200 characters, not 100, and a row 512 tokens.
- Private use, the final sigma, and rare or young characters are read as by Google's code
  (`normalize.py`); `backend="rust"` reads them as `transformers` does.
Left out: added tokens (put a word of your own in the place of an "[unusedN]" line of vocab.txt).
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError
from minibert.hub import local_folder
from minibert.tokenization import serialization as saved
from minibert.tokenization.encoding import (
    BatchEncoding,
    cut_all,
    ids_of,
    make_columns,
    make_tokens,
    special_tokens_mask,
    warn_if_too_long,
)
from minibert.tokenization.fast_encoder import collector_paused
from minibert.tokenization.inputs import CallOptions, TextReader, as_batch
from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.padding import pad_columns, to_tensors
from minibert.tokenization.vocab import TokenTable
from minibert.tokenization.wordpiece import WordPiece


class BertTokenizer(TokenTable):
    """Google's BERT tokenizer.

    Args:
        vocab_file: the path of a `vocab.txt`, or a vocabulary as a dictionary piece -> id.
        do_lower_case: True for uncased vocabularies and Google's Chinese one, else False.
        backend: "python" (readable, and the faster one) or "rust" (the `tokenizers` library).
        tokenize_chinese_chars: make every Chinese character a word.
        strip_accents: drop accents; None means when `do_lower_case` is set, as Google's code.
        split_special_tokens: "[SEP]" in a text is plain text (True) or the special token (False).
        max_characters_per_word: longer words are [UNK]; see `WordPiece` for the two usual values.
        model_max_length: the length where a call names none; BERT has 512 positions.
        padding_side: where [PAD] goes, "right" or "left".
        truncation_side: where a text is cut, "right" or "left".
        special_tokens: other names for `unk_token`, `sep_token` and so on.

    Attributes:
        wordpiece, normalization: the two parts at work, words -> pieces and text -> words.

    Raises:
        MiniBertError: the vocabulary is damaged or lacks a special token, or an option is unknown.

    Example:
        >>> tokenizer = BertTokenizer("vocab.txt")
        >>> tokenizer("Hello, my dog", "is cute").input_ids
        [101, 7592, 1010, 2026, 3899, 102, 2003, 10140, 102]
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
        self.wordpiece = WordPiece(
            self._ids,
            unknown_token=self.unk_token,
            max_characters_per_word=max_characters_per_word,
        )
        self.normalization = NormalizeOptions(
            lower_case=do_lower_case,
            strip_accents=do_lower_case if strip_accents is None else strip_accents,
            space_chinese=tokenize_chinese_chars,
        )
        special_ids = dict(zip(self.all_special_tokens, self.all_special_ids, strict=True))
        self._reader = TextReader(backend, self.wordpiece, self.normalization, special_ids)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> "BertTokenizer":
        """Load a saved tokenizer.

        Args:
            name_or_path: a folder of ours, Google's or Hugging Face's, or a name on the hub.
            options: arguments of `BertTokenizer`; they win over what the folder says.

        Raises:
            MiniBertError: no such folder or name, no vocabulary in it, or the folder does not say
                whether to lower the case (Google's folders do not) while the vocabulary is
                plainly a cased one.
        """
        folder = local_folder(name_or_path, files=saved.FILES)
        vocabulary, found = saved.read(folder, options)
        return cls(vocabulary, **found)

    @property
    def options(self) -> dict[str, Any]:
        """Every argument but the vocabulary and the backend, as it is now: what a folder keeps."""
        return {name: getattr(self, name) for name in saved.OPTIONS}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `vocab.txt` and `tokenizer_config.json`, which `transformers` reads, too."""
        saved.write(folder, self._ids, self.options)

    @collector_paused()
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
        """Turn a text, a pair, or a batch of them into what the model takes.

        Args:
            text: a text, or a list of texts, or a list of pairs. With `is_split_into_words` a
                text is a list of words.
            text_pair: the second text, or a list of them; "" beside one text means none.
            add_special_tokens: put [CLS] and [SEP] around the texts.
            padding: True or "longest" (of the batch), "max_length", or False.
            truncation: True or "longest_first", "only_first", "only_second", or False. None cuts
                exactly when a `max_length` is given and no padding.
            max_length: tokens per row, special tokens included; `model_max_length` if not given.
            stride: tokens that a further row shares with the one before, with
                `return_overflowing_tokens`.
            is_split_into_words: the texts are lists of words, and places count within a word.
            pad_to_multiple_of: round the padded length up.
            padding_side: "right" or "left", the tokenizer's own if not given.
            return_tensors: "pt" for PyTorch, "np" for NumPy, None for lists.
            return_token_type_ids: give `token_type_ids`: 0 for the first text, 1 for the second.
            return_attention_mask: give `attention_mask`: 1 for tokens, 0 for padding.
            return_overflowing_tokens: give what was cut off as further rows, and
                `overflow_to_sample_mapping`, the number of the text that each row is from.
            return_special_tokens_mask: give `special_tokens_mask`: 1 for [CLS], [SEP] and [PAD].
            return_offsets_mapping: give `offset_mapping`: for each token the (start, end) in your
                text.
            return_length: give `length`, the tokens of each row.
            split_special_tokens: see the class; the tokenizer's own if not given.

        Returns:
            Lists for one text, lists of lists for a batch, or tensors of shape (B, S).

        Raises:
            MiniBertError: something that is no text, an unknown option, or an impossible length.
        """
        batch, is_batch = as_batch(text, text_pair, is_split_into_words=is_split_into_words)
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
            overflow=return_overflowing_tokens,
        )
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        if split and split_special_tokens is None:
            self._reader.warn_if_special_is_spelled(batch)
        # Nearly always ids are all that is wanted; places and words are found when someone asks.
        read_pieces = partial(self._reader.piece_pairs, batch, split_special_tokens=split)
        placed_rows = cache(lambda: cut_all(read_pieces(), options))
        tokens = cache(lambda: make_tokens(placed_rows()[0], options, self))
        if split and not is_split_into_words and not return_offsets_mapping:
            rows, samples = cut_all(self._reader.id_pairs(batch), options)
        else:
            placed, samples = placed_rows()
            rows = ids_of(placed)

        columns = make_columns(rows, options, self)
        if not options.truncates:
            warn_if_too_long(columns["input_ids"], self.model_max_length)
        if not return_token_type_ids:
            del columns["token_type_ids"]
        if not return_attention_mask:
            del columns["attention_mask"]
        if return_special_tokens_mask:
            columns["special_tokens_mask"] = special_tokens_mask(rows, options)
        if return_offsets_mapping:
            columns["offset_mapping"] = [[(t.start, t.end) for t in row] for row in tokens()]
        if return_length:
            columns["length"] = list(map(len, columns["input_ids"]))
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = samples
        if return_tensors is not None:
            return BatchEncoding(to_tensors(columns, return_tensors), tokens)
        if not is_batch and not return_overflowing_tokens:
            # One text, so no batch: but `length` stays a list, as in Hugging Face.
            columns = {k: v if k == "length" else v[0] for k, v in columns.items()}
        return BatchEncoding(columns, tokens)

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The `input_ids` of a call with these arguments."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self,
        text: str,
        pair: str | None = None,
        *,
        add_special_tokens: bool = False,
        **options: Any,
    ) -> list[str]:
        """The tokens of a text: ["puppet", "##eer"] for "puppeteer"; [CLS] and [SEP] if asked."""
        if not isinstance(text, str):
            raise MiniBertError(
                f"tokenize takes one text, not {type(text).__name__}; call it on each."
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
        """Fill the rows of earlier calls up to one length, as a collate function does.

        Args:
            encoded_inputs: encodings of one text each, or one encoding of a batch. Columns other
                than the tokenizer's own, such as labels, stay as they are.
            padding: True or "longest", "max_length", or False.
            max_length: the length for "max_length"; `model_max_length` if not given.
            pad_to_multiple_of: round the length up.
            padding_side: "right" or "left", the tokenizer's own if not given.
            return_tensors: "pt" for PyTorch, "np" for NumPy, None for lists.

        Raises:
            MiniBertError: no `input_ids`, an unknown option, or a column that makes no tensor.
        """
        options = CallOptions(
            padding=padding,
            truncation=False,
            max_length=max_length,
            model_max_length=self.model_max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
        )
        columns = pad_columns(encoded_inputs, options, pad_id=self.pad_token_id)
        return BatchEncoding(to_tensors(columns, return_tensors) if return_tensors else columns)
