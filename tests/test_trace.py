"""What you can rely on: trace names the first tensor that differs, and a known cause.

Ours agrees with `transformers` and `numpy_bert.py`. The faults are put into a copy of numpy_bert's
functions, into config.json, or into arrays, not by the hooks that look for them.
"""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_folders import pretrained_folder

from minibert import BertForMaskedLM
from minibert.cli.main import main
from minibert.evaluation.trace import compare_one
from minibert.reference import numpy_bert

TEXT, PAIR = "the cat sat on [MASK] mats", "paris is france"
LAYER = "bert.encoder.layer"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return pretrained_folder(tmp_path_factory.mktemp("trace") / "model")


@pytest.fixture
def trace(folder, capsys):
    """Run the command on the folder: its exit code, and what it prints."""

    def command(*arguments: str, of: Path = folder) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            main(["trace", str(of), TEXT, PAIR, *arguments])
        printed = capsys.readouterr()
        return stop.value.code, printed.out + printed.err

    return command


def saved(trace, tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The arrays that --save writes."""
    path = tmp_path / "ours.npz"
    assert trace("--save", str(path))[0] == 0
    with np.load(path) as archive:
        return path, {name: archive[name] for name in archive.files}


def verdict(output: str) -> tuple[str, str]:
    """The first tensor that differs, and the cause."""
    first = output.partition("The first tensor that differs is ")[2].partition(". Of those")[0]
    cause = output.partition("Likely cause: ")[2].partition(" in numpy")[0].partition(" in /")[0]
    return first, cause.strip()


def test_a_difference_is_measured_against_the_size_of_the_values():
    ones = np.ones((2, 3))
    comparison = compare_one("x", 10 * ones, 10 * ones + np.eye(2, 3)[::-1])
    assert (comparison.difference, comparison.scale) == (1, pytest.approx(10))
    assert comparison.at == (0, 1)
    assert comparison.values == (10, 11)
    assert comparison.differs(0.09)
    assert not comparison.differs(0.11)
    assert compare_one("x", ones, ones.T).differs(1e9)
    assert compare_one("x", ones, math.nan * ones).differs(1e9)
    assert compare_one("x", ones, ones[None]).difference == 0  # a batch of one text


def test_every_tensor_has_its_name_and_shape_in_the_order_of_computation(trace, tmp_path):
    arrays = saved(trace, tmp_path)[1]
    S, E, H = 13, 16, 2  # noqa: N806
    assert [*arrays][:6] == [
        *("input_ids", "token_type_ids", "bert.embeddings.word_embeddings"),
        *(f"bert.embeddings.{n}" for n in ("token_type_embeddings", "position_embeddings")),
        "bert.embeddings.LayerNorm",
    ]
    layer = [name for name in arrays if name.startswith(f"{LAYER}.1.")]
    assert [name.removeprefix(f"{LAYER}.1.") for name in layer] == [
        *(
            f"attention.{n}"
            for n in ("query", "key", "value", "probabilities", "context", "output")
        ),
        *("attention_LayerNorm", "intermediate", "activation", "output", "output_LayerNorm"),
    ]
    assert arrays[f"{LAYER}.1.attention.probabilities"].shape == (H, S, S)
    assert arrays[f"{LAYER}.1.attention.context"].shape == (S, E)
    assert arrays[f"{LAYER}.1.activation"].shape == (S, 32)
    assert arrays["bert.pooler"].shape == (E,)
    assert [arrays[name].shape for name in ("masked_lm", "next_sentence")] == [(S, 24), (2,)]
    np.testing.assert_allclose(arrays[f"{LAYER}.0.attention.probabilities"].sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize(("other", "tensors"), [("transformers", 34), ("numpy", 24)])
def test_two_implementations_of_one_model_agree(trace, other, tensors):
    if other == "transformers":
        pytest.importorskip("transformers")
    code, output = trace("--against", other)
    assert (code, output.splitlines()[-1]) == (0, f"all {tensors} tensors agree (tolerance 0.0001)")


def test_a_model_without_heads_is_compared_without_them(trace, tmp_path):
    lacking = pretrained_folder(tmp_path / "lm", kind=BertForMaskedLM)
    code, output = trace("--against", "numpy", of=lacking)
    assert code == 0
    assert "pooler" not in output.partition("not compared")[0]
    assert "masked_lm.dense" in output


def attention_with(change):
    """numpy_bert.attention with other scores, or other results."""

    def attention(query, key, value):
        scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1])
        probabilities = numpy_bert.softmax(change(scores))
        return probabilities @ value, probabilities

    return attention


def no_causality(scores):
    return np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)


def joined_wrong(query, key, value):
    context, probabilities = attention_with(lambda scores: scores)(query, key, value)
    heads, length, width = context.shape
    return context.reshape(length, heads, width).swapaxes(0, 1), probabilities


def softmax_over_queries(x):
    powers = np.exp(x - x.max(axis=-2, keepdims=True))
    return powers / powers.sum(axis=-2, keepdims=True)


def layer_norm_of_a_sample(weights, name, x):
    normalized = (x - x.mean(-1, keepdims=True)) / x.std(-1, ddof=1, keepdims=True)
    return normalized * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def embeddings_with(*, first: int = 0, types: bool = True):
    def embeddings(weights, input_ids, token_type_ids):
        table = "bert.embeddings.{}_embeddings.weight".format
        words = weights[table("word")][list(input_ids)]
        positions = weights[table("position")][first : first + len(input_ids)]
        rows = list(token_type_ids) if types else [0] * len(input_ids)
        total = words + positions + weights[table("token_type")][rows]
        return numpy_bert.layer_norm(weights, "bert.embeddings.LayerNorm", total)

    return embeddings


def linear_with(place: str, *, transposed: bool = False):
    """numpy_bert.linear that transposes a weight or forgets a bias, in one place."""

    def linear(weights, name, x):
        weight, bias = weights[f"{name}.weight"].T, weights[f"{name}.bias"]
        if name == place:
            weight, bias = (weight.T, bias) if transposed else (weight, 0 * bias)
        return x @ weight + bias

    return linear


PROBABILITIES = f"{LAYER}.0.attention.probabilities"
WRONG = {
    "attention is not divided by sqrt(D)": (
        "attention",
        attention_with(lambda scores: scores * math.sqrt(8)),
        PROBABILITIES,
    ),
    "tokens do not attend to those after them (a causal mask)": (
        "attention",
        attention_with(no_causality),
        PROBABILITIES,
    ),
    "softmax runs over the queries, not over the keys": (
        "softmax",
        softmax_over_queries,
        PROBABILITIES,
    ),
    "heads are joined without transposing (H, S, D) to (S, H, D)": (
        "attention",
        joined_wrong,
        f"{LAYER}.0.attention.output",
    ),
    "LayerNorm divides by E - 1, not E, for its variance": (
        "layer_norm",
        layer_norm_of_a_sample,
        "bert.embeddings.LayerNorm",
    ),
    "positions count from 1": (
        "embeddings",
        embeddings_with(first=1),
        "bert.embeddings.LayerNorm",
    ),
    "token type ids are 0 in both texts": (
        "embeddings",
        embeddings_with(types=False),
        "bert.embeddings.LayerNorm",
    ),
    "a weight is (in, out) and not transposed": (
        "linear",
        linear_with(f"{LAYER}.1.attention.output", transposed=True),
        f"{LAYER}.1.attention.output",
    ),
    "a bias is missing": (
        "linear",
        linear_with(f"{LAYER}.1.intermediate"),
        f"{LAYER}.1.intermediate",
    ),
    "the two classes are swapped": (
        "linear",
        lambda weights, name, x: (x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])[
            ..., :: -1 if name == "next_sentence" else 1
        ],
        "next_sentence",
    ),
}


@pytest.mark.parametrize("cause", WRONG)
def test_a_fault_is_found_where_it_is_and_named(folder, tmp_path, trace, monkeypatch, cause):
    # Random biases and scales: were they 0 and 1, some faults would change nothing.
    import torch

    from minibert import BertForPreTraining

    model = BertForPreTraining.from_pretrained(folder, quiet=True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    shutil.copytree(folder, tmp_path / "model")
    model.save_pretrained(tmp_path / "model")
    function, wrong, where = WRONG[cause]
    monkeypatch.setattr(numpy_bert, function, wrong)
    code, output = trace("--against", "numpy", of=tmp_path / "model")
    assert (code, *verdict(output)) == (1, where, cause)


@pytest.mark.parametrize(
    ("change", "where", "cause"),
    [
        (
            {"hidden_act": "gelu_new"},
            f"{LAYER}.0.activation",
            "the activation is GELU by tanh (gelu_tanh)",
        ),
        ({"hidden_act": "relu"}, f"{LAYER}.0.activation", "the activation is ReLU"),
        ({"layer_norm_eps": 1e-5}, "bert.embeddings.LayerNorm", "layer_norm_eps is 1e-05"),
    ],
)
def test_another_config_is_found_in_another_folder(tmp_path, trace, change, where, cause):
    ours = pretrained_folder(
        tmp_path / "ours", initializer_range=0.05 if "layer_norm_eps" in change else 0.5
    )
    shutil.copytree(ours, tmp_path / "theirs")
    path = tmp_path / "theirs" / "config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8"
    )
    code, output = trace("--against", str(tmp_path / "theirs"), of=ours)
    assert (code, *verdict(output)) == (1, where, cause)


def test_other_tokens_are_the_first_difference(trace, tmp_path):
    path, arrays = saved(trace, tmp_path)
    arrays["input_ids"][3] += 1
    np.savez(path, **arrays)
    code, output = trace("--against", str(path))
    assert (code, verdict(output)[0]) == (1, "input_ids")
    assert "the two split the text into different tokens" in output


def test_arrays_may_be_few_have_a_batch_and_other_names_besides(trace, tmp_path):
    path, arrays = saved(trace, tmp_path)
    name = f"{LAYER}.1.output_LayerNorm"
    np.savez(path, **{name: arrays[name][None], "mine": np.zeros(2)})
    code, output = trace("--against", str(path))
    assert code == 0
    assert "all 1 tensors agree" in output
    assert "so not compared: mine" in output
    np.savez(path, **{name: arrays[name].T})
    code, output = trace("--against", str(path))
    assert (code, *verdict(output)) == (1, name, "the tensor is transposed")
    np.savez(path, **{name: arrays[name] + np.linspace(0, 1, 16)})
    assert "no known one" in trace("--against", str(path))[1]
    assert trace("--against", str(path), "--tolerance", "5")[0] == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (b"no zip", "is no .npz of numbers"),
        ({"x": np.zeros(2)}, "has none of the tensors"),
        ({"bert.pooler": np.array(["a"])}, "holds <U1; give numbers"),
    ],
)
def test_a_file_that_cannot_be_compared_is_refused(trace, tmp_path, content, reason):
    path = tmp_path / "theirs.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.savez(path, **content)
    code, output = trace("--against", str(path))
    assert code == 2
    assert reason in output


def test_bad_options_are_refused(trace):
    assert trace("--against", "numpy", "--tolerance", "-1")[0] == 2
    code, output = trace("--save", "ours.txt")
    assert code == 2
    assert "must end in .npz" in output
