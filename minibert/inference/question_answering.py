"""Answer questions about a text with a fine-tuned folder.

    answerer = QuestionAnswerer.from_pretrained("runs/finetune_qa")
    answerer("Where is the cat?", "The cat sat on the mat.").answer    # "on the mat"

A folder of `transformers` works, too. It has no `task.json`, which stores the sizes of the windows
and the threshold for questions without an answer.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch

from minibert.data.labelled.question_answering import QuestionExample
from minibert.data.labelled.question_windows import QuestionBatches, make_windows
from minibert.errors import MiniBertError
from minibert.evaluation.question_answering import (
    MAX_ANSWER_LENGTH,
    N_BEST,
    Prediction,
    predict_answers,
)
from minibert.inference.load import load_for_inference, save_for_inference, task_settings
from minibert.model.task_heads import BertForQuestionAnswering
from minibert.tokenization.tokenizer import BertTokenizer

TASK = "question-answering"
MAX_LENGTH = 384  # tokens of a window, as in Google's code


@dataclass(frozen=True)
class AnswerSettings:
    """How questions are answered.

    Attributes:
        max_length: tokens of a window, with the question and the special tokens.
        doc_stride: tokens from the beginning of a window to that of the next.
        max_answer_length: tokens of an answer.
        null_threshold: there is no answer if the score of [CLS] exceeds that of the best answer by
            more than this. None always answers: all questions in training had an answer.
    """

    max_length: int = MAX_LENGTH
    doc_stride: int = MAX_LENGTH // 3
    max_answer_length: int = MAX_ANSWER_LENGTH
    null_threshold: float | None = None


@dataclass(frozen=True)
class QuestionAnswerer:
    """A model for question answering with its tokenizer and settings."""

    model: BertForQuestionAnswering
    tokenizer: BertTokenizer
    settings: AnswerSettings

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> Self:
        """Load from a folder or from the hub.

        Raises:
            MiniBertError: a file is missing or damaged, or the folder is for another task.
        """
        advice = "fine-tune it: minibert finetune --task question-answering --train FILE"
        model, tokenizer, limit = load_for_inference(
            BertForQuestionAnswering,
            name_or_path,
            device=device,
            precision=precision,
            if_untrained=advice,
        )
        path, saved = task_settings(name_or_path)
        max_length = saved.get("max_length", min(MAX_LENGTH, limit))
        settings = AnswerSettings(
            max_length,
            saved.get("doc_stride", MAX_LENGTH // 3),
            saved.get("max_answer_length", MAX_ANSWER_LENGTH),
            saved.get("null_threshold"),
        )
        sizes = [settings.max_length, settings.doc_stride, settings.max_answer_length]
        valid = all(type(size) is int and size > 0 for size in sizes) and sizes[0] <= limit
        if not valid or type(settings.null_threshold) not in (float, int, type(None)):
            raise MiniBertError(
                f"{path} has {asdict(settings)}; these must be positive integers, max_length at "
                f"most {limit}, and null_threshold a number or null. Correct the file or delete it."
            )
        return cls(model, tokenizer, settings)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained` reads back with bit-equal predictions."""
        settings = {"task": TASK, **asdict(self.settings)}
        save_for_inference(folder, self.model, self.tokenizer, settings)

    def __call__(self, question: str, context: str) -> Prediction:
        """Return the answer to a question, a part of the context; see `predict`."""
        return self.predict([QuestionExample(question, context)])[0]

    def predict(
        self,
        examples: Sequence[QuestionExample],
        *,
        null_threshold: float | None = None,
        n_best: int = N_BEST,
        batch_size: int = 64,
    ) -> list[Prediction]:
        """Return the answers to many questions; they do not depend on how windows are batched.

        Args:
            examples: questions and contexts, for example from `read_questions`.
            null_threshold: another one than that of the settings.
            n_best: the number of answers to compare.
            batch_size: windows to run at a time.

        Raises:
            MiniBertError: there are no questions, or a question or context is empty or no str.
        """
        if not examples:
            raise MiniBertError("there are no questions to answer.")
        for example in examples:
            for text in (example.question, example.context):
                if not isinstance(text, str) or not text.strip():
                    raise MiniBertError(
                        f"a question and a context are texts that are not empty, not {text!r:.80}; "
                        "call answerer(question, context)."
                    )
        settings = self.settings
        sizes = {"max_length": settings.max_length, "doc_stride": settings.doc_stride}
        windows = make_windows(self.tokenizer, examples, **sizes)
        self.model.eval()
        return predict_answers(
            self.model,
            QuestionBatches(windows, pad_token_id=self.tokenizer.pad_token_id),
            examples,
            null_threshold=settings.null_threshold if null_threshold is None else null_threshold,
            n_best=n_best,
            max_answer_length=settings.max_answer_length,
            batch_size=batch_size,
        )[0]
