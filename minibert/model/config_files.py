"""Read, write and change a BertConfig as code for `transformers` does.

Most of these functions are methods of BertConfig, or are called by them.
"""

from collections.abc import Collection, Mapping
from dataclasses import FrozenInstanceError
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from minibert.errors import MiniBertError
from minibert.files import read_json_object, write_json
from minibert.from_transformers import INSTEAD, check_options, explain
from minibert.hub import as_path, local_folder, pop_hub_options
from minibert.model.config_checks import check_names

if TYPE_CHECKING:
    from minibert.model.config import BertConfig

Config = TypeVar("Config", bound="BertConfig")

OUTPUTS = ("output_attentions", "output_hidden_states")  # fields of `transformers`
# Fields that code for transformers reads, and that have one value here unless a file has another.
FIXED = {
    "is_decoder": False,
    "model_type": "bert",
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
    "use_return_dict": True,
}


def from_pretrained(cls: type[Config], name_or_path: str | Path, changes: dict[str, Any]) -> Config:
    """Return what `BertConfig.from_pretrained` promises."""
    hub, path = pop_hub_options(changes), as_path(name_or_path)
    if path.is_file() or path.suffix == ".json":
        fields = read_json_object(path)
    else:
        from minibert.checkpoints.folder import read_config  # imports PyTorch

        path = local_folder(name_or_path, files=("config.json",), **hub)
        fields = read_config(path)
    return from_fields(cls, fields, path, **check_options(changes))


def from_fields(cls: type[Config], fields: Mapping[str, Any], path: Path, **changes: Any) -> Config:
    """Return the config in a file or folder, with some fields changed; an error names the path."""
    try:
        return cls.from_dict(fields).with_changes(**changes)
    except MiniBertError as error:
        raise MiniBertError(f"{path}: {error}") from error


def split_arguments(
    arguments: Mapping[str, Any], model_class: type, fields: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `from_pretrained` changes in the config, and what the class itself takes.

    A class of your own may have arguments besides the config. One that is also a field, such as
    num_labels, goes to both.
    """
    parameters = signature(model_class).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    changes: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in parameters or (takes_all and name not in fields):
            own[name] = value
        if name in fields or name not in own:
            changes[name] = value
    return changes, own


def save_pretrained(config: "BertConfig", folder: str | Path) -> None:
    """Write `config.json` into a folder.

    Raises:
        MiniBertError: the file cannot be written.
    """
    write_json(Path(folder).expanduser() / "config.json", config.to_dict())


def check_changes(
    config: "BertConfig", changes: Mapping[str, Any], own: Collection[str]
) -> dict[str, Any]:
    """Return the changes for `with_changes`; what each call of a model returns is a foreign field.

    Raises:
        MiniBertError: a name is not a field.
    """
    outputs = {name: changes[name] for name in OUTPUTS if name in changes}
    changes = {name: value for name, value in changes.items() if name not in OUTPUTS}
    return check_names(changes, own) | (
        {"foreign": {**config.foreign, **outputs}} if outputs else {}
    )


def foreign_field(config: "BertConfig", name: str) -> Any:
    """Return a field that minibert does not use but a file or `transformers` has."""
    fields = FIXED | dict(config.__dict__.get("foreign", {}))
    if name in fields:
        return fields[name]
    raise AttributeError(explain(name) if name in INSTEAD else f"BertConfig has no field {name!r}.")


def explain_misuse(cls: type[Config]) -> type[Config]:
    """Make a config class say what to write instead of what code for `transformers` tries."""
    init = cls.__init__

    def check_arguments(self: Config, /, *args: Any, **fields: Any) -> None:
        if args:
            raise MiniBertError(
                "a BertConfig takes its fields by name, as in BertConfig(vocab_size=8192); for a "
                "file or a folder use BertConfig.from_pretrained(...)."
            )
        init(self, **check_names(fields, cls.__dataclass_fields__))

    def refuse_assignment(_: Config, name: str, value: Any) -> NoReturn:
        raise FrozenInstanceError(
            f"a BertConfig does not change; write config = config.with_changes({name}={value!r})."
        )

    cls.__init__ = check_arguments  # type: ignore[method-assign, assignment]
    cls.__setattr__ = refuse_assignment  # type: ignore[method-assign, assignment]
    return cls
