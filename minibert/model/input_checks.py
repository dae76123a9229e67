"""Checks of a batch where it enters a model, before anything is computed.

On a GPU an id beyond the vocabulary ends in a "device-side assert" that names neither the id nor
the cause, and breaks the process. Here it ends in one sentence. Values are looked at on the CPU
only (20 microseconds for a batch of 32 x 128), since looking at a GPU's tensor makes the CPU wait;
so the training loop checks a batch before it moves it.
"""

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minibert.errors import MiniBertError
from minibert.model.config import BertConfig
from minibert.model.losses import problem_type
from minibert.problem_types import REGRESSION, SINGLE_LABEL
from minibert.tokenization.padding import IGNORE_INDEX

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel

# The labels that each head takes, and what one label is the class of.
LABELS = {
    "BertForMaskedLM": {"labels": "word"},
    "BertForNextSentencePrediction": {"labels": "pair"},
    "BertForPreTraining": {"labels": "word", "next_sentence_label": "pair"},
    "BertForSequenceClassification": {"labels": "text"},
    "BertForTokenClassification": {"labels": "token"},
    "BertForQuestionAnswering": {"start_positions": "answer", "end_positions": "answer"},
    "BertForMultipleChoice": {"labels": "choice"},
}


def check_inputs(
    config: BertConfig,
    input_ids: Tensor,
    *,
    attention_mask: Tensor | None = None,
    token_type_ids: Tensor | None = None,
    position_ids: Tensor | None = None,
    **_: Any,
) -> None:
    """Raise a MiniBertError if the embeddings cannot look up an input; see `BertModel.forward`."""
    _check_ids(input_ids)
    shape, positions = tuple(input_ids.shape), config.max_position_embeddings
    if shape[1] == 0:
        raise MiniBertError("input_ids holds no tokens; even an empty text has [CLS] and [SEP].")
    if position_ids is None and shape[1] > positions:
        raise MiniBertError(
            f"the batch is {shape[1]} tokens long but the model has {positions} positions; "
            f"tokenize with truncation=True, max_length={positions}."
        )
    _check_classes("input_ids", input_ids, config.vocab_size, "the vocabulary (vocab_size)")
    if attention_mask is not None:
        _check_tensor("attention_mask", attention_mask, shape)
        if attention_mask.dtype != torch.bool and _can_look(attention_mask):
            wrong = attention_mask[(attention_mask != 0) & (attention_mask != 1)]
            if len(wrong):
                raise MiniBertError(
                    f"attention_mask holds {wrong[0].item()}; it must be 1 for real tokens and 0 "
                    "for padding."
                )
    elif _can_look(input_ids) and (input_ids[:, [0, -1]] == config.pad_token_id).any():
        warnings.warn(
            f"input_ids has padding (id {config.pad_token_id}) and there is no attention_mask, so "
            "it is read like words; pass on all that the tokenizer gives: model(**batch).",
            stacklevel=3,
        )
    if token_type_ids is not None:
        _check_tensor("token_type_ids", token_type_ids, shape)
        _check_classes("token_type_ids", token_type_ids, config.type_vocab_size, "type_vocab_size")
    if position_ids is not None:
        _check_tensor("position_ids", position_ids, shape, (1, shape[1]))
        _check_classes("position_ids", position_ids, positions, "max_position_embeddings")


def check_labels(model: "PretrainedModel", input_ids: Any = None, **batch: Any) -> None:
    """Raise a MiniBertError if a head cannot look up its labels; heads of your own may have any."""
    names = [kind.__name__ for kind in type(model).__mro__]
    kinds = next((LABELS[name] for name in names if name in LABELS), {})
    if not kinds:
        return
    _check_ids(input_ids, choices="choice" in kinds.values())
    given = {name: batch[name] for name in kinds if batch.get(name) is not None}
    if "start_positions" in kinds and len(given) == 1:
        raise MiniBertError("give both start_positions and end_positions, or neither.")
    config, (rows, *_, length) = model.config, input_ids.shape
    rules = {  # shape, number of classes, and what they are
        "word": ((rows, length), config.vocab_size, "the vocabulary (vocab_size)"),
        "token": ((rows, length), config.num_labels, "num_labels"),
        "text": ((rows,), config.num_labels, "num_labels"),
        "pair": ((rows,), 2, "this task"),
        "answer": ((rows,), length, "the length"),
        "choice": ((rows,), input_ids.shape[1], "the choices"),
    }
    for name, labels in given.items():
        shape, classes, meaning = rules[kinds[name]]
        _check_tensor(name, labels)
        problem = problem_type(config, labels) if kinds[name] == "text" else SINGLE_LABEL
        if problem == SINGLE_LABEL:
            _check_tensor(name, labels, shape)
            _check_classes(name, labels, classes, meaning, ignored=IGNORE_INDEX)
        elif problem != REGRESSION or classes > 1 or labels.shape != shape:
            _check_tensor(name, labels, (rows, classes), of=problem.replace("_", " "))


def _check_ids(input_ids: Tensor, *, choices: bool = False) -> None:
    _check_tensor("input_ids", input_ids)
    if input_ids.dim() != (3 if choices else 2):
        hint = "it must be (batch, tokens): wrap a single sentence as input_ids[None]."
        if choices:
            hint = "for multiple choice it must be (batch, choices, tokens)."
        raise MiniBertError(f"input_ids has the shape {tuple(input_ids.shape)}; {hint}")


def _check_tensor(
    name: str, value: object, *shapes: tuple[int, ...], of: str = "this batch"
) -> None:
    if not isinstance(value, Tensor):
        raise MiniBertError(
            f"{name} is a {type(value).__name__}; make it a tensor: torch.tensor(...), or "
            'return_tensors="pt" for the tokenizer.'
        )
    if shapes and tuple(value.shape) not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise MiniBertError(
            f"{name} has the shape {tuple(value.shape)}; for {of} it must be {wanted}."
        )


def _check_classes(
    name: str, tensor: Tensor, classes: int, meaning: str, *, ignored: int | None = None
) -> None:
    if tensor.dtype not in (torch.int64, torch.int32):
        raise MiniBertError(f"{name} is {tensor.dtype}; it must hold whole numbers (torch.long).")
    if not tensor.numel() or not _can_look(tensor):
        return
    lowest, highest = torch.aminmax(tensor)
    if lowest >= 0 and highest < classes:
        return
    wrong = (tensor < 0) | (tensor >= classes)
    if ignored is not None:
        wrong &= tensor != ignored
    if wrong.any():
        where = tuple(wrong.nonzero()[0].tolist())
        allowed = f"0 to {classes - 1}" + (f" or {ignored}" if ignored is not None else "")
        raise MiniBertError(
            f"{name}{list(where)} is {tensor[where].item()}, but {meaning} allows {allowed}."
        )


def _can_look(tensor: Tensor) -> bool:
    # A GPU would have to be waited for, and a traced graph has no values yet.
    return tensor.is_cpu and not torch.compiler.is_compiling()
