"""Fine-tune BERT to classify texts or pairs: from labelled files, or with the data at hand.

python examples/finetune_cls.py
python examples/finetune_cls.py --train train.tsv --dev dev.tsv --model bert-base-uncased
"""

import argparse
from pathlib import Path

from minibert.command import Parser, resume_command, run, unused_folder
from minibert.data.batches import TextClassificationBatches
from minibert.data.task_files import fingerprint, read_task
from minibert.data.tokenized import describe_lengths, tokenize_examples
from minibert.evaluation.classification import MAIN_SCORE, evaluate_classifier, scores_to_beat
from minibert.evaluation.predict import TextClassifier
from minibert.training.loop import train
from minibert.training.settings import TrainingSettings, choose_device, describe_run
from minibert.training.start import PRESETS, start_classifier, suggested
from minibert.views.report import write_report


def main() -> None:
    options = parse_options()
    output = options.output or unused_folder(Path("runs/finetune_cls"))

    # The data: texts, their labels, and what a model without any understanding scores on them.
    task = read_task(
        options.train,
        options.dev,
        options.test,
        text_column=options.text_column,
        pair_column=options.pair_column,
        label_column=options.label_column,
        limit=options.limit,
        seed=options.seed,
    )
    print(task.describe())
    held_out = [name for name in task.splits if name != "train"]
    baselines = {
        name: scores_to_beat(task.train, task.splits[name], task.labels) for name in held_out
    }

    # The model and its tokenizer: pretrained, or random with a vocabulary learned from the texts.
    model, tokenizer = start_classifier(
        options.model,
        task.labels,
        task.train,
        preset=options.preset,
        vocabulary=options.vocab,
        cased=options.cased,
        seed=options.seed,
    )
    max_length = min(options.max_length, model.config.max_position_embeddings)
    batches = {}
    for name, examples in task.splits.items():
        texts = tokenize_examples(tokenizer, examples, max_length=max_length)
        batches[name] = TextClassificationBatches(
            texts,
            task.labels.targets(examples),
            pad_token_id=tokenizer.pad_token_id,
            batch_size=options.batch_size,
            seed=options.seed,
        )
        if name == "train":
            print(describe_lengths(texts.full_lengths, max_length=max_length))

    # The training: one loop, in minibert/training/loop.py.
    defaults = suggested(model.config, pretrained=options.model is not None)
    settings = TrainingSettings(
        epochs=options.epochs or defaults.epochs,
        learning_rate=options.learning_rate or defaults.learning_rate,
        accumulation=options.accumulation,
        precision=options.precision,
        save_every=options.save_every,
        seed=options.seed,
    )
    device = choose_device(options.device)
    print(describe_run(model, settings, device))
    train(
        model,
        batches["train"],
        settings,
        folder=output / "training",
        device=device,
        evaluate=lambda: evaluate_classifier(model, batches["dev"], task.labels),
        score=MAIN_SCORE.get(task.labels.problem_type, "accuracy"),
        identity={"data": fingerprint(batches["train"]), "batch_size": options.batch_size},
        resume=options.resume,
        how_to_resume=resume_command(output),
    )

    # The result: a folder that answers, scores, and pictures of both.
    TextClassifier(model, tokenizer, max_length, task.pairs).save(output)
    print(
        write_report(
            output, model, {name: batches[name] for name in held_out}, task.labels, baselines
        )
    )
    print(f'\ntry it:  minibert predict {output} "a sentence of your own"')


def parse_options() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_argument_group("data (without --train: sentences of library documentation)")
    data.add_argument("--train", type=Path, metavar="FILE", help=".tsv, .csv or .jsonl")
    data.add_argument("--dev", type=Path, metavar="FILE", help="default: a tenth of --train")
    data.add_argument("--test", type=Path, metavar="FILE")
    data.add_argument("--text-column", metavar="NAME", help="default: guessed, and said")
    data.add_argument("--pair-column", metavar="NAME", help="the second text of a pair")
    data.add_argument("--label-column", metavar="NAME")
    data.add_argument("--limit", type=int, metavar="N", help="only the first N training examples")
    start = parser.add_argument_group("start")
    start.add_argument("--model", metavar="FOLDER_OR_NAME", help="pretrained weights")
    start.add_argument("--preset", choices=PRESETS, default="tiny", help="size of a random start")
    start.add_argument("--vocab", type=Path, help="vocab.txt of a random start; default: learned")
    start.add_argument("--cased", action="store_true", help="keep capitals, in a random start")
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=int)
    training.add_argument("--batch-size", type=int, default=32)
    training.add_argument("--accumulation", type=int, default=1, help="batches an update")
    training.add_argument("--learning-rate", type=float)
    training.add_argument("--max-length", type=int, default=128, help="tokens; longer is cut")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    training.add_argument("--precision", default="auto", help="float32, bfloat16, float16")
    training.add_argument("--save-every", type=int, default=200, help="updates")
    training.add_argument("--output", type=Path, help="default: runs/finetune_cls, or -2, -3, ...")
    training.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
