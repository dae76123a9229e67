"""minibert: BERT from scratch in PyTorch, to be read and to be used.

The public names are loaded on first use, so that `import minibert` costs nothing and the command
line answers `--help` without PyTorch.
"""

from importlib import import_module

from minibert.errors import MiniBertError

TYPE_CHECKING = False  # that of `typing`, which takes longer to import than all of this
if TYPE_CHECKING:
    from minibert.from_transformers import get_linear_schedule_with_warmup
    from minibert.model.bert import BertModel
    from minibert.model.config import BertConfig
    from minibert.model.pretrained import PretrainedModel
    from minibert.model.pretraining_heads import (
        BertForMaskedLM,
        BertForNextSentencePrediction,
        BertForPreTraining,
    )
    from minibert.model.task_heads import (
        BertForMultipleChoice,
        BertForQuestionAnswering,
        BertForSequenceClassification,
        BertForTokenClassification,
    )
    from minibert.tokenization.tokenizer import BertTokenizer

__version__ = "0.2.0.dev0"

__all__ = [
    "BertConfig",
    "BertForMaskedLM",
    "BertForMultipleChoice",
    "BertForNextSentencePrediction",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "BertTokenizer",
    "MiniBertError",
    "PretrainedModel",
    "get_linear_schedule_with_warmup",
]

_HOMES = {
    "BertConfig": "minibert.model.config",
    "BertForMaskedLM": "minibert.model.pretraining_heads",
    "BertForMultipleChoice": "minibert.model.task_heads",
    "BertForNextSentencePrediction": "minibert.model.pretraining_heads",
    "BertForPreTraining": "minibert.model.pretraining_heads",
    "BertForQuestionAnswering": "minibert.model.task_heads",
    "BertForSequenceClassification": "minibert.model.task_heads",
    "BertForTokenClassification": "minibert.model.task_heads",
    "BertModel": "minibert.model.bert",
    "BertTokenizer": "minibert.tokenization.tokenizer",
    "PretrainedModel": "minibert.model.pretrained",
    "get_linear_schedule_with_warmup": "minibert.from_transformers",
}


def __getattr__(name: str) -> object:
    from minibert.from_transformers import ALIASES, INSTEAD, explain

    name = ALIASES.get(name, name)
    if name in INSTEAD:
        # The message of an AttributeError would be lost in `from minibert import ...`.
        raise ImportError(explain(name))
    if name not in _HOMES:
        raise AttributeError(f"minibert has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
