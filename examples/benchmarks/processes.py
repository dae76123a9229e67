"""Compare what whole processes take: time to the first answer, and memory of a training step.

    python examples/benchmarks/processes.py [--shape 12x768] [--rounds 5]

Each side runs in processes of its own, in turns, on the same saved weights. A ratio is what
`transformers` takes by what minibert takes.

    answer    from the start of Python to the logits of one text, in seconds; files are cached
    step      the peak memory of an MLM update with AdamW above that of the loaded model, in MB
"""

from minibert.cli.process import run

import resource
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from tempfile import TemporaryDirectory

from minibert import MiniBertError
from minibert.cli.shared import Parser, int_range

TEXT = "It rains in the mountains, and the river rises."


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", default="weights/mini", metavar="FOLDER", help="default: weights/mini")
    add("--shape", metavar="LAYERSxWIDTH", help="random weights of this shape, such as 12x768")
    add(
        "--vocab-size", type=int_range(1), metavar="N", help="with --shape; default: that of FOLDER"
    )
    add("--rows", type=int_range(1), default=16, metavar="N", help="of the step; default: 16")
    add("--length", type=int_range(5, 512), default=128, metavar="N", help="default: 128")
    add("--rounds", type=int_range(1), default=5, metavar="N", help="default: 5")
    add("--only", nargs=3, metavar=("SIDE", "WORK", "FOLDER"), help="what a child process runs")
    options = parser.parse_args()
    if options.only:
        side, work, folder = options.only
        print(answer(side, folder) if work == "answer" else step(side, folder, options))
        return
    # Imported here, because a child process imports only its side.
    import torch
    import transformers
    from sides import describe_ratio, model_of_shape

    from minibert import BertForPreTraining, BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(options.model)
    size = options.vocab_size or len(tokenizer)
    if size < len(tokenizer):
        raise MiniBertError(f"--vocab-size is {size}; {options.model} has {len(tokenizer)}.")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}\n")
    print("work    minibert  transformers  ratio: median, quartiles")
    with TemporaryDirectory() as folder:
        config = model_of_shape(options.model, options.shape, size, 2).config
        BertForPreTraining(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for work in ("answer", "step"):
            found: dict[str, list[float]] = {"minibert": [], "transformers": []}
            for _ in range(options.rounds if work == "answer" else 1):
                for side, values in found.items():
                    values.append(run_child(side, work, folder))
            ours, theirs = (statistics.median(values) for values in found.values())
            ratio = describe_ratio(found["transformers"], found["minibert"])
            print(f"{work:6} {ours:9.2f} {theirs:13.2f}  {ratio}", flush=True)


def run_child(side: str, work: str, folder: str) -> float:
    """Return the seconds of a process, or the megabytes that it prints."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", side, work, folder]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise MiniBertError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return seconds if work == "answer" else float(done.stdout.split()[-1])


def answer(side: str, folder: str) -> str:
    """Load a model and its tokenizer, and return the shape of the logits of one text."""
    if side == "minibert":
        from minibert import BertForMaskedLM, BertTokenizer

        tokenizer, model = (
            BertTokenizer.from_pretrained(folder),
            BertForMaskedLM.from_pretrained(folder),
        )
    else:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.BertForMaskedLM.from_pretrained(folder)
    return str(model.eval()(**tokenizer(TEXT, return_tensors="pt")).logits.shape)


def step(side: str, folder: str, options: Namespace) -> float:
    """Return the megabytes that an update adds to the peak of a process with a loaded model."""
    import torch
    from sides import usual_update

    if side == "minibert":
        from minibert import BertForPreTraining

        model = BertForPreTraining.from_pretrained(folder, quiet=True)
        model.masked_positions_only = True
    else:
        import transformers

        model = transformers.BertForPreTraining.from_pretrained(folder)
    update = usual_update(model, torch.float32, torch.device("cpu"))
    torch.manual_seed(0)
    ids = torch.randint(5, model.config.vocab_size, (options.rows, options.length))
    labels = ids.masked_fill(torch.rand(ids.shape) > 0.15, -100)
    batch = {"input_ids": ids, "labels": labels, "next_sentence_label": ids[:, 0] % 2}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    update(batch)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


if __name__ == "__main__":
    run(main)
