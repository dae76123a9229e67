"""Small trainings that `test_distributed.py` starts by torchrun, and runs itself as one process.

python -m torch.distributed.run --nproc-per-node 2 tests/torchrun_task.py FOLDER TASK ...
"""

from minibert.cli.process import run as run_command

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from minibert import BertConfig, BertForPreTraining, MiniBertError
from minibert.checkpoints.folder import write_safetensors
from minibert.data.corpus.corpus import Corpus
from minibert.data.pretraining.batches import PretrainingBatches
from minibert.data.sampler import Batch
from minibert.files import write_json
from minibert.training.distributed import SINGLE_PROCESS, Processes, join_processes
from minibert.training.loop import train
from minibert.training.settings import TrainingSettings, choose_device

CPU = torch.device("cpu")
DEFAULTS: Mapping[str, Any] = {
    "epochs": 3,
    "learning_rate": 1e-3,
    "gradient_accumulation_steps": 2,
    "logging_steps": 1,
    "save_steps": 5,
    "seed": 11,
}


class CountedBatches(PretrainingBatches):
    """Remembers the rows of each batch that was read, and calls `hook` before it is."""

    read: list[list[int]]
    hook: Callable[[int], None] | None = None

    def _unmasked_batch(self, sequences: Any, rows: Any) -> tuple[Batch, torch.Tensor | None]:
        self.read = [*getattr(self, "read", []), rows.tolist()]
        if self.hook is not None:
            self.hook(len(self.read))
        return super()._unmasked_batch(sequences, rows)


def new_batches(folder: Path) -> CountedBatches:
    return CountedBatches(Corpus.open(folder / "toy"), max_length=32, batch_size=6, seed=5)


def new_model(vocabulary: int, seed: int) -> BertForPreTraining:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_attention_heads=2,
        num_hidden_layers=1,
        intermediate_size=64,
        max_position_embeddings=32,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )
    return BertForPreTraining(config)


def train_toy(
    folder: Path,
    name: str,
    processes: Processes = SINGLE_PROCESS,
    *,
    resume: bool = False,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    hook: Callable[[int], None] | None = None,
    overflow_at: int | None = None,
    **changes: Any,
) -> CountedBatches:
    """Train into FOLDER/NAME; each process writes NAME-RANK.safetensors, its final weights."""
    batches = new_batches(folder)
    batches.hook = hook
    # Other processes start with other weights: those of the first must reach them.
    model = new_model(batches.corpus.tokenizer.vocab_size, seed=processes.rank)
    if overflow_at is not None:
        model.next_sentence.weight.register_hook(_overflow(overflow_at))
    result = train(
        model,
        batches,
        TrainingSettings(**{**DEFAULTS, **changes}),
        folder=folder / name,
        device=CPU,
        evaluate=evaluate,
        resume=resume,
        how_to_resume="say please",
        processes=processes,
    )
    end = {"steps": result.steps, "best_step": result.best_step, "best_score": result.best_score}
    write_json(folder / f"{name}-{processes.rank}.json", {**end, "read": batches.read})
    write_safetensors(folder / f"{name}-{processes.rank}.safetensors", model.state_dict())
    return batches


def _overflow(at: int) -> Callable[[torch.Tensor], torch.Tensor]:
    calls = []

    def change(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * math.inf if len(calls) == at else gradient

    return change


def falling_scores() -> Callable[[], Mapping[str, float]]:
    """The second evaluation is the best."""
    scores = iter((0.5, 0.9, 0.7))
    return lambda: {"accuracy": next(scores)}


def report_error(folder: Path, name: str, processes: Processes, **changes: Any) -> None:
    """Write down what a process says to these settings, and whether it says anything."""
    try:
        train_toy(folder, name, processes, **changes)
        said = "nothing was wrong"
    except MiniBertError as error:
        said = str(error)
    except SystemExit:
        said = ""
    (folder / f"{name}-{processes.rank}.txt").write_text(said, encoding="utf-8")


def slowly(_number: int) -> None:
    time.sleep(0.1)


def die_in_second_process(processes: Processes) -> Callable[[int], None]:
    def die(number: int) -> None:
        if processes.rank == 1 and number == 17:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def do(task: str, folder: Path, processes: Processes) -> None:
    """One task of the command line."""
    rank = processes.rank
    if task == "two":
        train_toy(folder, "two", processes)
    elif task == "four":
        train_toy(folder, "four", processes, gradient_accumulation_steps=4)
    elif task == "best":
        evaluate = falling_scores() if processes.is_main else None
        train_toy(folder, "best", processes, evaluate=evaluate or dict, save_steps=100)
    elif task == "float16":
        changes = {"overflow_at": 3 if rank == 1 else -1, "precision": "float16", "epochs": 1}
        train_toy(folder, "float16", processes, **changes)
    elif task == "errors":
        report_error(folder, "odd", processes, gradient_accumulation_steps=3)
        report_error(folder, "other", processes, learning_rate=(1 + rank) * 1e-3)
    elif task == "killed":
        train_toy(folder, "killed", processes, hook=die_in_second_process(processes))
    elif task == "stopped":
        train_toy(folder, "stopped", processes, hook=slowly)
    elif task.startswith("resume-"):
        train_toy(folder, task.removeprefix("resume-"), processes, resume=True)
    else:
        raise MiniBertError(f"there is no task {task!r}.")
    print(f"{task} is done")


def main() -> None:
    folder, *tasks = sys.argv[1:]
    with join_processes(choose_device("cpu")) as processes:
        for task in tasks:
            do(task, Path(folder), processes)


if __name__ == "__main__":
    run_command(main)
