"""A folder of Google's, or an old `.bin`, becomes one that minibert and `transformers` read today.

    model.safetensors, config.json, and the tokenizer's files and a task.json if there are any

Every weight that a BERT can have is kept, whatever task it belongs to: both pretraining heads, a
classifier, the span of a question. No model is built.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minibert.checkpoints.folder import Checkpoint, read_folder, weights_folder, write_folder
from minibert.checkpoints.name_map import parameters
from minibert.errors import MiniBertError
from minibert.files import TASK_FILE, TOKENIZER_FILES, atomic_folder

# The class whose heads are all there; the first that fits is named in config.json.
ARCHITECTURES = (
    ("BertForPreTraining", ("masked_lm.", "next_sentence.")),
    ("BertForMaskedLM", ("masked_lm.",)),
    ("BertForNextSentencePrediction", ("next_sentence.",)),
    ("BertForQuestionAnswering", ("qa_outputs.",)),
    ("BertForSequenceClassification", ("classifier.", "bert.pooler.")),
    ("BertForTokenClassification", ("classifier.",)),
    ("BertModel", ()),
)


def convert(source: str | Path, destination: str | Path, *, float16: bool = False) -> str:
    """Write the weights, the config and the tokenizer of `source` as a new folder.

    Args:
        source: a folder that Google, an older PyTorch or `transformers` wrote, or a hub name.
        destination: a folder that is not there yet, or is empty; it appears whole or not at all.
        float16: store float16, in half the space; loading gives float32 again.

    Returns:
        What was done, in a few lines.

    Raises:
        MiniBertError: the source is damaged or incomplete, the destination is in use, or a weight
            is too large for float16.
    """
    destination = Path(destination).expanduser()
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise MiniBertError(f"{destination} exists and is not empty; choose another name for it.")
    wanted = (*TOKENIZER_FILES, TASK_FILE)
    source = weights_folder(source, more=wanted)
    checkpoint = read_folder(source)
    config = _config(checkpoint)
    tensors = _halved(checkpoint.tensors) if float16 else checkpoint.tensors
    files = [name for name in wanted if (source / name).is_file()]
    with atomic_folder(destination) as folder:
        write_folder(folder, tensors, config)
        for name in files:
            shutil.copyfile(source / name, folder / name)
    of_tokenizer = [name for name in files if name in TOKENIZER_FILES]
    lines = [
        f"{destination}: {len(checkpoint.tensors)} tensors of a {config['architectures'][0]}, "
        f"from {checkpoint.source}",
        *(f"  note: {note}" for note in checkpoint.notes),
        f"  tokenizer: {', '.join(of_tokenizer) or 'none in the source'}",
    ]
    if checkpoint.unknown:
        listed = ", ".join(repr(name[:100]) for name in list(checkpoint.unknown)[:5])
        lines.append(f"  left out, no part of a BERT: {len(checkpoint.unknown)} ({listed}, ...)")
    return "\n".join(lines)


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The fields of `config.json`, made to say what `transformers` wants to be told."""
    config, tensors = dict(checkpoint.config), checkpoint.tensors
    body = ("bert.embeddings.", "bert.encoder.")
    needed = [row.ours for row in parameters(config.setdefault("num_hidden_layers", 12))]
    missing = [name for name in needed if name.startswith(body) and name not in tensors]
    if missing:
        raise MiniBertError(
            f"{checkpoint.source} lacks {len(missing)} tensors of the encoder ({missing[0]}, ...): "
            "it is incomplete, or its config belongs to another model; nothing was written."
        )
    architecture = next(
        name
        for name, heads in ARCHITECTURES
        if all(any(key.startswith(head) for key in tensors) for head in heads)
    )
    if config.get("hidden_act") == "gelu_tanh":
        config["hidden_act"] = "gelu_pytorch_tanh"
    if "classifier.bias" in tensors and not config.keys() & {"id2label", "num_labels"}:
        # Google's code leaves the number of classes to the program that was trained.
        labels = [f"LABEL_{index}" for index in range(len(tensors["classifier.bias"]))]
        config["id2label"] = {str(index): label for index, label in enumerate(labels)}
        config["label2id"] = {label: index for index, label in enumerate(labels)}
    config.setdefault("architectures", [architecture])
    config["model_type"] = "bert"
    return config


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    halved = {name: tensor.to(torch.float16) for name, tensor in tensors.items()}
    for name, tensor in halved.items():
        if not tensor.isfinite().all():
            raise MiniBertError(f"{name} has numbers that float16 has not; leave out --float16.")
    return halved
