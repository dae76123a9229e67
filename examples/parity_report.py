"""Measure how far minibert is from Google's BERT and `transformers`; write docs/parity.md.

python examples/parity_report.py

The models, batches and tolerances are those of tests/test_parity_*.py; beyond one, it stops.
"""

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from minibert.cli.process import run  # noqa: E402

import conftest  # noqa: E402
import test_parity_google as google  # noqa: E402
import test_parity_transformers as hugging_face  # noqa: E402

from minibert.checkpoints.name_map import from_hugging_face  # noqa: E402
from minibert.cli.shared import Parser  # noqa: E402
from minibert.errors import MiniBertError  # noqa: E402
from minibert.files import write_atomic  # noqa: E402

TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 4e-2}
PAGE = """\
# Parity with Google's BERT and with `transformers`

Written by `python examples/parity_report.py` on one thread of {environment}.

## Google's BERT
google-research/bert ran in TensorFlow (float32, no dropout) on a model of 2 layers and hidden size
32. minibert loads the checkpoint from that run and repeats its computation in float32, including 12
updates with Google's optimizer. Each cell is the largest |a - b|; the tolerance is 1e-5.

{google}

## `transformers`
Three models with random weights (1 to 3 layers, hidden sizes 16 to 32, both GELUs), with and
without padding. Each cell is the largest |a - b| / (1 + |b|) over all outputs, hidden states, the
loss and the gradient of every parameter. In bfloat16 only outputs and hidden states are compared.
The tolerances are in the column headings.

{hugging_face}
"""


def google_rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield what is compared, how many numbers, and the largest difference with each attention."""
    reference, found = google.read_reference(folder), {}
    for attention in google.ATTENTIONS:
        for compare in (google.compare_forward, google.compare_gradients, google.compare_training):
            for name, ours, theirs in compare(google.load(folder, attention), reference):
                row = name.partition(":")[0]
                columns = found.setdefault(row, {attention: [] for attention in google.ATTENTIONS})
                columns[attention].append((ours - theirs).detach().abs().flatten())
    yield ("compared", "numbers", *google.ATTENTIONS)
    for row, columns in found.items():
        joined = [torch.cat(column) for column in columns.values()]
        yield (row, f"{len(joined[0]):,}", *(cell(c, google.TOLERANCE, row) for c in joined))


def hugging_face_rows() -> Iterator[tuple[str, ...]]:
    """For each class and attention, the largest difference in each precision."""
    yield ("class", "attention", *(f"{str(d)[6:]} ({limit})" for d, limit in TOLERANCES.items()))
    for head, attention in product(hugging_face.ANSWERS, hugging_face.ATTENTION):
        cells = []
        for dtype, limit in TOLERANCES.items():
            found = []
            for sizes, padding in product(hugging_face.SIZES, ("none", "some")):
                models = hugging_face.both(head, sizes, attention, dtype)
                batch = hugging_face.batch_for(head, padding)
                found += differences(head, *models, *batch)
            cells.append(cell(torch.cat(found), limit, head))
        yield (head, attention, *cells)


def differences(head: str, ours, theirs, *batch: dict) -> list[Tensor]:
    """All differences for one batch: inputs and targets."""
    (mine, my_gradients), (other, gradients) = (results(head, m, *batch) for m in (ours, theirs))
    named = from_hugging_face(gradients, ours.config.num_hidden_layers).tensors
    pairs = list(zip(mine, other, strict=True))
    pairs += [(gradient, named[ours.prefix + name]) for name, gradient in my_gradients.items()]
    return [((a - b).abs() / (1 + b.abs())).detach().flatten() for a, b in pairs]


def results(head: str, model, inputs: dict, targets: dict) -> tuple[list, dict[str, Tensor]]:
    """All that a model gives for a batch, and its gradients."""
    outputs = model(**inputs, output_hidden_states=True)
    found = [*(outputs[name] for name in hugging_face.ANSWERS[head]), *outputs.hidden_states]
    names, weights = zip(*model.named_parameters(), strict=True)
    if weights[0].dtype == torch.bfloat16:
        return found, {}
    labelled = model(**inputs, **targets)
    loss = hugging_face.loss_of(head, labelled, inputs.get("attention_mask"))
    gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    return [*found, loss], dict(zip(names, gradients, strict=True))


def cell(found: Tensor, limit: float, name: str) -> str:
    if not (found <= limit).all():  # which NaN is not either
        raise MiniBertError(f"{name} differs by {found.max():.1e}; the tolerance is {limit}.")
    return f"{found.max():.1e}"


def table(rows: Iterable[tuple[str, ...]]) -> str:
    header, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *body))


def main() -> None:
    Parser(description=__doc__).parse_args()
    folder = conftest.SHARED / "golden/google_tiny"
    named = (f"{name} {version(name)}" for name in ("torch", "transformers", "numpy"))
    page = PAGE.format(
        environment=f"Python {platform.python_version()}, {', '.join(named)}",
        google=table(google_rows(folder)) if folder.exists() else "Not measured: no golden/ here.",
        hugging_face=table(hugging_face_rows()),
    )
    write_atomic(ROOT / "docs" / "parity.md", page)
    print(page)


if __name__ == "__main__":
    run(main)
