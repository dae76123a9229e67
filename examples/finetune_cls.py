"""Fine-tune BERT to classify texts or pairs of texts: the built-in data, or labelled files.

python examples/finetune_cls.py                                  # and the same from random weights
python examples/finetune_cls.py --train train.tsv --dev dev.tsv --model bert-base-uncased
"""

from minibert.cli.process import run

import argparse
from pathlib import Path
from shlex import quote

from minibert import MiniBertError
from minibert.cli.shared import (
    Parser,
    add_column_arguments,
    choose_output,
    int_range,
    requested_columns,
    resume_command,
)


def main(options: argparse.Namespace) -> None:
    # Imported here, because PyTorch takes seconds and --help does not need it.
    import torch

    from minibert import BertForSequenceClassification
    from minibert.data.labelled.batches import describe_lengths
    from minibert.data.labelled.labels import TASKS
    from minibert.data.labelled.splits import make_batches, read_task
    from minibert.evaluation.baselines import baseline_accuracies
    from minibert.evaluation.classification import METRIC_FOR_BEST_MODEL, evaluate_classifier
    from minibert.inference.text_classification import TextClassifier
    from minibert.plots.report import write_report
    from minibert.training.finetune_setup import default_hyperparameters, setup_finetuning
    from minibert.training.loop import train
    from minibert.training.settings import TrainingSettings, choose_device, describe_run

    output = choose_output(options.output, Path("runs/finetune_cls"), resume=options.resume)
    device = choose_device(options.device)

    # Data: labelled texts, and the scores of simple baselines on them.
    how = {name: getattr(options, name) for name in ("encoding", "dev_share", "limit", "seed")}
    how |= {"columns": requested_columns(options), "problem_type": TASKS.get(options.task)}
    task = read_task(options.train, options.dev, options.test, **how)
    print(task.describe())
    baselines = baseline_accuracies(task)

    # Model and tokenizer: pretrained, or random weights with a vocabulary learned from the texts.
    asked = {name: getattr(options, name) for name in ("model", "preset", "vocab", "cased", "seed")}
    setup = setup_finetuning(task.labels, task.splits["train"], default="weights/tiny", **asked)
    print(setup.note)
    if options.compare_random and not setup.pretrained:
        raise MiniBertError("--compare-random is for pretrained weights; these are random already.")
    model, tokenizer = setup.model, setup.tokenizer
    max_length = min(options.max_length, model.config.max_position_embeddings)
    sizes = {"max_length": max_length, "batch_size": options.batch_size}
    batches = make_batches(task, tokenizer, **sizes, seed=options.seed)
    print(describe_lengths(batches["train"].texts.full_lengths, max_length=max_length))

    # Training: the loop is in minibert/training/loop.py.
    updates = -(-len(batches["train"]) // options.gradient_accumulation_steps)  # rounded up
    epochs, learning_rate = default_hyperparameters(
        model.config, pretrained=setup.pretrained, updates_per_epoch=updates
    )
    settings = TrainingSettings(
        epochs=epochs if options.epochs is None else options.epochs,
        learning_rate=learning_rate if options.learning_rate is None else options.learning_rate,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        precision=options.precision,
        save_steps=options.save_steps,
        seed=options.seed,
    )
    print(describe_run(model, settings, device))
    fingerprint = {name: batches[name].fingerprint() for name in ("train", "dev")}

    def finetune(model: BertForSequenceClassification, folder: Path) -> None:
        train(
            model,
            batches["train"],
            settings,
            folder=folder,
            device=device,
            evaluate=lambda: evaluate_classifier(model, batches["dev"], task.labels),
            metric_for_best_model=METRIC_FOR_BEST_MODEL[task.labels.problem_type],
            fingerprint=fingerprint | {"batch_size": options.batch_size},
            resume=options.resume,
            how_to_resume=resume_command(output),
        )

    finetune(model, output / "training")
    random_model = None
    if setup.pretrained and (options.compare_random or options.train is None):
        print("the same from random weights:")
        torch.manual_seed(options.seed)
        random_model = BertForSequenceClassification(model.config)
        finetune(random_model, output / "training-at-random")

    # A folder for predictions, with scores and plots.
    TextClassifier(model, tokenizer, max_length, task.pairs).save_pretrained(output)
    sets = {name: batches[name] for name in baselines}
    print(write_report(output, model, sets, task.labels, baselines, control=random_model))
    pair = ' --pair "and a second one"' if task.pairs else ""
    print(f'\ntry it:  minibert predict {quote(str(output))} "a sentence of your own"{pair}')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    files = ".tsv, .txt, .csv, .jsonl or .json"
    add("--train", type=Path, metavar="FILE", help=f"{files}; default: built-in data")
    add("--dev", type=Path, metavar="FILE", help="for evaluation; default: a part of --train")
    add("--dev-share", type=float, default=0.1, help="of --train, without --dev; default: 0.1")
    add("--test", type=Path, metavar="FILE", help="for the final scores; default: none")
    add("--task", choices=("classification", "multi-label", "regression"), help="default: guessed")
    add_column_arguments(parser, ("text", "pair", "label"))
    add("--limit", type=int, metavar="N", help="use only the first N training examples")
    add("--model", metavar="FOLDER_OR_NAME", help="pretrained weights; default: weights/tiny")
    add("--preset", metavar="SIZE", help="random weights: tiny, mini, small, medium, base, large")
    add("--vocab", type=Path, help="vocab.txt for random weights; default: learned from the texts")
    add("--cased", action="store_true", help="keep capitals, with random weights")
    add("--compare-random", action="store_true", help="also train random weights, to compare")
    add("--epochs", type=int, help="passes over --train; default: by the sizes of model and data")
    add("--batch-size", type=int, default=32, help="texts per batch; default: 32")
    help_text = "batches per update; default: 1"
    add("--gradient-accumulation-steps", type=int_range(1), default=1, help=help_text)
    add("--learning-rate", type=float, help="the highest; default: by the sizes of model and data")
    add("--max-length", type=int, default=128, help="tokens of a text; default: 128")
    add("--seed", type=int_range(0, 2**31 - 1), default=0, help="of the random numbers; default: 0")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps; default: auto")
    add("--precision", default="auto", help="auto, float32, bfloat16 or float16; default: auto")
    add("--save-steps", type=int, default=200, help="updates between checkpoints; default: 200")
    add("--output", type=Path, help="a new folder; default: runs/finetune_cls, or -2, -3, ...")
    add("--resume", action="store_true", help="continue an interrupted run")


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_arguments(parser)
    run(lambda: main(parser.parse_args()))
