r"""Pretrain on a corpus: fill in masked words, and tell whether one sentence follows another.

minibert pretrain corpus --output mine --preset tiny --epochs 4
minibert pretrain corpus --output adapted --model weights/tiny --epochs 2

The corpus comes from minibert prepare; for --model, prepared with the vocabulary of that model. The
output is a folder to fine-tune from, with metrics.json (held-out metrics, tokens seen, seconds) and
learning_curve.png. examples/pretrain.py shows the same steps without options. Several processes
share the batches of each update:

torchrun --nproc-per-node 2 --no-python minibert pretrain corpus --output mine \
    --gradient-accumulation-steps 2
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.cli.shared import choose_output, int_range, resume_command
from minibert.errors import MiniBertError
from minibert.files import shell_path, write_task

if TYPE_CHECKING:
    import torch

    from minibert.training.distributed import Processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("corpus", type=Path, metavar="CORPUS", help="a folder made by minibert prepare")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the folder to save the model in",
    )
    add("--model", metavar="FOLDER_OR_NAME", help="continue from the weights of a model")
    help_text = "size of a new model: tiny, mini, small, medium, base or large; default: tiny"
    add("--preset", metavar="SIZE", help=help_text)
    add(
        "--dropout",
        type=float,
        metavar="P",
        help="dropout in this run; default: 0 for a new model, that of config.json with --model",
    )
    add("--epochs", type=int, default=4, metavar="N", help="passes over the corpus; default: 4")
    add("--batch-size", type=int, default=32, metavar="N", help="sequences per batch; default: 32")
    steps_help = "batches per update, over all processes; default: 1"
    add("--gradient-accumulation-steps", type=int, default=1, metavar="N", help=steps_help)
    add(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="the highest; default: for a new model 2e-3 (tiny), 1e-3 (mini), 5e-4 (small, "
        "medium), 1e-4 (base, large); with --model 5e-4 (tiny, mini), 1e-4 (small, medium), "
        "5e-5 (base), 2e-5 (large)",
    )
    help_text = "share of the updates in which the learning rate rises; default: 0.05"
    add("--warmup-ratio", type=float, default=0.05, metavar="X", help=help_text)
    help_text = "tokens per sequence; default: 64"
    add("--max-length", type=int_range(1, 1_000_000), default=64, metavar="N", help=help_text)
    help_text = "predict masked words only, in full sequences"
    add("--no-next-sentence", action="store_true", help=help_text)
    add("--whole-word", action="store_true", help="mask whole words, not single tokens")
    help_text = "share of the tokens that are masked; default: 0.15"
    add("--mask-rate", type=float, default=0.15, metavar="X", help=help_text)
    help_text = "share of the documents kept for evaluation; default: 0.02"
    add("--held-out", type=float, metavar="X", help=help_text)
    help_text = "updates between evaluations; default: 2000"
    add("--eval-steps", type=int, default=2000, metavar="N", help=help_text)
    help_text = "updates between checkpoints; default: 500"
    add("--save-steps", type=int, default=500, metavar="N", help=help_text)
    help_text = "seed of the random numbers of this run; default: 0"
    add("--seed", type=int, default=0, metavar="N", help=help_text)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps; default: auto")
    add("--precision", default="auto", help="auto, float32, bfloat16 or float16; default: auto")
    add("--resume", action="store_true", help="continue an interrupted run")


def run(options: argparse.Namespace) -> None:
    """Pretrain, as the only process or as one of those that torchrun has started."""
    from minibert.training.distributed import join_processes
    from minibert.training.settings import choose_device

    device = choose_device(options.device)
    with join_processes(device) as processes:
        _pretrain(options, device, processes)


def _pretrain(options: argparse.Namespace, device: "torch.device", processes: "Processes") -> None:
    from minibert.data.corpus.corpus import Corpus
    from minibert.data.pretraining.batches import PretrainingBatches
    from minibert.data.pretraining.masking import MaskingRates
    from minibert.evaluation.pretraining import (
        EVAL_BATCH_SIZE,
        HELD_OUT_SHARE,
        MAX_EVAL_BATCHES,
        evaluate_pretraining,
    )
    from minibert.training.loop import train
    from minibert.training.pretrain_setup import (
        continue_from,
        data_fingerprint,
        default_learning_rate,
        new_pretraining_model,
    )
    from minibert.training.settings import TrainingSettings, describe_run

    new = options.model is None
    if not new and options.preset is not None:
        raise MiniBertError(
            "--preset is for a new model and cannot be used with --model; remove one of them."
        )
    if not options.corpus.is_dir():
        found, texts, output = ("the folder {} does not exist", "TEXTS", options.corpus)
        if options.corpus.is_file():
            found, texts, output = ("{} is a file", options.corpus, "corpus")
        raise MiniBertError(
            f"{found.format(options.corpus)}; make a corpus:  minibert prepare {texts} "
            f"--vocab vocab.txt --output {output}"
        )
    output = processes.on_main(
        lambda: choose_output(options.output, options.output, resume=options.resume)
    )

    # Data. The same documents are held out for every seed, so that a run which continues from
    # another is not evaluated on text that the model has seen. Held-out text is always masked as in
    # the paper, so that runs can be compared.
    corpus = Corpus.open(options.corpus)
    held_out_share = HELD_OUT_SHARE if options.held_out is None else options.held_out
    documents, held_out = corpus.split(held_out_share)
    common: dict[str, Any] = {
        "max_length": options.max_length,
        "next_sentence": not options.no_next_sentence,
    }
    batches = PretrainingBatches(
        documents,
        batch_size=options.batch_size,
        rates=MaskingRates(picked=options.mask_rate),
        whole_word=options.whole_word,
        seed=options.seed,
        **common,
    )
    evaluation = PretrainingBatches(held_out, batch_size=EVAL_BATCH_SIZE, **common)

    # Model.
    dropout = options.dropout
    if new:
        dropout = dropout or 0.0
        start = f"random, preset {options.preset or 'tiny'}"
        model = new_pretraining_model(
            corpus, options.preset or "tiny", dropout=dropout, seed=options.seed, **common
        )
    else:
        start = options.model
        model = continue_from(start, corpus, dropout=dropout, seed=options.seed, **common)

    # Training, with the same loop as fine-tuning.
    learning_rate = options.learning_rate
    if learning_rate is None:
        learning_rate = default_learning_rate(model.config, new=new)
    settings = TrainingSettings(
        epochs=options.epochs,
        learning_rate=learning_rate,
        warmup_ratio=options.warmup_ratio,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        precision=options.precision,
        save_steps=options.save_steps,
        eval_steps=options.eval_steps,
        seed=options.seed,
    )
    print(f"initial weights: {start}")
    print(
        f"{documents.token_count:,} tokens in {len(documents):,} documents, {len(batches):,} "
        f"batches per epoch; {len(held_out):,} documents are held out"
    )
    print(describe_run(model, settings, device))
    result = train(
        model,
        batches,
        settings,
        folder=output / "training",
        device=device,
        evaluate=lambda: evaluate_pretraining(
            model, evaluation.fixed(), max_batches=MAX_EVAL_BATCHES
        ),
        metric_for_best_model=None,  # the learning rate ends at 0, so the last weights are the best
        fingerprint=data_fingerprint(batches) | {"dropout": dropout},
        resume=options.resume,
        how_to_resume=resume_command(output),
        processes=processes,
    )
    if not processes.is_main:
        return

    # A folder to fine-tune from, metrics and a figure.
    model.save_pretrained(output)
    corpus.tokenizer.save_pretrained(output)
    write_task(output, {})  # checksums
    metrics = evaluate_pretraining(model, evaluation.fixed())
    run = {"tokens_seen": result.tokens, "seconds": round(result.seconds, 1)}
    print(_write_report(output, metrics, evaluation.sequences(0).labels, run))
    place = shell_path(output)
    print(f'{output} is saved; try it:  minibert fill-mask {place} "a text with a [MASK]"')


def _write_report(output: Path, metrics: dict[str, float], labels: Any, run: dict[str, Any]) -> str:
    """Write `metrics.json` and `learning_curve.png`; return the metrics as text."""
    import torch

    from minibert.evaluation.pretraining import next_sentence_majority
    from minibert.files import write_json
    from minibert.plots.learning_curve import pretraining_curve
    from minibert.plots.style import note_failure, save_figure

    majority = None
    if labels is not None and "next_sentence_accuracy" in metrics:
        majority = next_sentence_majority(torch.from_numpy(labels))
        metrics = metrics | {"next_sentence_majority": majority}
    with note_failure(output / "metrics.json"):
        write_json(output / "metrics.json", metrics | run)
    with note_failure(output / "learning_curve.png"):
        curve = pretraining_curve(output / "training" / "log.jsonl", majority=majority)
        save_figure(curve, output / "learning_curve.png")
    return "held out: " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
