"""Read and write a saved tokenizer: `vocab.txt` and `tokenizer_config.json`.

`transformers.BertTokenizer` reads what is written here. Also read are Google's folders, which have
only a `vocab.txt`, and those of `transformers` 5, which have only a `tokenizer.json`.
"""

from collections.abc import Mapping
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
    write_json,
)
from minibert.hub import local_folder
from minibert.tokenization.vocab import Vocabulary, read_vocabulary, write_vocabulary
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

_CLASSES = ("Bert", "DistilBert", "Electra", "MobileBert", "PreTrained", "Tokenizers")
_NO_LIMIT = 1_000_000  # Hugging Face writes 1e30 for a tokenizer without a maximal length
_TYPE_NAMES = {
    bool: "true or false",
    int: "an integer",
    str: "a string",
    list: "a list [...]",
    dict: "an object {...}",
}
Value = TypeVar("Value")


class PretrainedTokenizer(Vocabulary):
    """A vocabulary that can be read from a folder and written to one, with its options."""

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Load a saved tokenizer.

        Args:
            name_or_path: a folder written by minibert, Google or Hugging Face, or a hub name.
            options: arguments of `BertTokenizer`; they take precedence over the folder's.

        Raises:
            MiniBertError: There is no such folder, or no vocabulary in it; a file is damaged, or
                the tokenizer is not BERT's; or the vocabulary is cased and nothing says whether to
                lower-case the text.
        """
        folder = local_folder(name_or_path, files=TOKENIZER_FILES)
        vocabulary, found = _read_folder(folder)
        found.update(options)
        # An uncased vocabulary has one or two tokens with capitals by accident.
        capitals = sum(token != token.lower() and not token.startswith("[") for token in vocabulary)
        if "do_lower_case" not in found and capitals > len(vocabulary) / 100:
            raise MiniBertError(
                f"{folder} does not say whether to lower-case the text, and its vocabulary has "
                "many capitals; pass do_lower_case=False (or True, if you are sure)."
            )
        return cls(vocabulary, **found)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `vocab.txt` and `tokenizer_config.json`, which `transformers` also reads.

        Raises:
            MiniBertError: The ids have gaps, so they cannot be line numbers.
        """
        folder = Path(folder).expanduser()
        tokens = sorted(self._ids, key=self._ids.__getitem__)
        if [self._ids[token] for token in tokens] != list(range(len(tokens))):
            raise MiniBertError(
                f"the ids of this vocabulary are not 0 to {len(tokens) - 1}, so they cannot be the "
                "lines of a vocab.txt; give every id a token."
            )
        make_folder(folder)
        write_vocabulary(folder / "vocab.txt", tokens)
        config = {_CONFIG_NAMES[name]: value for name, value in self.options.items()}
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", **config})
        # Files left by another tokenizer would take precedence in transformers.
        for name in ("tokenizer.json", "added_tokens.json"):
            (folder / name).unlink(missing_ok=True)
        record_files(folder, *TOKENIZER_FILES)

    @property
    def options(self) -> dict[str, Any]:
        """The current value of every argument but the vocabulary and the backend."""
        return {name: getattr(self, name) for name in OPTIONS}


def _read_folder(folder: Path) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the vocabulary of a folder and the options it was saved with."""
    check_files(folder, *TOKENIZER_FILES)
    config_file, added_file = folder / "tokenizer_config.json", folder / "added_tokens.json"
    config = read_json_object(config_file) if config_file.exists() else {}
    name = _field(config_file, config, "tokenizer_class", str) or "BertTokenizer"
    if name.removesuffix("Fast").removesuffix("Tokenizer").removesuffix("Backend") not in _CLASSES:
        raise MiniBertError(
            f"{config_file} names {name}, which is not BERT's WordPiece tokenizer; load that model "
            "with transformers."
        )
    options = _options(config_file, config, _CONFIG_NAMES)
    if options.get("model_max_length", 0) > _NO_LIMIT:
        del options["model_max_length"]
    if (folder / "vocab.txt").exists():
        vocabulary = read_vocabulary(folder / "vocab.txt")
    elif (folder / "tokenizer.json").exists():
        vocabulary, described = _read_tokenizer_json(folder / "tokenizer.json")
        options = described | options
    else:
        raise MiniBertError(
            f"{folder} has no vocab.txt and no tokenizer.json; copy the vocabulary of the model "
            "there."
        )
    decoder = _field(config_file, config, "added_tokens_decoder", dict) or {}
    for index, token in decoder.items():
        content = _checked(config_file, "added_tokens_decoder", _content(token), str)
        _check_added_token(config_file, content, index, vocabulary)
    for token, index in (read_json_object(added_file) if added_file.exists() else {}).items():
        _check_added_token(added_file, token, index, vocabulary)
    return vocabulary, options


def _read_tokenizer_json(path: Path) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the vocabulary and the options in a file of the `tokenizers` library."""
    content = read_json_object(path, limit=MAX_VOCABULARY_BYTES)
    model = _field(path, content, "model", dict) or {}
    normalizer = _field(path, content, "normalizer", dict) or {}
    kinds = model.get("type", "WordPiece"), normalizer.get("type")
    if kinds != ("WordPiece", "BertNormalizer"):
        raise MiniBertError(
            f"{path} describes {kinds[0]} with {kinds[1]}, not BERT's WordPiece with "
            "BertNormalizer; load that model with transformers."
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
    for added in _field(path, content, "added_tokens", list) or []:
        _checked(path, "added_tokens", added, dict)
        token = _checked(path, "added_tokens, content", added.get("content"), str)
        _check_added_token(path, token, added.get("id"), vocabulary)
    options = _options(path, normalizer, _NORMALIZER_NAMES) | _options(path, model, _MODEL_NAMES)
    return vocabulary, options


def _options(path: Path, content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that a JSON object sets under these names."""
    values = {
        option: _field(path, content, name, OPTIONS[option]) for option, name in names.items()
    }
    return {option: value for option, value in values.items() if value is not None}


def _check_added_token(path: Path, token: str, index: Any, vocabulary: Mapping[str, int]) -> None:
    """Raise if the vocabulary does not have an added token under the same id."""
    found = vocabulary.get(token, "none")
    if str(found) != str(index):  # the keys of JSON are strings
        raise MiniBertError(
            f"{path} adds the token {token!r:.60} with id {index}; its id in the vocabulary: "
            f"{found}. minibert reads tokens from vocab.txt only: write the token on its line "
            "there, or load that model with transformers."
        )


def _field(path: Path, content: Mapping[str, Any], name: str, kind: type[Value]) -> Value | None:
    """Return a field of a JSON object, or None if it is missing or null; raise on another type."""
    value = content.get(name)
    if kind is str:
        value = _content(value)
    return None if value is None else _checked(path, name, value, kind)


def _checked(path: Path, name: str, value: Any, kind: type[Value]) -> Value:
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # some programs write 1e30 for "no limit"
    if type(value) is not kind:  # to isinstance, `true` would be an integer
        raise MiniBertError(
            f"{path}: {name} is {value!r:.60}, not {_TYPE_NAMES[kind]}; correct it, or "
            "copy the file again from its source."
        )
    return value


def _content(value: Any) -> Any:
    """Return a special token, which Hugging Face writes as text or as {"content": text, ...}."""
    return value["content"] if isinstance(value, dict) and "content" in value else value
