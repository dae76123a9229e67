"""Fine-tune BERT for a task: on labelled files, or classification on the built-in data.

minibert finetune                                  # with 100, 400 and 1,600 labelled sentences
minibert finetune --train train.tsv --dev dev.tsv --model bert-base-uncased
minibert finetune --task tagging --train train.txt --dev dev.txt --output runs/ner

Without --task, the task is guessed from the file and printed. Each task is a script in examples/.
"""

import argparse
import re
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.cli.seeds import run_seeds
from minibert.cli.shared import (
    add_column_arguments,
    check_task_options,
    choose_output,
    int_range,
    resume_command,
)
from minibert.cli.training_options import (
    SETTINGS,
    TASKS_OF_OPTIONS,
    add_training_arguments,
    prepare_training,
    refuse_training_options,
    write_learning_rates,
)
from minibert.errors import MiniBertError
from minibert.files import bundled
from minibert.problem_types import COMBINATIONS, FUSIONS, LONG_TEXTS, POOLING_NAMES, POOLINGS

if TYPE_CHECKING:
    import torch

    from minibert.data.labelled.batches import LabelledBatches
    from minibert.model.pretrained import PretrainedModel

SCRIPTS = {  # by task, in examples/
    "classification": "finetune_cls.py",
    "multi-label": "finetune_cls.py",
    "regression": "finetune_cls.py",
    "multiple-choice": "finetune_choice.py",
    "matching": "finetune_matching.py",
    "tagging": "finetune_tagging.py",
    "question-answering": "finetune_qa.py",
}
CLASSIFICATION = ("classification", "multi-label", "regression")
LABELLED = (*CLASSIFICATION, "matching")  # a label for each text or pair
OPTIONS_OF = {  # options that only some tasks have
    "text_column": (*LABELLED, "tagging"),
    "pair_column": LABELLED,
    "label_column": (*LABELLED, "tagging"),
    "class_names": LABELLED,
    "limit": (*LABELLED, "tagging"),
    "few_labels": CLASSIFICATION,
    "compare_random": CLASSIFICATION,
    "combine": ("matching",),
    "crf": ("tagging",),
    "broken_tags": ("tagging",),
    "features_only": LABELLED,
    "doc_stride": ("question-answering",),
    "null_threshold": ("question-answering",),
    **TASKS_OF_OPTIONS,
    "pooling": LABELLED,
    "long_text": CLASSIFICATION,
    "fuse": CLASSIFICATION,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of examples/finetune_cls.py, which this command runs."""
    add = parser.add_argument
    files = ".tsv, .txt, .csv, .jsonl or .json"
    add("--train", type=Path, metavar="FILE", help=f"{files}; default: built-in data")
    add("--dev", type=Path, metavar="FILE", help="for evaluation; default: a part of --train")
    help_text = "part of --train to hold out if there is no --dev; default: 0.1"
    add("--dev-share", type=float, default=0.1, metavar="X", help=help_text)
    add("--test", type=Path, metavar="FILE", help="for the final scores; default: none")
    add("--task", choices=tuple(SCRIPTS), help="default: guessed from the file and printed")
    add_column_arguments(parser, ("text", "pair", "label"))
    help_text = "a class name per line, if labels are ids: 0 is the first"
    add("--class-names", type=Path, metavar="FILE", help=help_text)
    help_text = "train on the first N texts only; default: all, or 1600 of the built-in data"
    add("--limit", type=int, metavar="N", help=help_text)
    help_text = "pretrained model; default: one in weights/ for the language of the texts"
    add("--model", metavar="FOLDER_OR_NAME", help=help_text)
    help_text = "train random weights of a size: tiny, mini, small, medium, base or large"
    add("--preset", metavar="SIZE", help=help_text)
    help_text = "vocab.txt for random weights; default: learned from the training texts"
    add("--vocab", type=Path, metavar="FILE", help=help_text)
    add("--cased", action="store_true", help="keep capitals and accents, with random weights")
    add("--compare-random", action="store_true", help="also train random weights, to compare")
    help_text = "also train the model and random weights with only N texts; built-in data: 100 400"
    add("--few-labels", type=int_range(1), nargs="+", metavar="N", help=help_text)
    help_text = "matching: what of the two vectors is compared; default: cosine"
    add("--combine", choices=COMBINATIONS, help=help_text)
    add("--crf", action="store_true", help="tagging: score whole sequences of tags, with a CRF")
    help_text = "tagging: what to do with an I that continues nothing; default: repair"
    add("--broken-tags", choices=("repair", "refuse"), help=help_text)
    help_text = (
        "keep BERT as it is: compute its vectors (mean) once, and train the last layer on them"
    )
    add("--features-only", action="store_true", help=help_text)
    help_text = "passes over the training texts; default: by the sizes of model and data"
    add("--epochs", type=int, metavar="N", help=help_text)
    add("--batch-size", type=int, default=32, metavar="N", help="texts per batch; default: 32")
    help_text = "batches per update; default: 1"
    add("--gradient-accumulation-steps", type=int_range(1), default=1, metavar="N", help=help_text)
    help_text = "the highest; default: by the sizes of model and data"
    add("--learning-rate", type=float, metavar="RATE", help=help_text)
    add(
        "--max-length",
        type=int,
        default=128,
        metavar="N",
        help="truncate texts to N tokens; default: 128",
    )
    help_text = "question answering: tokens between windows; default: a third of --max-length"
    add("--doc-stride", type=int_range(1), metavar="N", help=help_text)
    help_text = "question answering: no answer if [CLS] scores so much higher; default: 0 if some "
    help_text += "questions have no answer, else always answer"
    add("--null-threshold", type=float, metavar="X", help=help_text)
    help_text = f"the vector of a text: {POOLING_NAMES}; default: pooler"
    add("--pooling", type=pooling_name, metavar="NAME", help=help_text)
    help_text = "what to read of texts longer than --max-length; default: head"
    add("--long-text", choices=LONG_TEXTS, help=help_text)
    help_text = "how to fuse the vectors of --long-text windows; default: mean"
    add("--fuse", choices=FUSIONS, help=help_text)
    add(
        "--seed",
        type=int_range(0, 2**31 - 1),
        default=0,
        metavar="N",
        help="seed of this run; default: 0",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps; default: auto")
    add("--precision", default="auto", help="auto, float32, bfloat16 or float16; default: auto")
    help_text = "updates between checkpoints; default: 200"
    add("--save-steps", type=int, default=200, metavar="N", help=help_text)
    help_text = "a new folder; default: runs/finetune_cls, or runs/finetune_cls-2, -3, ..."
    add("--output", type=Path, metavar="FOLDER", help=help_text)
    add("--resume", action="store_true", help="continue an interrupted run")
    add_training_arguments(parser)


def pooling_name(text: str) -> str:
    """Return the name of a pooling, as a `type` for `add_argument`."""
    if re.fullmatch(POOLINGS, text) is None:
        raise argparse.ArgumentTypeError(f"there is no {text!r}; choose {POOLING_NAMES}")
    return text


def run(options: argparse.Namespace) -> None:
    """Call the main function of the script for the task, once or for each seed."""
    if options.seeds is not None:
        run_seeds(options, run)
        return
    if options.task is None and options.train is not None:
        from minibert.data.labelled.guess_task import guess_task

        options.task = guess_task(options.train, encoding=options.encoding)
        if options.task is not None:
            print(f"task: {options.task} (guessed from {options.train}; --task decides).")
    script = SCRIPTS[options.task or "classification"]
    runpy.run_path(str(bundled(f"examples/{script}")))["main"](options)


def start_run(options: argparse.Namespace, *tasks: str) -> "tuple[Path, torch.device]":
    """Return the folder and the device of a run, after checking that its options fit its task.

    Args:
        options: from `add_arguments`. Its `task` and `output` are filled in if they are None.
        tasks: the tasks of the script, as `--task` names them.

    Raises:
        MiniBertError: an option is for another task, the folder holds another run, or there is no
            such device.
    """
    from minibert.training.settings import choose_device

    options.task = options.task or tasks[0]
    check_task_options(options, options.task, OPTIONS_OF)
    if options.fuse and options.long_text != "windows":
        raise MiniBertError("--fuse is for --long-text windows; add that, or remove --fuse.")
    if options.long_text == "windows":
        options.fuse = options.fuse or "mean"
    if options.features_only:  # the mean of vectors that are not trained says the most
        options.pooling = options.pooling or "mean"
    if options.task not in tasks:
        raise MiniBertError(
            f"this script is for {' and '.join(tasks)}; for {options.task}, run examples/"
            f"{SCRIPTS[options.task]} or minibert finetune."
        )
    if options.seeds is not None:
        raise MiniBertError("--seeds is for minibert finetune, which runs this script.")
    if options.find_learning_rate and (options.few_labels or not (options.train or options.limit)):
        raise MiniBertError(
            "--find-learning-rate is for one set of texts: give --train, or --limit 1600 for the "
            "built-in data, and no --few-labels."
        )
    default = Path("runs") / SCRIPTS[options.task].removesuffix(".py")
    options.output = choose_output(options.output, default, resume=options.resume)
    return options.output, choose_device(options.device)


def finetune(
    options: argparse.Namespace,
    model: "PretrainedModel",
    batches: "Mapping[str, LabelledBatches]",
    *,
    pretrained: bool,
    folder: Path,
    device: "torch.device",
    evaluate: Callable[[], Mapping[str, Any]] | None,
    metric_for_best_model: str,
) -> None:
    """Train a model with the options of the command line, in `training/loop.py`.

    Args:
        options: from `add_arguments` and `start_run`.
        model: the model of any task.
        batches: "train", and "dev" if there is one.
        pretrained: whether the model starts from pretrained weights, for the default settings.
        folder: for checkpoints and the log.
        device: where to compute.
        evaluate: returns the metrics on dev; None if there is no dev set.
        metric_for_best_model: the metric whose best epoch is kept.
    """
    from minibert.training.finetune_setup import default_hyperparameters
    from minibert.training.learning_rate_finder import find_learning_rate
    from minibert.training.loop import train
    from minibert.training.settings import TrainingSettings, describe_run

    if options.features_only:
        from minibert.training.features_only import train_last_layer

        if not pretrained:
            raise MiniBertError("--features-only needs pretrained weights, and these are random.")
        refuse_training_options(options, "--features-only")
        print(f"training the last layer on the vectors of {len(batches['train'].lengths):,} texts.")
        train_last_layer(model.to(device), batches["train"])
        return
    texts, loss, used = prepare_training(options, model, batches["train"])
    updates = -(-len(texts) // options.gradient_accumulation_steps)  # rounded up
    epochs, learning_rate = default_hyperparameters(
        model.config, pretrained=pretrained, updates_per_epoch=updates
    )
    settings = TrainingSettings(
        epochs=epochs if options.epochs is None else options.epochs,
        learning_rate=learning_rate if options.learning_rate is None else options.learning_rate,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        precision=options.precision,
        save_steps=options.save_steps,
        seed=options.seed,
        **{name: getattr(options, name) for name in SETTINGS},
    )
    print(describe_run(model, settings, device))
    if options.find_learning_rate:
        test = find_learning_rate(model, texts, settings, device=device, loss_of_batch=loss)
        write_learning_rates(test, options.output)
        raise SystemExit(0)
    data = {name: batches[name].fingerprint() for name in ("train", "dev") if name in batches}
    train(
        model,
        texts,
        settings,
        folder=folder,
        device=device,
        loss_of_batch=loss,
        evaluate=evaluate,
        metric_for_best_model=metric_for_best_model,
        fingerprint=data | {"batch_size": options.batch_size} | used,
        resume=options.resume,
        how_to_resume=resume_command(options.output),
    )
