"""Fine-tune BERT to tag words: names, parts of speech, word boundaries.

python examples/finetune_tagging.py --train train.txt --dev valid.txt --output runs/ner
python examples/finetune_tagging.py --train train.tsv --dev dev.tsv --crf

The files have a word and its tag per line, as those of CoNLL, or a sentence per line. With --crf,
a conditional random field scores the tags of a sentence together.
"""

from minibert.cli.process import run

import argparse

from minibert.cli.finetune import add_arguments, finetune, start_run
from minibert.cli.shared import Parser, requested_columns, requested_weights
from minibert.files import shell_path


def main(options: argparse.Namespace) -> None:
    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert import BertForTokenClassification
    from minibert.data.labelled.tagging import read_tagging
    from minibert.data.labelled.word_windows import make_windows
    from minibert.evaluation.metrics import report_table
    from minibert.evaluation.tagging import metric_for_best_model, tagging_baselines
    from minibert.inference.tagging import Tagger
    from minibert.model.crf import BertCrfForTokenClassification
    from minibert.plots.report import write_scores
    from minibert.training.finetune_setup import DEFAULT_WEIGHTS, setup_finetuning

    output, device = start_run(options, "tagging")

    # Data: sentences of words, each with a tag, and the scores of simple baselines on them.
    how = {name: getattr(options, name) for name in ("encoding", "dev_share", "limit", "seed")}
    how |= {"columns": requested_columns(options), "broken_tags": options.broken_tags}
    data = read_tagging(options.train, options.dev, options.test, **how)
    print(data.describe())
    baselines = tagging_baselines(data)

    # Model and tokenizer: pretrained, or random weights with a vocabulary learned from the words.
    asked = requested_weights(options)
    model_class = BertCrfForTokenClassification if options.crf else BertForTokenClassification
    asked |= {"defaults": DEFAULT_WEIGHTS, **data.tags.config}
    setup = setup_finetuning(model_class, data.texts(), **asked)
    print(setup.note)
    model, tokenizer = setup.model, setup.tokenizer

    # Words become pieces. The first piece of each has its label, the others and [CLS] have -100.
    max_length = min(options.max_length, model.config.max_position_embeddings)
    windows = {
        name: make_windows(
            tokenizer,
            [sentence.words for sentence in sentences],
            [sentence.tags for sentence in sentences],
            label2id=data.tags.label2id,
            max_length=max_length,
            batch_size=options.batch_size,
            seed=options.seed,
        )
        for name, sentences in data.splits.items()
    }
    print(windows["train"].describe(max_length))

    # Training: the loop is in minibert/training/loop.py.
    tagger = Tagger(model, tokenizer, max_length, data.tags, data.by_character)
    metric = metric_for_best_model(data.tags)
    finetune(
        options,
        model,
        {name: window.batches for name, window in windows.items()},
        pretrained=setup.pretrained,
        folder=output / "training",
        device=device,
        evaluate=lambda: tagger.evaluate(data.splits["dev"])[0],
        metric_for_best_model=metric,
    )

    # A folder for predictions, with scores and plots.
    tagger.save_pretrained(output)
    metrics = {}
    for split in baselines:
        metrics[split], report = tagger.evaluate(data.splits[split])
    print(f"\n{split} by {'type' if data.tags.scheme else 'tag'}\n{report_table(report)}")
    write_scores(output, metrics, metric=metric, baselines=baselines)
    print(f'\ntry it:  minibert predict {shell_path(output)} "a sentence of your own"')


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_arguments(parser)
    run(lambda: main(parser.parse_args()))
