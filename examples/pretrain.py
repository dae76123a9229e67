"""Pretrain BERT: fill in masked words, and tell whether one sentence follows another.

python examples/pretrain.py                                    # a taste, on library documentation
minibert prepare TEXTS --vocabulary vocab.txt --output corpus  # your own text ...
python examples/pretrain.py --corpus corpus --preset mini      # ... and a model of it
"""

import argparse
import math
from pathlib import Path

import torch

from minibert import BertConfig, BertForMaskedLM, BertForPreTraining, MiniBertError
from minibert.command import Parser, choose_output, resume_command, run
from minibert.data.corpus import Corpus
from minibert.data.library_corpus import build_library_corpus
from minibert.data.pretraining_batches import PretrainingBatches
from minibert.evaluation.pretraining import evaluate_pretraining
from minibert.files import write_json
from minibert.training.loop import train
from minibert.training.settings import TrainingSettings, choose_device, describe_run
from minibert.training.start import PRESETS
from minibert.views.training_pictures import learning_curve

HELD_OUT_SHARE = 0.02  # of the documents
EVALUATED_BATCHES = 100
SCORES = ("masked_lm_accuracy", "next_sentence_accuracy")


def main() -> None:
    options = parse_options()
    output = choose_output(options.output, Path("runs/pretrain"), resume=options.resume)

    # The text: documents as ids, some of them held out.
    folder = options.corpus or output / "corpus"
    if options.corpus is None and not folder.exists():
        print(build_library_corpus(folder).in_words())
    corpus = Corpus.open(folder)
    documents, held_out = corpus.split(HELD_OUT_SHARE, seed=options.seed)
    shape = {"max_length": options.max_length, "next_sentence": not options.no_next_sentence}
    batches = PretrainingBatches(
        documents,
        **shape,
        batch_size=options.batch_size,
        whole_word=options.whole_word,
        seed=options.seed,
    )
    judge = PretrainingBatches(held_out, **shape, batch_size=64, seed=options.seed)
    print(f"{documents.token_count:,} tokens, {len(batches):,} batches an epoch")

    # The model: new, or one to go on with.
    kind = BertForMaskedLM if options.no_next_sentence else BertForPreTraining
    if options.model is not None:
        model = kind.from_pretrained(options.model)
    else:
        config = getattr(BertConfig, options.preset)()
        # The paper's 0.02 is for a width of 768; a narrow model starts with larger numbers, or the
        # loss stays for long at what the mere frequency of words explains.
        scale = 0.02 * math.sqrt(768 / config.hidden_size)
        torch.manual_seed(options.seed)
        changes = {"vocab_size": len(corpus.tokenizer), "initializer_range": scale}
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob")
        dropout = dict.fromkeys(rates, options.dropout)
        model = kind(config.with_changes(**changes, **dropout))
    if len(corpus.tokenizer) > model.config.vocab_size:
        raise MiniBertError(f"the model does not know all {len(corpus.tokenizer):,} pieces.")

    # The training: the same loop as for fine-tuning.
    settings = TrainingSettings(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        warmup=options.warmup,
        accumulation=options.accumulation,
        precision=options.precision,
        save_every=500,
        evaluate_every=2000,
        seed=options.seed,
    )
    device = choose_device(options.device)
    print(describe_run(model, settings, device))
    train(
        model,
        batches,
        settings,
        folder=output / "training",
        device=device,
        evaluate=lambda: evaluate_pretraining(model, judge.fixed(), most=EVALUATED_BATCHES),
        score=SCORES[0],
        identity={"corpus": documents.identity, "batch_size": options.batch_size, **shape},
        resume=options.resume,
        how_to_resume=resume_command(output),
    )

    model.save_pretrained(output)
    corpus.tokenizer.save_pretrained(output)
    write_json(output / "metrics.json", evaluate_pretraining(model, judge.fixed()))
    learning_curve(output / "training" / "log.jsonl", output / "learning_curve.png", scores=SCORES)
    print(f'{output} is saved; try it:  minibert fill-mask {output} "The [MASK] of the array."')


def parse_options() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--corpus", type=Path, metavar="FOLDER", help="made by minibert prepare")
    add("--model", metavar="FOLDER_OR_NAME", help="go on from these weights")
    add("--preset", choices=PRESETS, default="tiny", help="size of a new model")
    add("--dropout", type=float, default=0.0, help="of a new model; the paper's is 0.1")
    add("--epochs", type=int, default=4)
    add("--batch-size", type=int, default=32)
    add("--accumulation", type=int, default=1, help="batches an update")
    add("--learning-rate", type=float, default=2e-3, help="2e-3 suits tiny; the paper's is 1e-4")
    add("--warmup", type=float, default=0.05, help="share of the updates in which the rate rises")
    add("--max-length", type=int, default=64, help="tokens of a pair")
    add("--no-next-sentence", action="store_true", help="masked words only")
    add("--whole-word", action="store_true", help="mask whole words")
    add("--seed", type=int, default=0)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--precision", default="auto", help="float32, bfloat16, float16")
    add("--output", type=Path, help="default: runs/pretrain, or -2, -3, ...")
    add("--resume", action="store_true", help="go on with an interrupted run")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
