"""Compare the scores of fine-tuning with those of `transformers`.

    python examples/benchmarks/finetuning_scores.py --train SST-2/train.tsv --dev SST-2/dev.tsv
    python examples/benchmarks/finetuning_scores.py --train conll2003/train.txt --dev valid.txt

Both get the same weights, batches, seeds and settings, and keep their best epoch on dev. Ours is
`minibert finetune --seeds`. The peer is the model of `transformers` with its schedule in the usual
loop, and the F1 of `seqeval`. The initial head and dropout differ, as they do between seeds.
"""

from minibert.cli.process import run

import json
import statistics
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from seqeval.metrics import f1_score

from minibert import BertTokenizer
from minibert.cli import finetune
from minibert.cli.shared import Parser, int_range
from minibert.data.labelled.batches import LabelledBatches
from minibert.data.labelled.guess_task import guess_task
from minibert.data.labelled.splits import make_batches, read_task
from minibert.data.labelled.tagging import read_tagging
from minibert.data.labelled.word_windows import make_windows
from minibert.training.optimizer import decay_groups

METRICS = {"classification": "accuracy", "tagging": "entity_f1"}


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--train", type=Path, required=True, metavar="FILE", help="texts, or tagged words")
    add("--dev", type=Path, required=True, metavar="FILE")
    add("--model", default="weights/tiny", metavar="FOLDER", help="default: weights/tiny")
    add("--limit", type=int_range(1), metavar="N", help="train on the first N examples only")
    add("--seeds", type=int_range(2), default=5, metavar="N", help="default: 5")
    add("--epochs", type=int_range(1), default=4, metavar="N", help="default: 4")
    add("--learning-rate", type=float, default=3e-4, metavar="RATE", help="default: 3e-4")
    add("--batch-size", type=int_range(1), default=32, metavar="N", help="default: 32")
    add("--max-length", type=int_range(3), default=128, metavar="N", help="default: 128")
    options = parser.parse_args()
    task = guess_task(options.train) or "classification"
    scores = {"minibert": minibert_scores(options, task)}
    scores["transformers"] = transformers_scores(options, task)

    print(f"\n{METRICS[task]} on dev, {options.seeds} seeds")
    for name, values in scores.items():
        each = " ".join(f"{value:.4f}" for value in values)
        print(f"{name:13}{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}   {each}")
    difference = abs(statistics.mean(scores["minibert"]) - statistics.mean(scores["transformers"]))
    deviation = max(map(statistics.stdev, scores.values()))
    print(f"the means differ by {difference:.4f}; one standard deviation is {deviation:.4f}")


def minibert_scores(options: Namespace, task: str) -> list[float]:
    """Return the score of each seed."""
    parser = Parser()
    finetune.add_arguments(parser)
    with TemporaryDirectory() as temporary:
        output = Path(temporary) / "runs"
        arguments = ["--task", task, "--output", str(output), "--precision", "float32"]
        for name, value in vars(options).items():
            if value is not None:
                arguments += [f"--{name.replace('_', '-')}", str(value)]
        finetune.run(parser.parse_args(arguments))
        summary = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    scores: list[float] = summary["dev"][METRICS[task]]["values"]
    return scores


def transformers_scores(options: Namespace, task: str) -> list[float]:
    """Return the score of each seed."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer = BertTokenizer.from_pretrained(options.model)
    sizes = {"max_length": options.max_length, "batch_size": options.batch_size}
    model_class: Any
    if task == "tagging":
        words = read_tagging(options.train, options.dev, limit=options.limit)
        names, batches = list(words.tags.label2id), {}
        for split, sentences in words.splits.items():
            columns = [x.words for x in sentences], [x.tags for x in sentences]
            windows = make_windows(tokenizer, *columns, label2id=words.tags.label2id, **sizes)
            batches[split] = windows.batches
        model_class = transformers.BertForTokenClassification
    else:
        texts = read_task(options.train, options.dev, limit=options.limit)
        names, batches = list(texts.labels.names), make_batches(texts, tokenizer, **sizes)
        model_class = transformers.BertForSequenceClassification
    scores = []
    for seed in range(options.seeds):
        train = replace(batches["train"], seed=seed)
        torch.manual_seed(seed)
        model = model_class.from_pretrained(options.model, num_labels=len(names))
        groups = decay_groups(model, weight_decay=0.01)
        optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
        updates = options.epochs * len(train)
        schedule = transformers.get_linear_schedule_with_warmup(optimizer, updates // 10, updates)
        by_epoch = []
        for epoch in range(options.epochs):
            model.train()
            for batch in train.epoch(epoch):
                model(**batch).loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            by_epoch.append(score(model, batches["dev"], names))
        scores.append(max(by_epoch))
        print(f"transformers, seed {seed}: {scores[-1]:.4f}", flush=True)
    return scores


@torch.no_grad()
def score(model: Any, batches: LabelledBatches, names: list[str]) -> float:
    """Return the accuracy of texts, or the entity F1 of words."""
    model.eval()
    predicted, right = [], []
    for _, batch in batches.longest_first(64):
        for row, labels in zip(model(**batch).logits.argmax(-1), batch["labels"], strict=True):
            labelled = labels != -100  # one label for a text, or one for each word
            predicted.append([names[i] for i in row[labelled].flatten().tolist()])
            right.append([names[i] for i in labels[labelled].flatten().tolist()])
    if batch["labels"].dim() == 1:
        return sum(x == y for x, y in zip(predicted, right, strict=True)) / len(right)
    return float(f1_score(right, predicted))


if __name__ == "__main__":
    run(main)
