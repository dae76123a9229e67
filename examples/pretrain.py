"""Pretrain BERT on a corpus, or on the documentation of the installed libraries.

python examples/pretrain.py
python examples/pretrain.py --corpus CORPUS --output mine    # CORPUS from minibert prepare

`minibert pretrain` takes the same steps and has more options.
"""

from minibert.cli.process import run

from pathlib import Path

from minibert.cli.shared import Parser, choose_output
from minibert.files import shell_path, write_task


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="made by minibert prepare")
    parser.add_argument("--preset", default="tiny", help="tiny, mini, ..., large; default: tiny")
    parser.add_argument("--epochs", type=int, default=4, help="default: 4")
    parser.add_argument("--max-length", type=int, default=64, help="tokens per pair; default: 64")
    parser.add_argument("--output", type=Path, help="default: runs/pretrain, or -2, -3, ...")
    options = parser.parse_args()
    output = choose_output(options.output, Path("runs/pretrain"), resume=False)

    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert.data.builtin.library_docs import build_library_corpus
    from minibert.data.corpus.corpus import Corpus
    from minibert.data.pretraining.batches import PretrainingBatches
    from minibert.evaluation.pretraining import (
        EVAL_BATCH_SIZE,
        HELD_OUT_SHARE,
        evaluate_pretraining,
    )
    from minibert.training.loop import train
    from minibert.training.pretrain_setup import default_learning_rate, new_pretraining_model
    from minibert.training.settings import TrainingSettings, choose_device

    # Text -> documents of token ids. Some documents are held out to evaluate on.
    folder = options.corpus or output / "corpus"
    if options.corpus is None:
        build_library_corpus(folder)
    corpus = Corpus.open(folder)
    documents, held_out = corpus.split(HELD_OUT_SHARE)

    # Documents -> sentence pairs with masked words, other ones in every epoch.
    length = options.max_length
    batches = PretrainingBatches(documents, max_length=length, batch_size=32)
    evaluation = PretrainingBatches(held_out, max_length=length, batch_size=EVAL_BATCH_SIZE)

    # A model with random weights, trained by the same loop as in fine-tuning.
    model = new_pretraining_model(corpus, options.preset, max_length=length)
    rate = default_learning_rate(model.config, new=True)
    settings = TrainingSettings(epochs=options.epochs, learning_rate=rate, warmup_ratio=0.05)
    train(model, batches, settings, folder=output / "training", device=choose_device())
    print(evaluate_pretraining(model, evaluation.fixed()))

    # A folder to fine-tune from.
    model.save_pretrained(output)
    corpus.tokenizer.save_pretrained(output)
    write_task(output, {})  # checksums
    print(f"try it:  minibert fill-mask {shell_path(output)} 'The [MASK] of the array.'")


if __name__ == "__main__":
    run(main)
