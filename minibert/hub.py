"""A folder, or the name of a model on the Hugging Face hub, becomes a local folder.

A local folder always wins. Only then is the hub asked, for the named files only; `huggingface_hub`
keeps them in its cache, so that the second time needs no network.
"""

from collections.abc import Sequence
from pathlib import Path

from minibert.errors import MiniBertError


def local_folder(name_or_path: str | Path, *, files: Sequence[str]) -> Path:
    """Give the folder that holds a model's files.

    Args:
        name_or_path: a folder, or a hub name such as "bert-base-uncased".
        files: names or patterns (`*.safetensors`) of the files to fetch from the hub.

    Returns:
        The folder itself, or the one in the cache of `huggingface_hub`.

    Raises:
        MiniBertError: there is no such folder, and the hub does not have the name or cannot be
            reached; the message says which files to copy where.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise MiniBertError(f"{folder} is a file; give the folder that it lies in.")
    if _is_path(str(name_or_path)):
        raise MiniBertError(
            f"there is no folder {folder}; make it and copy {_listed(files)} there, or give a "
            "hub name."
        )
    return _from_hub(str(name_or_path), files)


def _is_path(name: str) -> bool:
    """A hub name is `model` or `owner/model`; whatever else is given was meant as a folder."""
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1


def _from_hub(name: str, files: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except Exception as error:  # no network, no such name, no permission: a class for each
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MiniBertError(
            f"there is no folder {name!r}, and the hub did not give it ({reason}); copy "
            f"{_listed(files)} of that model into a folder named {name}, or set HF_ENDPOINT to a "
            "mirror you can reach."
        ) from error


def _listed(files: Sequence[str]) -> str:
    return ", ".join(files)
