"""Load a saved folder for inference: the model and its tokenizer, checked to fit each other."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from minibert.checkpoints.foreign_config import architectures
from minibert.errors import MiniBertError
from minibert.files import TASK_FILE, make_folder, read_json_object, write_task
from minibert.hub import local_folder
from minibert.model.int8 import reduce_precision
from minibert.model.pretrained import PretrainedModel
from minibert.tokenization.tokenizer import BertTokenizer

Model = TypeVar("Model", bound=PretrainedModel)


# The tasks of classes that are not for classification, by the end of their names.
TASKS = {
    "ForTokenClassification": "tagging",
    "ForQuestionAnswering": "question-answering",
    "ForMultipleChoice": "multiple-choice",
}


def saved_task(name_or_path: str | Path) -> str:
    """Return the task that a folder was fine-tuned for, as `--task` names it.

    It is in `task.json`; folders of `transformers` have none, and name a class in `config.json`.
    """
    found = task_settings(name_or_path)[1].get("task")
    if isinstance(found, str):
        return found
    saved_by = saved_classes(name_or_path)
    tasks = [task for end, task in TASKS.items() if any(name.endswith(end) for name in saved_by)]
    return tasks[0] if tasks else "classification"


def task_settings(name_or_path: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return the path of `task.json` and its content, which is empty if there is no such file."""
    path = local_folder(name_or_path, files=(TASK_FILE,)) / TASK_FILE
    return path, read_json_object(path) if path.exists() else {}


def saved_classes(name_or_path: str | Path) -> list[str]:
    """Return the names of the classes that wrote a folder, from `config.json`."""
    path = local_folder(name_or_path, files=("config.json",)) / "config.json"
    return architectures(read_json_object(path)) if path.exists() else []


def save_for_inference(
    folder: str | Path,
    model: PretrainedModel,
    tokenizer: BertTokenizer,
    settings: Mapping[str, Any],
) -> None:
    """Write a folder with a model, its tokenizer, and the settings of its task in `task.json`."""
    folder = Path(folder).expanduser()
    make_folder(folder)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    write_task(folder, settings)


def load_for_inference(
    model_class: type[Model],
    name_or_path: str | Path,
    *,
    device: str | torch.device = "cpu",
    precision: str = "float32",
    if_untrained: str | None = None,
) -> tuple[Model, BertTokenizer, int]:
    """Load a model and its tokenizer.

    Args:
        model_class: for example `BertForMaskedLM`.
        name_or_path: a folder that minibert, Hugging Face or Google wrote, or a hub name.
        device: the device to run the model on.
        precision: of `reduce_precision`.
        if_untrained: what to advise when the folder lacks weights of the model. None accepts that.

    Returns:
        The model in evaluation mode, its tokenizer, and the maximum number of tokens of a text,
        including [CLS] and [SEP].

    Raises:
        MiniBertError: a file is missing or damaged, weights are missing, or the vocabulary does not
            fit the model.
    """
    model = model_class.from_pretrained(name_or_path, quiet=True)
    if if_untrained and model.load_report and model.load_report.new:
        raise MiniBertError(
            f"{name_or_path} is not a trained {model_class.__name__}: it has no weights for "
            f"{', '.join(model.load_report.new)}; {if_untrained}."
        )
    _check_task(model, name_or_path)
    tokenizer = BertTokenizer.from_pretrained(name_or_path)
    # On a GPU, an id without an embedding would crash without a reason. The embedding matrix may
    # have more rows than the vocabulary: some models round its size up.
    if len(tokenizer) > model.config.vocab_size:
        raise MiniBertError(
            f"the vocabulary of {name_or_path} has {len(tokenizer):,} tokens, but its model has "
            f"embeddings for {model.config.vocab_size:,}; copy the vocab.txt that the model was "
            "trained with into the folder."
        )
    if len(tokenizer) < model.config.vocab_size:
        warnings.warn(
            f"the vocabulary of {name_or_path} has {len(tokenizer):,} tokens, and its model has "
            f"embeddings for {model.config.vocab_size:,}. Some models round this number up; "
            "otherwise vocab.txt has lost a line, and the results are wrong.",
            stacklevel=3,
        )
    max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    return reduce_precision(model.to(device), precision), tokenizer, max_length


def _check_task(model: PretrainedModel, name_or_path: str | Path) -> None:
    """Raise or warn if the weights are another task's, or have parts that would be missing."""
    own, report = type(model).__name__, model.load_report
    unknown = [repr(name[:100]) for name in report.unknown] if report else []
    if hasattr(model, "classifier"):  # the name of the layer of most tasks
        saved_by = architectures(model.config.foreign)
        if not saved_by and any(re.match("[BI]-", name) for name in model.config.id2label.values()):
            saved_by = ["BertForTokenClassification"]  # as its labels say
        tasks = ("TokenClassification", "MultipleChoice", "QuestionAnswering")
        other = any(task in name for task in tasks if task not in own for name in saved_by)
        if other or (unknown and saved_by and own not in saved_by):
            parts = f", with parts that a {own} lacks: {', '.join(unknown[:3])}" if unknown else ""
            raise MiniBertError(
                f"{name_or_path} is a {saved_by[0]:.100}{parts}; a {own} would answer something "
                "else. Load it with from_pretrained of its own class."
            )
    else:  # heads of other tasks are left out, but not parts of the encoder
        unknown = [name for name in unknown if re.search(r"\b(encoder|embeddings)\.", name)]
    if unknown:
        warnings.warn(
            f"{name_or_path} has weights that a {own} does not use: {', '.join(unknown[:3])}; if "
            "they belong to the model, its answers are wrong.",
            stacklevel=4,
        )
