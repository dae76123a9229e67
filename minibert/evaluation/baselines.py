"""What a model must beat: the most common class, and a linear model on counted words.

A trained BERT that does not clearly beat the second has learnt which words occur, and nothing
more. Left out: regression, several labels per example, and any tuning. The linear model is the one
of scikit-learn's `CountVectorizer` + `LogisticRegression(C=1)`.

N is the number of texts, V the number of different words, C the number of classes.
"""

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from minibert.errors import MiniBertError
from minibert.evaluation.metrics import classification_metrics

Text = str | tuple[str, str | None]  # one text, or a pair

CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # also written without spaces in Japanese
WORD = re.compile(rf"[{CHINESE}]+|[^\W{CHINESE}]+")


def majority(train_labels: Sequence[int], labels: Sequence[int]) -> dict[str, float]:
    """Scores on `labels` of always answering the most common class of `train_labels`.

    Args:
        train_labels: class ids to learn from; among equally common ones the smallest is taken.
        labels: N class ids to be judged on.

    Returns:
        What `classification_metrics` gives: accuracy, f1_macro, ...

    Raises:
        MiniBertError: one of the lists is empty.

    Example:
        >>> majority([0, 1, 1], [1, 1, 0, 1])["accuracy"]
        0.75
    """
    num_labels = _num_labels(train_labels, labels)
    answer = int(np.bincount(np.asarray(train_labels)).argmax())
    return classification_metrics([answer] * len(labels), labels, num_labels)


def bag_of_words(
    train_texts: Sequence[Text],
    train_labels: Sequence[int],
    texts: Sequence[Text],
    labels: Sequence[int],
    *,
    penalty: float = 1.0,
) -> dict[str, float]:
    """Scores on `texts` of a linear model on word counts, trained on `train_texts`.

    An `nn.EmbeddingBag` that sums is exactly that model: row v holds what one occurrence of word v
    adds to each class's logit, and no N x V matrix is ever made. The objective is convex, so the
    result depends on the data alone: no seed, no learning rate.

    Args:
        train_texts: texts, or (text, text_pair) tuples, to learn from.
        train_labels: their class ids, from 0.
        texts: N texts or pairs to be judged on; words not seen in training are skipped.
        labels: their class ids.
        penalty: strength of the L2 penalty, the 1/C of scikit-learn. 1 = its default.

    Returns:
        What `classification_metrics` gives: accuracy, f1_macro, ...

    Raises:
        MiniBertError: a list is empty, or texts and labels differ in number.
    """
    num_labels = _num_labels(train_labels, labels)
    if len(train_texts) != len(train_labels) or len(texts) != len(labels):
        raise MiniBertError(
            f"{len(train_texts)} training texts have {len(train_labels)} labels and {len(texts)} "
            f"texts have {len(labels)}; give one label per text."
        )
    train_words = [words(text) for text in train_texts]
    vocabulary = {
        word: i for i, word in enumerate(dict.fromkeys(w for t in train_words for w in t))
    }
    bags = _bags(train_words, vocabulary)
    targets = torch.as_tensor(np.asarray(train_labels), dtype=torch.long)

    weight = nn.EmbeddingBag(max(1, len(vocabulary)), num_labels, mode="sum")
    nn.init.zeros_(weight.weight)
    bias = nn.Parameter(torch.zeros(num_labels))
    optimizer = torch.optim.LBFGS(
        [weight.weight, bias],
        max_iter=100,
        tolerance_grad=1e-6,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(weight(*bags) + bias, targets)
        loss = loss + penalty / (2 * len(targets)) * weight.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        logits = weight(*_bags([words(text) for text in texts], vocabulary)) + bias  # -> (N, C)
    return classification_metrics(logits.argmax(dim=1).numpy(), labels, num_labels)


def words(text: Text) -> list[str]:
    """The features of a text: its words in lower case, and of Chinese single characters and pairs.

    The words of a pair of texts are marked by their side.

    Example:
        >>> words("Good, 很好看")
        ['good', '很', '好', '看', '很好', '好看']
        >>> words(("Is it?", "It is"))
        ['a:is', 'a:it', 'b:it', 'b:is']
    """
    if isinstance(text, tuple):
        first, second = text
        return [f"a:{w}" for w in words(first)] + [f"b:{w}" for w in words(second or "")]
    found: list[str] = []
    for run in WORD.findall(text.lower()):
        if re.match(rf"[{CHINESE}]", run):
            # Chinese has no spaces, and most of its words are one or two characters long.
            found += [*run, *(run[i : i + 2] for i in range(len(run) - 1))]
        else:
            found.append(run)
    return found


def _bags(texts: list[list[str]], vocabulary: dict[str, int]) -> tuple[Tensor, Tensor]:
    """All known word ids in one row, and where in it each text begins: what EmbeddingBag reads."""
    ids = [[vocabulary[word] for word in text if word in vocabulary] for text in texts]
    begins = np.cumsum([0, *(len(text) for text in ids)])[:-1]
    flat = np.fromiter((i for text in ids for i in text), dtype=np.int64)
    return torch.from_numpy(flat), torch.from_numpy(begins)


def _num_labels(train_labels: Sequence[int], labels: Sequence[int]) -> int:
    if not len(train_labels) or not len(labels):
        raise MiniBertError("a baseline needs labelled examples to learn from and to be judged on.")
    if min(train_labels) < 0:
        raise MiniBertError(
            f"training label {min(train_labels)} is not a class from 0; drop ignored ones first."
        )
    return int(max(*train_labels, *labels)) + 1
