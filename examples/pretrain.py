"""Pretrain BERT, step by step; `minibert pretrain` does the same, has more options, and can be
started in several processes (torchrun).

python examples/pretrain.py                                    # a taste, on library documentation
minibert prepare TEXTS --vocabulary vocab.txt --output corpus  # your own text ...
python examples/pretrain.py --corpus corpus --preset mini      # ... and a model of it
"""

import argparse
from pathlib import Path
from shlex import quote

from minibert.cli.shared import Parser, choose_output, resume_command, run
from minibert.data.builtin.library_docs import build_library_corpus
from minibert.data.corpus.corpus import Corpus
from minibert.data.pretraining.batches import PretrainingBatches
from minibert.evaluation.pretraining import (
    EVAL_BATCH_SIZE,
    HELD_OUT_SHARE,
    MAX_EVAL_BATCHES,
    evaluate_pretraining,
)
from minibert.files import write_json
from minibert.plots.learning_curve import pretraining_curve
from minibert.plots.style import save_figure
from minibert.training.loop import train
from minibert.training.pretrain_setup import identity_of, new_model_for, usual_learning_rate
from minibert.training.settings import TrainingSettings, choose_device, describe_run


def main() -> None:
    options = parse_options()
    output = choose_output(options.output, Path("runs/pretrain"), resume=options.resume)

    # Text -> documents as ids; some of them are held out, to judge the model by.
    folder = options.corpus or output / "corpus"
    if options.corpus is None and not folder.exists():
        print(build_library_corpus(folder).summary())
    corpus = Corpus.open(folder)
    documents, held_out = corpus.split(HELD_OUT_SHARE)

    # Documents -> pairs of sentences with hidden words: other pairs and words in every epoch.
    batches = PretrainingBatches(documents, max_length=options.max_length, batch_size=32)
    judge = PretrainingBatches(held_out, max_length=options.max_length, batch_size=EVAL_BATCH_SIZE)
    print(f"{documents.token_count:,} tokens, {len(batches):,} batches an epoch")

    # A model, and the same loop as for fine-tuning.
    model = new_model_for(corpus, options.preset, max_length=options.max_length)
    rate = usual_learning_rate(model.config, new=True)
    often = {"save_every": 500, "evaluate_every": 2000}
    settings = TrainingSettings(epochs=options.epochs, learning_rate=rate, warmup=0.05, **often)
    device = choose_device(options.device)
    print(describe_run(model, settings, device))
    train(
        model,
        batches,
        settings,
        folder=output / "training",
        device=device,
        evaluate=lambda: evaluate_pretraining(model, judge.fixed(), max_batches=MAX_EVAL_BATCHES),
        score=None,
        identity=identity_of(batches),
        resume=options.resume,
        how_to_resume=resume_command(output),
    )

    # A folder to fine-tune from.
    model.save_pretrained(output)
    corpus.tokenizer.save_pretrained(output)
    write_json(output / "metrics.json", evaluate_pretraining(model, judge.fixed()))
    curve = pretraining_curve(output / "training" / "log.jsonl")
    save_figure(curve, output / "learning_curve.png")
    place = quote(str(output))
    print(f'{output} is saved; try it:  minibert fill-mask {place} "The [MASK] of the array."')


def parse_options() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="made by minibert prepare")
    parser.add_argument("--preset", default="tiny", metavar="SIZE", help="tiny, mini, ..., large")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--max-length", type=int, default=64, help="tokens of a pair")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--output", type=Path, help="default: runs/pretrain, or -2, -3, ...")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
