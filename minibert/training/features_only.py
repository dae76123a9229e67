"""Train only the last layer of a classifier, on vectors of BERT that are computed once.

The last layer alone is a linear model of these vectors, which L-BFGS trains in seconds: logistic
regression (one versus rest, if a text can have several classes) or ridge regression. Training takes
as long as one pass over the texts.

N texts, P width of the vectors, C outputs.
"""

import numpy as np
import torch
from torch import Tensor, nn

from minibert.data.labelled.batches import LabelledBatches
from minibert.errors import MiniBertError
from minibert.evaluation.baselines import minimize, sum_of_losses
from minibert.model.pretrained import PretrainedModel
from minibert.problem_types import REGRESSION, SINGLE_LABEL

BATCH_SIZE = 64


@torch.no_grad()
def last_layer_inputs(model: PretrainedModel, batches: LabelledBatches) -> Tensor:
    """Return the vectors (N, P) that the last layer of a model reads, without dropout."""
    vectors: list[Tensor] = []
    order: list[int] = []
    model.eval()
    hook = model.classifier.register_forward_pre_hook(
        lambda _, inputs: vectors.append(inputs[0].float().cpu())
    )
    try:
        for indices, batch in batches.longest_first(BATCH_SIZE):
            model(**{name: tensor.to(model.device) for name, tensor in batch.items()})
            order += indices
    finally:
        hook.remove()
    return torch.cat(vectors)[np.argsort(order)]


def train_last_layer(
    model: PretrainedModel, batches: LabelledBatches, *, penalty: float = 1.0
) -> None:
    """Train `model.classifier`, and leave the model in evaluation mode.

    Args:
        model: everything before its last layer stays as it is.
        batches: N texts with targets, which `config.problem_type` tells the kind of.
        penalty: strength of the L2 penalty on the weights, for vectors with standard deviation 1:
            1/C in scikit-learn's logistic regression, alpha in its ridge regression.

    Raises:
        MiniBertError: another part of the model is new, so its weights are random.
    """
    new = model.load_report.new if model.load_report else []
    untrained = sorted({n.split(".")[0] for n in new if not n.startswith(("classifier.", "bert."))})
    if untrained:
        raise MiniBertError(
            f"--features-only trains the last layer, and {', '.join(untrained)} has weights that "
            "are not trained yet; choose another --pooling, or remove --features-only."
        )
    vectors, problem_type = last_layer_inputs(model, batches), str(model.config.problem_type)
    mean, scale = vectors.mean(dim=0), vectors.std(dim=0, correction=0).clamp(min=1e-6)
    vectors = (vectors - mean) / scale  # (N, P)
    dtype = torch.int64 if problem_type == SINGLE_LABEL else torch.float32
    goals, center, spread = torch.tensor(batches.targets, dtype=dtype), 0.0, 1.0
    if problem_type == REGRESSION:
        center, spread = goals.mean().item(), goals.std(correction=0).item() or 1.0
        goals = (goals[:, None] - center) / spread  # (N,) -> (N, 1)
    layer = nn.Linear(vectors.shape[1], model.config.num_labels)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)

    def objective() -> Tensor:
        loss = sum_of_losses(layer(vectors), goals, problem_type)
        total: Tensor = (loss + penalty / 2 * layer.weight.square().sum()) / len(vectors)
        total.backward()  # type: ignore[no-untyped-call]
        return total.detach()

    minimize(objective, [*layer.parameters()])
    weight = layer.weight.detach() / scale * spread  # (C, P)
    with torch.no_grad():  # the same outputs from vectors and for goals that are not standardized
        model.classifier.weight.copy_(weight)
        model.classifier.bias.copy_(layer.bias * spread + center - weight @ mean)
