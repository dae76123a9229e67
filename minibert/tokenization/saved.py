"""A saved tokenizer: `vocab.txt` and `tokenizer_config.json`, or Hugging Face's `tokenizer.json`.

What `write` leaves in a folder, `transformers.BertTokenizer` reads. `read` also takes Google's
folders, which have a `vocab.txt` only, and those of `transformers` 5, which have a
`tokenizer.json` only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError
from minibert.files import make_folder, read_json_object, write_json, write_whole
from minibert.tokenization.wordpiece import read_vocabulary

FILES = ("vocab.txt", "tokenizer_config.json", "tokenizer.json")

# Arguments of BertTokenizer that a tokenizer_config.json may hold.
_OPTIONS = (
    "do_lower_case",
    "strip_accents",
    "tokenize_chinese_chars",
    "max_characters_per_word",
    "model_max_length",
    "padding_side",
    "truncation_side",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_CLASSES = ("Bert", "DistilBert", "Electra", "MobileBert", "PreTrained", "Tokenizers")
# Hugging Face writes 1e30 for "nobody said".
_NO_LIMIT = 1_000_000


def write(folder: str | Path, vocabulary: Mapping[str, int], options: Mapping[str, Any]) -> None:
    """Write `vocab.txt` and `tokenizer_config.json` into a folder, each whole or not at all.

    Raises:
        MiniBertError: the ids have gaps, so that line numbers cannot stand for them.
    """
    folder = Path(folder)
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[piece] for piece in pieces] != list(range(len(pieces))):
        raise MiniBertError(
            f"the ids of this vocabulary are not 0 to {len(pieces) - 1}, so vocab.txt cannot "
            "hold them; "
            "give every id a piece."
        )
    make_folder(folder)
    write_whole(folder / "vocab.txt", "".join(f"{piece}\n" for piece in pieces))
    config = {"tokenizer_class": "BertTokenizer", **options}
    write_json(folder / "tokenizer_config.json", config)
    # It would be another tokenizer's, and transformers would read it before our files.
    (folder / "tokenizer.json").unlink(missing_ok=True)


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
    config_file, whole_file = folder / "tokenizer_config.json", folder / "tokenizer.json"
    config = read_json_object(config_file) if config_file.exists() else {}
    kind = config.get("tokenizer_class") or "BertTokenizer"
    if kind.removesuffix("Fast").removesuffix("Tokenizer").removesuffix("Backend") not in _CLASSES:
        raise MiniBertError(
            f"{config_file} names {kind}, which is not BERT's WordPiece tokenizer; "
            "load that model with transformers."
        )
    options = {name: _plain(config[name]) for name in _OPTIONS if name in config}
    if options.get("model_max_length", 0) > _NO_LIMIT:
        del options["model_max_length"]
    if (folder / "vocab.txt").exists():
        return read_vocabulary(folder / "vocab.txt"), options
    if not whole_file.exists():
        raise MiniBertError(
            f"{folder} has no vocab.txt and no tokenizer.json; copy the vocabulary of the "
            "model there."
        )
    vocabulary, described = _read_tokenizer_json(whole_file)
    return vocabulary, {**described, **options}


def _read_tokenizer_json(path: Path) -> tuple[dict[str, int], dict[str, Any]]:
    """The vocabulary and the normalizer of a file of the `tokenizers` library."""
    content = read_json_object(path)
    model, normalizer = content.get("model") or {}, content.get("normalizer") or {}
    kinds = model.get("type", "WordPiece"), normalizer.get("type")
    if kinds != ("WordPiece", "BertNormalizer") or not isinstance(model.get("vocab"), dict):
        raise MiniBertError(
            f"{path} describes {kinds[0]} with {kinds[1]}, not BERT's WordPiece with "
            "BertNormalizer; load that model with transformers."
        )
    vocabulary: dict[str, int] = dict(model["vocab"])
    for token in content.get("added_tokens") or []:
        if token["content"] not in vocabulary:
            raise MiniBertError(
                f"{path} adds the token {token['content']!r} to its vocabulary; minibert has no "
                "added tokens, so write a vocab.txt with that token on its own line."
            )
    return vocabulary, {
        "do_lower_case": normalizer.get("lowercase", True),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
    }


def _plain(value: Any) -> Any:
    """Hugging Face writes a special token as text or as {"content": text, ...}."""
    return value["content"] if isinstance(value, dict) and "content" in value else value
