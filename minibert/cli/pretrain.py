"""Learn language from a corpus: fill in masked words, tell whether one sentence follows another.

minibert pretrain corpus --output mine --preset tiny --epochs 4
minibert pretrain corpus --output adapted --model weights/tiny --epochs 2

The corpus comes from minibert prepare; with --model, made with the vocabulary of that model. The
output is a folder to fine-tune from, with metrics.json (held-out scores, tokens seen, seconds) and
learning_curve.png. examples/pretrain.py shows the same steps in plain code. Several processes share
the batches of each update:

torchrun --nproc-per-node 2 --no-python minibert pretrain corpus --output mine --accumulation 2
"""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.cli.shared import choose_output, resume_command, whole_number
from minibert.errors import MiniBertError

if TYPE_CHECKING:
    import torch

    from minibert.data.pretraining.batches import PretrainingBatches
    from minibert.training.distributed import Processes
    from minibert.training.loop import TrainingResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("corpus", type=Path, metavar="CORPUS", help="a folder made by minibert prepare")
    add("--output", type=Path, required=True, metavar="FOLDER", help="where the model goes")
    add("--model", metavar="FOLDER_OR_NAME", help="go on from these weights")
    add("--preset", metavar="SIZE", help="of a new model: tiny (default), mini, small, ..., large")
    add(
        "--dropout",
        type=float,
        metavar="P",
        help="while pretraining; 0 for a new model, that of its config.json with --model",
    )
    add("--epochs", type=int, default=4, metavar="N", help="passes over the text; 4")
    add("--batch-size", type=int, default=32, metavar="N", help="sequences a batch; 32")
    add("--accumulation", type=int, default=1, metavar="N", help="batches an update; 1")
    add(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="for a new model 2e-3 (tiny), 1e-3 (mini), 5e-4 (small, medium), 1e-4 (base, large); "
        "with --model 5e-4 (tiny, mini), 1e-4 (small, medium), 5e-5 (base), 2e-5 (large)",
    )
    add("--warmup", type=float, default=0.05, metavar="SHARE", help="of the updates; 0.05")
    length = whole_number(1, 1_000_000)
    add("--max-length", type=length, default=64, metavar="N", help="tokens of a sequence; 64")
    add("--no-next-sentence", action="store_true", help="masked words only, in full sequences")
    add("--whole-word", action="store_true", help="mask whole words")
    add("--mask-rate", type=float, default=0.15, metavar="SHARE", help="of the tokens; 0.15")
    add(
        "--held-out",
        type=float,
        metavar="SHARE",
        help="of the documents, to judge by; 0.02",
    )
    add("--evaluate-every", type=int, default=2000, metavar="N", help="updates; 2000")
    add("--save-every", type=int, default=500, metavar="N", help="updates; 500")
    add("--seed", type=int, default=0, metavar="N", help="of all chance; 0")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--precision", default="auto", help="float32, bfloat16, float16")
    add("--resume", action="store_true", help="go on with an interrupted run")


