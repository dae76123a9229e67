"""Ids and tokens: the half of the tokenizer that needs no text.

The vocabulary and its five special tokens, ids -> tokens and back, ids -> text, and the frame
[CLS] a [SEP] b [SEP] around lists of ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, overload

from minibert.errors import MiniBertError
from minibert.tokenization.truncation import frame, segments
from minibert.tokenization.wordpiece import CONTINUES, read_vocabulary

if TYPE_CHECKING:
    from minibert.tokenization.tokenizer import BertTokenizer

# What a writer would not put a space before, as far as Hugging Face's decoder goes.
_NO_SPACE_BEFORE = (".", "?", "!", ",")
_CLEANED_UP = (
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


class TokenTable:
    """The vocabulary with its special tokens; `BertTokenizer` is this and a reader of texts.

    Attributes:
        unk_token, sep_token, pad_token, cls_token, mask_token: the five special tokens.
        unk_token_id, sep_token_id, pad_token_id, cls_token_id, mask_token_id: their ids.
    """

    def __init__(
        self,
        vocabulary: str | Path | Mapping[str, int],
        *,
        unk_token: str = "[UNK]",
        sep_token: str = "[SEP]",
        pad_token: str = "[PAD]",
        cls_token: str = "[CLS]",
        mask_token: str = "[MASK]",
    ) -> None:
        if isinstance(vocabulary, Mapping):
            self._ids, source = dict(vocabulary), "the vocabulary"
        else:
            self._ids, source = read_vocabulary(vocabulary), str(vocabulary)
        self._tokens = {index: token for token, index in self._ids.items()}
        self.unk_token, self.unk_token_id = unk_token, self._special_id(unk_token, source)
        self.sep_token, self.sep_token_id = sep_token, self._special_id(sep_token, source)
        self.pad_token, self.pad_token_id = pad_token, self._special_id(pad_token, source)
        self.cls_token, self.cls_token_id = cls_token, self._special_id(cls_token, source)
        self.mask_token, self.mask_token_id = mask_token, self._special_id(mask_token, source)
        # The masking functions of many tutorials ask for this name.
        self._pad_token = pad_token

    def _special_id(self, token: str, source: str) -> int:
        if token not in self._ids:
            raise MiniBertError(
                f"{source} has no {token!r}, which every text needs; "
                "is it the vocab.txt of a BERT model? Other names are given as unk_token=, "
                "sep_token=, ..."
            )
        return self._ids[token]

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The special tokens by what they do."""
        names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
        return {name: getattr(self, name) for name in names}

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens."""
        return list(self.special_tokens_map.values())

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of the special tokens."""
        return [self._ids[token] for token in self.all_special_tokens]

    @property
    def vocab_size(self) -> int:
        """How many pieces the vocabulary has."""
        return len(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def get_vocab(self) -> dict[str, int]:
        """A copy of the vocabulary, piece -> id."""
        return dict(self._ids)

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str] | tuple[str, ...]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str] | tuple[str, ...]) -> int | list[int]:
        """The id of a token, or of each of several; what the vocabulary does not have is [UNK]."""
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
        """The token of an id, or of each of several (a list, an array or a tensor of them).

        Raises:
            MiniBertError: an id that the vocabulary does not have.
        """
        if isinstance(ids, int):
            return self._token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token(index) for index in map(int, ids) if index not in skipped]

    def _token(self, index: int) -> str:
        if index not in self._tokens:
            hint = " (-100 marks a position without a label)" if index == -100 else ""
            raise MiniBertError(
                f"{index} is no id of this vocabulary of {len(self)} tokens{hint}; "
                "decode only ids that come from this tokenizer."
            )
        return self._tokens[index]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join tokens to a text: "##ing" and the signs . ? ! , go to the token before them."""
        text = "".join(tokens[:1])
        for token in tokens[1:]:
            if token.startswith(CONTINUES):
                text += token.removeprefix(CONTINUES)
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
        """Ids -> text. Case, accents and spaces that the vocabulary does not know do not come back.

        Args:
            token_ids: one id, a list, array or tensor of ids, or a batch of them.
            skip_special_tokens: leave out [CLS], [SEP], [PAD], [MASK] and [UNK].
            clean_up_tokenization_spaces: also close the gaps of "do n't" and "it 's".

        Returns:
            A text, or for a batch a list of texts.
        """
        ids = token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids
        if isinstance(ids, int):
            ids = [ids]
        if ids and isinstance(ids[0], (list, tuple)):
            return [
                self._decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in ids
            ]
        return self._decode(ids, skip_special_tokens, clean_up_tokenization_spaces)

    def batch_decode(
        self,
        sequences: Iterable[Any],
        skip_special_tokens: bool = False,
        *,
        clean_up_tokenization_spaces: bool = False,
    ) -> list[str]:
        """`decode` for every sequence."""
        return [
            self._decode(ids, skip_special_tokens, clean_up_tokenization_spaces)
            for ids in sequences
        ]

    def _decode(self, ids: Iterable[Any], skip_special_tokens: bool, clean_up: bool) -> str:
        text = self.convert_tokens_to_string(self.convert_ids_to_tokens(ids, skip_special_tokens))
        for spaced, closed in _CLEANED_UP if clean_up else ():
            text = text.replace(spaced, closed)
        return text

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """2 for [CLS] a [SEP], 3 for [CLS] a [SEP] b [SEP]."""
        return 3 if pair else 2

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """[CLS] a [SEP], or [CLS] a [SEP] b [SEP], from ids that have no special tokens yet."""
        return frame(token_ids_0, token_ids_1, start=self.cls_token_id, stop=self.sep_token_id)

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Segment 0 for [CLS] a [SEP] and 1 for b [SEP]."""
        return segments(token_ids_0, token_ids_1)

    def get_special_tokens_mask(
        self,
        token_ids_0: Iterable[Any],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for every special token, 0 for every other.

        Args:
            token_ids_0: ids, as they come from `build_inputs_with_special_tokens` or go into it.
            token_ids_1: the ids of the second text, if they are still apart.
            already_has_special_tokens: whether `token_ids_0` is a finished row.
        """
        if not already_has_special_tokens:
            zeros = [0 for _ in token_ids_0]
            others = None if token_ids_1 is None else [0] * len(token_ids_1)
            return frame(zeros, others, start=1, stop=1)
        if token_ids_1 is not None:
            raise MiniBertError(
                "already_has_special_tokens=True means one finished row, but a second list came "
                "with it; "
                "leave it away."
            )
        special = set(self.all_special_ids)
        return [int(int(index) in special) for index in token_ids_0]

    def add_tokens(self, *_: Any, **__: Any) -> NoReturn:
        """Not here: ids would go beyond the rows of the model's embedding matrix."""
        raise MiniBertError(
            "minibert adds no tokens to a vocabulary; write your word over an [unusedN] line "
            "of vocab.txt, "
            "which keeps every id and every row of the model in its place."
        )

    add_special_tokens = add_tokens


# How much of some texts a vocabulary cannot write: the sign of a model of another language.


LOOKED_AT = 500  # texts; they tell of the others
TOO_MUCH_UNKNOWN = 0.1  # Google's vocabularies: below 0.01 in their own language
MOSTLY_UNKNOWN = 0.5  # what a model says of such text means nothing


def unknown_share(tokenizer: "BertTokenizer", texts: Sequence[str]) -> float:
    """The share of the pieces that are [UNK], from 0 to 1, in the first few hundred texts.

    Example:
        >>> unknown_share(BertTokenizer.from_pretrained("weights/tiny"), ["a cat", "猫"])
        0.3333333333333333
    """
    some = list(texts[:LOOKED_AT])
    rows = tokenizer(some, add_special_tokens=False, truncation=True, split_special_tokens=True)[
        "input_ids"
    ]
    unknown: int = sum(row.count(tokenizer.unk_token_id) for row in rows)
    return unknown / max(1, sum(map(len, rows)))
