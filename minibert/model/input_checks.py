"""Check a batch where it enters a model, before anything is computed, and what comes out.

On a GPU, an id beyond the vocabulary causes a "device-side assert" that names neither the id nor
the cause, and breaks the process. Here it raises an error that names both. Values are checked on
the CPU only (20 microseconds for a batch of 32 x 128), since reading a tensor of a GPU makes the
CPU wait. So the training loop checks a batch before it moves it to a GPU.
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

# The label arguments of each head, and what one label classifies.
LABELS = {
    "BertForMaskedLM": {"labels": "word"},
    "BertForNextSentencePrediction": {"labels": "pair"},
    "BertForPreTraining": {"labels": "word", "next_sentence_label": "pair"},
    "BertForSequenceClassification": {"labels": "text"},
    "BertTwoTowers": {"labels": "text"},
    "BertForTokenClassification": {"labels": "token"},
    "BertForQuestionAnswering": {"start_positions": "answer", "end_positions": "answer"},
    "BertForMultipleChoice": {"labels": "choice"},
}


def check_inputs(config: BertConfig, input_ids: Tensor, **inputs: Any) -> None:
    """Raise a MiniBertError if the embeddings cannot look up an input of `BertModel.forward`."""
    _check("input_ids", input_ids, dims=2)
    shape, positions = tuple(input_ids.shape), config.max_position_embeddings
    if shape[1] == 0:
        raise MiniBertError("input_ids is empty; an empty text still has [CLS] and [SEP].")
    if inputs.get("position_ids") is None and shape[1] > positions:
        raise MiniBertError(
            f"the batch is {shape[1]} tokens long but the model has {positions} positions; "
            f"tokenize with truncation=True, max_length={positions}."
        )
    _check("input_ids", input_ids, classes=(config.vocab_size, "the vocabulary (vocab_size)"))
    if (types := inputs.get("token_type_ids")) is not None:
        _check("token_type_ids", types, shape, classes=(config.type_vocab_size, "type_vocab_size"))
    if (places := inputs.get("position_ids")) is not None:
        classes = (positions, "max_position_embeddings")
        _check("position_ids", places, shape, (1, shape[1]), classes=classes)
    # Reading values would wait for a GPU, and a traced graph has no values yet.
    can_look = input_ids.is_cpu and not torch.compiler.is_compiling()
    if (mask := inputs.get("attention_mask")) is not None:
        _check("attention_mask", mask, shape)
        if mask.dtype != torch.bool and can_look:
            wrong = mask[(mask != 0) & (mask != 1)]
            if len(wrong):
                raise MiniBertError(
                    f"attention_mask holds {wrong[0].item()}; it must be 1 for real tokens and 0 "
                    "for padding."
                )
        if can_look and places is None and (~mask[:, 0].bool() & mask.any(dim=1)).any():
            warnings.warn(
                "attention_mask begins with padding, which takes the first positions, so a text "
                'gets other vectors than with padding_side="right"; pad there, or pass '
                "position_ids.",
                stacklevel=3,
            )
    elif can_look and (input_ids[:, [0, -1]] == config.pad_token_id).any():
        warnings.warn(
            f"input_ids has padding (id {config.pad_token_id}) and there is no attention_mask, so "
            "the padding is read as words; pass everything the tokenizer returns: model(**batch).",
            stacklevel=3,
        )


def check_labels(model: "PretrainedModel", input_ids: Any = None, **batch: Any) -> None:
    """Raise a MiniBertError if a label is invalid for its head; own heads are not checked."""
    names = [kind.__name__ for kind in type(model).__mro__]
    kinds = next((LABELS[name] for name in names if name in LABELS), {})
    if not kinds:
        return
    _check("input_ids", input_ids, dims=3 if "choice" in kinds.values() else 2)
    given = {name: batch[name] for name in kinds if batch.get(name) is not None}
    if "start_positions" in kinds and len(given) == 1:
        raise MiniBertError("give both start_positions and end_positions, or neither.")
    config, (rows, *_, length) = model.config, input_ids.shape
    rules: dict[str, tuple[tuple[int, ...], tuple[int, str]]] = {  # shape and classes
        "word": ((rows, length), (config.vocab_size, "the vocabulary (vocab_size)")),
        "token": ((rows, length), (config.num_labels, "num_labels")),
        "text": ((rows,), (config.num_labels, "num_labels")),
        "pair": ((rows,), (2, "this task")),
        "answer": ((rows,), (length, "the length")),
        "choice": ((rows,), (input_ids.shape[1], "the choices")),
    }
    for name, labels in given.items():
        shape, classes = rules[kinds[name]]
        _check(name, labels)
        problem = problem_type(config, labels) if kinds[name] == "text" else SINGLE_LABEL
        if problem == SINGLE_LABEL:
            _check(name, labels, shape, classes=classes, ignored=IGNORE_INDEX)
        elif problem != REGRESSION or config.num_labels > 1 or labels.shape != shape:
            _check(name, labels, (rows, config.num_labels), of=problem.replace("_", " "))


def _check(
    name: str,
    value: Any,
    *shapes: tuple[int, ...],
    dims: int | None = None,
    classes: tuple[int, str] | None = None,
    ignored: int | None = None,
    of: str = "this batch",
) -> None:
    """Raise if a value is not a tensor, has a wrong shape, or holds an invalid class."""
    if not isinstance(value, Tensor):
        if isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value):
            raise MiniBertError(
                f"{name} is a {type(value).__name__} of tensors; pass each by its name: "
                "model(input_ids, token_type_ids=...), or torch.stack texts of one length."
            )
        raise MiniBertError(
            f"{name} is a {type(value).__name__}; make it a tensor: torch.tensor(...), or "
            'return_tensors="pt" for the tokenizer.'
        )
    found = f"{name} has the shape {tuple(value.shape)};"
    if dims == 2 and value.dim() != 2:
        hint = "wrap a single sentence as input_ids[None]."
        raise MiniBertError(f"{found} it must be (batch, tokens): {hint}")
    if dims == 3 and value.dim() != 3:
        raise MiniBertError(f"{found} for multiple choice it must be (batch, choices, tokens).")
    if shapes and tuple(value.shape) not in shapes:
        raise MiniBertError(f"{found} for {of} it must be {' or '.join(map(str, shapes))}.")
    if classes is None:
        return
    if value.dtype not in (torch.int64, torch.int32):
        raise MiniBertError(f"{name} is {value.dtype}; it must hold whole numbers (torch.long).")
    if not value.numel() or not value.is_cpu or torch.compiler.is_compiling():
        return
    lowest, highest = torch.aminmax(value)
    limit, meaning = classes
    if lowest >= 0 and highest < limit:
        return
    wrong = (value < 0) | (value >= limit)
    if ignored is not None:
        wrong &= value != ignored
    if wrong.any():
        where = tuple(wrong.nonzero()[0].tolist())
        allowed = f"0 to {limit - 1}" + (f" or {ignored}" if ignored is not None else "")
        raise MiniBertError(
            f"{name}{list(where)} is {value[where].item()}, but {meaning} allows {allowed}."
        )


def check_finite(outputs: Tensor) -> Tensor:
    """Return the outputs of a model, or raise if they hold NaN or infinity; for outputs on a CPU.

    Raises:
        MiniBertError: they do, so nothing can be concluded from them.
    """
    if not outputs.isfinite().all():
        raise MiniBertError(
            "the answers of the model are not finite numbers (NaN or infinity), so its weights are "
            "damaged or their training had failed; use another copy or an earlier checkpoint."
        )
    return outputs
