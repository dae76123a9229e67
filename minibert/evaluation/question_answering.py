"""Find answers by the logits of a model, score them as SQuAD does, and score the baselines.

B windows of at most S tokens, K best spans of each, spans of at most L tokens.

Sources: Google's `run_squad.py` (n-best, maximum context, no-answer threshold); the evaluation
scripts of SQuAD 2.0 (English) and of MLQA (Chinese, used for XQuAD in XTREME).
"""

import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.data.corpus.sentence_splitter import split_sentences
from minibert.data.labelled.question_answering import QuestionExample
from minibert.data.labelled.question_windows import QuestionBatches
from minibert.model.input_checks import check_finite
from minibert.model.task_heads import BertForQuestionAnswering
from minibert.tokenization.normalize import CHINESE

N_BEST = 20  # as in Google's code
MAX_ANSWER_LENGTH = 30  # tokens, as in Google's code
METRIC_FOR_BEST_MODEL = "f1"

_CHINESE = re.compile(f"[{CHINESE}]")


@dataclass(frozen=True)
class Span:
    """A part of a context: `context[start:end]`. "" at 0 means that there is no answer.

    The probability is a softmax over the n best.
    """

    answer: str
    probability: float
    start: int
    end: int


@dataclass(frozen=True)
class Prediction:
    """What a model answers to one question.

    Attributes:
        answer: the characters `start` to `end` of the context; "" if it does not answer.
        probability: its softmax over the n best.
        start: the index of its first character.
        end: the index after its last character.
        no_answer_score: how much the score of no answer exceeds that of the best answer.
        n_best: the best answers, the most probable first.
    """

    answer: str
    probability: float
    start: int
    end: int
    no_answer_score: float
    n_best: tuple[Span, ...]


@torch.inference_mode()
def predict_answers(
    model: BertForQuestionAnswering,
    batches: QuestionBatches,
    examples: Sequence[QuestionExample],
    *,
    null_threshold: float | None = None,
    n_best: int = N_BEST,
    max_answer_length: int = MAX_ANSWER_LENGTH,
    batch_size: int = 64,
) -> tuple[list[Prediction], float]:
    """Return the answer to each question, and the mean loss of the windows.

    Args:
        model: on any device; its mode is kept.
        batches: the windows of the examples.
        examples: the questions.
        null_threshold: there is no answer if the score of [CLS] exceeds that of the best answer by
            more than this. None always answers.
        n_best: the number of answers to compare.
        max_answer_length: the tokens of an answer.
        batch_size: windows to run at a time.

    Raises:
        MiniBertError: a logit is NaN or infinite.
    """
    windows = batches.texts
    null_scores = np.full(len(examples), np.inf, dtype=np.float32)
    candidates: list[list[tuple[float, int, int]]] = [[] for _ in examples]
    total = count = 0.0
    for indices, batch in batches.longest_first(batch_size):
        outputs = model(**{name: tensor.to(model.device) for name, tensor in batch.items()})
        logits = torch.stack([outputs.start_logits, outputs.end_logits]).float().cpu()
        start_logits, end_logits = check_finite(logits)  # 2 times (B, S)
        for term in (outputs.loss_terms or {}).values():
            total, count = total + term.total.item(), count + term.count.item() / 2
        can_start = torch.zeros_like(start_logits, dtype=torch.bool)
        can_end = torch.zeros_like(can_start)
        for row, index in enumerate(indices):
            first, mask = windows.first[index], windows.max_context[index]
            can_start[row, first : first + len(mask)] = torch.from_numpy(mask)
            can_end[row, first : first + len(mask)] = True
        best = best_spans(
            start_logits.masked_fill(~can_start, -math.inf),
            end_logits.masked_fill(~can_end, -math.inf),
            n_best=n_best,
            max_answer_length=max_answer_length,
        )
        nulls = (start_logits[:, 0] + end_logits[:, 0]).tolist()  # the scores of [CLS]
        for index, null, *spans in zip(indices, nulls, *map(Tensor.tolist, best), strict=True):
            example, offsets = windows.example[index], windows.offsets[index]
            null_scores[example] = min(null_scores[example], null)
            for score, start, end in zip(*spans, strict=True):
                if score > -math.inf:
                    first = windows.first[index]
                    characters = offsets[start - first, 0], offsets[end - first, 1]
                    candidates[example].append((score, *map(int, characters)))
    predictions = [
        _choose(example.context, found, float(null), null_threshold, n_best)
        for example, found, null in zip(examples, candidates, null_scores, strict=True)
    ]
    return predictions, total / count if count else math.nan


