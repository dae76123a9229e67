"""Read and write how a folder of sentence-transformers pools and scales its vectors."""

import json
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError
from minibert.files import read_json_object, read_small_file, write_atomic, write_json

# Names and patterns of the files beside those of the model.
SENTENCE_FILES = (
    *("modules.json", "config_sentence_transformers.json", "sentence_*_config.json"),
    "[0-9]_*/*",
)
_SHORT = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max"}


def read_modules(folder: Path) -> dict[str, Path]:
    """Return the folder of each module of `modules.json` by its class; {} without that file.

    Raises:
        MiniBertError: the file is damaged, or a module is outside of the folder.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return {}
    try:
        modules = {
            module["type"].rsplit(".", 1)[-1]: folder / module["path"]
            for module in json.loads(read_small_file(path))
        }
        outside = [p for p in modules.values() if not p.resolve().is_relative_to(folder.resolve())]
    except MiniBertError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise MiniBertError(
            f"{path} is not a list of modules; copy it again from its source."
        ) from error
    if outside:
        raise MiniBertError(f"{path} points outside of its folder, to {outside[0]}; refused.")
    return modules


def _root(folder: Path) -> Path:
    """Return the folder of `modules.json`, which may be above the model's own folder."""
    above = folder.parent
    inside = not (folder / "modules.json").is_file() and folder in read_modules(above).values()
    return above if inside else folder


def sentence_files(folder: Path) -> dict[str, bytes]:
    """Return the files that say how a folder makes vectors, for a folder with everything in it.

    Args:
        folder: the folder of the model; `modules.json` may be above it.
    """
    folder = folder.absolute()
    root = _root(folder)
    modules = read_modules(root)
    places = {place: place.relative_to(root) for place in modules.values()}
    places |= {root: Path(), folder: Path()} if modules else {}
    files = {
        (name / path.name).as_posix(): path
        for place, name in places.items()
        for pattern in (SENTENCE_FILES[:3] if name == Path() else ("*",))
        for path in sorted(place.glob(pattern))
        if path.is_file()
    }
    contents = {name: path.read_bytes() for name, path in files.items()}
    if root != folder:
        listed = json.loads(contents["modules.json"])
        listed = [m | {"path": ""} if root / m["path"] == folder else m for m in listed]
        contents["modules.json"] = json.dumps(listed, indent=2).encode()
    return contents


def sentence_settings(folder: Path) -> dict[str, Any]:
    """Return what a folder says about its vectors, as arguments of `SentenceEncoder`.

    "folder" is the model's own folder, and "max_length" is None if the model decides. "pooling" may
    be one that minibert does not have, such as "cls+mean".

    Raises:
        MiniBertError: a file is damaged.
    """
    folder = _root(folder.absolute())
    modules = read_modules(folder)
    if not modules:
        return {}
    model = modules.pop("Transformer", folder)
    texts: dict[str, Any] = {}
    for path in sorted(model.glob("sentence_*_config.json")):
        texts |= read_json_object(path)
    path, pooling = folder / "config_sentence_transformers.json", {}
    prompts = read_json_object(path) if path.is_file() else {}
    if "Pooling" in modules and (path := modules.pop("Pooling") / "config.json").is_file():
        pooling = read_json_object(path)
    try:
        # The newer spelling is "pooling_mode": "mean", or a list; the older has a flag for each.
        modes = pooling.get("pooling_mode")
        if modes is None:
            flags = {"pooling_mode_mean_tokens": True} | pooling
            modes = [
                name.removeprefix("pooling_mode_")
                for name, is_used in flags.items()
                if name.startswith("pooling_mode_") and is_used is True
            ]
        modes = [modes] if isinstance(modes, str) else modes
        name = prompts.get("default_prompt_name")
        normalize = modules.pop("Normalize", None) is not None
        return {
            "folder": model,
            "max_length": None if (n := texts.get("max_seq_length")) is None else int(n),
            "lower_case": bool(texts.get("do_lower_case")),
            "pooling": " and ".join(["+".join(_SHORT.get(m, m) for m in modes), *modules]),
            "normalize": normalize,
            "prompt": "" if name is None else str(prompts["prompts"][name]),
        }
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise MiniBertError(
            f"{folder} does not say how its vectors are made in a way that minibert knows "
            f"({type(error).__name__}: {error}); copy it again from its source."
        ) from error


def write_modules(folder: Path, *, pooling: str, max_length: int, width: int) -> None:
    """Write the files that say how a folder makes vectors, for sentence-transformers and `embed`.

    Args:
        folder: the folder of the model.
        pooling: "mean", "cls" or "max".
        max_length: of a text in tokens.
        width: of a vector.
    """
    classes = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": f"sentence_transformers.models.{name}",
        }
        for number, (path, name) in enumerate(classes.items())
    ]
    flags = {f"pooling_mode_{long}": short == pooling for long, short in _SHORT.items()}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **flags})
    settings = {"max_seq_length": max_length, "do_lower_case": False}
    write_json(folder / "sentence_bert_config.json", settings)
    write_atomic(folder / "modules.json", json.dumps(modules, indent=2) + "\n")
