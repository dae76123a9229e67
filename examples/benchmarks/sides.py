"""The sides of a comparison: minibert and its peers, with the same weights, timed in turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from minibert import BertConfig, BertForSequenceClassification, BertTokenizer
from minibert.cli.export import export_onnx
from minibert.model.int8 import reduce_precision
from minibert.training.optimizer import decay_groups

SIDES = ("minibert-float32", "minibert-bfloat16", "minibert-int8", "transformers-float32")
SIDES += ("transformers-bfloat16", "compiled-float32", "onnx-float32", "onnx-int8")
Batch = dict[str, torch.Tensor]
Update = Callable[[Batch], float]


def batches(tokenizer: BertTokenizer, rows: Sequence[Sequence[int]], size: int) -> list[Batch]:
    """Return the rows in padded batches."""
    found = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        columns = {"input_ids": part, "token_type_ids": [[0] * len(row) for row in part]}
        found.append(dict(tokenizer.pad(columns, return_tensors="pt")))
    return found


def make_side(name: str, folder: Path, threads: int) -> Callable[[Batch], torch.Tensor]:
    """Return a function from a batch to its logits."""
    kind, precision = name.split("-")
    model: Any
    if kind == "onnx":
        import onnxruntime
        from onnxruntime.quantization import quantize_dynamic
        from onnxruntime.transformers.optimizer import optimize_model

        path = folder / f"{precision}.onnx"
        model = BertForSequenceClassification.from_pretrained(folder).eval()
        model.attention = "fused"
        export_onnx(model, path)
        heads, width = model.config.num_attention_heads, model.config.hidden_size
        optimize_model(str(path), "bert", heads, width).save_model_to_file(str(path))
        if precision == "int8":
            quantize_dynamic(path, path)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, settings, ["CPUExecutionProvider"])
        return lambda batch: torch.from_numpy(
            session.run(["logits"], {key: value.numpy() for key, value in batch.items()})[0]
        )
    if kind == "minibert":
        model = BertForSequenceClassification.from_pretrained(folder).eval()
        model = reduce_precision(model, precision)
    else:
        dtype = getattr(torch, precision)
        model = transformers.BertForSequenceClassification.from_pretrained(folder, dtype=dtype)
        model.eval()
        if kind == "compiled":
            model = torch.compile(model, dynamic=True)
    return lambda batch: model(**batch).logits.float()


def model_of_shape(
    folder: str, shape: str | None, vocabulary: int, labels: int
) -> BertForSequenceClassification:
    """Return a classifier with the weights of a folder, or a random one of a shape like 4x768."""
    torch.manual_seed(0)
    if shape is None:
        return BertForSequenceClassification.from_pretrained(folder, num_labels=labels, quiet=True)
    layers, width = map(int, shape.split("x"))
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width}
    heads = max(1, width // 64)
    return BertForSequenceClassification(
        BertConfig(vocab_size=vocabulary, num_attention_heads=heads, num_labels=labels, **sizes)
    )


def usual_update(model: nn.Module, precision: torch.dtype, device: torch.device) -> Update:
    """Return the usual training step of tutorials, for either model."""
    model.to(device).train()
    optimizer = torch.optim.AdamW(decay_groups(model, weight_decay=0.01), lr=1e-4, fused=True)

    def update(batch: Batch) -> float:
        inputs = {name: numbers.to(device) for name, numbers in batch.items()}
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = model(**inputs).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()  # waits until a GPU has done all of this

    return update


def take_turns(sides: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each side in each round; every round begins with another side."""
    names = list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = now()
            sides[name]()
            seconds[name].append(now() - start)
    return seconds


def now() -> float:
    """Return processor time, which others disturb less, if there is one thread and no GPU."""
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time() if alone else time.perf_counter()


def describe_ratio(peer: Sequence[float], ours: Sequence[float]) -> str:
    """Return how many times as fast we are: the median of the rounds, and the quartiles."""
    ratios = [theirs / own for theirs, own in zip(peer, ours, strict=True)]
    if len(ratios) == 1:
        return f"{ratios[0]:.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