def run(options: argparse.Namespace) -> None:
    """Do it, as one process or as one of those that torchrun has started."""
    from minibert.training.distributed import several_processes
    from minibert.training.settings import choose_device

    device = choose_device(options.device)
    with several_processes(device) as processes:
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
        going_on_from,
        identity_of,
        new_model_for,
        usual_learning_rate,
    )
    from minibert.training.settings import TrainingSettings, describe_run

    new = options.model is None
    if not new and options.preset is not None:
        raise MiniBertError("--preset is for a new model; leave it out, or --model.")
    if options.corpus.is_file():
        raise MiniBertError(
            f"{options.corpus} is a file; make a corpus of its text:  minibert prepare "
            f"{options.corpus} --vocabulary vocab.txt --output corpus"
        )
    if not options.corpus.is_dir():
        raise MiniBertError(
            f"there is no folder {options.corpus}; make a corpus there:  minibert prepare TEXTS "
            f"--vocabulary vocab.txt --output {options.corpus}"
        )
    output = processes.once(
        lambda: choose_output(options.output, options.output, resume=options.resume)
    )
    pairs, length = not options.no_next_sentence, options.max_length

    # The text: documents as ids, some of them held out: the same ones for every seed, or a run that
    # goes on would be judged by what it has seen. They are always masked as in the paper, so that
    # runs can be compared.
    corpus = Corpus.open(options.corpus)
    documents, held_out = corpus.split(
        HELD_OUT_SHARE if options.held_out is None else options.held_out
    )
    batches = PretrainingBatches(
        documents,
        max_length=length,
        batch_size=options.batch_size,
        next_sentence=pairs,
        rates=MaskingRates(picked=options.mask_rate),
        whole_word=options.whole_word,
        seed=options.seed,
    )
    judge = PretrainingBatches(
        held_out,
        max_length=length,
        batch_size=EVAL_BATCH_SIZE,
        next_sentence=pairs,
    )

    # The model: new, or one to go on with.
    common = {"max_length": length, "seed": options.seed}
    if new:
        dropout = 0.0 if options.dropout is None else options.dropout
        preset = options.preset or "tiny"
        model = new_model_for(corpus, preset, next_sentence=pairs, dropout=dropout, **common)
    else:
        dropout = options.dropout
        model = going_on_from(options.model, corpus, next_sentence=pairs, dropout=dropout, **common)
    rate = options.learning_rate
    settings = TrainingSettings(
        epochs=options.epochs,
        learning_rate=usual_learning_rate(model.config, new=new) if rate is None else rate,
        warmup=options.warmup,
        accumulation=options.accumulation,
        precision=options.precision,
        save_every=options.save_every,
        evaluate_every=options.evaluate_every,
        seed=options.seed,
    )
    print(f"start: {f'random weights, size {preset}' if new else options.model}")
    print(
        f"{documents.token_count:,} tokens in {len(documents):,} documents, {len(batches):,} "
        f"batches an epoch; {len(held_out):,} documents are held out"
    )
    print(describe_run(model, settings, device))

    # The training: the same loop as for fine-tuning.
    result = train(
        model,
        batches,
        settings,
        folder=output / "training",
        device=device,
        evaluate=lambda: evaluate_pretraining(model, judge.fixed(), max_batches=MAX_EVAL_BATCHES),
        score=None,  # the rate ends at 0, so the last weights are the best
        identity=identity_of(batches) | {"dropout": dropout},
        resume=options.resume,
        how_to_resume=resume_command(output),
        processes=processes,
    )
    if not processes.is_first:
        return

    # The result: a folder to fine-tune from, scores and a picture.
    model.save_pretrained(output)
    corpus.tokenizer.save_pretrained(output)
    print(_write_report(output, evaluate_pretraining(model, judge.fixed()), judge, result))
    place = shlex.quote(str(output))
    print(f'{output} is saved; try it:  minibert fill-mask {place} "a text with a [MASK]"')


def _write_report(
    output: Path, scores: dict[str, float], judge: "PretrainingBatches", result: "TrainingResult"
) -> str:
    """Write `metrics.json` and `learning_curve.png`; give the scores in words."""
    import torch

    from minibert.evaluation.pretraining import next_sentence_majority
    from minibert.files import write_json
    from minibert.plots.learning_curve import pretraining_curve
    from minibert.plots.style import save_figure

    log = output / "training" / "log.jsonl"
    majority = None
    labels = judge.sequences(0).labels
    if labels is not None and "next_sentence_accuracy" in scores:
        majority = next_sentence_majority(torch.from_numpy(labels))
        scores = scores | {"next_sentence_majority": majority}
    run = {"tokens_seen": result.tokens, "seconds": round(result.seconds, 1)}
    write_json(output / "metrics.json", scores | run)
    save_figure(pretraining_curve(log, majority=majority), output / "learning_curve.png")
    named = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    return f"held out: {named}"
