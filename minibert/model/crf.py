"""A linear-chain conditional random field (CRF) on top of BERT, for tagging.

It scores whole sequences of tags, so that a tag can depend on the tag before it: I-PER hardly ever
follows B-LOC. The score of the tags y of N words is

    start[y_1] + sum over i of emission[i, y_i] + sum over i of transition[y_i-1, y_i] + end[y_N]

and p(y) = e^score(y) / Z, where Z sums e^score over all C^N sequences. The forward algorithm finds
log Z, and Viterbi's the best sequence, both in N steps of C^2 operations.

B batch, S sequence length, N words of the longest sentence, C tags.
Source: Lafferty et al. 2001; Lample et al. 2016, section 2.2.
"""

from typing import Unpack

import torch
from torch import Tensor, nn

from minibert.model.bert import EncoderInputs
from minibert.model.config import BertConfig
from minibert.model.losses import LossTerm
from minibert.model.outputs import TaskOutput
from minibert.model.task_heads import BertForTokenClassification
from minibert.tokenization.padding import IGNORE_INDEX


class CRF(nn.Module):
    """The scores of transitions between C tags, which start at 0: then all words are independent.

    Sentences of a batch are padded on the right, and each has at least one word.
    """

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))  # (from, to)
        self.start = nn.Parameter(torch.zeros(num_tags))
        self.end = nn.Parameter(torch.zeros(num_tags))

    def log_likelihood(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return log p(tags) of each sentence, (B,).

        Args:
            emissions: (B, N, C), the score of each tag for each word.
            tags: (B, N); those of padding do not matter.
            mask: (B, N), True for words and False for padding.
        """
        return self.score(emissions, tags, mask) - self.log_partition(emissions, mask)

    def score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the score of the tags of each sentence, (B,); arguments as above."""
        tags = tags.where(mask, 0)
        of_words = emissions.gather(2, tags[:, :, None])[:, :, 0]  # (B, N, C) -> (B, N)
        of_pairs = self.transitions[tags[:, :-1], tags[:, 1:]]  # (B, N - 1)
        last = tags.gather(1, mask.sum(dim=1, keepdim=True) - 1)[:, 0]  # (B, N) -> (B,)
        return (
            self.start[tags[:, 0]]
            + of_words.where(mask, 0).sum(dim=1)
            + of_pairs.where(mask[:, 1:], 0).sum(dim=1)
            + self.end[last]
        )

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return log Z of each sentence, (B,), by the forward algorithm; arguments as above."""
        # alpha[b, c]: log of the sum of e^score over all tags of the words so far that end in c
        alpha = self.start + emissions[:, 0]  # (B, C)
        for step in range(1, emissions.shape[1]):
            longer = alpha[:, :, None] + self.transitions  # (B, C, C), from and to
            longer = longer.logsumexp(dim=1) + emissions[:, step]  # (B, C, C) -> (B, C)
            alpha = torch.where(mask[:, step, None], longer, alpha)
        return (alpha + self.end).logsumexp(dim=1)  # (B, C) -> (B,)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the tags with the highest score, (B, N); arguments as above.

        What it returns for padding has no meaning.
        """
        best = self.start + emissions[:, 0]  # (B, C), the highest score of tags that end in c
        stay = torch.arange(best.shape[1], device=best.device).expand_as(best)
        came_from = []
        for step in range(1, emissions.shape[1]):
            longer, previous = (best[:, :, None] + self.transitions).max(dim=1)  # (B, C) each
            is_word = mask[:, step, None]
            best = torch.where(is_word, longer + emissions[:, step], best)
            came_from.append(torch.where(is_word, previous, stay))
        tags = [(best + self.end).argmax(dim=1)]  # (B,), the last one; padding repeats it
        for previous in reversed(came_from):
            tags.append(previous.gather(1, tags[-1][:, None])[:, 0])
        return torch.stack(tags[::-1], dim=1)  # N of (B,) -> (B, N)


def select_words(values: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
    """Return the entries of words only, moved to the left, and their mask.

    Args:
        values: (B, S, ...), one entry for each token.
        is_word: (B, S), True for the tokens that stand for a word: the first piece of each.

    Returns:
        (B, N, ...) and (B, N), for N words in the longest sentence.
    """
    counts = is_word.sum(dim=1)  # (B, S) -> (B,)
    order = is_word.int().argsort(dim=1, descending=True, stable=True)[:, : int(counts.max())]
    index = order.view(*order.shape, *[1] * (values.dim() - 2)).expand(-1, -1, *values.shape[2:])
    mask = torch.arange(order.shape[1], device=order.device) < counts[:, None]
    return values.gather(1, index), mask  # (B, S, ...) -> (B, N, ...)


class BertCrfForTokenClassification(BertForTokenClassification):
    """`BertForTokenClassification` whose loss is that of a CRF over the words of each sentence.

    The logits are the emissions. `crf.viterbi` finds the tags:

        emissions, mask = select_words(model(**batch).logits, is_word)
        tags = model.crf.viterbi(emissions, mask)
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.crf = CRF(config.num_labels)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Predict the emissions of each token.

        Args:
            input_ids: (B, S).
            labels: (B, S) classes; the sequence that the CRF scores are the labels but -100.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, S, num_labels), and if there are labels `loss`: -log p of each sequence,
            summed, divided by the number of labels.
        """
        outputs = super().forward(input_ids, **inputs)
        if labels is None or outputs.logits is None:
            return outputs
        labelled = labels != IGNORE_INDEX
        rows = labelled.any(dim=1)  # a text without labels adds nothing
        total = outputs.logits.sum() * 0
        if rows.any():
            # In float32 or higher, since sums of scores lose digits in bfloat16.
            with torch.autocast(labels.device.type, enabled=False):
                logits = outputs.logits.to(torch.promote_types(outputs.logits.dtype, torch.float32))
                emissions, mask = select_words(logits[rows], labelled[rows])
                tags, _ = select_words(labels[rows], labelled[rows])
                total = -self.crf.log_likelihood(emissions, tags.long(), mask).sum()
        return outputs.with_loss(labels=LossTerm(total, labelled.sum()))
