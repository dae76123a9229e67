"""BertConfig: every size and choice that a BERT is made of.

One frozen record with the fields of Hugging Face's `config.json`, which are also those of Google's
`bert_config.json`. Values that contradict each other are refused when the record is made, so that
nothing downstream has to doubt them.

How to count the parameters, with V words, P positions, E hidden width, F feed-forward width, L
layers:

    embeddings   (V + P + 2) E  token, position and segment vectors     + 2E   LayerNorm
    one layer    4 (E E + E)    query, key, value, output               + 2E   LayerNorm
                 2 E F + F + E  feed-forward, there and back            + 2E   LayerNorm
    pooler       E E + E

For base (V 30,522, P 512, E 768, F 3,072, L 12) that is 23,837,184 + 12 x 7,087,872 + 590,592:

    tiny       2 x 128        4,385,920
    mini       4 x 256       11,170,560
    small      4 x 512       28,763,648
    medium     8 x 512       41,373,184
    base      12 x 768      109,482,240
    large     24 x 1024     335,141,888

Source: Devlin et al. 2018, section 3; the small ones are from Turc et al. 2019.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from minibert.errors import MiniBertError
from minibert.files import read_json_object
from minibert.model.config_checks import settle_labels
from minibert.problem_types import PROBLEM_TYPES

# "gelu" is x * Phi(x), as in transformers and in Google's first release; "gelu_tanh" is the
# approximation in Google's present code. They differ by up to 4.7e-4.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
HUGGING_FACE_ACTIVATIONS = {"gelu_tanh": "gelu_pytorch_tanh"}

# Fields of foreign files whose other values would make it a different model.
ONLY_ACCEPTED: dict[str, tuple[object, ...]] = {
    "model_type": ("bert",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
    "pruned_heads": ({},),
}
# Fields that say where a file comes from, or how another library runs it; kept without a word.
BOOKKEEPING = frozenset(
    [
        "architectures",
        "transformers_version",
        "torch_dtype",
        "dtype",
        "use_cache",
        "gradient_checkpointing",
        "_name_or_path",
        "name_or_path",
        "_num_labels",
        "chunk_size_feed_forward",
        "is_encoder_decoder",
        "return_dict",
        "output_hidden_states",
        "output_attentions",
        "bos_token_id",
        "eos_token_id",
        "finetuning_task",
        "directionality",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
    ]
)
CALL_OPTIONS = ("output_hidden_states", "output_attentions")


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The sizes and choices of one BERT.

    Example:
        >>> BertConfig.base().hidden_size
        768
        >>> BertConfig.tiny(vocab_size=8192, num_labels=4).id2label[3]
        'LABEL_3'

    Raises:
        MiniBertError: a value is impossible, or two values contradict each other.
    """

    vocab_size: int = 30522
    hidden_size: int = 768  # E
    num_hidden_layers: int = 12  # L
    num_attention_heads: int = 12  # H; each head is hidden_size / H wide
    intermediate_size: int = 3072  # F, four times E in every published BERT
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512  # the size of a learned table, not a matter of memory
    type_vocab_size: int = 2  # segments: sentence A and sentence B
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    classifier_dropout: float | None = None  # None: as hidden_dropout_prob
    problem_type: str | None = None  # None: decided by num_labels and the labels' type
    num_labels: int = None  # type: ignore[assignment]  # None: as many as id2label names, else 2
    id2label: Mapping[int, str] = None  # type: ignore[assignment]  # None: LABEL_0, LABEL_1, ...
    label2id: Mapping[str, int] = None  # type: ignore[assignment]  # None: id2label turned round
    foreign: Mapping[str, Any] = field(default_factory=dict)  # a file's other fields, written back

    def __post_init__(self) -> None:
        labels = settle_labels(self.num_labels, self.id2label, self.label2id)
        for name, value in zip(("num_labels", "id2label", "label2id"), labels, strict=True):
            object.__setattr__(self, name, value)
        for name in COUNTS:
            _require_count(name, getattr(self, name))
        for name in PROBABILITIES:
            _require_probability(name, getattr(self, name))
        if self.classifier_dropout is not None:
            _require_probability("classifier_dropout", self.classifier_dropout)
        for name in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 < value <= 1:
                raise MiniBertError(f"{name} is {value!r}; it must be above 0 and at most 1.")
        if not isinstance(self.hidden_act, str) or self.hidden_act not in ACTIVATIONS:
            known = ", ".join(sorted(set(ACTIVATIONS.values())))
            raise MiniBertError(f"hidden_act is {self.hidden_act!r}; minibert knows {known}.")
        object.__setattr__(self, "hidden_act", ACTIVATIONS[self.hidden_act])
        if self.hidden_size % self.num_attention_heads:
            raise MiniBertError(
                f"hidden_size {self.hidden_size} cannot be shared equally by "
                f"num_attention_heads {self.num_attention_heads}; choose a multiple."
            )
        if not (_is_integer(self.pad_token_id) and 0 <= self.pad_token_id < self.vocab_size):
            raise MiniBertError(
                f"pad_token_id is {self.pad_token_id!r}; it must be an id of the vocabulary, "
                f"0 to {self.vocab_size - 1}."
            )
        if self.problem_type not in (None, *PROBLEM_TYPES):
            raise MiniBertError(
                f"problem_type is {self.problem_type!r}; choose one of {', '.join(PROBLEM_TYPES)}."
            )

    @property
    def head_size(self) -> int:
        """D, the width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def tiny(cls, **changes: Any) -> Self:
        """2 layers x 128: 4,385,920 parameters."""
        return cls._preset(2, 128, changes)

    @classmethod
    def mini(cls, **changes: Any) -> Self:
        """4 layers x 256: 11,170,560 parameters."""
        return cls._preset(4, 256, changes)

    @classmethod
    def small(cls, **changes: Any) -> Self:
        """4 layers x 512: 28,763,648 parameters."""
        return cls._preset(4, 512, changes)

    @classmethod
    def medium(cls, **changes: Any) -> Self:
        """8 layers x 512: 41,373,184 parameters."""
        return cls._preset(8, 512, changes)

    @classmethod
    def base(cls, **changes: Any) -> Self:
        """12 layers x 768: 109,482,240 parameters."""
        return cls._preset(12, 768, changes)

    @classmethod
    def large(cls, **changes: Any) -> Self:
        """24 layers x 1,024: 335,141,888 parameters."""
        return cls._preset(24, 1024, changes)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """A config from the fields of a `config.json` or `bert_config.json`.

        Fields that mean nothing here are kept in `foreign`.

        Raises:
            MiniBertError: a field says that this is another kind of model, or is impossible.
        """
        for name, accepted in ONLY_ACCEPTED.items():
            if name in fields and fields[name] not in accepted:
                raise MiniBertError(
                    f"the config says {name} {fields[name]!r}, which is not BERT as minibert "
                    f"builds it (it must be {accepted[0]!r}); use a BERT encoder's folder."
                )
        own = {name for name in cls.__dataclass_fields__ if name != "foreign"}
        known = {name: value for name, value in fields.items() if name in own}
        foreign = {name: value for name, value in fields.items() if name not in own}
        return cls(**known, foreign=foreign)

    @classmethod
    def from_json_file(cls, path: str | Path) -> Self:
        """A config from a JSON file.

        Raises:
            MiniBertError: the file is missing, is not JSON, or holds an impossible value.
        """
        fields = read_json_object(Path(path))
        try:
            return cls.from_dict(fields)
        except MiniBertError as error:
            raise MiniBertError(f"{path}: {error}") from error

    def with_changes(self, **changes: Any) -> Self:
        """A copy with some fields changed; new label counts or names replace the old ones whole.

        Raises:
            MiniBertError: a name is not a field of BertConfig, or the result is impossible.
        """
        own = [name for name in self.__dataclass_fields__ if name != "foreign"]
        for name in changes:
            if name in CALL_OPTIONS:
                raise MiniBertError(f"{name} is chosen at each call: model(ids, {name}=True).")
            if name not in own:
                guess = difflib.get_close_matches(name, own, n=1)
                hint = f"did you mean {guess[0]!r}?" if guess else f"it has {', '.join(own)}."
                raise MiniBertError(f"BertConfig has no field {name!r}; {hint}")
        if changes.keys() & {"num_labels", "id2label", "label2id"}:
            changes = {"num_labels": None, "id2label": None, "label2id": None} | changes
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The fields as `config.json` holds them, under names that `transformers` understands."""
        fields = dict(self.foreign)
        for name in self.__dataclass_fields__:
            if name != "foreign":
                fields[name] = getattr(self, name)
        fields["hidden_act"] = HUGGING_FACE_ACTIVATIONS.get(self.hidden_act, self.hidden_act)
        fields["id2label"] = {str(index): label for index, label in self.id2label.items()}
        fields["label2id"] = dict(self.label2id)
        del fields["num_labels"]  # id2label says it; two fields could contradict each other
        fields["model_type"] = "bert"
        return fields

    def unexplained_fields(self) -> list[str]:
        """The foreign fields whose meaning minibert does not know, to be named once to the user."""
        return sorted(self.foreign.keys() - BOOKKEEPING - ONLY_ACCEPTED.keys())

    @classmethod
    def _preset(cls, layers: int, width: int, changes: Mapping[str, Any]) -> Self:
        sizes = {
            "num_hidden_layers": layers,
            "hidden_size": width,
            "num_attention_heads": width // 64,  # every published BERT has heads 64 wide
            "intermediate_size": 4 * width,
        }
        return cls(**(sizes | dict(changes)))


COUNTS = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "max_position_embeddings", "type_vocab_size"),
)
PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob")
LARGEST_COUNT = 2**24  # a table of 16 million rows; a hostile file asks for more


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _require_count(name: str, value: object) -> None:
    if not _is_integer(value) or not 1 <= value <= LARGEST_COUNT:  # type: ignore[operator]
        raise MiniBertError(
            f"{name} is {value!r}; it must be a whole number from 1 to {LARGEST_COUNT:,}."
        )


def _require_probability(name: str, value: object) -> None:
    if not _is_number(value) or not 0 <= value < 1:  # type: ignore[operator]
        raise MiniBertError(f"{name} is {value!r}; it must be at least 0 and below 1.")
