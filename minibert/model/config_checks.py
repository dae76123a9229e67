"""Check the fields of a BertConfig, and infer those that may be given in several ways.

The tables also say which fields of foreign files mark another kind of model, and which are ignored.
"""

import difflib
import math
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from minibert.checkpoints.foreign_config import ONLY_ACCEPTED, architectures, check_is_bert
from minibert.errors import MiniBertError
from minibert.from_transformers import INSTEAD, explain
from minibert.problem_types import PROBLEM_TYPES

if TYPE_CHECKING:
    from minibert.model.config import BertConfig

LARGEST_COUNT = 2**24  # a table of 16 million rows; only a hostile file asks for more
MOST_LABELS = 2**17  # likewise
COUNTS = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "max_position_embeddings", "type_vocab_size"),
)
LABEL_FIELDS = ("num_labels", "id2label", "label2id")
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
# The `hidden_act` of a file -> its name here. "gelu" is x * Phi(x), as in transformers and in
# Google's first release; "gelu_tanh" is the approximation in Google's current code. They differ by
# up to 4.7e-4.
ACTIVATION_NAMES = {
    "gelu": "gelu",
    "gelu_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python": "gelu",
    "relu": "relu",
}
# Fields of a file that tell where it comes from, or how another library runs it: ignored.
BOOKKEEPING = frozenset(
    "_name_or_path _num_labels architectures bos_token_id chunk_size_feed_forward directionality "
    "dtype eos_token_id finetuning_task gradient_checkpointing is_encoder_decoder name_or_path "
    "output_attentions output_hidden_states pooler_fc_size pooler_num_attention_heads "
    "pooler_num_fc_layers pooler_size_per_head pooler_type return_dict tie_word_embeddings "
    "torch_dtype transformers_version use_cache".split()
)
# Arguments of `transformers`, and the values that change nothing; use_cache concerns decoders only.
ASK_FOR_NOTHING: dict[str, object] = {
    **ONLY_ACCEPTED,
    **dict.fromkeys(("gradient_checkpointing", "output_attentions", "output_hidden_states"), False),
    **dict.fromkeys(("return_dict", "tie_word_embeddings"), True),
}


def checked(config: "BertConfig") -> dict[str, Any]:
    """Check all fields, and return those that are inferred: the label fields and `hidden_act`.

    Raises:
        MiniBertError: a value is invalid, or two values contradict each other.
    """
    # A number of NumPy or PyTorch, such as labels.max() + 1, becomes one of Python.
    scalars = {n: v.item() for n, v in vars(config).items() if getattr(v, "ndim", None) == 0}
    config.__dict__.update(scalars)
    for name, fits, rule in _rules(config):
        if not fits:
            raise MiniBertError(f"{name} is {getattr(config, name)!r}; it must be {rule}.")
    count, id2label, label2id = settle_labels(config.num_labels, config.id2label, config.label2id)
    labels = {"num_labels": count, "id2label": id2label, "label2id": label2id}
    return labels | {"hidden_act": ACTIVATION_NAMES[config.hidden_act]}


