"""Score the baselines: a constant, a linear model on word counts, and word overlap for pairs.

A BERT that does not clearly beat the linear model has only learned which words occur.

| baseline     | one class per text       | several classes             | a number          |
|--------------|--------------------------|-----------------------------|-------------------|
| majority     | the most common class    | the classes of over half    | the mean          |
| bag_of_words | logistic regression; if  | logistic regression, one    | ridge regression  |
|              | very large, naive Bayes  | versus rest                 |                   |

For pairs there is also "word_overlap", the same linear model of how many words the texts share.
The linear models are scikit-learn's: `CountVectorizer` with `LogisticRegression`, `MultinomialNB`
or `Ridge`.
N is the number of texts, V of distinct words, C of outputs: classes, or 1 for a number.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from minibert.data.labelled.examples import Example, normalize_text
from minibert.data.labelled.multiple_choice import Question
from minibert.data.labelled.splits import TaskData
from minibert.evaluation.classification import METRIC_FOR_BEST_MODEL, decide, score_decisions
from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from minibert.tokenization.normalize import CHINESE

MAX_TRAINED = 2_000_000  # weights, V * C; more are those of naive Bayes, which are only counted
MAX_WEIGHTS = 20_000_000  # of more, the words that occur least often are left out
MAX_LOGITS = 4_000_000  # N * C that are computed at a time
MAX_HISTORY = 20_000_000  # numbers that L-BFGS keeps of its past steps, of each of two kinds

Encoded = tuple[NDArray[np.int64], NDArray[np.float32]]
"""The features of one text: their ids and their values."""

_CHINESE = re.compile(f"[{CHINESE}]")
_RUN = re.compile(f"[{CHINESE}]+|[^{CHINESE}]+")


def baseline_scores(task: TaskData) -> dict[str, dict[str, float]]:
    """Return the score of each baseline on dev and on test, by split and name.

    The score is the metric by which the best model is chosen, see `METRIC_FOR_BEST_MODEL`.
    """
    targets, problem_type = np.asarray(task.targets["train"]), task.labels.problem_type
    if problem_type == SINGLE_LABEL:
        constant = np.asarray(np.bincount(targets).argmax())  # ()
    else:
        constant = targets.mean(axis=0)  # () the mean, or (C,) the share of each class
        constant = (constant > 0.5).astype(np.int64) if problem_type == MULTI_LABEL else constant
    predictors: dict[str, Callable[[Sequence[Example]], NDArray[Any]]] = {
        "majority": lambda examples: np.stack([constant] * len(examples))
    }
    features = {"bag_of_words": count_words, "word_overlap": word_overlap}
    for name in [*features][: 1 + task.pairs]:
        predictors[name] = BagOfWords(
            task.splits["train"],
            targets,
            len(task.labels),
            problem_type=problem_type,
            features=features[name],
        ).predict
    metric = METRIC_FOR_BEST_MODEL[problem_type]
    return {
        split: {
            name: score_decisions(predict(examples), task.targets[split], task.labels)[metric]
            for name, predict in predictors.items()
        }
        for split, examples in task.splits.items()
        if split != "train"
    }


def choice_baselines(
    sets: Mapping[str, Sequence[Question]],
) -> dict[str, dict[str, float]]:
    """Return the accuracy of each baseline for multiple choice, by split and name.

    "majority" takes the place at which the right choice of training questions is most often, and
    "word_overlap" the first choice of which most words are in the context or in the question.
    """
    place = Counter(question.answer for question in sets["train"]).most_common(1)[0][0]

    def by_overlap(question: Question) -> int:
        known = set(words(Example(f"{question.context}\n{question.question}")))
        choices = [set(words(Example(choice))) for choice in question.choices]
        return int(np.argmax([len(choice & known) / max(1, len(choice)) for choice in choices]))

    return {
        split: {
            "majority": float(np.mean([q.answer == place for q in questions])),
            "word_overlap": float(np.mean([q.answer == by_overlap(q) for q in questions])),
        }
        for split, questions in sets.items()
        if split != "train"
    }


class BagOfWords:
    """A linear model of word counts, or of other features, trained when it is created.

    An `nn.EmbeddingBag` that sums is exactly this model: row v holds what one occurrence of word v
    adds to each output, and no (N, V) matrix is needed. The objective is convex, so the result
    depends only on the data.

    Args:
        examples: N texts or pairs.
        targets: (N,) class ids, (N, C) of 0 and 1, or (N,) numbers, by problem type.
        num_labels: C.
        penalty: strength of the L2 penalty: 1/C in scikit-learn's logistic regression, alpha in
            its ridge regression.
        problem_type: what the targets are.
        features: returns the features of an example, name -> value.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        num_labels: int,
        *,
        penalty: float = 1.0,
        problem_type: str = SINGLE_LABEL,
        features: Callable[[Example], Mapping[str, float]] | None = None,
    ) -> None:
        self.features = features or count_words
        self.problem_type, self.num_labels = problem_type, num_labels
        self.vocabulary: dict[str, int] = {}
        texts = self._limit_vocabulary([self._encode(example, learn=True) for example in examples])
        self.weight = nn.EmbeddingBag(max(1, len(self.vocabulary)), num_labels, mode="sum")
        nn.init.zeros_(self.weight.weight)  # (V, C)
        self.bias = nn.Parameter(torch.zeros(num_labels))
        goals = np.asarray(targets)
        if problem_type == SINGLE_LABEL and self.weight.weight.numel() > MAX_TRAINED:
            self._count_weights(texts, goals)
            return
        self.mean, self.scale = 0.0, 1.0
        if problem_type == REGRESSION:  # in units in which the solution is found fast
            self.mean, self.scale = float(goals.mean()), float(goals.std()) or 1.0
            goals = (goals[:, None] - self.mean) / self.scale  # (N,) -> (N, 1)
        whole = problem_type == SINGLE_LABEL
        goals_ = torch.tensor(goals, dtype=torch.int64 if whole else torch.float32)
        batches = [(_bags(texts[rows]), goals_[rows]) for rows in self._batches(len(texts))]

        def objective() -> Tensor:
            total = penalty / (2 * len(texts)) * self.weight.weight.square().sum()
            total.backward()  # type: ignore[no-untyped-call]
            for bags, labels in batches:
                loss = sum_of_losses(self._outputs(*bags), labels, problem_type) / len(texts)
                loss.backward()  # type: ignore[no-untyped-call]
                total = total.detach() + loss.detach()
            return total

        minimize(objective, [self.weight.weight, self.bias])

    @torch.no_grad()
    def _count_weights(self, texts: Sequence[Encoded], class_ids: NDArray[Any]) -> None:
        """Use the weights of multinomial naive Bayes: the logarithm of the share of each word."""
        weight = self.weight.weight
        for (ids, values), class_id in zip(texts, class_ids.tolist(), strict=True):
            weight[torch.from_numpy(ids), class_id] += torch.from_numpy(values)
        weight.add_(1).div_(weight.sum(dim=0)).log_()
        self.bias.copy_(torch.from_numpy(np.bincount(class_ids, minlength=self.num_labels))).log_()

    @torch.no_grad()
    def predict(self, examples: Sequence[Example]) -> NDArray[Any]:
        """Return the decisions for N texts, as `decide` returns them. Unknown words are skipped."""
        texts = [self._encode(example) for example in examples]
        outputs = (self._outputs(*_bags(texts[rows])) for rows in self._batches(len(texts)))
        decided = np.concatenate([decide(batch.numpy(), self.problem_type) for batch in outputs])
        return decided * self.scale + self.mean if self.problem_type == REGRESSION else decided

    def _outputs(self, ids: Tensor, values: Tensor, starts: Tensor) -> Tensor:
        outputs: Tensor = self.weight(ids, starts, per_sample_weights=values) + self.bias
        return outputs  # (N, C)

    def _batches(self, count: int) -> list[slice]:
        size = max(1, MAX_LOGITS // self.num_labels)
        return [slice(start, start + size) for start in range(0, count, size)]

    def _encode(self, example: Example, *, learn: bool = False) -> Encoded:
        """Return the ids of the known features of a text, and their values."""
        known = self.vocabulary
        found = self.features(example)
        if learn:
            for name in found:
                known.setdefault(name, len(known))
        pairs = [(known[name], value) for name, value in found.items() if name in known]
        ids, values = zip(*pairs, strict=True) if pairs else ((), ())
        return np.array(ids, dtype=np.int64), np.array(values, dtype=np.float32)

    def _limit_vocabulary(self, texts: Sequence[Encoded]) -> list[Encoded]:
        """Keep the features that most texts have, and return the texts with those only."""
        limit = MAX_WEIGHTS if self.problem_type == SINGLE_LABEL else MAX_TRAINED
        most = max(1, limit // self.num_labels)
        if len(self.vocabulary) <= most:
            return list(texts)
        counts = np.bincount(np.concatenate([ids for ids, _ in texts]))
        new_ids = np.full(len(counts), -1)
        new_ids[np.argsort(-counts, kind="stable")[:most]] = np.arange(most)
        self.vocabulary = {
            name: int(new_ids[old]) for name, old in self.vocabulary.items() if new_ids[old] >= 0
        }
        kept = [(new_ids[ids], values) for ids, values in texts]
        return [(ids[ids >= 0], values[ids >= 0]) for ids, values in kept]


def _bags(texts: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    """Return all ids and values, concatenated, and where each text starts in them."""
    ids, values = (np.concatenate(column) for column in zip(*texts, strict=True))
    starts = np.cumsum([0, *(len(ids) for ids, _ in texts)])[:-1]
    return torch.from_numpy(ids), torch.from_numpy(values), torch.from_numpy(starts)


def minimize(objective: Callable[[], Tensor], parameters: Sequence[Tensor]) -> None:
    """Find the minimum of a convex objective, which adds its gradients to those of parameters."""
    size = sum(parameter.numel() for parameter in parameters)
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=100,
        tolerance_grad=1e-6,
        tolerance_change=1e-7,
        history_size=max(5, min(100, MAX_HISTORY // size)),
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        return objective()

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def sum_of_losses(outputs: Tensor, goals: Tensor, problem_type: str) -> Tensor:
    """Return the loss whose minimum scikit-learn's models find, for (N, C) outputs."""
    if problem_type == SINGLE_LABEL:
        return nn.functional.cross_entropy(outputs, goals, reduction="sum")
    if problem_type == MULTI_LABEL:
        return nn.functional.binary_cross_entropy_with_logits(outputs, goals, reduction="sum")
    return nn.functional.mse_loss(outputs, goals, reduction="sum") / 2


def count_words(example: Example) -> Mapping[str, float]:
    """Return how often each of the `words` occurs."""
    return Counter(words(example))


def word_overlap(example: Example) -> Mapping[str, float]:
    """Return the share of the words of a pair, of its first and of its second text that are shared.

    Example:
        >>> word_overlap(Example("It is cold.", "It is"))
        {'of both': 0.6666666666666666, 'of the first': 0.6666666666666666, 'of the second': 1.0}
    """
    first, second = (set(words(Example(t))) for t in (example.text, example.text_pair or ""))
    shared, sets = len(first & second), (first | second, first, second)
    names = ("of both", "of the first", "of the second")
    return {n: shared / max(1, len(some)) for n, some in zip(names, sets, strict=True)}


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
    found = normalize_text(example.text).split()
    if not _CHINESE.search(example.text):
        return found
    runs = [run for word in found for run in _RUN.findall(word)]
    # Chinese has no spaces, and most of its words are one or two characters long.
    return [
        word
        for run in runs
        for word in ([*run, *map("".join, pairwise(run))] if _CHINESE.match(run) else [run])
    ]
