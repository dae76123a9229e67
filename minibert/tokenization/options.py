"""The options of one call of the tokenizer: checked, and their many spellings made one."""

from dataclasses import dataclass

from minibert.errors import MiniBertError

PADDING = {False: "do_not_pad", None: "do_not_pad", True: "longest"}
TRUNCATION = {False: "do_not_truncate", None: "do_not_truncate", True: "longest_first"}


@dataclass(frozen=True)
class CallOptions:
    """How rows are cut and filled up.

    Attributes:
        padding: "longest" (of the batch), "max_length" or "do_not_pad"; True and False also do.
        truncation: "longest_first", "only_first", "only_second" or "do_not_truncate"; True and
            False also do. None cuts ("longest_first") exactly when a `max_length` is given and no
            padding.
        max_length: tokens per row, special tokens included.
        model_max_length: what takes the place of a missing `max_length`.
        stride: tokens that an overflowing window shares with the one before.
        pad_to_multiple_of: round the padded length up.
        padding_side: "right" or "left".
        truncation_side: "right" drops the end of a text, "left" its beginning.
        add_special_tokens: put [CLS] and [SEP] around the texts.
        overflow: give what was cut off in further rows.
    """

    padding: bool | str | None = False
    truncation: bool | str | None = None
    max_length: int | None = None
    model_max_length: int = 512
    stride: int = 0
    pad_to_multiple_of: int | None = None
    padding_side: str = "right"
    truncation_side: str = "right"
    add_special_tokens: bool = True
    overflow: bool = False

    def __post_init__(self) -> None:
        truncation = self.truncation
        if truncation is None and self.max_length is not None and self.padding is False:
            truncation = True
        padding = _one_of("padding", self.padding, PADDING, ("longest", "max_length", "do_not_pad"))
        truncation = _one_of(
            "truncation",
            truncation,
            TRUNCATION,
            ("longest_first", "only_first", "only_second", "do_not_truncate"),
        )
        object.__setattr__(self, "padding", padding)
        object.__setattr__(self, "truncation", truncation)
        if self.max_length is None and (self.truncates or padding == "max_length"):
            object.__setattr__(self, "max_length", self.model_max_length)
        for name in ("padding_side", "truncation_side"):
            if getattr(self, name) not in ("right", "left"):
                raise MiniBertError(f'{name} is {getattr(self, name)!r}; use "right" or "left".')
        if self.stride < 0:
            raise MiniBertError(
                f"stride is {self.stride}; it counts shared tokens and cannot be negative."
            )
        self._check_lengths()

    @property
    def truncates(self) -> bool:
        """Whether rows are cut at `max_length`."""
        return self.truncation != "do_not_truncate"

    @property
    def pads(self) -> bool:
        """Whether rows are filled up with [PAD]."""
        return self.padding != "do_not_pad"

    def _check_lengths(self) -> None:
        multiple = self.pad_to_multiple_of
        if self.max_length is not None and self.max_length < 0:
            raise MiniBertError(f"max_length is {self.max_length}; it must not be negative.")
        if multiple is not None and multiple < 1:
            raise MiniBertError(f"pad_to_multiple_of is {multiple}; it must be 1 or more.")
        if (
            multiple
            and self.max_length
            and self.truncates
            and self.pads
            and self.max_length % multiple
        ):
            raise MiniBertError(
                f"max_length {self.max_length} is no multiple of pad_to_multiple_of {multiple}; "
                "rows would be padded beyond the length they were cut to, so make it one."
            )


def _one_of(
    name: str, value: bool | str | None, spellings: dict[bool | None, str], known: tuple[str, ...]
) -> str:
    if isinstance(value, bool) or value is None:
        return spellings[value]
    if value not in known:
        raise MiniBertError(f"{name} is {value!r}; use True, False or one of {', '.join(known)}.")
    return value
