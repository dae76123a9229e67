"""Export a model to ONNX, for runtimes without PyTorch, and check the result against it.

minibert export runs/finetune_cls model.onnx
minibert export bert-base-chinese encoder.onnx --model-class BertModel

Needs the packages onnx and onnxscript: pip install "minibert[onnx]". Batch and length are dynamic.
The inputs are input_ids, attention_mask and token_type_ids, in int64; the outputs have the names of
transformers. The folder keeps what else is needed: vocab.txt or tokenizer.json, and the labels in
config.json. Servers that look for model.onnx beside them find it as FOLDER/model.onnx.
"""

import argparse
import importlib
import importlib.util
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.cli.shared import check_output
from minibert.errors import MiniBertError

if TYPE_CHECKING:
    import torch

    from minibert.model.pretrained import PretrainedModel

CLASSES = {  # and their modules in minibert/model
    "BertModel": "bert",
    "BertForPreTraining": "pretraining_heads",
    "BertForMaskedLM": "pretraining_heads",
    "BertForNextSentencePrediction": "pretraining_heads",
    "BertForSequenceClassification": "task_heads",
    "BertForPooledClassification": "pooling",
    "BertForTokenClassification": "task_heads",
    "BertForQuestionAnswering": "task_heads",
    "BertForMultipleChoice": "task_heads",
}
MAX_BYTES = 2_000_000_000  # of the weights: an ONNX file cannot have 2 GiB
TOLERANCE = 1e-4  # of the largest output; measured: 1e-6
CHECKED_LENGTHS = {1: 2, 2: 9, 3: 33, 4: 512}  # of batches of 1 to 4 texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a folder or hub name of any BERT")
    add("output", type=Path, metavar="FILE", help="a new .onnx file")
    help_text = "default: as config.json says, or BertModel; BertModel leaves out the head"
    add("--model-class", choices=tuple(CLASSES), metavar="NAME", help=help_text)


def run(options: argparse.Namespace) -> None:
    """Write the file, after it was checked."""
    check_output(options.output, suffixes=(".onnx",))
    if not all(map(importlib.util.find_spec, ("onnx", "onnxscript"))):
        raise MiniBertError(
            "the export needs the packages onnx and onnxscript, and one is not installed: "
            'pip install "minibert[onnx]".'
        )
    from minibert.checkpoints.foreign_config import architectures
    from minibert.files import atomic_file
    from minibert.inference.load import load_for_inference
    from minibert.model.config import BertConfig

    config = BertConfig.from_pretrained(options.folder)
    name = options.model_class or [*architectures(config.foreign), "BertModel"][0]
    if name not in CLASSES:
        raise MiniBertError(
            f"{options.folder} was saved by a {name:.100}, which minibert export does not know; "
            "export its encoder: --model-class BertModel."
        )
    advice = "name a class whose weights it has: --model-class BertModel"
    if_untrained = None if name == "BertModel" else advice
    module = importlib.import_module(f"minibert.model.{CLASSES[name]}")
    model_class: type[PretrainedModel] = getattr(module, name)
    model, _, max_length = load_for_inference(
        model_class, options.folder, if_untrained=if_untrained
    )
    model.attention = "fused"  # padded, as in the file, so that padding can be compared, too
    if name == "BertModel" and model.load_report and model.load_report.new:
        model.register_module("pooler", None)  # it would be random
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > MAX_BYTES:
        raise MiniBertError(
            f"the weights take {size / 1e9:.1f} GB, and an ONNX file holds 2; export a smaller one."
        )
    print(f"exporting {name} ...", flush=True)
    with atomic_file(options.output, size=size) as temporary:
        names = export_onnx(model, temporary)
        result = check_onnx(model, temporary, names, max_length=max_length)
    print(f"wrote {options.output}: outputs {', '.join(names)}; {result}")


def example_batch(model: "PretrainedModel", rows: int, length: int) -> "dict[str, torch.Tensor]":
    """Return random texts (rows, length), of which the last is padded; a third axis for choices."""
    import torch

    choices = (2,) if type(model).__name__ == "BertForMultipleChoice" else ()
    shape, generator = (rows, *choices, length), torch.Generator().manual_seed(rows)
    mask = torch.ones(shape, dtype=torch.long)
    mask[-1, ..., max(1, length // 2) :] = 0
    ids = torch.randint(1, model.config.vocab_size, shape, generator=generator)
    types = torch.randint(0, model.config.type_vocab_size, shape, generator=generator)
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types * mask}


def export_onnx(model: "PretrainedModel", path: Path) -> list[str]:
    """Write a model in evaluation mode as ONNX, and return the names of its outputs."""
    import torch
    from torch.export import Dim

    class WithNamedInputs(torch.nn.Module):
        """The model with its inputs by name, not as `**inputs`."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, input_ids: Any, attention_mask: Any, token_type_ids: Any
        ) -> "dict[str, torch.Tensor]":
            outputs = model(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return {name: x for name, x in outputs.items() if isinstance(x, torch.Tensor)}

    wrapped = WithNamedInputs().eval()
    batch = example_batch(model, 3, min(8, model.config.max_position_embeddings))
    axes = {0: Dim("batch"), 1: Dim("length", max=model.config.max_position_embeddings)}
    if batch["input_ids"].dim() == 3:
        axes = {0: axes[0], 1: Dim("choices"), 2: axes[1]}
    with torch.inference_mode():
        names = [*wrapped(**batch)]
    logging.disable(logging.WARNING)  # torchvision is not installed, and is not needed
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of PyTorch about PyTorch
            torch.onnx.export(
                wrapped,
                kwargs=batch,
                f=path,
                dynamo=True,
                dynamic_shapes=dict.fromkeys(batch, axes),
                input_names=[*batch],
                output_names=names,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise MiniBertError(
            f"PyTorch cannot export this {type(model).__name__}, as with recurrent layers or "
            f"several windows a text ({type(error.__cause__).__name__}); export its encoder: "
            "--model-class BertModel."
        ) from error
    finally:
        logging.disable(logging.NOTSET)
    return names


def check_onnx(model: "PretrainedModel", path: Path, names: list[str], *, max_length: int) -> str:
    """Compare a file with the model at four shapes, and return a sentence about the difference.

    Raises:
        MiniBertError: they differ.
    """
    import torch

    onnx_run: Callable[..., list[Any]]
    if importlib.util.find_spec("onnxruntime"):
        runtime = importlib.import_module("onnxruntime")
        by = "onnxruntime"
        onnx_run = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run
    else:
        by = "the reference evaluator of onnx"
        onnx_run = importlib.import_module("onnx.reference").ReferenceEvaluator(str(path)).run
    worst = 0.0
    for rows, length in CHECKED_LENGTHS.items():
        batch = example_batch(model, rows, min(length, max_length))
        with torch.inference_mode():
            expected = model(**batch)
        found = onnx_run(names, {name: tensor.numpy() for name, tensor in batch.items()})
        for name, value in zip(names, found, strict=True):
            ours = expected[name]
            difference = (ours - torch.from_numpy(value)).abs().max() / ours.abs().max().clamp(1)
            worst = max(worst, difference.nan_to_num(float("inf")).item())
    if worst > TOLERANCE:
        raise MiniBertError(
            f"the exported file differs from the model by {worst:.0e} in {by}, so it was not kept; "
            "please report this, with the output of minibert doctor."
        )
    return f"at four shapes it differs from the model by at most {worst:.0e} in {by}"
