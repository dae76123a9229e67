"""Compare the speed of inference with `transformers` and ONNX Runtime.

    python examples/benchmarks/inference.py TEXTS [--model weights/mini | --shape 12x768]

TEXTS has a text per line. All sides classify the same ids with the same weights, and their logits
are compared before they take turns. A ratio is the time of a peer by ours in the same precision.

    file      batches in the order of the file, padded to their longest text
    sorted    batches of texts of similar length
    equal     rows of 128 tokens: there is no padding to save
    one       one text at a time
"""

from minibert.cli.process import run

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import torch
import transformers
from sides import SIDES, Batch, batches, describe_ratio, make_side, model_of_shape, take_turns

from minibert import BertTokenizer, MiniBertError
from minibert.cli.shared import Parser, int_range

WORKS = ("file", "sorted", "equal", "one")
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.2, "int8": 0.5}  # of the largest logit


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("file", type=Path, metavar="TEXTS", help="a text per line")
    add("--model", default="weights/mini", metavar="FOLDER", help="default: weights/mini")
    add("--shape", metavar="LAYERSxWIDTH", help="random weights of this shape, such as 12x768")
    add("--works", nargs="+", choices=WORKS, default=WORKS)
    add("--sides", nargs="+", choices=SIDES, default=SIDES)
    add("--limit", type=int_range(1), default=872, metavar="N", help="texts; default: 872")
    add("--batch-size", type=int_range(1), default=32, metavar="N", help="default: 32")
    add("--rounds", type=int_range(1), default=7, metavar="N", help="default: 7")
    add("--threads", type=int_range(1, 1024), default=torch.get_num_threads(), metavar="N")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = BertTokenizer.from_pretrained(options.model)
    model = model_of_shape(options.model, options.shape, len(tokenizer), 2)
    lines = options.file.read_text(encoding="utf-8").splitlines()[: options.limit]
    rows = tokenizer(lines, truncation=True, max_length=128)["input_ids"]
    by_length, size = sorted(rows, key=len), options.batch_size
    works = {
        "file": batches(tokenizer, rows, size),
        "sorted": batches(tokenizer, by_length, size),
        "equal": batches(tokenizer, [(row * 128)[:128] for row in rows[: 2 * size]], size),
        "one": batches(tokenizer, by_length[len(rows) // 2 :][: 2 * size], 1),
    }
    padding = 1 - sum(map(len, rows)) / sum(batch["input_ids"].numel() for batch in works["file"])
    print(f"{len(rows)} texts, in the order of the file {padding:.0%} padding; ", end="")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, ", end="")
    print(f"onnxruntime {onnxruntime.__version__}, threads: {options.threads}\n")
    print("work    side                     texts/s  ratio: median, quartiles   difference")
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        sides = {name: make_side(name, Path(folder), options.threads) for name in options.sides}
        for work in options.works:
            compare(work, works[work], sides, options.rounds)


@torch.inference_mode()
def compare(
    work: str, data: list[Batch], sides: dict[str, Callable[[Batch], torch.Tensor]], rounds: int
) -> None:
    """Print a line for each side."""
    logits = {name: torch.cat([side(batch) for batch in data]) for name, side in sides.items()}

    def run_all(side: Callable[[Batch], torch.Tensor]) -> None:
        for batch in data:
            side(batch)

    turns = {name: partial(run_all, side) for name, side in sides.items()}
    seconds = take_turns(turns, rounds)
    texts = sum(len(batch["input_ids"]) for batch in data)
    exact = logits["minibert-float32"]
    for name, found in logits.items():
        difference = ((found - exact).abs().max() / exact.abs().max()).item()
        precision = name.split("-")[1]
        if difference > TOLERANCES[precision]:
            raise MiniBertError(f"the logits of {name} differ by {difference}: not the same work.")
        speed = texts / statistics.median(seconds[name])
        ours = seconds.get(f"minibert-{precision}")
        ratio = describe_ratio(seconds[name], ours) if ours and name[:4] != "mini" else ""
        print(f"{work:7} {name:22} {speed:9,.1f}  {ratio:24} {difference:.0e}", flush=True)


if __name__ == "__main__":
    run(main)
