"""Fine-tune BERT to classify texts or pairs of texts: the built-in data, or labelled files.

python examples/finetune_cls.py                       # with 100, 400 and 1,600 labelled sentences
python examples/finetune_cls.py --train train.tsv --dev dev.tsv --model bert-base-uncased
"""

from minibert.cli.process import run

import argparse
from collections.abc import Mapping
from pathlib import Path

from minibert import MiniBertError
from minibert.cli.finetune import CLASSIFICATION, add_arguments, finetune, start_run
from minibert.cli.shared import Parser, requested_columns, requested_weights
from minibert.files import shell_path

# Training sentences of the built-in data, which has 6,400.
BUILT_IN_LIMIT = 1600
BUILT_IN_FEW_LABELS = (100, 400)


def main(options: argparse.Namespace) -> None:
    # Imported here, because PyTorch takes seconds and --help does not need it.
    import torch

    from minibert import BertForSequenceClassification
    from minibert.data.labelled.batches import LabelledBatches
    from minibert.data.labelled.labels import TASKS
    from minibert.data.labelled.long_texts import describe_long_texts
    from minibert.data.labelled.splits import make_batches, read_task
    from minibert.evaluation.baselines import baseline_scores
    from minibert.evaluation.classification import METRIC_FOR_BEST_MODEL, evaluate_classifier
    from minibert.inference.text_classification import TextClassifier
    from minibert.model.pooling import BertForPooledClassification
    from minibert.plots.few_labels import train_with_few_labels, write_few_labels
    from minibert.plots.report import write_report
    from minibert.training.finetune_setup import (
        DEFAULT_WEIGHTS,
        DEFAULT_WEIGHTS_FOR_PAIRS,
        setup_finetuning,
    )

    problem_type = TASKS.get(options.task)
    output, device = start_run(options, *CLASSIFICATION)
    long_text = options.long_text or "head"

    # Data: labelled texts, and the scores of simple baselines on them.
    names = ("encoding", "dev_share", "limit", "seed", "class_names")
    how = {name: getattr(options, name) for name in names}
    how |= {"columns": requested_columns(options), "problem_type": problem_type}
    built_in = options.train is None
    if built_in and options.limit is None:
        how["limit"] = BUILT_IN_LIMIT
    task = read_task(options.train, options.dev, options.test, **how)
    print(task.describe())
    if task.pairs and long_text != "head":
        raise MiniBertError(f"--long-text {long_text} is for single texts; these are pairs.")
    print("scoring the baselines ...", flush=True)
    baselines = baseline_scores(task)

    # Model and tokenizer: pretrained, or random weights with a vocabulary learned from the texts.
    asked = requested_weights(options)
    defaults = DEFAULT_WEIGHTS_FOR_PAIRS if built_in or task.pairs else DEFAULT_WEIGHTS
    model_class, texts = BertForSequenceClassification, task.texts()
    asked |= {"defaults": defaults, **task.labels.config}
    if options.fuse or options.pooling not in (None, "pooler"):
        model_class = BertForPooledClassification
        asked |= {"pooling": options.pooling or "pooler", "fuse": options.fuse or ""}
    setup = setup_finetuning(model_class, texts, **asked)
    print(setup.note)
    compare_random = options.compare_random or bool(options.few_labels)
    if compare_random and not setup.pretrained:
        raise MiniBertError(
            "--compare-random and --few-labels are for pretrained weights; these are random."
        )
    model, tokenizer = setup.model, setup.tokenizer
    positions = model.config.max_position_embeddings
    reading = {"max_length": min(options.max_length, positions), "long_text": long_text}
    sizes = reading | {"batch_size": options.batch_size, "seed": options.seed}
    batches = make_batches(task, tokenizer, **sizes)
    lengths = batches["train"].texts.full_lengths
    print(describe_long_texts(lengths, **reading, positions=positions))

    # Training: the loop is in minibert/training/loop.py.
    def finetune_classifier(
        model: BertForSequenceClassification,
        batches: Mapping[str, LabelledBatches],
        folder: Path,
    ) -> None:
        def evaluate() -> dict[str, float]:
            return evaluate_classifier(model, batches["dev"], task.labels)

        finetune(
            options,
            model,
            batches,
            pretrained=setup.pretrained,
            folder=folder,
            device=device,
            evaluate=evaluate if "dev" in batches else None,
            metric_for_best_model=METRIC_FOR_BEST_MODEL[task.labels.problem_type],
        )

    random_model = None
    if compare_random or (built_in and setup.pretrained):
        torch.manual_seed(options.seed)
        random_model = model_class(model.config)

    # What is pretraining worth? Compare both with less training data, too.
    few_labels = {}
    default_counts = BUILT_IN_FEW_LABELS if built_in and options.limit is None else ()
    for count in (options.few_labels or default_counts) if random_model else ():
        starts = {"pretrained": model, "random": random_model}
        few_labels[count] = train_with_few_labels(
            count, task, tokenizer, starts, finetune_classifier, **sizes
        )

    finetune_classifier(model, batches, output / "training")
    if random_model is not None:
        print("the same from random weights:")
        finetune_classifier(random_model, batches, output / "training-at-random")

    # A folder for predictions, with scores and plots.
    TextClassifier(model, tokenizer, pairs=task.pairs, **reading).save_pretrained(output)
    sets = {name: batches[name] for name in baselines}
    write_report(output, model, sets, task.labels, baselines, control=random_model)
    if few_labels:
        print()
        print(write_few_labels(output, few_labels, train_size=len(task.splits["train"])))
    pair = ' --pair "and a second one"' if task.pairs else ""
    print(f'\ntry it:  minibert predict {shell_path(output)} "a sentence of your own"{pair}')


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_arguments(parser)
    run(lambda: main(parser.parse_args()))
