"""A saved tokenizer: `vocab.txt` and `tokenizer_config.json`, or Hugging Face's `tokenizer.json`.

What `write` leaves in a folder, `transformers.BertTokenizer` reads. `read` also takes Google's
folders, which have a `vocab.txt` only, and those of `transformers` 5, which have a
`tokenizer.json` only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from minibert.errors import MiniBertError
from minibert.files import make_folder, read_json_object, write_atomic, write_json
from minibert.tokenization.wordpiece import CONTINUES, read_vocabulary

FILES = ("vocab.txt", "tokenizer_config.json", "tokenizer.json", "added_tokens.json")

# What a folder says about a tokenizer: the arguments of BertTokenizer, each with its type.
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
# The names of options in a tokenizer_config.json. By the default of transformers a text may order a
# [SEP], so what others save as `split_special_tokens` is not read, and ours has its own name.
_IN_CONFIG = {
    **{name: name for name in OPTIONS},
    "split_special_tokens": "minibert_split_special_tokens",
}
# The names of options in two parts of a tokenizer.json.
_IN_NORMALIZER = {
    "do_lower_case": "lowercase",
    "tokenize_chinese_chars": "handle_chinese_chars",
    "strip_accents": "strip_accents",
}
_IN_MODEL = {"unk_token": "unk_token", "max_characters_per_word": "max_input_chars_per_word"}

_CLASSES = ("Bert", "DistilBert", "Electra", "MobileBert", "PreTrained", "Tokenizers")
# Hugging Face writes 1e30 for "nobody said".
_NO_LIMIT = 1_000_000

_SPELLED = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
    list: "a list [...]",
    dict: "an object {...}",
}
Value = TypeVar("Value")


def write(folder: str | Path, vocabulary: Mapping[str, int], options: Mapping[str, Any]) -> None:
    """Write `vocab.txt` and `tokenizer_config.json` into a folder, each whole or not at all.

    Raises:
        MiniBertError: the ids have gaps, so that line numbers cannot stand for them.
    """
    folder = Path(folder).expanduser()
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[piece] for piece in pieces] != list(range(len(pieces))):
        raise MiniBertError(
            f"the ids of this vocabulary are not 0 to {len(pieces) - 1}, so vocab.txt cannot "
            "hold them; "
            "give every id a piece."
        )
    make_folder(folder)
    write_atomic(folder / "vocab.txt", "".join(f"{piece}\n" for piece in pieces))
    named = {_IN_CONFIG[name]: value for name, value in options.items()}
    config = {"tokenizer_class": "BertTokenizer", **named}
    write_json(folder / "tokenizer_config.json", config)
    # They would be another tokenizer's, and transformers would believe them more than our files.
    for name in ("tokenizer.json", "added_tokens.json"):
        (folder / name).unlink(missing_ok=True)


def read(folder: Path, changes: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Any]]:
    """Read the vocabulary of a folder and the options it was saved with.

    Args:
        folder: what `write`, Google or Hugging Face left.
        changes: options that win over the saved ones.

    Raises:
        MiniBertError: no vocabulary, a damaged file, or a tokenizer that is not BERT's; or nobody
            says whether to lower the case, while the vocabulary is plainly a cased one.
    """
    vocabulary, options = _read_files(folder)
    options.update(changes)
    if "do_lower_case" not in options and _is_cased(vocabulary):
        raise MiniBertError(
            f"{folder} does not say whether to lower the case, and its vocabulary has many "
            "capitals; pass do_lower_case=False (or True, if you know better)."
        )
    return vocabulary, options


def _is_cased(vocabulary: Mapping[str, int]) -> bool:
    """Whether a vocabulary has many capitals; uncased ones have one or two by accident."""
    capitals = sum(piece != piece.lower() and not piece.startswith("[") for piece in vocabulary)
    return capitals > len(vocabulary) / 100


def _read_files(folder: Path) -> tuple[dict[str, int], dict[str, Any]]:
    config_file, added_file = folder / "tokenizer_config.json", folder / "added_tokens.json"
    config = read_json_object(config_file) if config_file.exists() else {}
    name = _field(config_file, config, "tokenizer_class", str) or "BertTokenizer"
    if name.removesuffix("Fast").removesuffix("Tokenizer").removesuffix("Backend") not in _CLASSES:
        raise MiniBertError(
            f"{config_file} names {name}, which is not BERT's WordPiece tokenizer; "
            "load that model with transformers."
        )
    options = _options(config_file, config, _IN_CONFIG)
    if options.get("model_max_length", 0) > _NO_LIMIT:
        del options["model_max_length"]
    if (folder / "vocab.txt").exists():
        vocabulary = read_vocabulary(folder / "vocab.txt")
    elif (folder / "tokenizer.json").exists():
        vocabulary, described = _read_tokenizer_json(folder / "tokenizer.json")
        options = {**described, **options}
    else:
        raise MiniBertError(
            f"{folder} has no vocab.txt and no tokenizer.json; copy the vocabulary of the "
            "model there."
        )
    decoder = _field(config_file, config, "added_tokens_decoder", dict) or {}
    for index, token in decoder.items():
        content = _checked(config_file, "added_tokens_decoder", _plain(token), str)
        _check_added(config_file, content, index, vocabulary)
    added = read_json_object(added_file) if added_file.exists() else {}
    for token, index in added.items():
        _check_added(added_file, token, index, vocabulary)
    return vocabulary, options


def _read_tokenizer_json(path: Path) -> tuple[dict[str, int], dict[str, Any]]:
    """The vocabulary and the options that a file of the `tokenizers` library holds."""
    whole = read_json_object(path)
    model = _field(path, whole, "model", dict) or {}
    normalizer = _field(path, whole, "normalizer", dict) or {}
    kinds = model.get("type", "WordPiece"), normalizer.get("type")
    if kinds != ("WordPiece", "BertNormalizer"):
        raise MiniBertError(
            f"{path} describes {kinds[0]} with {kinds[1]}, not BERT's WordPiece with "
            "BertNormalizer; load that model with transformers."
        )
    prefix = _field(path, model, "continuing_subword_prefix", str)
    if prefix not in (None, CONTINUES):
        raise MiniBertError(
            f"{path} continues a word with {prefix!r}, and minibert with {CONTINUES!r} only; "
            "load that model with transformers."
        )
    vocabulary: dict[str, int] = _field(path, model, "vocab", dict) or {}
    for piece, index in vocabulary.items():
        _checked(path, f"vocab {piece!r}", index, int)
    for token in _field(path, whole, "added_tokens", list) or []:
        _checked(path, "added_tokens", token, dict)
        content = _checked(path, "added_tokens, content", token.get("content"), str)
        _check_added(path, content, token.get("id"), vocabulary)
    described = {
        **_options(path, normalizer, _IN_NORMALIZER),
        **_options(path, model, _IN_MODEL),
    }
    return vocabulary, described


def _options(path: Path, content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The options that a JSON object sets; `names` are its own names for them."""
    values = {
        option: _field(path, content, name, OPTIONS[option]) for option, name in names.items()
    }
    return {option: value for option, value in values.items() if value is not None}