def best_spans(
    start_logits: Tensor, end_logits: Tensor, *, n_best: int, max_answer_length: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the spans with the highest sum of both logits.

    Google's code pairs the best 20 starts with the best 20 ends, and can be left with no valid
    pair. Here all spans are compared, so every window with a token of the context has an answer.

    Args:
        start_logits: (B, S), -inf where no answer can start.
        end_logits: (B, S), -inf where no answer can end.
        n_best: K; fewer are returned if there are fewer.
        max_answer_length: L tokens.

    Returns:
        The scores, first and last positions (B, K), the best first; a score of -inf is no span.

    Example:
        >>> start, end = torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([[9.0, 0.0, 2.0]])
        >>> [part.tolist() for part in best_spans(start, end, n_best=2, max_answer_length=2)]
        [[[10.0, 5.0]], [[0, 1]], [[0, 2]]]
    """
    length = min(max_answer_length, end_logits.shape[1])
    padded = F.pad(end_logits, (0, length - 1), value=-math.inf)
    scores = start_logits[:, :, None] + padded.unfold(1, length, 1)  # (B, S, L)
    best = scores.flatten(1).topk(min(n_best, scores[0].numel()))  # (B, S * L) -> (B, K)
    starts = best.indices // length
    return best.values, starts, starts + best.indices % length


def _choose(
    context: str,
    candidates: list[tuple[float, int, int]],
    null_score: float,
    null_threshold: float | None,
    n_best: int,
) -> Prediction:
    """Return the best of the (score, start, end) of all windows of a question."""
    best: dict[str, tuple[float, int, int]] = {}  # by text: the best of equal texts
    for score, start, end in sorted(candidates, key=lambda candidate: -candidate[0]):
        if len(best) < n_best:
            best.setdefault(context[start:end], (score, start, end))
    difference = null_score - next(iter(best.values()), (-math.inf,))[0]
    if null_threshold is not None or not best:
        best[""] = null_score, 0, 0
    values = np.array([score for score, _, _ in best.values()])
    weights = np.exp(values - values.max())
    spans = [
        Span(text, float(weight / weights.sum()), start, end)
        for (text, (_, start, end)), weight in zip(best.items(), weights, strict=True)
    ]
    chosen = spans[0]  # the best answer, or none if there is no other
    if null_threshold is not None and difference > null_threshold:
        chosen = spans[-1]
    ranked = sorted(spans, key=lambda span: -span.probability)[:n_best]
    return Prediction(**vars(chosen), no_answer_score=difference, n_best=tuple(ranked))


def evaluate_answers(
    model: BertForQuestionAnswering,
    batches: QuestionBatches,
    examples: Sequence[QuestionExample],
    *,
    null_threshold: float | None = None,
) -> dict[str, float]:
    """Return the mean `loss` of a model and the scores of its answers."""
    predictions, loss = predict_answers(model, batches, examples, null_threshold=null_threshold)
    return {"loss": loss, **answer_scores([p.answer for p in predictions], examples)}


def answer_scores(answers: Sequence[str], examples: Sequence[QuestionExample]) -> dict[str, float]:
    """Return the exact match and the F1 of answers, each 0 to 1 and the mean over the questions.

    For each question, the correct answer that gives the most counts. If some questions have no
    answer, `no_answer_accuracy` is how often the model is right on whether there is one.
    """
    exact, f1 = [], []
    for answer, example in zip(answers, examples, strict=True):
        correct = [gold.text for gold in example.answers]
        chinese = bool(_CHINESE.search("".join([example.question, *correct])))
        words = answer_words(answer, chinese=chinese)
        golds = [gold for text in correct if (gold := answer_words(text, chinese=chinese))] or [[]]
        exact.append(words in golds)
        f1.append(max(word_f1(words, gold) for gold in golds))
    scores = {"exact_match": float(np.mean(exact)), "f1": float(np.mean(f1))}
    if not all(example.answers for example in examples):
        right = [bool(a) == bool(e.answers) for a, e in zip(answers, examples, strict=True)]
        scores["no_answer_accuracy"] = float(np.mean(right))
    return scores


def answer_words(text: str, *, chinese: bool = False) -> list[str]:
    """Return what counts of an answer: words without case, punctuation and articles.

    In Chinese, each character is a word, as in the scripts of MLQA and CMRC 2018. (That of CMRC
    then compares the longest common substring; here, and in MLQA's, the order does not matter.)

    Example:
        >>> answer_words("The U.S. dollar"), answer_words("约1.5亿（元）", chinese=True)
        (['us', 'dollar'], ['约', '15', '亿', '元'])
    """
    text = "".join(
        c
        for c in text.lower()
        if c not in string.punctuation and not (chinese and unicodedata.category(c)[0] == "P")
    )
    if chinese:
        return re.sub("([一-龥])", r" \1 ", text).split()
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def word_f1(words: Sequence[str], gold: Sequence[str]) -> float:
    """Return the F1 of the words of an answer; without words, 1 if there are none in both.

    Example:
        >>> word_f1(["black", "cat"], ["cat"])  # precision 1/2, recall 1
        0.6666666666666666
    """
    if not words or not gold:
        return float(words == gold)
    common = sum((Counter(words) & Counter(gold)).values())
    return 2 * common / (len(words) + len(gold))


def baseline_answers(examples: Sequence[QuestionExample]) -> dict[str, list[str]]:
    """Return the answers of two baselines by name: sentences, the first or that like the question.

    `overlapping_sentence` is the sentence with the most words of the question. If some questions
    have no answer, `majority` says so of all.
    """
    sentences = {
        context: [s for line in context.splitlines() for s in split_sentences(line)]
        for context in {example.context for example in examples}
    }
    word_sets = {s: _word_set(s) for found in sentences.values() for s in found}

    def overlapping(example: QuestionExample) -> str:
        question = _word_set(example.question)
        return max(sentences[example.context], key=lambda s: len(question & word_sets[s]))

    answers = {
        "first_sentence": [sentences[example.context][0] for example in examples],
        "overlapping_sentence": list(map(overlapping, examples)),
    }
    if not all(example.answers for example in examples):
        answers["majority"] = [""] * len(examples)
    return answers


def baseline_scores(examples: Sequence[QuestionExample]) -> dict[str, float]:
    """Return the F1 of each baseline by name."""
    answers = baseline_answers(examples)
    return {name: answer_scores(a, examples)[METRIC_FOR_BEST_MODEL] for name, a in answers.items()}


def _word_set(text: str) -> set[str]:
    return set(answer_words(text, chinese=bool(_CHINESE.search(text))))
