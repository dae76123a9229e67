"""What you can rely on: a saved model of any task answers in a new process to the last bit."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tiny_folders import POSITIONS, tiny_config, tiny_tokenizer

from minibert import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minibert.data.labelled.tags import TagSet
from minibert.inference.multiple_choice import AnswerChooser
from minibert.inference.question_answering import AnswerSettings, QuestionAnswerer
from minibert.inference.tagging import Tagger
from minibert.inference.text_classification import TextClassifier
from minibert.model.crf import BertCrfForTokenClassification
from minibert.model.pooling import BertForPooledClassification
from minibert.model.two_towers import BertTwoTowers

TAGS = TagSet(("O", "B-PER", "I-PER"), "IOB2")
CLASSES = {"id2label": {0: "good", 1: "bad"}}
NAMED = {"id2label": dict(enumerate(TAGS.names))}


def classifier(model: Any, *, pairs: bool = False) -> TextClassifier:
    return TextClassifier(model, tiny_tokenizer(), POSITIONS, pairs)


PREDICTORS: dict[str, Callable[[], Any]] = {
    "classification": lambda: classifier(BertForSequenceClassification(tiny_config(**CLASSES))),
    "pooling": lambda: classifier(BertForPooledClassification(tiny_config(**CLASSES), "cnn")),
    "matching": lambda: classifier(
        BertTwoTowers(tiny_config(**CLASSES), "mean", "difference"), pairs=True
    ),
    "tagging": lambda: Tagger(
        BertForTokenClassification(tiny_config(**NAMED)), tiny_tokenizer(), POSITIONS, TAGS
    ),
    "tagging with a CRF": lambda: Tagger(
        BertCrfForTokenClassification(tiny_config(**NAMED)), tiny_tokenizer(), POSITIONS, TAGS
    ),
    "question answering": lambda: QuestionAnswerer(
        BertForQuestionAnswering(tiny_config()), tiny_tokenizer(), AnswerSettings(POSITIONS, 4)
    ),
    "multiple choice": lambda: AnswerChooser(
        BertForMultipleChoice(tiny_config()), tiny_tokenizer(), POSITIONS
    ),
}


def answers(predictor: Any) -> str:
    """Every bit of the logits for a pair of texts, for two choices, or for two towers."""
    batch = tiny_tokenizer()(["the cat sat"], ["on a mat ."], return_tensors="pt")
    if isinstance(predictor.model, BertForMultipleChoice | BertTwoTowers):
        batch = {name: tensor.expand(2, -1)[None] for name, tensor in batch.items()}
    predictor.model.eval()
    with torch.inference_mode():
        outputs = predictor.model(**batch)
    return " ".join(tensor.numpy().tobytes().hex() for _, tensor in outputs.items())


def show(folder: str) -> None:
    """Print the answers of all saved predictors."""
    for task, make in PREDICTORS.items():
        print(answers(type(make()).from_pretrained(Path(folder) / task)))


def test_every_task_answers_in_a_new_process_as_before(tmp_path: Path):
    expected = []
    for number, (task, make) in enumerate(PREDICTORS.items()):
        torch.manual_seed(number)
        predictor = make()
        predictor.save_pretrained(tmp_path / task)
        expected.append(answers(predictor))
    code = f"import test_saved_tasks; test_saved_tasks.show({str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    for task, before, after in zip(PREDICTORS, expected, done.stdout.splitlines(), strict=True):
        assert before and before == after, task