def _rules(config: "BertConfig") -> Iterator[tuple[str, bool, str]]:
    """Yield each field, whether its value is valid, and what it must be."""
    for name in COUNTS:
        value = getattr(config, name)
        fits = type(value) is int and 1 <= value <= LARGEST_COUNT
        yield name, fits, f"a whole number from 1 to {LARGEST_COUNT:,}"
    heads, words = config.num_attention_heads, config.vocab_size
    fits = config.hidden_size % heads == 0
    yield "hidden_size", fits, f"a multiple of num_attention_heads, {heads}"
    fits = type(config.pad_token_id) is int and 0 <= config.pad_token_id < words
    yield "pad_token_id", fits, f"an id of the vocabulary, 0 to {words - 1}"
    for name in (*DROPOUTS, "initializer_range", "layer_norm_eps"):
        value = getattr(config, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name not in DROPOUTS:
            yield name, number and 0 <= value < math.inf, "a number from 0"
        elif name != "classifier_dropout" or value is not None:
            yield name, number and 0 <= value <= 1, "a number from 0 to 1"
    act = config.hidden_act
    known = ", ".join(sorted(set(ACTIVATION_NAMES.values())))
    yield "hidden_act", isinstance(act, str) and act in ACTIVATION_NAMES, f"one of {known}"
    fits = config.problem_type in (None, *PROBLEM_TYPES)
    yield "problem_type", fits, f"one of {', '.join(PROBLEM_TYPES)}"


def settle_labels(
    num_labels: Any, id2label: Any, label2id: Any
) -> tuple[int, dict[int, str], dict[str, int]]:
    """Return all three label fields from those that are given; by default LABEL_0 and LABEL_1.

    Raises:
        MiniBertError: they contradict each other, or are not numbers and names.

    Example:
        >>> settle_labels(None, {"0": "no", "1": "yes"}, None)  # config.json has string keys
        (2, {0: 'no', 1: 'yes'}, {'no': 0, 'yes': 1})
    """
    names = _names_by_id("id2label", id2label)
    inverse = _names_by_id("label2id", label2id)
    if names is not None and inverse is not None and names != inverse:
        raise MiniBertError("label2id contradicts id2label; remove one of them.")
    names = names if names is not None else inverse
    count = num_labels if num_labels is not None else 2 if names is None else len(names)
    if type(count) is not int or not 1 <= count <= MOST_LABELS:
        raise MiniBertError(
            f"num_labels is {count!r}; it must be a whole number from 1 to {MOST_LABELS:,}."
        )
    if names is None:
        names = {index: f"LABEL_{index}" for index in range(count)}
    if sorted(names) != list(range(count)):
        raise MiniBertError(
            f"num_labels is {count}, but id2label has the ids {sorted(names)[:20]}; it must have "
            f"the ids 0 to {count - 1}."
        )
    ids = {label: index for index, label in names.items()}
    if len(ids) != count:
        raise MiniBertError(
            f"id2label gives two ids the same label: {list(names.values())[:20]}; give each id its "
            "own label."
        )
    return count, names, ids


def check_file(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a file as `transformers` reads them: what contradicts id2label is left.

    Raises:
        MiniBertError: the fields describe another kind of model.
    """
    check_is_bert(fields)
    # "pad_token_id": null or -1 and "id2label": {} mean: the default.
    unset: dict[str, tuple[object, ...]] = {"pad_token_id": (None, -1)}
    unset |= dict.fromkeys(LABEL_FIELDS, (None, {}))
    fields = {name: value for name, value in fields.items() if value not in unset.get(name, ())}
    if "problem_type" in fields and fields["problem_type"] not in (None, *PROBLEM_TYPES):
        note = f"has the unknown problem_type {fields.pop('problem_type')!r:.100}; it is ignored."
        warnings.warn(f"the config {note}", stacklevel=2)
    if named := _names_by_id("id2label", fields.get("id2label")):
        settle_labels(fields.get("num_labels"), None, None)
        names = {index: named.get(index, f"LABEL_{index}") for index in range(len(named))}
        times = Counter(names.values())
        names = {i: f"{name} ({i})" if times[name] > 1 else name for i, name in names.items()}
        count, fields["id2label"], label2id = settle_labels(None, names, None)
        given = fields.pop("num_labels", count), fields.pop("label2id", label2id)
        if names != named:
            warnings.warn(
                f"id2label in the config has not one label for each id from 0 to {count - 1}; the "
                f"labels are {str(list(names.values())[:20])[1:-1]:.300}.",
                stacklevel=2,
            )
        elif given != (count, label2id):
            warnings.warn(
                "in the config, label2id or num_labels contradicts id2label; id2label is used.",
                stacklevel=2,
            )
    return fields


def check_names(fields: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Return the fields of BertConfig; raise on others, unless their value asks for nothing."""
    for name, value in fields.items():
        if name == "use_cache" and isinstance(value, bool):
            continue
        if name in ASK_FOR_NOTHING and value == ASK_FOR_NOTHING[name]:
            continue
        if name in INSTEAD:
            raise MiniBertError(explain(name))
        if name in ("output_hidden_states", "output_attentions"):
            raise MiniBertError(f"{name} is an argument of each call: model(ids, {name}=True).")
        if name in ONLY_ACCEPTED or name in BOOKKEEPING:
            only = f", which is always {ONLY_ACCEPTED[name]!r}" if name in ONLY_ACCEPTED else ""
            raise MiniBertError(f"BertConfig has no field {name!r}{only}; remove it.")
        if name not in own:
            guess = difflib.get_close_matches(name, own, n=1)
            hint = f"did you mean {guess[0]!r}?" if guess else f"it has {', '.join(own)}."
            raise MiniBertError(f"BertConfig has no field {name!r}; {hint}")
    return {name: value for name, value in fields.items() if name in own}


def unexplained_fields(foreign: Mapping[str, Any]) -> list[str]:
    """Return the foreign fields that minibert does not know, for a note to the user."""
    tuples = {"return_dict"} if foreign.get("return_dict") is False else set[str]()
    known = BOOKKEEPING | ONLY_ACCEPTED.keys() | {"pooling", "fuse"}
    return sorted((foreign.keys() - known) | tuples)


def check_class(config: "BertConfig", model_class: type) -> None:
    """Raise if a class would compute something else than the model that the config describes."""
    if hasattr(model_class, "masked_positions_only"):  # a class with a masked-word head
        check_tied(config)
    own = [kind.__name__ for kind in model_class.__mro__]
    saved_by, pooled = architectures(config.foreign), "BertForPooledClassification"
    if pooled in saved_by and pooled not in own and "BertForSequenceClassification" in own:
        raise MiniBertError(
            f"this model was saved by {pooled} with the pooling "
            f"{config.foreign.get('pooling')!r:.100}, which a {own[0]} does not have; load it with "
            "TextClassifier.from_pretrained, or fine-tune it with the same --pooling."
        )


def check_tied(config: "BertConfig") -> None:
    """Raise if the masked-word head has a decoder of its own, which minibert does not compute."""
    if not config.foreign.get("tie_word_embeddings", True):
        raise MiniBertError(
            "the decoder of this model's masked-word head is not tied to the word embeddings "
            "(tie_word_embeddings is false, or the two differ by more than 1e-5); minibert ties "
            "them, as Google's BERT does, and would predict other words. Load it as BertModel or "
            "with a task's head, or use transformers."
        )


def to_hugging_face(hidden_act: str) -> str:
    """Return the name of an activation in `transformers`."""
    return "gelu_pytorch_tanh" if hidden_act == "gelu_tanh" else hidden_act


def _names_by_id(field: str, mapping: Any) -> dict[int, str] | None:
    """Return `id2label` or `label2id` as a dictionary from id to name, in the order of the ids."""
    if mapping is None:
        return None
    try:
        items = mapping.items()
        pairs = items if field == "id2label" else [(index, name) for name, index in items]
        named = dict(sorted((int(index), str(name)) for index, name in pairs))
    except (AttributeError, TypeError, ValueError) as error:
        raise MiniBertError(
            f"{field} is {str(mapping)[:200]}; it must be a dictionary of whole numbers and labels."
        ) from error
    if len(named) < len(mapping):
        raise MiniBertError(f"{field} names an id twice: {str(mapping)[:200]}; remove one.")
    return named
