"""Tag sentences with a model, and score tags: entity F1 as of CoNLL and `seqeval`; baselines.

An entity counts as found if its first word, its last word and its type are right.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from minibert.data.labelled.tagging import TaggingData
from minibert.data.labelled.tags import TagSet, find_spans
from minibert.data.labelled.word_columns import Sentence
from minibert.data.labelled.word_windows import WordWindows
from minibert.evaluation.metrics import scores_of_counts
from minibert.model.crf import BertCrfForTokenClassification
from minibert.model.input_checks import check_finite
from minibert.model.task_heads import BertForTokenClassification

Tags = Sequence[Sequence[str]]
"""The tags of sentences."""


@torch.inference_mode()
def predict_tags(
    model: BertForTokenClassification, windows: WordWindows, tags: TagSet, *, batch_size: int = 64
) -> tuple[list[list[str]], float]:
    """Return the tags of each sentence, and the mean loss (NaN without labels).

    The tags are the best of each word, or with a CRF the best sequence, on the device of the model
    and in its mode. They are well-formed: a broken sequence is written as `find_spans` reads it.

    Raises:
        MiniBertError: a logit is NaN or infinite.
    """
    ids = [np.zeros(count, dtype=np.int64) for count in windows.word_counts]
    total = count = 0.0
    for indices, batch in windows.batches.longest_first(batch_size):
        outputs = model(**{name: tensor.to(model.device) for name, tensor in batch.items()})
        rows = [torch.from_numpy(windows.first_pieces[index]) for index in indices]
        places = pad_sequence(rows, batch_first=True, padding_value=-1)  # (B, N)
        logits = check_finite(outputs.logits.float().cpu())  # (B, S, C)
        index = places.clamp(min=0)[:, :, None].expand(-1, -1, logits.shape[2])
        emissions = logits.gather(1, index)  # (B, S, C) -> (B, N, C)
        best = emissions.argmax(dim=2)  # (B, N, C) -> (B, N)
        if isinstance(model, BertCrfForTokenClassification):
            mask = (places >= 0).to(model.device)
            best = model.crf.viterbi(emissions.to(model.device), mask).cpu()
        for row, window in zip(best.numpy(), indices, strict=True):
            sentence, first = windows.places[window]
            words = len(windows.first_pieces[window])
            ids[sentence][first : first + words] = row[:words]
        for term in (outputs.loss_terms or {}).values():
            total, count = total + term.total.item(), count + term.count.item()
    named = [tags.well_formed([tags.names[i] for i in row.tolist()]) for row in ids]
    return named, total / count if count else math.nan


def tagging_metrics(predicted: Tags, true: Tags, scheme: str | None) -> dict[str, float]:
    """Return the scores of the tags of sentences.

    Args:
        predicted: the predicted tags of each sentence.
        true: the right ones.
        scheme: that of the tags; None for tags without spans.

    Returns:
        `accuracy`, over all words. With a scheme also `entity_f1`, `entity_precision` and
        `entity_recall`, over all entities (micro), as the script of the CoNLL shared tasks and the
        default mode of `seqeval` count them. For well-formed tags, as `predict_tags` returns them,
        the strict mode of `seqeval` gives the same.
    """
    report = entity_report(predicted, true)
    if scheme is None:
        return {"accuracy": report["accuracy"]}
    scores = {f"entity_{name}": report["micro"][name] for name in ("f1", "precision", "recall")}
    return scores | {"accuracy": report["accuracy"]}


def entity_report(predicted: Tags, true: Tags, *, scheme: str | None = None) -> dict[str, Any]:
    """Return the precision, recall, F1 and number of entities of each type, ready for JSON.

    Args:
        predicted: the predicted tags of each sentence.
        true: the right ones.
        scheme: with one, entities count only if they are written exactly as it says, as in the
            strict mode of `seqeval`; None counts as its default mode and the CoNLL script do.

    Returns:
        `classes`, a list of {name, precision, recall, f1, support}; their `micro`, `macro` and
        `weighted` mean; and `accuracy`, the share of words with the right tag.

    Example:
        >>> entity_report([["B-PER", "O"]], [["B-PER", "B-LOC"]])["micro"]["recall"]
        0.5
    """
    words = [pair for rows in zip(predicted, true, strict=True) for pair in zip(*rows, strict=True)]
    found, right = Counter[str](), Counter[str]()
    support = Counter[str]()
    for guesses, answers in zip(predicted, true, strict=True):
        ours, theirs = set(find_spans(guesses, scheme)), set(find_spans(answers, scheme))
        found.update(span.type for span in ours)
        support.update(span.type for span in theirs)
        right.update(span.type for span in ours & theirs)
    names = sorted(found.keys() | support.keys())
    counts = np.array([[c[name] for name in names] for c in (right, found, support)], dtype=int)
    scores = np.stack(scores_of_counts(*counts))  # (3, types)
    micro = np.stack(scores_of_counts(*counts.sum(axis=1)))  # (3,)

    def named(values: Any) -> dict[str, float]:
        return dict(zip(("precision", "recall", "f1"), np.asarray(values).tolist(), strict=True))

    return {
        "classes": [
            {"name": name, **named(scores[:, i]), "support": support[name]}
            for i, name in enumerate(names)
        ],
        "micro": named(micro),
        "macro": named(scores.sum(axis=1) / max(1, len(names))),
        "weighted": named(scores @ counts[2] / max(1, counts[2].sum())),
        "accuracy": sum(guess == answer for guess, answer in words) / max(1, len(words)),
    }


def tagging_baselines(data: TaggingData) -> dict[str, dict[str, float]]:
    """Return the score of each baseline on dev and on test, by split and name.

    "majority" gives all words the tag that is most common in training, and "commonest_tag" gives
    each word the tag that it has most often there; unknown words get the tag of "majority".
    """
    of_word: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in data.splits["train"]:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            of_word[word][tag] += 1
    totals = sum(of_word.values(), Counter[str]())
    ((most, _),) = totals.most_common(1)
    best = {word: tags.most_common(1)[0][0] for word, tags in of_word.items()}
    metric = metric_for_best_model(data.tags)

    def score(sentences: Sequence[Sentence], known: dict[str, str]) -> float:
        guesses = [[known.get(word, most) for word in sentence.words] for sentence in sentences]
        true = [sentence.tags for sentence in sentences]
        return tagging_metrics(guesses, true, data.tags.scheme)[metric]

    return {
        split: {"majority": score(sentences, {}), "commonest_tag": score(sentences, best)}
        for split, sentences in data.splits.items()
        if split != "train"
    }


def metric_for_best_model(tags: TagSet) -> str:
    """Return the score by which the best model is chosen; higher is better."""
    return "accuracy" if tags.scheme is None else "entity_f1"
