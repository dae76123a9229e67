"""Fine-tune BERT to classify texts or pairs: from labelled files, or with the data at hand.

python examples/finetune_cls.py                                  # and the same from random weights
python examples/finetune_cls.py --train train.tsv --dev dev.tsv --model bert-base-uncased
"""

import argparse
from pathlib import Path
from shlex import quote

from minibert import MiniBertError
from minibert.cli.shared import Parser, choose_output, resume_command, run, whole_number
from minibert.files import bundled


def main(options: argparse.Namespace) -> None:
    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert import BertForSequenceClassification
    from minibert.data.labelled.batches import describe_lengths
    from minibert.data.labelled.columns import Columns
    from minibert.data.labelled.splits import make_batches, read_task
    from minibert.evaluation.baselines import baseline_accuracies
    from minibert.evaluation.classification import METRIC_FOR_BEST_MODEL, evaluate_classifier
    from minibert.inference.text_classification import TextClassifier
    from minibert.plots.report import write_report
    from minibert.training.finetune_setup import choose_start, suggested, without_pretraining
    from minibert.training.loop import train
    from minibert.training.settings import TrainingSettings, choose_device, describe_run

    output = choose_output(options.output, Path("runs/finetune_cls"), resume=options.resume)
    device = choose_device(options.device)

    # The data: texts, their labels, and what a model without any understanding scores on them.
    columns = Columns(options.text_column, options.pair_column, options.label_column)
    files = (options.train, options.dev, options.test)
    task = read_task(*files, columns=columns, limit=options.limit, seed=options.seed)
    print(task.describe())
    baselines = baseline_accuracies(task)

    # The model and its tokenizer: pretrained, or random with a vocabulary learned from the texts.
    start = choose_start(
        task.labels,
        task.splits["train"],
        default=bundled("weights/tiny"),
        model=options.model,
        preset=options.preset,
        vocabulary=options.vocab,
        cased=options.cased,
        seed=options.seed,
    )
    print(start.note)
    if options.control and not start.pretrained:
        raise MiniBertError("--control is for a pretrained start, and this one is random already.")
    model, tokenizer = start.model, start.tokenizer
    max_length = min(options.max_length, model.config.max_position_embeddings)
    batches = make_batches(
        task, tokenizer, max_length=max_length, batch_size=options.batch_size, seed=options.seed
    )
    print(describe_lengths(batches["train"].texts.full_lengths, max_length=max_length))

    # The training: one loop, in minibert/training/loop.py.
    chosen = suggested(
        model.config,
        pretrained=start.pretrained,
        updates_an_epoch=len(batches["train"]),
        epochs=options.epochs,
        learning_rate=options.learning_rate,
    )
    settings = TrainingSettings(
        epochs=chosen.epochs,
        learning_rate=chosen.learning_rate,
        accumulation=options.accumulation,
        precision=options.precision,
        save_every=options.save_every,
        seed=options.seed,
    )
    print(describe_run(model, settings, device))

    def fine_tune(model: BertForSequenceClassification, folder: Path) -> None:
        train(
            model,
            batches["train"],
            settings,
            folder=folder,
            device=device,
            evaluate=lambda: evaluate_classifier(model, batches["dev"], task.labels),
            score=METRIC_FOR_BEST_MODEL[task.labels.problem_type],
            identity={name: batches[name].fingerprint() for name in ("train", "dev")}
            | {"batch_size": options.batch_size},
            resume=options.resume,
            how_to_resume=resume_command(output),
        )

    fine_tune(model, output / "training")
    control = None
    if start.pretrained and (options.control or options.train is None):
        print("the same from random weights:")
        control = without_pretraining(start, seed=options.seed)
        fine_tune(control, output / "training-at-random")

    # The result: a folder that answers, scores, and pictures of both.
    TextClassifier(model, tokenizer, max_length, task.pairs).save_pretrained(output)
    sets = {name: batches[name] for name in baselines}
    print(write_report(output, model, sets, task.labels, baselines, control=control))
    pair = ' --pair "and a second one"' if task.pairs else ""
    print(f'\ntry it:  minibert predict {quote(str(output))} "a sentence of your own"{pair}')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--train", type=Path, metavar="FILE", help=".tsv, .csv or .jsonl; default: built-in data")
    add("--dev", type=Path, metavar="FILE", help="default: a tenth of --train")
    add("--test", type=Path, metavar="FILE")
    for name in ("text", "pair", "label"):
        add(f"--{name}-column", metavar="NAME", help="default: guessed, and said")
    add("--limit", type=int, metavar="N", help="use only the first N training examples")
    add("--model", metavar="FOLDER_OR_NAME", help="what to start from; default: weights/tiny")
    add("--preset", metavar="SIZE", help="random weights: tiny, mini, small, medium, base, large")
    add("--vocab", type=Path, help="vocab.txt of a random start; default: learned")
    add("--cased", action="store_true", help="keep capitals, in a random start")
    add("--control", action="store_true", help="also train random weights")
    add("--epochs", type=int)
    add("--batch-size", type=int, default=32)
    add("--accumulation", type=int, default=1, help="batches an update")
    add("--learning-rate", type=float)
    add("--max-length", type=int, default=128, help="tokens; longer texts are cut")
    add("--seed", type=whole_number(0, 2**31 - 1), default=0)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--precision", default="auto", help="float32, bfloat16, float16")
    add("--save-every", type=int, default=200, help="updates between checkpoints")
    add("--output", type=Path, help="default: runs/finetune_cls, or -2, -3, ...")
    add("--resume", action="store_true", help="go on with an interrupted run")


if __name__ == "__main__":
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    run(lambda: main(parser.parse_args()))
