"""Convert a folder of Google's, or an old `.bin`, to `model.safetensors` and `config.json`.

The tokenizer's files and a `task.json` are copied. Every weight that a BERT can have is kept, for
any task: both pretraining heads, a classifier, a question-answering head. No model is built.
"""

import re
import shutil
from pathlib import Path

import torch

from minibert.checkpoints.folder import read_folder, write_folder
from minibert.checkpoints.name_map import parameters
from minibert.checkpoints.sentence_modules import SENTENCE_FILES, sentence_files
from minibert.errors import MiniBertError
from minibert.files import (
    CHECKED_FILES,
    TASK_FILE,
    TOKENIZER_FILES,
    atomic_folder,
    check_files,
    check_folder,
    record_files,
)

# config.json names the first class whose parts are all there.
ARCHITECTURES = (
    ("BertForPreTraining", ("masked_lm.", "next_sentence.")),
    ("BertForMaskedLM", ("masked_lm.",)),
    ("BertForNextSentencePrediction", ("next_sentence.",)),
    ("BertForQuestionAnswering", ("qa_outputs.",)),
    ("BertForSequenceClassification", ("classifier.", "bert.pooler.")),
    ("BertForTokenClassification", ("classifier.",)),
    ("BertModel", ()),
)

# What was read for the new files.
_WEIGHTS = re.compile(r"safetensors|pytorch_model|\.ckpt|\.(index|data-)|^(bert_)?config\.json$")


def convert(source: str | Path, destination: str | Path, *, float16: bool = False) -> str:
    """Write the weights, the config and the tokenizer of `source` as a new folder.

    Args:
        source: a folder that Google, an older PyTorch or `transformers` wrote, or a hub name.
        destination: a new or empty folder, written atomically.
        float16: store float16, in half the space; loading gives float32 again.

    Returns:
        What was done, in a few lines.

    Raises:
        MiniBertError: the source is damaged or incomplete, the destination is not empty, or a
            weight is too large for float16.
    """
    destination = Path(destination).expanduser()
    check_folder(destination, new=True)
    copied = (*TOKENIZER_FILES, TASK_FILE)
    checkpoint = read_folder(source, more_files=(*copied, *SENTENCE_FILES))
    folder, tensors, config = checkpoint.folder, checkpoint.tensors, checkpoint.config
    body = [
        row.ours
        for row in parameters(config["num_hidden_layers"])
        if row.ours.startswith(("bert.embeddings.", "bert.encoder."))
    ]
    missing = [name for name in body if name not in tensors]
    if missing:
        raise MiniBertError(
            f"{checkpoint.source} lacks {len(missing)} of the encoder's tensors ({missing[0]}, "
            "...): it is incomplete, or its config belongs to another model. Names that no BERT "
            f"has: {checkpoint.names}. Nothing was written."
        )
    if not config.get("tie_word_embeddings", True) and "masked_lm.bias" in tensors:
        raise MiniBertError(
            f"{checkpoint.source} has a masked-word decoder that is not tied to the word "
            "embeddings, which would be lost; use transformers. Nothing was written."
        )
    architecture = next(
        name
        for name, parts in ARCHITECTURES
        if all(any(key.startswith(part) for key in tensors) for part in parts)
    )
    config.setdefault("architectures", [architecture])
    config["model_type"] = "bert"
    if config.get("hidden_act") == "gelu_tanh":
        config["hidden_act"] = "gelu_pytorch_tanh"
    if float16:
        tensors = {name: tensor.to(torch.float16) for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise MiniBertError(f"{name} has values too large for float16; remove --float16.")
    files = [name for name in copied if (folder / name).is_file()]
    sentence = sentence_files(folder)
    check_files(folder, *CHECKED_FILES)
    with atomic_folder(destination) as temporary:
        bare = config["architectures"] == ["BertModel"]
        write_folder(temporary, tensors, config, prefix="bert." if bare else "")
        for name in files:
            shutil.copyfile(folder / name, temporary / name)
        for name, content in sentence.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)
        record_files(temporary, "model.safetensors")
    tokenizer = ", ".join(name for name in files if name != TASK_FILE) or "none in the source"
    lines = [
        f"{destination}: {len(tensors)} tensors of a {config['architectures'][0]}, from "
        f"{checkpoint.source}",
        *(f"  note: {note}" for note in checkpoint.notes),
        f"  tokenizer: {tokenizer}",
    ]
    if sentence:
        lines.append(f"  sentence-transformers: {', '.join(sentence)}")
    copied_names = {Path(name).parts[0] for name in (*files, *sentence)}
    left = [
        f"{path.name}/" if path.is_dir() else path.name
        for path in sorted(folder.iterdir())
        if path.name not in copied_names and not _WEIGHTS.search(path.name)
        if not path.is_dir() or any(path.iterdir())
    ]
    if left:
        lines.append(f"  not copied: {', '.join(left[:12])}{', ...' * (len(left) > 12)}")
    if checkpoint.unknown:
        listed = ", ".join(repr(name[:100]) for name in list(checkpoint.unknown)[:5])
        lines.append(
            f"  not copied, as no BERT has them: {len(checkpoint.unknown)} ({listed}, ...)"
        )
    return "\n".join(lines)
