"""Fine-tune BERT to tell whether two texts match, from a vector of each: MRPC, STS-B, QQP.

python examples/finetune_matching.py --train train.tsv --dev dev.tsv
python examples/finetune_matching.py --train train.tsv --dev dev.tsv --combine difference

One BERT encodes both texts on their own (two towers), so its folder also embeds and searches texts.
finetune_cls.py reads the two texts together, which is more accurate and reads every pair anew.
"""

from minibert.cli.process import run

import argparse

from minibert import MiniBertError
from minibert.cli.finetune import add_arguments, finetune, start_run
from minibert.cli.shared import Parser, requested_columns, requested_weights
from minibert.files import shell_path


def main(options: argparse.Namespace) -> None:
    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert.data.labelled.batches import describe_lengths, tokenize_groups
    from minibert.data.labelled.splits import read_task
    from minibert.evaluation.baselines import baseline_scores, word_overlap
    from minibert.evaluation.classification import METRIC_FOR_BEST_MODEL, evaluate_classifier
    from minibert.inference.text_classification import TextClassifier
    from minibert.model.two_towers import BertTwoTowers
    from minibert.plots.report import write_report
    from minibert.training.features_only import train_last_layer
    from minibert.training.finetune_setup import DEFAULT_WEIGHTS_FOR_PAIRS, setup_finetuning

    output, device = start_run(options, "matching")
    if options.train is None:
        raise MiniBertError("give the pairs of texts to train on: --train FILE.")

    # Data: pairs of texts with a class or a number, and the scores of simple baselines on them.
    names = ("encoding", "dev_share", "limit", "seed", "class_names")
    how = {name: getattr(options, name) for name in names}
    task = read_task(
        options.train, options.dev, options.test, columns=requested_columns(options), **how
    )
    print(task.describe())
    if not task.pairs:
        raise MiniBertError(
            f"matching compares two texts, and {options.train} has one; name the column of the "
            "other one (--pair-column)."
        )
    baselines = baseline_scores(task)

    # Model and tokenizer: pretrained, or random weights with a vocabulary learned from the texts.
    asked = requested_weights(options)
    asked |= {"defaults": DEFAULT_WEIGHTS_FOR_PAIRS, **task.labels.config}
    towers = {"pooling": options.pooling or "mean", "combine": options.combine or "cosine"}
    setup = setup_finetuning(BertTwoTowers, task.texts(), **asked, **towers)
    print(setup.note)
    model, tokenizer = setup.model, setup.tokenizer
    likeness = [word_overlap(pair)["of both"] for pair in task.splits["train"]]
    model.start_from(task.targets["train"], likeness)
    max_length = min(options.max_length, model.config.max_position_embeddings)
    sizes = {"max_length": max_length, "batch_size": options.batch_size, "seed": options.seed}
    sizes |= {"pad_token_id": tokenizer.pad_token_id}
    batches = {
        name: tokenize_groups(
            tokenizer, [pair.separate() for pair in pairs], task.targets[name], **sizes
        )
        for name, pairs in task.splits.items()
    }
    print(describe_lengths(batches["train"].texts.full_lengths, max_length=max_length))

    # Training: the loop is in minibert/training/loop.py.
    finetune(
        options,
        model,
        batches,
        pretrained=setup.pretrained,
        folder=output / "training",
        device=device,
        evaluate=lambda: evaluate_classifier(model, batches["dev"], task.labels),
        metric_for_best_model=METRIC_FOR_BEST_MODEL[task.labels.problem_type],
    )

    # Dropout lowers the cosines in training; without it, the last layer has to be fitted again.
    if model.combine == "cosine":
        train_last_layer(model, batches["train"])

    # A folder for predictions, vectors and search, with scores and plots.
    TextClassifier(model, tokenizer, max_length, pairs=True).save_pretrained(output)
    write_report(output, model, {name: batches[name] for name in baselines}, task.labels, baselines)
    folder = shell_path(output)
    print(f'\ntry it:  minibert predict {folder} "a text" --pair "another one"')
    print(f'         minibert search {folder} "a text" --file sentences.txt')


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_arguments(parser)
    run(lambda: main(parser.parse_args()))