def _check_added(path: Path, token: str, index: Any, vocabulary: Mapping[str, int]) -> None:
    """Refuse an added token that the vocabulary does not have under the same id."""
    found = vocabulary.get(token, "none")
    if str(found) != str(index):  # as text, since in JSON every key is
        raise MiniBertError(
            f"{path} adds the token {token!r:.60} as id {index} (in the vocabulary: {found}); "
            "minibert has no added tokens, so give a plain word its own line of vocab.txt, or "
            "load that model with transformers."
        )


def _field(path: Path, content: Mapping[str, Any], name: str, kind: type[Value]) -> Value | None:
    """A field of a JSON object; null is as good as not there.

    Raises:
        MiniBertError: it is of another type.
    """
    value = content.get(name)
    if kind is str:
        value = _plain(value)
    return None if value is None else _checked(path, name, value, kind)


def _checked(path: Path, name: str, value: Any, kind: type[Value]) -> Value:
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e30 is how some programs write "no limit"
    # Not isinstance, to which `true` is a whole number.
    if type(value) is not kind:
        raise MiniBertError(
            f"{path}: {name} is {value!r:.60}, not {_SPELLED[kind]}; correct it, or copy the file "
            "again from where it came."
        )
    return value


def _plain(value: Any) -> Any:
    """Hugging Face writes a special token as text or as {"content": text, ...}."""
    return value["content"] if isinstance(value, dict) and "content" in value else value
