"""Where the masked-word head looks: one word in seven has a label, and no other is computed.

No other word needs the last layer, except [CLS] for the pooler, nor its scores: V is up to 250
times E, and to score all positions would make a training step of a 2-layer model 4 x as long on a
CPU.

B batch, S tokens of a sequence, K of them that are read, R of all that are scored.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minibert.tokenization.padding import IGNORE_INDEX

# Every batch has another number of words to score, and for every new shape of a matrix product in
# bfloat16 a CPU gets code of its own, which takes time at first and then stays: half a gigabyte.
SCORED_STEP = 16


@dataclass(frozen=True)
class LabelledPlaces:
    """What is read, and what is scored.

    Attributes:
        positions: (B, K), [CLS] first, then the words with labels and as many others as fill the
            row.
        rows: (R,) places in the flattened positions: the words with labels, and up to 15 without.
        labels: (R,) their labels, -100 for those without.
        count: how many have labels; they come first.
    """

    positions: Tensor
    rows: Tensor
    labels: Tensor
    count: int


def labelled_places(labels: Tensor) -> LabelledPlaces:
    """Find the words with labels.

    Args:
        labels: (B, S) ids, -100 where nothing is to be predicted.
    """
    if not labels.numel():
        return LabelledPlaces(labels[:, :1], labels.flatten(), labels.flatten(), 0)
    labelled = labels != IGNORE_INDEX
    wanted = labelled.clone()
    wanted[:, 0] = True
    # To read a number is to wait for a GPU, so both are read at once, before it is given the layers
    # to compute.
    most, count = torch.stack([wanted.sum(dim=1).max(), labelled.sum()]).tolist()
    positions = wanted.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    read = labels.gather(1, positions).flatten()  # (B, K) -> (B * K,)
    scored = math.ceil(count / SCORED_STEP) * SCORED_STEP
    rows = (read == IGNORE_INDEX).int().argsort(stable=True)[:scored]
    return LabelledPlaces(positions, rows, read[rows], count)
