"""Map tokens to ids and back: read a vocab.txt, name the special tokens, decode ids."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, overload

from minibert.errors import MiniBertError
from minibert.files import MAX_VOCABULARY_BYTES, read_small_file, write_atomic
from minibert.from_transformers import INSTEAD, check_options, explain
from minibert.tokenization.truncation import join_sequences
from minibert.tokenization.wordpiece import SUBWORD_PREFIX

if TYPE_CHECKING:
    from minibert.tokenization.tokenizer import BertTokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # in the order of their ids

# What Hugging Face's decoder writes without a space before it, and what its clean-up replaces.
_NO_SPACE_BEFORE = (".", "?", "!", ",")
_CLEAN_UP = {" ' ": "'", " n't": "n't", " 'm": "'m", " 's": "'s", " 've": "'ve", " 're": "'re"}

MAX_UNKNOWN_RATE = 0.1  # Google's vocabularies stay below 0.01 in their own language
MOSTLY_UNKNOWN = 0.5  # predictions for such texts are meaningless


def read_vocabulary(path: str | Path) -> dict[str, int]:
    """Return the vocabulary in a `vocab.txt`, token -> id; see `read_tokens`."""
    return {token: index for index, token in enumerate(read_tokens(path))}


def read_tokens(path: str | Path) -> list[str]:
    """Return the tokens of a `vocab.txt`: one per line; the id is the number of the line, from 0.

    Spaces at the end of a line, Windows line ends and a byte order mark are dropped, as Google's
    code does. A token that stands on two lines keeps both; its id is the later one. A warning
    names what was found.

    Raises:
        MiniBertError: The file is missing, empty or too large, not UTF-8, or no list of tokens.
    """
    path = Path(path).expanduser()
    try:
        text = read_small_file(path, limit=MAX_VOCABULARY_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise MiniBertError(
            f"{path} is not UTF-8 text at byte {error.start}; save it as UTF-8, or copy the "
            "vocab.txt of the model again."
        ) from error
    if not text.strip():
        raise MiniBertError(f"{path} is empty; a vocab.txt has one token per line.")
    # Only "\n" ends a line: Google's Chinese vocabulary has U+2028, a "line separator", as a token.
    text = text.rstrip("\r\n")
    lines = text.removeprefix("\ufeff").split("\n" if "\n" in text else "\r")
    tokens = [line.rstrip(" \r\t") for line in lines]
    last = {token: index for index, token in enumerate(tokens)}
    repeated, notes = 0, list[str]()
    for index, token in enumerate(tokens):
        if "\t" in token or "\0" in token:
            raise MiniBertError(
                f"{path}, line {index + 1} holds more than a token: {token!r:.40}; a line of a "
                "vocab.txt is one token, so remove the columns beside it."
            )
        if not token:
            notes = notes or [f"line {index + 1} is empty"]
        elif last[token] != index:
            repeated = repeated or index + 1
    if repeated:
        token = tokens[repeated - 1]
        notes.append(f"line {repeated}, {token!r:.40}, is repeated on line {last[token] + 1}")
    if lines != tokens:
        notes.append("spaces and carriage returns at the end of lines are ignored")
    if text.startswith("\ufeff"):
        notes.append("the byte order mark at its beginning is ignored")
    if notes:
        warnings.warn(
            f"{path}: {'; '.join(notes)}; lines keep their ids, and the last of equal ones counts.",
            stacklevel=2,
        )
    return tokens


def write_vocabulary(path: str | Path, tokens: Iterable[str]) -> None:
    """Write a `vocab.txt`, one token per line in the order of the ids."""
    write_atomic(Path(path), "".join(f"{token}\n" for token in tokens))


def read_added_token(token: Any) -> tuple[str, dict[str, bool]]:
    """Return the text and the flags of an added token: a str, an object of JSON or an AddedToken.

    Example:
        >>> read_added_token({"content": "[E1]", "lstrip": True})[1]["lstrip"]
        True
    """
    given = token.__getstate__() if hasattr(token, "single_word") else token
    given = dict(given) if isinstance(given, Mapping) else {"content": given, "special": True}
    content = given.get("content")
    if not isinstance(content, str) or not content.strip():
        raise MiniBertError(f"the added token {content!r:.60} is not a text; correct or remove it.")
    special = given.get("special", False)
    flags = {name: given.get(name, False) for name in ("lstrip", "rstrip", "single_word")}
    flags |= {"special": special, "normalized": given.get("normalized", not special)}
    return content, {name: bool(value) for name, value in flags.items()}


class Vocabulary:
    """The tokens, their ids and the five special tokens; the base of `BertTokenizer`.

    Attributes:
        unk_token, sep_token, pad_token, cls_token, mask_token: the special tokens.
        unk_token_id, sep_token_id, pad_token_id, cls_token_id, mask_token_id: their ids.
        special_pattern: finds the five special tokens in a text; its one group is the whole match.
        added_tokens: `additional_special_tokens` without the five, and how to find each in a text.
        base_vocabulary: the tokens that a word may be split into; without the additional ones that
            have the ids after them.
    """

    def __init__(
        self,
        vocabulary: str | Path | Mapping[str, int] | Sequence[str],
        *,
        additional_special_tokens: Sequence[str | Mapping[str, Any]] = (),
        unk_token: str = "[UNK]",
        sep_token: str = "[SEP]",
        pad_token: str = "[PAD]",
        cls_token: str = "[CLS]",
        mask_token: str = "[MASK]",
        **unknown: Any,
    ) -> None:
        if not unknown.pop("do_basic_tokenize", True):
            raise MiniBertError(
                "do_basic_tokenize=False is not supported, because texts are always normalized; "
                "pass lists of words with is_split_into_words=True instead."
            )
        for name in check_options(unknown):
            raise TypeError(f"BertTokenizer has no argument {name!r}")
        source = "the vocabulary"
        if isinstance(vocabulary, str | Path):
            vocabulary, source = read_tokens(vocabulary), str(vocabulary)
        if isinstance(vocabulary, Mapping):
            self._tokens = {index: token for token, index in vocabulary.items()}
            self.base_vocabulary = dict(vocabulary)
        else:
            self._tokens = dict(enumerate(vocabulary))
            self.base_vocabulary = {token: index for index, token in self._tokens.items()}
        self._ids = dict(self.base_vocabulary)
        self.unk_token, self.sep_token, self.pad_token = unk_token, sep_token, pad_token
        self.cls_token, self.mask_token = cls_token, mask_token
        self.added_tokens = dict(map(read_added_token, additional_special_tokens))
        for content in self.added_tokens:
            if content not in self._ids:  # as in transformers, it gets the next id
                index = len(self._ids)
                if index in self._tokens:
                    raise MiniBertError(
                        f"{source} has fewer tokens than ids, so the added token {content!r:.60} "
                        "has no id of its own; give every id a token, or every line another one."
                    )
                self._ids[content], self._tokens[index] = index, content
                if content in self.special_tokens_map.values():
                    self.base_vocabulary[content] = index
        for token in self.special_tokens_map.values():
            self.added_tokens.pop(token, None)
            # [UNK] is what words become, so it must be one of their tokens.
            if token not in (self.base_vocabulary if token == unk_token else self._ids):
                raise MiniBertError(
                    f"{source} does not have the special token {token!r}; give the vocab.txt of a "
                    "BERT model, or name its own special tokens: unk_token=..., sep_token=..."
                )
        self.unk_token_id, self.sep_token_id = self._ids[unk_token], self._ids[sep_token]
        self.pad_token_id, self.cls_token_id = self._ids[pad_token], self._ids[cls_token]
        self.mask_token_id = self._ids[mask_token]
        self._pad_token = pad_token  # used by the masking functions of many tutorials
        longest_first = sorted(self.special_tokens_map.values(), key=len, reverse=True)
        self.special_pattern = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def __getattr__(self, name: str) -> Any:
        if name in ("encode_plus", "batch_encode_plus"):  # older names of the call

            def encode(*texts: Any, pad_to_max_length: bool = False, **options: Any) -> Any:
                if pad_to_max_length:
                    options = {"padding": "max_length", "truncation": True} | options
                return self(*texts, **options)  # type: ignore[operator]

            return encode
        raise AttributeError(
            explain(name) if name in INSTEAD else f"BertTokenizer has no attribute {name!r}"
        )

    @property
    def additional_special_tokens(self) -> list[str | dict[str, Any]]:
        """The added tokens, as `transformers` writes them in a file."""
        plain = read_added_token("[E1]")[1]
        return [
            token if flags == plain else {"__type": "AddedToken", "content": token, **flags}
            for token, flags in self.added_tokens.items()
        ]

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The special tokens by their role."""
        names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
        return {name: getattr(self, name) for name in names}

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens, with the additional ones."""
        added = [token for token, flags in self.added_tokens.items() if flags["special"]]
        return [*self.special_tokens_map.values(), *added]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of the special tokens."""
        return [self._ids[token] for token in self.all_special_tokens]

    @property
    def vocab_size(self) -> int:
        """The number of tokens."""
        return len(self._ids)

    @property
    def vocab(self) -> dict[str, int]:
        """A copy of the vocabulary, token -> id."""
        return self.get_vocab()

    def __len__(self) -> int:
        return len(self._ids)

    def get_vocab(self) -> dict[str, int]:
        """Return a copy of the vocabulary, token -> id."""
        return dict(self._ids)

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str] | tuple[str, ...]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str] | tuple[str, ...]) -> int | list[int]:
        """Return the id of a token, or of each of several; unknown tokens have the id of [UNK]."""
        if isinstance(tokens, str):
            return self._ids.get(tokens, self.unk_token_id)
        return [self._ids.get(token, self.unk_token_id) for token in tokens]

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(
        self, ids: Iterable[Any], skip_special_tokens: bool = False
    ) -> list[str]: ...
    def convert_ids_to_tokens(
        self, ids: int | Iterable[Any], skip_special_tokens: bool = False
    ) -> str | list[str]:
        """Return the token of an id, or of each id of a list, array or tensor.

        Raises:
            MiniBertError: The vocabulary does not have an id.
        """
        ids = ids.tolist() if hasattr(ids, "tolist") else ids  # a NumPy integer becomes an int
        try:
            if isinstance(ids, int):
                return self._tokens[ids]
            skipped = set(self.all_special_ids) if skip_special_tokens else set()
            return [self._tokens[index] for index in map(int, ids) if index not in skipped]
        except TypeError as error:
            raise MiniBertError(
                "convert_ids_to_tokens takes one id or one row of ids; call it for each row."
            ) from error
        except KeyError as error:
            hint = " (-100 marks a position without a label)" if error.args[0] == -100 else ""
            raise MiniBertError(
                f"{error.args[0]} is not an id of this vocabulary of {len(self)} tokens{hint}; "
                "decode only ids that come from this tokenizer."
            ) from None

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join tokens to a text: "##ing" and the marks . ? ! , follow without a space."""
        text = "".join(tokens[:1])
        for token in tokens[1:]:
            if token.startswith(SUBWORD_PREFIX):
                text += token.removeprefix(SUBWORD_PREFIX)
            else:
                text += token if token.startswith(_NO_SPACE_BEFORE) else f" {token}"
        return text

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        *,
        clean_up_tokenization_spaces: bool = False,
    ) -> str | list[str]:
        """Turn ids into text; case, accents and spaces that the ids do not hold are lost.

        Args:
            token_ids: one id, a list, array or tensor of ids, or a batch of them.
            skip_special_tokens: leave out [CLS], [SEP], [PAD], [MASK] and [UNK].
            clean_up_tokenization_spaces: also remove the spaces of "do n't" and "it 's".

        Returns:
            A text, or a list of texts for a batch.
        """
        ids = token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids
        if isinstance(ids, int):
            ids = [ids]
        is_batch = bool(ids) and isinstance(ids[0], list | tuple)
        texts = self.batch_decode(
            ids if is_batch else [ids],
            skip_special_tokens,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
        )
        return texts if is_batch else texts[0]

    def batch_decode(
        self,
        sequences: Iterable[Any],
        skip_special_tokens: bool = False,
        *,
        clean_up_tokenization_spaces: bool = False,
    ) -> list[str]:
        """Turn every sequence of ids into text, as `decode` does."""
        texts = []
        for ids in sequences:
            tokens = self.convert_ids_to_tokens(ids, skip_special_tokens)
            text = self.convert_tokens_to_string(tokens)
            for spaced, closed in _CLEAN_UP.items() if clean_up_tokenization_spaces else ():
                text = text.replace(spaced, closed)
            texts.append(text)
        return texts

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return 2 for [CLS] a [SEP], 3 for [CLS] a [SEP] b [SEP]."""
        return 3 if pair else 2

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return [CLS] a [SEP], or [CLS] a [SEP] b [SEP], for ids without special tokens."""
        cls, sep = [self.cls_token_id], [self.sep_token_id]
        if token_ids_0[:1] == cls:
            raise MiniBertError(
                "the ids begin with [CLS] already; use them as they are, or encode the text with "
                "add_special_tokens=False."
            )
        return join_sequences(token_ids_0, token_ids_1, cls=cls, sep=sep)[0]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return 0 for each id of [CLS] a [SEP], and 1 for each of b [SEP]."""
        return join_sequences(token_ids_0, token_ids_1, cls=[0], sep=[0])[1]

    def get_special_tokens_mask(
        self,
        token_ids_0: Iterable[Any],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """Return 1 for special tokens, 0 for others.

        Args:
            token_ids_0: the ids of a text.
            token_ids_1: the ids of the second text.
            already_has_special_tokens: `token_ids_0` is a complete row, with both texts.
        """
        if not already_has_special_tokens:
            others = None if token_ids_1 is None else [0] * len(token_ids_1)
            return join_sequences([0 for _ in token_ids_0], others, cls=[1], sep=[1])[0]
        if token_ids_1 is not None:
            raise MiniBertError(
                "with already_has_special_tokens=True, token_ids_0 is a complete row; remove "
                "token_ids_1."
            )
        special = set(self.all_special_ids)
        return [int(int(index) in special) for index in token_ids_0]

    def add_tokens(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse, because a tokenizer does not change, and its model has as many embeddings."""
        raise MiniBertError(
            "a tokenizer does not change; load it with additional_special_tokens=[...] and enlarge "
            "the model with minibert.model.resize, or replace an [unusedN] line of vocab.txt "
            "(minibert add-words), which needs no larger model."
        )

    add_special_tokens = add_tokens


def unknown_rate(tokenizer: "BertTokenizer", texts: Sequence[str]) -> float:
    """Return the share of [UNK], from 0 to 1, among the tokens of the first 500 texts.

    A high rate is the sign of a model for another language.

    Example:
        >>> unknown_rate(BertTokenizer.from_pretrained("weights/tiny"), ["a cat", "猫"])
        0.3333333333333333
    """
    rows = tokenizer(
        list(texts[:500]), add_special_tokens=False, truncation=True, split_special_tokens=True
    )["input_ids"]
    unknown: int = sum(row.count(tokenizer.unk_token_id) for row in rows)
    return unknown / max(1, sum(map(len, rows)))
