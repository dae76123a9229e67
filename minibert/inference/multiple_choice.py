"""Choose the right answer to a question with a folder fine-tuned for multiple choice.

    chooser = AnswerChooser.from_pretrained("runs/choice")
    chooser("The man turned on the faucet.", ["The toilet filled.", "Water flowed."]).choice

The classifier scores each choice together with the question; a softmax over the scores of one
question gives the probabilities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from minibert.data.labelled.batches import GroupedBatches, tokenize_groups
from minibert.data.labelled.multiple_choice import KINDS, Question
from minibert.errors import MiniBertError
from minibert.evaluation.classification import evaluate_choices, predict
from minibert.inference.load import load_for_inference, save_for_inference, task_settings
from minibert.model.task_heads import BertForMultipleChoice
from minibert.tokenization.tokenizer import BertTokenizer

TASK = "multiple-choice"


@dataclass(frozen=True)
class ChoicePrediction:
    """What is predicted for one question.

    Attributes:
        index: of the choice, from 0.
        choice: its text.
        probabilities: one for each choice, with sum 1.
        truncated: whether the context was too long, so that only its beginning was read.
    """

    index: int
    choice: str
    probabilities: tuple[float, ...]
    truncated: bool = False


@dataclass(frozen=True)
class AnswerChooser:
    """A multiple-choice model with its tokenizer and the settings that it was trained with."""

    model: BertForMultipleChoice
    tokenizer: BertTokenizer
    max_length: int  # tokens of context, question and choice, including [CLS] and two [SEP]
    answers: str | None = None  # how the training file gave them, see `KINDS`

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> Self:
        """Load a model from a folder or from the hub.

        Raises:
            MiniBertError: a file is missing or damaged, or the folder was trained for another task.
        """
        advice = "fine-tune it: minibert finetune --task multiple-choice --train FILE"
        model, tokenizer, limit = load_for_inference(
            BertForMultipleChoice,
            name_or_path,
            device=device,
            precision=precision,
            if_untrained=advice,
        )
        task, settings = task_settings(name_or_path)
        max_length, answers = settings.get("max_length", limit), settings.get("answers")
        if type(max_length) is not int or answers not in (None, *KINDS):
            raise MiniBertError(
                f"{task} has max_length {max_length!r} and answers {answers!r}; the first must be "
                f"an integer and the second one of {', '.join(KINDS)}. Correct the file or delete "
                "it."
            )
        return cls(model, tokenizer, min(max_length, limit), answers)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained` reads back with bit-equal predictions."""
        settings = {"task": TASK, "max_length": self.max_length, "answers": self.answers}
        save_for_inference(folder, self.model, self.tokenizer, settings)

    def __call__(
        self, context: str, choices: Sequence[str], *, question: str = ""
    ) -> ChoicePrediction:
        """Return the prediction for one question; see `predict`."""
        return self.predict([Question(context, question, tuple(choices))])[0]

    def predict(
        self, questions: Sequence[Question], *, batch_size: int = 16
    ) -> list[ChoicePrediction]:
        """Return the predictions for many questions; they do not depend on the batches.

        Args:
            questions: such as those of `read_questions`; their answers are not read.
            batch_size: number of questions to run at a time.

        Raises:
            MiniBertError: there are no questions, or one has fewer than two choices.
        """
        if not questions or any(len(question.choices) < 2 for question in questions):
            raise MiniBertError("predict takes a list of questions with two choices or more each.")
        batches = self.batches(questions)
        self.model.eval()
        logits = predict(self.model, batches, batch_size=batch_size).logits
        scores = torch.from_numpy(logits).double()
        long = np.asarray(batches.texts.full_lengths) > self.max_length
        truncated = np.logical_or.reduceat(long, np.cumsum([0, *batches.counts[:-1]]))
        predictions = []
        for question, row, cut in zip(questions, scores, truncated.tolist(), strict=True):
            probabilities = row[: len(question.choices)].softmax(dim=-1).tolist()
            index = int(np.argmax(probabilities))
            choice = question.choices[index]
            predictions.append(ChoicePrediction(index, choice, tuple(probabilities), cut))
        return predictions

    def evaluate(self, questions: Sequence[Question], *, batch_size: int = 16) -> dict[str, float]:
        """Return the mean `loss` and the `accuracy` on questions with answers."""
        self.model.eval()
        batches = self.batches(questions, labelled=True)
        return evaluate_choices(self.model, batches, batch_size=batch_size)

    def batches(
        self,
        questions: Sequence[Question],
        *,
        labelled: bool = False,
        batch_size: int = 32,
        seed: int = 0,
    ) -> GroupedBatches:
        """Return the batches (B, C, S) of questions with C choices, with their answers or not.

        Raises:
            MiniBertError: an answer is missing.
        """
        targets = [question.answer for question in questions]
        if labelled and None in targets:
            raise MiniBertError(f"{questions[targets.index(None)]} has no answer; give one.")
        return tokenize_groups(
            self.tokenizer,
            [question.pairs() for question in questions],
            targets if labelled else None,
            max_length=self.max_length,
            pad_token_id=self.tokenizer.pad_token_id,
            batch_size=batch_size,
            seed=seed,
        )
