"""Compare a model with another implementation, and name the first tensor that differs.

minibert trace weights/tiny "He opened the [MASK]." --against transformers
minibert trace weights/tiny "He opened the [MASK]." --save ours.npz
minibert trace weights/tiny "He opened the [MASK]." --against theirs.npz

--against is "transformers" (on the same folder), "numpy" (reference/numpy_bert.py of minibert),
another folder, or a .npz of your own arrays, with any of the names that --save writes. A known
cause, such as another GELU or a missing 1/sqrt(D), is named. Exit code 1 if a tensor differs.
"""

import argparse
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

from minibert.cli.shared import check_output
from minibert.errors import MiniBertError
from minibert.files import atomic_file
from minibert.hub import local_folder

if TYPE_CHECKING:
    from minibert.evaluation.trace import Arrays
    from minibert.model.pretraining_heads import BertForPreTraining

HEADS = ("bert.pooler", "masked_lm", "next_sentence")
LAYER = "bert.encoder.layer.{}"
# Our tensors, and the modules of transformers whose output they are.
IN_TRANSFORMERS = {
    "bert.embeddings.word_embeddings": "bert.embeddings.word_embeddings",
    "bert.embeddings.token_type_embeddings": "bert.embeddings.token_type_embeddings",
    "bert.embeddings.position_embeddings": "bert.embeddings.position_embeddings",
    "bert.embeddings.LayerNorm": "bert.embeddings.LayerNorm",
    f"{LAYER}.attention.query": f"{LAYER}.attention.self.query",
    f"{LAYER}.attention.key": f"{LAYER}.attention.self.key",
    f"{LAYER}.attention.value": f"{LAYER}.attention.self.value",
    f"{LAYER}.attention.context": f"{LAYER}.attention.self",
    f"{LAYER}.attention.output": f"{LAYER}.attention.output.dense",
    f"{LAYER}.attention_LayerNorm": f"{LAYER}.attention.output",
    f"{LAYER}.intermediate": f"{LAYER}.intermediate.dense",
    f"{LAYER}.activation": f"{LAYER}.intermediate",
    f"{LAYER}.output": f"{LAYER}.output.dense",
    f"{LAYER}.output_LayerNorm": f"{LAYER}.output",
    "bert.pooler.dense": "bert.pooler.dense",
    "bert.pooler": "bert.pooler",
    "masked_lm.dense": "cls.predictions.transform.dense",
    "masked_lm.LayerNorm": "cls.predictions.transform",
    "masked_lm": "cls.predictions",
    "next_sentence": "cls.seq_relationship",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a folder or hub name of any BERT")
    add("text", metavar="TEXT", help="the text; [MASK] is the special token")
    add("text_pair", metavar="SECOND_TEXT", nargs="?", help="a second text, for a pair")
    add("--against", metavar="OTHER", help='"transformers", "numpy", a folder or a .npz')
    add("--save", type=Path, metavar="FILE", help="write the tensors of FOLDER to a .npz")
    add(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="X",
        help="the difference allowed, as a share of the root mean square of a tensor (or of 1, if "
        "that is larger); default: 1e-4",
    )


def run(options: argparse.Namespace) -> None:
    """Print the tensors, and exit with code 1 if one differs from the other's."""
    if options.save is not None:
        check_output(options.save, suffixes=(".npz",), replace=True)
    if not options.tolerance >= 0:
        raise MiniBertError(f"--tolerance is {options.tolerance}; give 0 or more, such as 1e-4.")
    from minibert.evaluation.trace import compare, likely_cause

    model, arrays = trace_folder(options.folder, options)
    if options.save is not None:
        with atomic_file(options.save) as path, path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        print(f"wrote {options.save}, {len(arrays)} tensors")
    if options.against is None:
        for name, array in arrays.items():
            print(f"{name:<45} {array.shape!s:<15} largest {np.abs(array).max():.4g}")
        return
    other = _other(model, arrays, options)
    comparisons = compare(arrays, other)
    if not comparisons:
        raise MiniBertError(
            f"{options.against} has none of the tensors of {options.folder}; see their names with "
            f"minibert trace {options.folder} {options.text!r}."
        )
    first = next((i for i, one in enumerate(comparisons) if one.differs(options.tolerance)), None)
    for one in comparisons if first is None else comparisons[: first + 1]:
        print(f"{one.name:<45} {one.shape!s:<15} {one.difference:.1e}")
    unknown = sorted(other.keys() - arrays.keys())
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        print(f"not in {options.folder}, so not compared: {', '.join(unknown[:5])}{more}")
    if first is None:
        print(f"all {len(comparisons)} tensors agree (tolerance {options.tolerance:g})")
        return
    one = comparisons[first]
    later = sum(item.differs(options.tolerance) for item in comparisons[first + 1 :])
    here, there = f"in {options.folder}", f"in {options.against}"
    print(f"\nThe first tensor that differs is {one.name}. Of those after it, {later} differ.")
    if one.shape == one.other_shape:
        print(f"At {[*one.at]} it is {one.values[0]:.6g} {here} and {one.values[1]:.6g} {there}.")
    else:
        print(f"Its shape is {one.shape} {here} and {one.other_shape} {there}.")
    theirs = np.asarray(other[one.name])
    cause = likely_cause(model, arrays, one.name, theirs, tolerance=options.tolerance)
    unexplained = "no known one; compare the weights and the code of this step"
    print(f"Likely cause: {f'{cause} {there}' if cause else unexplained}.")
    raise SystemExit(1)


def trace_folder(folder: str, options: argparse.Namespace) -> "tuple[BertForPreTraining, Arrays]":
    """Return the model of a folder, and its tensors for the text."""
    from minibert.evaluation.trace import trace
    from minibert.inference.load import load_for_inference
    from minibert.model.pretraining_heads import BertForPreTraining

    model, tokenizer, max_length = load_for_inference(BertForPreTraining, folder)
    encoded = tokenizer(
        options.text,
        options.text_pair,
        truncation=True,
        max_length=max_length,
        split_special_tokens=False,
    )
    arrays = trace(model, encoded.input_ids, encoded.token_type_ids)
    # The heads that the folder lacks have random weights.
    new = " ".join(model.load_report.new) if model.load_report else ""
    lacking = tuple(head for head in HEADS if f"{head}." in new)
    return model, {name: x for name, x in arrays.items() if not name.startswith(lacking)}


def _other(model: "BertForPreTraining", arrays: "Arrays", options: argparse.Namespace) -> "Arrays":
    """Return the tensors of what --against names."""
    if options.against == "transformers":
        return trace_transformers(options)
    if options.against == "numpy":
        return trace_numpy(model, arrays)
    if options.against.endswith(".npz"):
        return read_arrays(Path(options.against))
    return trace_folder(options.against, options)[1]


def read_arrays(path: Path) -> "Arrays":
    """Return the arrays of a .npz."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise MiniBertError(f"{path} does not exist; check the name.") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise MiniBertError(f"{path} is no .npz of numbers; write it with numpy.savez.") from None
    for name, array in arrays.items():
        if not np.issubdtype(array.dtype, np.number):
            raise MiniBertError(f"{path}: {name} holds {array.dtype}; give numbers.")
    return arrays


def trace_transformers(options: argparse.Namespace) -> "Arrays":
    """Return the tensors that `transformers` computes from its own ids, by our names."""
    try:
        import torch
        import transformers
    except ModuleNotFoundError as error:
        raise MiniBertError(f"{error}; install it: pip install transformers.") from None
    # Ours has been loaded, so the weights of a hub name are in this folder already.
    folder = local_folder(options.folder, files=("config.json", "vocab.txt", "tokenizer*.json"))
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model: Any = transformers.BertForPreTraining.from_pretrained(
            folder, attn_implementation="eager", dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise MiniBertError(f"transformers cannot load {options.folder}: {error}") from None
    encoded = tokenizer(
        options.text,
        options.text_pair,
        truncation=True,
        max_length=model.config.max_position_embeddings,
        return_tensors="pt",
    )
    arrays = {name: encoded[name][0].numpy() for name in ("input_ids", "token_type_ids")}
    modules = dict(model.eval().named_modules())
    for ours, theirs in IN_TRANSFORMERS.items():
        for layer in range(model.config.num_hidden_layers if "{}" in ours else 1):

            def keep(_: Any, __: Any, output: Any, name: str = ours.format(layer)) -> None:
                output = output[0] if isinstance(output, tuple) else output
                arrays[name] = output[0].numpy()

            modules[theirs.format(layer)].register_forward_hook(keep)
    with torch.inference_mode():
        attentions = model(**encoded, output_attentions=True).attentions
    names = (f"{LAYER.format(layer)}.attention.probabilities" for layer in range(len(attentions)))
    return arrays | {n: x[0].numpy() for n, x in zip(names, attentions, strict=True)}


def trace_numpy(model: "BertForPreTraining", ours: "Arrays") -> "Arrays":
    """Return the tensors that `reference/numpy_bert.py` computes from the same ids."""
    from minibert.evaluation.trace import split_query_key_value
    from minibert.reference import numpy_bert

    arrays: Arrays = {}

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        def kept(weights: numpy_bert.Weights, name: str, x: numpy_bert.Array) -> numpy_bert.Array:
            result: numpy_bert.Array = function(weights, name, x)
            arrays.update(split_query_key_value(name, result))
            return result

        return kept

    weights = {name: tensor.numpy() for name, tensor in model.named_tensors().items()}
    ids, type_ids = ours["input_ids"].tolist(), ours["token_type_ids"].tolist()
    kept = {name: keep(getattr(numpy_bert, name)) for name in ("linear", "layer_norm")}
    with patch.multiple(numpy_bert, **kept):  # type: ignore[call-overload]
        output = numpy_bert.bert(weights, model.config.to_dict(), ids, type_ids)
    for layer, probabilities in enumerate(output.attentions):
        arrays[f"{LAYER.format(layer)}.attention.probabilities"] = probabilities
    return arrays | {"bert.pooler": output.pooled}
