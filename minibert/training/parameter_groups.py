"""Freeze parts of a model, train layers at different rates, or start layers anew.

The lower layers of a pretrained model hold what is useful for every task, the upper ones what
pretraining itself needed. So the lower ones are frozen or trained slowly, and the top ones may be
replaced.
"""

from types import MethodType
from typing import Any

import torch
from torch import nn

from minibert.errors import MiniBertError
from minibert.model.pretrained import PretrainedModel
from minibert.training.optimizer import decay_groups
from minibert.training.settings import TrainingSettings


def parameter_groups(model: PretrainedModel, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Return the groups for `make_optimizer` that the settings ask for."""
    if settings.layer_decay == settings.head_rate_factor == 1:
        return decay_groups(model, weight_decay=settings.weight_decay)
    return layerwise_groups(
        model,
        learning_rate=settings.learning_rate,
        decay=settings.layer_decay,
        head_factor=settings.head_rate_factor,
        weight_decay=settings.weight_decay,
    )


def layerwise_groups(
    model: PretrainedModel,
    *,
    learning_rate: float,
    decay: float = 0.95,
    head_factor: float = 1.0,
    weight_decay: float = 0.01,
) -> list[dict[str, Any]]:
    """Return parameter groups whose learning rate falls from the head down to the embeddings.

        head                    learning_rate * head_factor
        pooler, top layer       learning_rate
        the layer below         learning_rate * decay
        ...
        embeddings              learning_rate * decay ** L

    Each is split into matrices with weight decay, and biases and LayerNorm without, by
    `decay_groups`. Frozen parameters are left out.

    Args:
        model: with an encoder of L layers below a head; the head is all but `base_model`.
        learning_rate: that of the top layer, at the peak of the schedule.
        decay: the factor from a layer to the one below; 0.95 is the value of Sun et al. 2019.
        head_factor: the head starts from random weights and may need a higher rate.
        weight_decay: of the matrices.

    Source: "discriminative fine-tuning" of Howard & Ruder 2018; Sun et al. 2019, section 5.3.3.

    Example:
        >>> from minibert import BertConfig, BertForSequenceClassification
        >>> model = BertForSequenceClassification(BertConfig.tiny())
        >>> groups = layerwise_groups(model, learning_rate=1.0, decay=0.5, head_factor=10)
        >>> [group["lr"] for group in groups if group["weight_decay"]]  # head, 2 layers, embeddings
        [10.0, 1.0, 0.5, 0.25]
    """
    layers = model.config.num_hidden_layers
    encoder = {parameter: name for name, parameter in model.base_model.named_parameters()}
    by_rate: dict[float, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        name = encoder.get(parameter, "")
        if parameter not in encoder:
            factor = head_factor
        elif name.startswith("embeddings."):
            factor = decay**layers
        elif name.startswith("encoder.layer."):
            factor = decay ** (layers - 1 - int(name.split(".")[2]))
        else:
            factor = 1.0
        by_rate.setdefault(learning_rate * factor, []).append(parameter)
    return [
        group | {"lr": rate}
        for rate, parameters in sorted(by_rate.items(), reverse=True)
        for group in decay_groups(nn.ParameterList(parameters), weight_decay=weight_decay)
        if group["params"]
    ]


def freeze(model: PretrainedModel, parts: str | int) -> str:
    """Freeze the lower parts of a model, and return a sentence with the numbers of parameters.

    Frozen parts also stay in evaluation mode when the model is in training mode. Otherwise their
    dropout would go on, and would only add noise to features that nothing adapts to.

    Args:
        model: the model of a task.
        parts: "embeddings"; a number N for the embeddings and the first N layers; or "all" for
            everything but the head.

    Raises:
        MiniBertError: the model has fewer layers.

    Example:
        >>> from minibert import BertConfig, BertForSequenceClassification
        >>> freeze(BertForSequenceClassification(BertConfig.tiny()), "all")
        'frozen: all but the head; 258 of 4,386,178 parameters are trained.'
    """
    bert = model.base_model
    frozen, named = [bert], "all but the head"
    if parts != "all":
        count = 0 if parts == "embeddings" else int(parts)
        frozen, named = [bert.embeddings, *_layers(model, count)[:count]], "the embeddings"
        named += f" and the first {count} of {len(bert.encoder.layer)} layers" if count else ""
    for module in frozen:
        module.requires_grad_(requires_grad=False).eval()
        module.__dict__["train"] = MethodType(_stay_in_evaluation_mode, module)  # copied with it
    trained, total = model.num_parameters(only_trainable=True), model.num_parameters()
    return f"frozen: {named}; {trained:,} of {total:,} parameters are trained."


def reinitialize_layers(model: PretrainedModel, count: int, *, seed: int) -> None:
    """Replace the top layers, and the pooler, by random weights as before pretraining.

    They are specialized in masked words, and with little data they are a worse start than random
    weights: training becomes more stable (Zhang et al. 2021, section 5).

    Args:
        model: the model of a task.
        count: how many layers, from the top.
        seed: of the new weights.

    Raises:
        MiniBertError: the model has fewer layers.
    """
    layers, bert = _layers(model, count), model.base_model
    torch.manual_seed(seed)
    for module in (*layers[len(layers) - count :], *([bert.pooler] if bert.pooler else [])):
        module.apply(model.init_weights)


def _layers(model: PretrainedModel, count: int) -> nn.ModuleList:
    layers: nn.ModuleList = model.base_model.encoder.layer
    if not 0 <= count <= len(layers):
        raise MiniBertError(f"the model has {len(layers)} layers; choose at most so many.")
    return layers


def _stay_in_evaluation_mode(module: nn.Module, mode: bool = True) -> nn.Module:
    """Replace `module.train`, which the model calls for its parts."""
    return module
