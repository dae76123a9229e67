"""Compare the speed of fine-tuning with `transformers`.

    python examples/benchmarks/finetuning_speed.py --train SST-2/train.tsv [--shape 4x768]

Both models make the same updates: same weights, batches padded to their longest text, dropout 0.1,
fused AdamW. Without dropout their losses are compared first. A ratio is the time of an update of
`transformers` by that of ours.

    file      batches in the order of the file
    grouped   batches of texts of similar length, as `minibert finetune` makes them
"""

from minibert.cli.process import run

import statistics
from functools import partial
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers
from sides import Batch, Update, describe_ratio, model_of_shape, take_turns, usual_update

from minibert import BertForSequenceClassification, BertTokenizer, MiniBertError
from minibert.cli.shared import Parser, int_range
from minibert.data.labelled.splits import make_batches, read_task
from minibert.training.settings import PRECISIONS

TOLERANCES = {"float32": 1e-4, "bfloat16": 3e-2}  # of the loss


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--train", type=Path, required=True, metavar="FILE", help="labelled texts or pairs")
    add("--model", default="weights/mini", metavar="FOLDER", help="default: weights/mini")
    add("--shape", metavar="LAYERSxWIDTH", help="random weights of this shape, such as 4x768")
    add("--limit", type=int_range(32), default=3200, metavar="N", help="texts; default: 3200")
    add("--batch-size", type=int_range(1), default=32, metavar="N", help="default: 32")
    add("--updates", type=int_range(1), default=5, metavar="N", help="in a round; default: 5")
    add("--rounds", type=int_range(1), default=7, metavar="N", help="default: 7")
    add("--precisions", nargs="+", choices=TOLERANCES, default=list(TOLERANCES))
    add("--threads", type=int_range(1, 1024), default=torch.get_num_threads(), metavar="N")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = read_task(options.train, limit=options.limit)
    tokenizer = BertTokenizer.from_pretrained(options.model)
    sizes = {"max_length": 128, "batch_size": options.batch_size}
    train = make_batches(task, tokenizer, **sizes)["train"]
    starts = range(0, options.updates * options.batch_size, options.batch_size)
    orders = {
        "file": [train.collate(range(i, i + options.batch_size)) for i in starts],
        "grouped": list(islice(train.epoch(0), options.updates)),
    }
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, ", end="")
    print(f"threads: {options.threads}; tokens/s without padding\n")
    print("precision order    padding   minibert  transformers  ratio: median, quartiles")

    model = model_of_shape(options.model, options.shape, len(tokenizer), len(task.labels.names))
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        for precision, order in product(options.precisions, orders):
            batches = orders[order]
            ours = BertForSequenceClassification.from_pretrained(folder, quiet=True).eval()
            peer = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, precision == "bfloat16"):
                losses = [side(**batches[0]).loss.item() for side in (ours, peer)]
            if abs(losses[0] - losses[1]) > TOLERANCES[precision]:
                raise MiniBertError(f"the losses are {losses}, so this is not the same work.")
            turns = {}
            for name, side in (("minibert", ours), ("transformers", peer)):
                update = usual_update(side, PRECISIONS[precision], torch.device("cpu"))
                turns[name] = partial(run_all, update, batches)
                turns[name]()
            seconds = take_turns(turns, options.rounds)
            tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
            padding = 1 - tokens / sum(batch["input_ids"].numel() for batch in batches)
            speeds = [tokens / statistics.median(times) for times in seconds.values()]
            ratio = describe_ratio(seconds["transformers"], seconds["minibert"])
            line = f"{precision:9} {order:8} {padding:7.0%} {speeds[0]:10,.0f} {speeds[1]:13,.0f}"
            print(f"{line}  {ratio}", flush=True)


def run_all(update: Update, batches: list[Batch]) -> None:
    for batch in batches:
        update(batch)


if __name__ == "__main__":
    run(main)
