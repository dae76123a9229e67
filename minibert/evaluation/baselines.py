"""Score the baselines: the most common class, and a linear model on word counts.

A BERT that does not clearly beat the linear model has only learned which words occur. The linear
model is equivalent to scikit-learn's `CountVectorizer` + `LogisticRegression`. Both baselines are
for one class per text.

N is the number of texts, V the number of distinct words, C the number of classes.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from minibert.data.labelled.examples import Example
from minibert.data.labelled.splits import TaskData
from minibert.evaluation.metrics import classification_metrics
from minibert.problem_types import SINGLE_LABEL
from minibert.tokenization.normalize import CHINESE

_WORD = re.compile(rf"[{CHINESE}]+|[^\W{CHINESE}]+")


def baseline_accuracies(task: TaskData) -> dict[str, dict[str, float]]:
    """Return the accuracy of both baselines, "majority" and "bag_of_words", on dev and on test.

    The inner dictionaries are empty if the examples do not have one class each.
    """
    held_out = {name: examples for name, examples in task.splits.items() if name != "train"}
    if task.labels.problem_type != SINGLE_LABEL:
        return {name: {} for name in held_out}
    num_labels = len(task.labels)
    targets = np.asarray(task.targets["train"])
    most_common = np.bincount(targets).argmax()
    model = BagOfWords(task.splits["train"], targets, num_labels)
    scores = {}
    for name, examples in held_out.items():
        predictions = {
            "majority": np.full(len(examples), most_common),
            "bag_of_words": model.predict(examples),
        }
        scores[name] = {
            baseline: classification_metrics(predicted, task.targets[name], num_labels)["accuracy"]
            for baseline, predicted in predictions.items()
        }
    return scores


class BagOfWords:
    """A linear classifier of word counts, trained when it is created.

    An `nn.EmbeddingBag` that sums is exactly this model: row v holds what one occurrence of word v
    adds to the logit of each class, and no (N, V) matrix is needed. The objective is convex, so the
    result depends only on the data.

    Args:
        examples: N texts or pairs.
        targets: (N,) class ids.
        num_labels: C.
        penalty: strength of the L2 penalty, 1/C in scikit-learn.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        targets: NDArray[Any],
        num_labels: int,
        *,
        penalty: float = 1.0,
    ) -> None:
        texts = [words(example) for example in examples]
        found = dict.fromkeys(word for text in texts for word in text)
        self.vocabulary = {word: index for index, word in enumerate(found)}
        self.weight = nn.EmbeddingBag(max(1, len(found)), num_labels, mode="sum")  # (V, C)
        self.bias = nn.Parameter(torch.zeros(num_labels))
        nn.init.zeros_(self.weight.weight)
        bags, labels = self._bags(texts), torch.as_tensor(targets, dtype=torch.long)
        optimizer = torch.optim.LBFGS(
            [self.weight.weight, self.bias],
            max_iter=100,
            tolerance_grad=1e-6,
            tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )

        def objective() -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.weight(*bags) + self.bias, labels)
            loss = loss + penalty / (2 * len(labels)) * self.weight.weight.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(objective)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def predict(self, examples: Sequence[Example]) -> NDArray[np.int64]:
        """Return the class ids of N texts, (N,). Unknown words are skipped."""
        logits = self.weight(*self._bags([words(example) for example in examples])) + self.bias
        return np.asarray(logits.argmax(dim=1))  # (N, C) -> (N,)

    def _bags(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Return the ids of known words, concatenated, and where each text starts in them."""
        ids = [[self.vocabulary[w] for w in text if w in self.vocabulary] for text in texts]
        starts = np.cumsum([0, *map(len, ids)])[:-1]
        flat = np.fromiter((i for text in ids for i in text), dtype=np.int64)
        return torch.from_numpy(flat), torch.from_numpy(starts)


def words(example: Example) -> list[str]:
    """Return the words in lower case; for Chinese, the characters and pairs of adjacent ones.

    In a pair of texts, each word has a prefix that names its text.

    Example:
        >>> words(Example("Good, 很好看"))
        ['good', '很', '好', '看', '很好', '好看']
        >>> words(Example("Is it?", "It is"))
        ['a:is', 'a:it', 'b:it', 'b:is']
    """
    if example.text_pair is not None:
        sides = (("a", example.text), ("b", example.text_pair))
        return [f"{side}:{word}" for side, text in sides for word in words(Example(text))]
    found: list[str] = []
    for run in _WORD.findall(example.text.lower()):
        if re.match(f"[{CHINESE}]", run):
            # Chinese has no spaces, and most of its words are one or two characters long.
            found += [*run, *(run[i : i + 2] for i in range(len(run) - 1))]
        else:
            found.append(run)
    return found
