"""Compute the output for a file in parts, to resume it or share it among processes.

    OUTPUT.parts/run.json      what is computed: the input, the weights, the options
    OUTPUT.parts/00000007      the output for part 7 of the input, written atomically

The parts are joined in order when all are there. An interrupted run leaves them, and the next one
computes only what is missing. Of the processes that torchrun has started, each computes every n-th
part.
"""

import shutil
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from minibert.data.labelled.prediction_file import STANDARD_INPUT
from minibert.errors import MiniBertError
from minibert.files import (
    atomic_file,
    explain_os_errors,
    make_folder,
    read_json_object,
    size_and_checksum,
    write_atomic,
    write_json,
)
from minibert.model.pretrained import PretrainedModel
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.run_folder import weights_checksum

Part = TypeVar("Part")


def write_in_parts(
    output: Path,
    parts: Iterable[Part],
    compute: Callable[[Part], bytes],
    *,
    header: Callable[[], bytes],
    fingerprint: Mapping[str, Any] | None,
    resume: bool = False,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """Write the header and what `compute` returns for each part, in order, to a new file.

    Args:
        output: the file. It appears when it is complete.
        parts: of the input, the same in every process and after a resume.
        compute: returns the output for a part.
        header: returns the beginning of the file, when all parts are there.
        fingerprint: what must be the same to resume, as the fields of a flat JSON object; None if
            the input cannot be read twice.
        resume: continue an interrupted run, if there is one.
        processes: from `join_processes`; by default only this one.

    Raises:
        MiniBertError: there is an interrupted run and `resume` is False, or it computed something
            else, or a file cannot be written.
    """
    if fingerprint is None and (resume or processes.world_size > 1):
        raise MiniBertError(
            "--resume and several processes need a --file that can be read more than once."
        )
    folder = output.with_name(f"{output.name}.parts")
    processes.check_same(fingerprint or {})
    processes.on_main(lambda: _open_folder(folder, fingerprint, resume=resume))
    total = 0
    try:
        for number, part in enumerate(parts):
            total = number + 1
            file = folder / f"{number:08}"
            if number % processes.world_size == processes.rank and not file.exists():
                write_atomic(file, compute(part))
    except BaseException:
        if fingerprint is None or not any(folder.glob("0*")):
            shutil.rmtree(folder, ignore_errors=True)  # there is nothing to resume
        raise
    processes.sum([total])  # waits for all
    processes.on_main(lambda: _join(output, folder, header(), total))


def fingerprint_of(
    options: Namespace, model: PretrainedModel, names: Iterable[str] = ()
) -> dict[str, Any] | None:
    """Return what must be the same to resume; None if the texts are not from a file.

    Args:
        options: of the command, with the arguments of `add_text_arguments`.
        model: its weights are compared.
        names: of further options that change the output.
    """
    if options.file is None or options.file == STANDARD_INPUT:
        return None
    names = ("text_column", "pair_column", "header", "encoding", "precision", *names)
    used = {f"--{n.replace('_', '-')}": getattr(options, n, None) for n in names}
    file = size_and_checksum(options.file)
    return {
        "--file": f"{file['bytes']} bytes, {file['crc32']}",
        "model": weights_checksum(model),
        **used,
    }


def _open_folder(folder: Path, fingerprint: Mapping[str, Any] | None, *, resume: bool) -> None:
    record = folder / "run.json"
    found = read_json_object(record) if record.exists() else None
    if found and not resume:
        raise MiniBertError(
            f"{folder} holds an interrupted run; add --resume to finish it, or delete the folder."
        )
    if found and found != fingerprint:
        wanted = fingerprint or {}
        different = [name for name in found | dict(wanted) if found.get(name) != wanted.get(name)]
        raise MiniBertError(
            f"{folder} holds a run with another {' and another '.join(different)}; give the same, "
            "or delete the folder."
        )
    if not found and folder.exists():
        shutil.rmtree(folder)  # of a killed run whose input cannot be read again
    make_folder(folder)
    write_json(record, dict(fingerprint or {}))


def _join(output: Path, folder: Path, header: bytes, total: int) -> None:
    with atomic_file(output) as temporary, temporary.open("wb") as joined:
        joined.write(header)
        for number in range(total):
            with (folder / f"{number:08}").open("rb") as file:
                shutil.copyfileobj(file, joined)
    with explain_os_errors("delete", folder):
        shutil.rmtree(folder)
