"""Turn a folder or the name of a model on the Hugging Face hub into a local folder."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError
from minibert.files import bundled

# Arguments of `from_pretrained` that `snapshot_download` takes.
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "revision", "token")


def local_folder(name_or_path: str | Path, *, files: Sequence[str], **hub: Any) -> Path:
    """Return the folder of a model; a local folder takes precedence over a hub name.

    Args:
        name_or_path: a folder, or a hub name such as "bert-base-uncased". "weights/tiny", which
            comes with minibert, is found from any folder.
        files: names or patterns (`*.safetensors`) of the files to download from the hub.
        **hub: some of `HUB_OPTIONS`, for a hub name.

    Returns:
        The folder itself, or the one in the cache of `huggingface_hub`, which downloads only once.

    Raises:
        MiniBertError: there is no such folder, and the hub does not have the name or cannot be
            reached; the message says which files to copy where.
    """
    folder, listed = as_path(name_or_path), ", ".join(files)
    # On Windows, str(Path("owner/model")) has a backslash.
    name = name_or_path if isinstance(name_or_path, str) else folder.as_posix()
    if folder.is_dir():
        _check_readable(folder, files)
        return folder
    if name.startswith("weights/") and ".." not in name and (own := bundled(name)).is_dir():
        return own
    if folder.is_symlink() and not folder.exists():
        raise MiniBertError(f"{folder} is a link to {folder.readlink()}, which does not exist.")
    is_weights = folder.suffix in (".bin", ".safetensors") and not name.startswith("http")
    # bert_model.ckpt is no whole name
    if folder.exists() or is_weights or Path(f"{folder}.index").is_file():
        raise MiniBertError(f"{folder} is a file; give the folder that it is in: {folder.parent}.")
    close = _close_folder(folder)
    # A hub name is `model` or `owner/model`; anything else was meant as a folder.
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        hint = f"did you mean {close}?" if close else "check the path, or give a hub name."
        if "huggingface.co/" in name:
            hint = f"give the name alone: {'/'.join(name.partition('.co/')[2].split('/')[:2])}"
        raise MiniBertError(f"the folder {folder} does not exist; {hint}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(files), **hub))
    except Exception as error:  # no network, no such name, no permission: a class for each
        whole = "/" in name or name.startswith("bert-")  # as Google's own models do
        owner = "" if whole else "; most names have an owner, as in hfl/chinese-bert-wwm"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MiniBertError(
            f"the folder {name!r} does not exist{f' (did you mean {close}?)' if close else ''} and "
            f"could not be downloaded from the hub ({reason}{owner}); copy {listed} of that model "
            f"into a folder named {name}, or set HF_ENDPOINT to a mirror that you can reach."
        ) from error


def as_path(name_or_path: str | Path) -> Path:
    """Return the argument of `from_pretrained` as a path; raise if it is something else."""
    if isinstance(name_or_path, (str, os.PathLike)):
        return Path(name_or_path).expanduser()
    raise MiniBertError(
        f"from_pretrained takes a folder or a hub name, not {type(name_or_path).__name__}; to make "
        "a model with random weights from a config, call its class: BertModel(config)."
    )


def _close_folder(folder: Path) -> Path | None:
    """Return the folder whose path differs by a few letters from that of one that is missing."""
    found = Path(folder.anchor)
    for part in folder.parts[len(found.parts) :]:
        names = [path.name for path in found.glob("*/")]
        close = [part] if part == ".." else difflib.get_close_matches(part, names, n=1)
        if not close:
            return None
        found /= close[0]
    return found


def _check_readable(folder: Path, files: Sequence[str]) -> None:
    """Raise if a folder may not be read, or one of its files is a link to nothing."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MiniBertError(f"cannot read {folder}: permission denied; check its permissions.")
    for path in folder.iterdir():
        if not path.exists() and any(path.match(pattern) for pattern in files):
            raise MiniBertError(
                f"{path} is a link to {path.readlink()}, which does not exist; copy the folder "
                "again with the files that its links point to (cp -rL)."
            )


def pop_hub_options(options: dict[str, Any]) -> dict[str, Any]:
    """Remove the hub's options from the arguments of `from_pretrained`, and return them."""
    return {name: options.pop(name) for name in HUB_OPTIONS if name in options}
