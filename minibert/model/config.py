"""BertConfig: the sizes and options of a BERT model.

The fields are those of Hugging Face's `config.json` and Google's `bert_config.json`. Their values
are checked in `config_checks.py` when a config is created, so the rest of the model trusts them.

The number of parameters, with V words, P positions, hidden width E, feed-forward width F, L layers:

    embeddings   (V + P + 2) E  word, position, token type      + 2E   LayerNorm
    one layer    4 (E E + E)    query, key, value, output       + 2E   LayerNorm
                 2 E F + F + E  feed-forward network            + 2E   LayerNorm
    pooler       E E + E

For base (V 30,522, P 512, E 768, F 3,072, L 12) that is 23,837,184 + 12 x 7,087,872 + 590,592 =
109,482,240. The docstrings of `BertConfig.tiny` to `large` say how many the others have.

Source: Devlin et al. 2018, section 3; the smaller sizes are from Turc et al. 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from minibert.model import config_files
from minibert.model.config_checks import check_file, checked, to_hugging_face


@config_files.explain_misuse
@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The sizes and options of a BERT model.

    Raises:
        MiniBertError: a value is invalid, or two values contradict each other.

    Example:
        >>> BertConfig.base().hidden_size
        768
        >>> BertConfig.tiny(vocab_size=8192, num_labels=4).id2label[3]
        'LABEL_3'
    """

    vocab_size: int = 30522  # V
    hidden_size: int = 768  # E
    num_hidden_layers: int = 12  # L
    num_attention_heads: int = 12  # H; each head is D = E / H wide
    intermediate_size: int = 3072  # F, four times E in every published BERT
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2  # sentence A and sentence B
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    classifier_dropout: float | None = None  # None: hidden_dropout_prob
    problem_type: str | None = None  # None: inferred from num_labels and the dtype of the labels
    num_labels: int = None  # type: ignore[assignment]  # None: the size of id2label, else 2
    id2label: Mapping[int, str] = None  # type: ignore[assignment]  # None: LABEL_0, LABEL_1, ...
    label2id: Mapping[str, int] = None  # type: ignore[assignment]  # None: the inverse of id2label
    foreign: Mapping[str, Any] = field(default_factory=dict, compare=False)  # others of a file

    def __post_init__(self) -> None:
        self.__dict__.update(checked(self))

    @property
    def head_dropout(self) -> float:
        """The dropout probability before the linear layer of a task."""
        chosen = self.classifier_dropout
        return self.hidden_dropout_prob if chosen is None else chosen

    @classmethod
    def tiny(cls, **changes: Any) -> Self:
        """Return a config of 2 layers x 128: 4,385,920 parameters."""
        return cls._preset(2, 128, changes)

    @classmethod
    def mini(cls, **changes: Any) -> Self:
        """Return a config of 4 layers x 256: 11,170,560 parameters."""
        return cls._preset(4, 256, changes)

    @classmethod
    def small(cls, **changes: Any) -> Self:
        """Return a config of 4 layers x 512: 28,763,648 parameters."""
        return cls._preset(4, 512, changes)

    @classmethod
    def medium(cls, **changes: Any) -> Self:
        """Return a config of 8 layers x 512: 41,373,184 parameters."""
        return cls._preset(8, 512, changes)

    @classmethod
    def base(cls, **changes: Any) -> Self:
        """Return a config of 12 layers x 768: 109,482,240 parameters."""
        return cls._preset(12, 768, changes)

    @classmethod
    def large(cls, **changes: Any) -> Self:
        """Return a config of 24 layers x 1,024: 335,141,888 parameters."""
        return cls._preset(24, 1024, changes)

    @classmethod
    def _preset(cls, layers: int, width: int, changes: Mapping[str, Any]) -> Self:
        sizes = {
            "num_hidden_layers": layers,
            "hidden_size": width,
            "num_attention_heads": width // 64,  # every published BERT has heads 64 wide
            "intermediate_size": 4 * width,
        }
        return cls(**(sizes | dict(changes)))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the config that the fields of a `config.json` or `bert_config.json` describe.

        Fields that minibert does not use are kept in `foreign`.

        Raises:
            MiniBertError: the fields describe another kind of model, or a value is invalid.
        """
        fields = check_file(fields)
        known = {name: value for name, value in fields.items() if name in cls._own_fields()}
        foreign = {name: fields[name] for name in fields.keys() - known.keys() - {"model_type"}}
        return cls(**known, foreign=foreign)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **changes: Any) -> Self:
        """Return the config of a folder, a hub name or a JSON file, with some fields changed.

        Raises:
            MiniBertError: there is no such file, it is damaged, or a value is invalid.
        """
        return config_files.from_pretrained(cls, pretrained_model_name_or_path, changes)

    from_json_file = from_pretrained
    save_pretrained = config_files.save_pretrained
    __getattr__ = config_files.foreign_field

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; a new label field resets the other label fields.

        Raises:
            MiniBertError: a name is not a field of BertConfig, or the result is invalid.
        """
        changes = config_files.check_changes(self, changes, self._own_fields())
        if changes.keys() & {"num_labels", "id2label", "label2id"}:
            changes = {"num_labels": None, "id2label": None, "label2id": None} | changes
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as `config.json` holds them, with values `transformers` understands."""
        own = {name: getattr(self, name) for name in self._own_fields()}
        del own["num_labels"]  # id2label implies it; two fields could contradict each other
        own["hidden_act"] = to_hugging_face(self.hidden_act)
        own["id2label"] = {str(index): label for index, label in self.id2label.items()}
        own["label2id"] = dict(self.label2id)
        return {**self.foreign, **own, "model_type": "bert"}

    @classmethod
    def _own_fields(cls) -> list[str]:
        return [name for name in cls.__dataclass_fields__ if name != "foreign"]
