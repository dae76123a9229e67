"""Check that next-sentence labels are learned from the text, not from how pairs are made.

python examples/benchmarks/next_sentence_control.py CORPUS --updates 2000

Two models are trained in the same way, one on the corpus, the other on a copy in which all
sentences are shuffled across the documents. The accuracy of the first should be well above the
share of the more frequent label. That of the second should be equal to it: if it is higher, the
pairs themselves reveal the label, for example by their lengths.
"""

from minibert.cli.process import run

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from minibert.cli.shared import Parser, int_range
from minibert.data.corpus.corpus import Corpus
from minibert.data.pretraining.batches import PretrainingBatches
from minibert.errors import MiniBertError
from minibert.evaluation.pretraining import (
    EVAL_BATCH_SIZE,
    HELD_OUT_SHARE,
    MAX_EVAL_BATCHES,
    evaluate_pretraining,
    next_sentence_majority,
)
from minibert.training.finetune_setup import PRESETS
from minibert.training.loop import train
from minibert.training.pretrain_setup import default_learning_rate, new_pretraining_model
from minibert.training.settings import PRECISIONS, TrainingSettings, choose_device


class FirstBatches:
    """The first `count` batches of an epoch."""

    def __init__(self, batches: PretrainingBatches, count: int) -> None:
        if count > len(batches):
            raise MiniBertError(
                f"an epoch has {len(batches):,} batches, too few for --updates {count:,}; give "
                "fewer, or a larger corpus."
            )
        self.batches, self.count = batches, count

    def length(self, epoch: int) -> int:
        """Return `count`; see `PretrainingBatches.length`."""
        return self.count

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1):
        """Yield batches; see `PretrainingBatches.epoch`."""
        batches = self.batches.epoch(epoch, start=start, step=step)
        return islice(batches, len(range(start, self.count, step)))


def main() -> None:
    options = parse_options()
    documents, held_out = Corpus.open(options.corpus).split(HELD_OUT_SHARE)
    runs = {}
    for name, change in (("as it is", lambda corpus: corpus), ("shuffled", shuffled)):
        batches = PretrainingBatches(
            change(documents), max_length=64, batch_size=options.batch_size
        )
        evaluation = PretrainingBatches(change(held_out), max_length=64, batch_size=EVAL_BATCH_SIZE)
        runs[name] = FirstBatches(batches, options.updates), evaluation
    print("text       majority  next-sentence accuracy  loss of masked words")
    for name, (batches, evaluation) in runs.items():
        scores, majority = train_on(batches, evaluation, options)
        accuracy, loss = scores["next_sentence_accuracy"], scores["loss"]
        print(f"{name:10} {majority:8.4f}  {accuracy:22.4f}  {loss:20.4f}", flush=True)


def shuffled(corpus: Corpus) -> Corpus:
    """Return the same sentences in random order; documents keep their numbers of sentences."""
    starts = corpus.sentences
    counts = np.diff(corpus.documents)[corpus.chosen]
    first = corpus.documents[corpus.chosen]
    numbers = np.concatenate([np.arange(f, f + n) for f, n in zip(first, counts, strict=True)])
    order = np.random.default_rng(0).permutation(numbers)
    return replace(
        corpus,
        tokens=np.concatenate([corpus.tokens[starts[i] : starts[i + 1]] for i in order]),
        sentences=np.concatenate([[0], np.cumsum(np.diff(starts)[order])]),
        documents=np.concatenate([[0], np.cumsum(counts)]),
        fingerprints=corpus.fingerprints[corpus.chosen],
        word_starts=None,
        chosen=np.arange(len(counts)),
    )


def train_on(
    batches: FirstBatches, evaluation: PretrainingBatches, options: argparse.Namespace
) -> tuple[dict[str, float], float]:
    """Return held-out metrics of a new model, and the share of the more frequent label."""
    model = new_pretraining_model(evaluation.corpus, options.preset, max_length=64)
    rate = default_learning_rate(model.config, new=True)
    settings = TrainingSettings(
        epochs=1, learning_rate=rate, precision=options.precision, save_steps=10**6
    )
    with TemporaryDirectory() as folder:
        train(
            model,
            batches,
            settings,
            folder=Path(folder) / "training",
            device=options.device,
        )
    held_out_batches = list(islice(evaluation.fixed(), MAX_EVAL_BATCHES))
    labels = torch.cat([batch["next_sentence_label"] for batch in held_out_batches])
    return evaluate_pretraining(model, held_out_batches), next_sentence_majority(labels)


def parse_options() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="a folder made by minibert prepare")
    parser.add_argument("--updates", type=int_range(1), default=2000)
    parser.add_argument("--batch-size", type=int_range(1), default=64)
    parser.add_argument("--preset", default="tiny", choices=PRESETS)
    parser.add_argument("--precision", default="auto", choices=("auto", *PRECISIONS))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    options = parser.parse_args()
    options.device = choose_device(options.device)
    return options


if __name__ == "__main__":
    run(main)
