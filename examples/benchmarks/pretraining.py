"""Compare the speed of pretraining with `BertForPreTraining` of `transformers`.

    python examples/benchmarks/pretraining.py [--corpus FOLDER] [--vocab-size 30522] [--threads 1]

Both models make the same updates: same batches, initial weights and loop, fused AdamW, no dropout.
A ratio is the time of their two updates by that of ours; on one thread it is processor time.

    ours, peer    tokens per second without padding
    batches       the share of our time to make them
    losses        the largest difference in the first updates
"""

from minibert.cli.process import run

from itertools import count, islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers
from sides import Update, describe_ratio, now, usual_update

from minibert import BertConfig, BertForPreTraining, MiniBertError
from minibert.cli.shared import Parser, int_range
from minibert.data.builtin.library_docs import build_library_corpus
from minibert.data.corpus.corpus import Corpus
from minibert.data.pretraining.batches import PretrainingBatches
from minibert.training.finetune_setup import PRESETS
from minibert.training.settings import PRECISIONS, choose_device

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
COMPARED = 5  # updates whose losses are compared; they also warm both models up
TOLERANCE = 1e-4  # in float32, where only the order of additions differs


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--corpus", type=Path, metavar="FOLDER", help="default: the libraries' documentation")
    add("--vocab-size", type=int_range(1), help="the model's vocabulary; default: the corpus's")
    add("--presets", nargs="+", default=["tiny", "small"], choices=PRESETS)
    add("--lengths", nargs="+", type=int_range(5, 512), default=[64, 128], help="of a row")
    add("--precisions", nargs="+", default=["float32", "bfloat16"], choices=list(PRECISIONS))
    add("--batch-size", type=int_range(2), default=32, metavar="N", help="rows; default: 32")
    add("--rounds", type=int_range(1), default=15)
    add("--device", default="cpu", help="cpu, cuda, mps")
    add("--threads", type=int_range(1, 1024), default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    with TemporaryDirectory() as temporary:
        folder = options.corpus or Path(temporary) / "corpus"
        if options.corpus is None:
            build_library_corpus(folder)
        corpus = Corpus.open(folder)
        least = len(corpus.tokenizer)
        size = options.vocab_size or least
        if size < least:
            raise MiniBertError(f"--vocab-size is {size}; {folder} needs at least {least}.")
        print(f"{options.batch_size} rows, {size:,} tokens; {device}, threads: {options.threads};")
        print(f"torch {torch.__version__}, transformers {transformers.__version__}\n")
        print(
            "precision preset tokens      ours      peer  ratio: median, quartiles   batches losses"
        )
        rows = product(options.precisions, options.presets, options.lengths)
        for precision, preset, length in rows:
            batches = PretrainingBatches(corpus, max_length=length, batch_size=options.batch_size)
            torch.manual_seed(0)
            model = BertForPreTraining(getattr(BertConfig, preset)(vocab_size=size, **NO_DROPOUT))
            model.masked_positions_only = True
            result = compare(model.to(device), batches, PRECISIONS[precision], options.rounds)
            print(f"{precision:9} {preset:6} {length:6} {result}", flush=True)


def compare(
    model: BertForPreTraining, data: PretrainingBatches, precision: torch.dtype, rounds: int
) -> str:
    """Return the numbers of one row of the table."""
    device = model.device
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        peer = transformers.BertForPreTraining.from_pretrained(folder, dtype="float32")
    ours, theirs = (usual_update(each, precision, device) for each in (model, peer))
    batches = (batch for epoch in count() for batch in data.epoch(epoch))
    difference = max(abs(ours(batch) - theirs(batch)) for batch in islice(batches, COMPARED))
    if precision == torch.float32 and not difference < TOLERANCE:
        raise MiniBertError(f"the losses differ by {difference}, so this is not the same work.")

    tokens, making = 0, 0.0
    turns: dict[Update, list[float]] = {ours: [], theirs: []}
    for number in range(rounds):
        start = now()
        window = list(islice(batches, 2))
        making += now() - start
        tokens += sum(int(batch["attention_mask"].sum()) for batch in window)
        for side in (ours, theirs) if number % 2 else (theirs, ours):
            start = now()
            for batch in window:
                side(batch)
            turns[side].append(now() - start)
    speeds = [f"{tokens / sum(times):9,.0f}" for times in turns.values()]
    spread = describe_ratio(turns[theirs], turns[ours])
    share = making / (making + sum(turns[ours]))
    return f"{' '.join(speeds)}  {spread:22}  {share:9.1%}   {difference:.0e}"


if __name__ == "__main__":
    run(main)
