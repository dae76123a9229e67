"""Read and write a saved tokenizer: `vocab.txt`, `tokenizer_config.json`, `tokenizer.json`.

`transformers.BertTokenizer` reads what is written here. Also read are Google's folders, which have
only a `vocab.txt`, and those of `transformers` 5, which have only a `tokenizer.json`. What would
give other ids than the `tokenizers` library is refused.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from minibert.errors import MiniBertError
from minibert.files import (
    MAX_VOCABULARY_BYTES,
    TOKENIZER_FILES,
    check_files,
    make_folder,
    read_json_object,
    record_files,
    write_atomic,
    write_json,
)
from minibert.hub import local_folder, pop_hub_options
from minibert.tokenization.rust_encoder import post_processed, tokenizer_json
from minibert.tokenization.vocab import (
    Vocabulary,
    read_added_token,
    read_tokens,
    write_vocabulary,
)
from minibert.tokenization.wordpiece import SUBWORD_PREFIX

# The arguments of BertTokenizer that a folder holds, with their types.
OPTIONS: dict[str, type] = {
    "do_lower_case": bool,
    "tokenize_chinese_chars": bool,
    "strip_accents": bool,
    "split_special_tokens": bool,
    "max_characters_per_word": int,
    "model_max_length": int,
    "padding_side": str,
    "truncation_side": str,
    "unk_token": str,
    "sep_token": str,
    "pad_token": str,
    "cls_token": str,
    "mask_token": str,
    "additional_special_tokens": list,
}
# Their names in tokenizer_config.json. Other libraries save `split_special_tokens` as false by
# default. Reading that would turn plain text such as "[SEP]" into special tokens.
_CONFIG_NAMES = {name: name for name in OPTIONS} | {
    "split_special_tokens": "minibert_split_special_tokens"
}
# Their names in two parts of tokenizer.json.
_NORMALIZER_NAMES = {
    "do_lower_case": "lowercase",
    "tokenize_chinese_chars": "handle_chinese_chars",
    "strip_accents": "strip_accents",
}
_MODEL_NAMES = {"unk_token": "unk_token", "max_characters_per_word": "max_input_chars_per_word"}

_ROLES = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_JSON_FILES = (*("tokenizer_config", "special_tokens_map", "added_tokens", "tokenizer", "config"),)
_CLASSES = ("Bert", "DistilBert", "Electra", "MobileBert", "PreTrained", "Tokenizers")
_NO_LIMIT = 1_000_000  # Hugging Face writes 1e30 for a tokenizer without a maximal length
_TYPE_NAMES = {
    bool: "true or false",
    int: "an integer from 0",
    str: "a string",
    list: "a list [...]",
    dict: "an object {...}",
}
Value = TypeVar("Value")


class PretrainedTokenizer(Vocabulary):
    """A vocabulary that can be read from a folder and written to one, with its options."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Self:
        """Load a saved tokenizer.

        Args:
            pretrained_model_name_or_path: a folder written by minibert, Google or Hugging Face, or
                a hub name.
            options: arguments of `BertTokenizer`; they take precedence over the folder's.

        Raises:
            MiniBertError: There is no such folder, or no vocabulary in it; a file is damaged, or
                the tokenizer is not BERT's; or the vocabulary is cased and nothing says whether to
                lower-case the text.
        """
        folder = local_folder(
            pretrained_model_name_or_path, files=TOKENIZER_FILES, **pop_hub_options(options)
        )
        vocabulary, found = _read_folder(folder)
        found.update(options)
        # An uncased vocabulary has one or two tokens with capitals by accident.
        capitals = [t for t in vocabulary if t != t.lower() and not t.startswith("[")]
        if "do_lower_case" not in found and capitals:
            doubt = f"{folder} does not say whether to lower-case the text, and its vocabulary has"
            if len(capitals) > len(vocabulary) / 100:
                raise MiniBertError(
                    f"{doubt} many capitals; pass do_lower_case=False (or True, if you are sure)."
                )
            warnings.warn(
                f"{doubt} tokens with capitals, such as {capitals[0]!r:.60}; it is lower-cased, so "
                "pass do_lower_case=False if these tokens are to be used.",
                stacklevel=2,
            )
        try:
            return cls(vocabulary, **found)
        except MiniBertError as error:
            raise MiniBertError(f"{folder}: {error}") from error

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `vocab.txt`, `tokenizer_config.json` and `tokenizer.json`.

        `transformers` reads all three. Other readers, such as the `tokenizers` library, read only
        the last.

        Raises:
            MiniBertError: The ids have gaps, so they cannot be line numbers.
        """
        folder = Path(folder).expanduser()
        if sorted(self._tokens) != list(range(len(self._tokens))):
            raise MiniBertError(
                f"the ids of this vocabulary are not 0 to {len(self._tokens) - 1}, so they cannot "
                "be the lines of a vocab.txt; give every id a token."
            )
        make_folder(folder)
        tokens = [token for _, token in sorted(self._tokens.items())]
        appended = self.added_tokens.keys() - self.base_vocabulary.keys()  # they have the last ids
        write_vocabulary(folder / "vocab.txt", tokens[: len(tokens) - len(appended)])
        config = {_CONFIG_NAMES[name]: value for name, value in self.options.items()}
        if not self.additional_special_tokens:
            del config["additional_special_tokens"]
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", **config})
        write_atomic(folder / "tokenizer.json", tokenizer_json(self))  # type: ignore[arg-type]
        # Files left by another tokenizer would take precedence in transformers.
        for name in ("special_tokens_map.json", "added_tokens.json"):
            (folder / name).unlink(missing_ok=True)
        record_files(folder, "vocab.txt")

    @property
    def options(self) -> dict[str, Any]:
        """The current value of every argument but the vocabulary and the backend."""
        return {name: getattr(self, name) for name in OPTIONS}


def _read_folder(folder: Path) -> tuple[dict[str, int] | list[str], dict[str, Any]]:
    """Return the vocabulary of a folder and the options it was saved with."""
    check_files(folder, "vocab.txt")
    paths = {name: folder / f"{name}.json" for name in _JSON_FILES}
    content = {
        name: read_json_object(path, limit=MAX_VOCABULARY_BYTES) if path.exists() else {}
        for name, path in paths.items()
    }
    config, config_file = content["tokenizer_config"], paths["tokenizer_config"]
    name = _field(config_file, config, "tokenizer_class", str)
    name = name or _field(paths["config"], content["config"], "tokenizer_class", str) or "Bert"
    if name.removesuffix("Fast").removesuffix("Tokenizer").removesuffix("Backend") not in _CLASSES:
        raise MiniBertError(
            f"{folder} names {name}, which is not BERT's WordPiece tokenizer; load that model with "
            "transformers."
        )
    options = _options(config_file, config, {"model_max_length": "max_len"})  # an old name
    options |= _options(config_file, config, _CONFIG_NAMES)
    if options.get("model_max_length", 0) > _NO_LIMIT:
        del options["model_max_length"]
    options |= {
        name: config[name] for name in ("do_basic_tokenize", "never_split") if name in config
    }
    described: dict[str, Any] = {}
    vocabulary: dict[str, int] | list[str] = {}
    if has_library := paths["tokenizer"].exists():
        known, described = _read_tokenizer_json(paths["tokenizer"], content["tokenizer"])
        vocabulary = known
        options.pop(
            "max_characters_per_word", None
        )  # others read tokenizer.json, and may change it
        for name in _NORMALIZER_NAMES:
            if name in options and options[name] != described.get(name, options[name]):
                warnings.warn(
                    f"{config_file} says {name}={options[name]}, and tokenizer.json beside it says "
                    f"{described[name]}; the former is used, as in transformers.",
                    stacklevel=3,
                )
    if (folder / "vocab.txt").exists():
        tokens = read_tokens(folder / "vocab.txt")
        lines = {token: index for index, token in enumerate(tokens)}
        if has_library and (differing := lines.items() ^ known.items()):
            token = min(differing)[0]
            raise MiniBertError(
                f"vocab.txt and tokenizer.json of {folder} differ: {token!r:.60} has the id "
                f"{lines.get(token)} in one and {known.get(token)} in the other; remove the one "
                "that does not belong to the model (tokenizer.json, if you edited vocab.txt)."
            )
        vocabulary = tokens
    elif not has_library:
        raise MiniBertError(
            f"{folder} has no vocab.txt and no tokenizer.json; copy the vocabulary of the model "
            "there."
        )
    # As in transformers, special_tokens_map.json counts where there is no added_tokens_decoder.
    if config.get("added_tokens_decoder") is not None:
        content["special_tokens_map"] = {}
    roles = {name: name for name in _ROLES}
    options |= _options(paths["special_tokens_map"], content["special_tokens_map"], roles)
    options["additional_special_tokens"] = _added_tokens(paths, content, vocabulary)
    options = described | options
    if has_library:
        cls, sep = (known.get(options.get(f"{n}_token", f"[{n.upper()}]")) for n in ("cls", "sep"))
        found = post_processed(content["tokenizer"].get("post_processor"))
        if found != [(cls, 0), (0, 0), (sep, 0), (0, 1), (sep, 1)]:
            raise MiniBertError(
                f"{paths['tokenizer']} does not put [CLS] and [SEP] around texts as BERT does: see "
                "its post_processor. Load that model with transformers."
            )
    return vocabulary, options


def _added_tokens(
    paths: Mapping[str, Path],
    content: Mapping[str, dict[str, Any]],
    vocabulary: Mapping[str, int] | Sequence[str],
) -> list[Any]:
    """Return the tokens that the files of a folder add to its vocabulary, in the order of ids."""
    special: dict[str, Any] = {}
    for name in ("tokenizer_config", "special_tokens_map"):
        fields = content[name]
        tokens = fields.get("additional_special_tokens") or fields.get("extra_special_tokens") or []
        tokens = list(tokens.values()) if isinstance(tokens, dict) else tokens
        tokens = _checked(paths[name], "additional_special_tokens", tokens, list) + [
            token  # such as bos_token
            for role, token in fields.items()
            if role.endswith("_token") and role not in _ROLES and isinstance(_content(token), str)
        ]
        special |= {read_added_token(token)[0]: token for token in tokens}
    path, field = paths["tokenizer_config"], "added_tokens_decoder"
    decoder = _field(path, content["tokenizer_config"], field, dict) or {}
    numbered = [(path, field, token, index) for index, token in decoder.items()]
    path, field = paths["tokenizer"], "added_tokens"
    for token in _field(path, content["tokenizer"], field, list) or []:
        index = _checked(path, field, token, dict).get("id")
        numbered.append((path, f"{field}, content", token, index))
    for name, index in content["added_tokens"].items():
        token = {"content": name, "special": name in special}
        numbered.append((paths["added_tokens"], "content", token, index))
    if not isinstance(vocabulary, Mapping):
        vocabulary = {token: index for index, token in enumerate(vocabulary)}
    known, added = dict(vocabulary), dict[str, Any]()
    for path, field, token, index in sorted(numbered, key=lambda item: str(item[3]).zfill(20)):
        text = token.get("content") if isinstance(token, dict) else token
        text = _checked(path, field, text, str)
        # A new token gets the id after the others. Ids are compared as strings, like JSON's keys.
        if str(known.setdefault(text, len(known))) != str(index):
            raise MiniBertError(
                f"{path} adds the token {text!r:.60} with id {index}; its id in the "
                f"vocabulary: {vocabulary.get(text, 'none')}. Correct one of them, or load that "
                "model with transformers."
            )
        added.setdefault(text, token)
    return list((added | special | added).values())


def _read_tokenizer_json(
    path: Path, content: Mapping[str, Any]
) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the vocabulary and the options in a file of the `tokenizers` library."""
    model = _field(path, content, "model", dict) or {}
    parts = {}
    for name in ("normalizer", "pre_tokenizer"):
        part: dict[str, Any] = _field(path, content, name, dict) or {}
        steps = part.get(f"{name.replace('_', '')}s")
        if part.get("type") == "Sequence" and isinstance(steps, list) and len(steps) == 1:
            part = _checked(path, name, steps[0], dict)
        parts[name] = part
    normalizer = parts["normalizer"]
    kinds = model.get("type", "WordPiece"), *(part.get("type") for part in parts.values())
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        raise MiniBertError(
            f"{path} describes {kinds[0]} with {kinds[1]} and {kinds[2]}, not BERT's WordPiece "
            "with BertNormalizer and BertPreTokenizer; load that model with transformers."
        )
    prefix = _field(path, model, "continuing_subword_prefix", str)
    if prefix not in (None, SUBWORD_PREFIX):
        raise MiniBertError(
            f"{path} continues a word with {prefix!r}, not with {SUBWORD_PREFIX!r}; load that "
            "model with transformers."
        )
    vocabulary: dict[str, int] = _field(path, model, "vocab", dict) or {}
    for token, index in vocabulary.items():
        _checked(path, f"vocab {token!r}", index, int)
    if normalizer.get("clean_text") is False:
        raise MiniBertError(
            f"{path} keeps control characters in texts (clean_text); load that model with "
            "transformers."
        )
    options = _options(path, normalizer, _NORMALIZER_NAMES) | _options(path, model, _MODEL_NAMES)
    for name in ("padding", "truncation"):
        direction = _field(path, _field(path, content, name, dict) or {}, "direction", str)
        if direction is not None:
            options[f"{name}_side"] = direction.lower()
    return vocabulary, options


def _options(path: Path, content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that a JSON object sets under these names."""
    values = {
        option: _field(path, content, name, OPTIONS[option]) for option, name in names.items()
    }
    return {option: value for option, value in values.items() if value is not None}


def _field(path: Path, content: Mapping[str, Any], name: str, kind: type[Value]) -> Value | None:
    """Return a field of a JSON object, or None if it is missing or null; raise on another type."""
    value = content.get(name)
    if kind is str:
        value = _content(value)
    return None if value is None else _checked(path, name, value, kind)


def _checked(path: Path, name: str, value: Any, kind: type[Value]) -> Value:
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # some programs write 1e30 for "no limit"
    # To isinstance, `true` would be an integer.
    if type(value) is not kind or (isinstance(value, int) and value < 0):
        raise MiniBertError(
            f"{path}: {name} is {value!r:.60}, not {_TYPE_NAMES[kind]}; correct it, or "
            "copy the file again from its source."
        )
    return value


def _content(value: Any) -> Any:
    """Return a special token, which Hugging Face writes as text or as {"content": text, ...}."""
    return value["content"] if isinstance(value, dict) and "content" in value else value
