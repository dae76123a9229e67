"""Inference with fewer bits: bfloat16, or 8-bit integers in the linear layers of the encoder.

    model = reduce_precision(model, "int8")

A weight is stored as one of 255 steps between minus and plus the largest weight of its output
feature, and each token's vector is rounded in the same way when it arrives:

    x W^T  ~  (x / s).round() @ (W / t).round()^T * s * t     s per token, t per output feature

The product in the middle is one of whole numbers, which CPUs with VNNI or AMX instructions do
several times as fast as one of float32; rounding and scaling take a part of that back. Embeddings,
attention, LayerNorm and heads stay as they are. A layer from 768 to 3,072 features for 1,024
tokens, on one core with AMX that other work shared:

    float32 40 ms    int8 27 to 33 ms    bfloat16 13 ms

K input features, N output features.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

from minibert.errors import MiniBertError
from minibert.model.attention import SelfAttention
from minibert.model.encoder import EncoderLayer
from minibert.model.pretrained import PretrainedModel
from minibert.problem_types import INFERENCE_PRECISIONS

Model = TypeVar("Model", bound=PretrainedModel)

STEPS = 127  # on either side of 0


class Int8Linear(nn.Module):
    """A linear layer whose weights are 8-bit integers."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        scale = linear.weight.abs().amax(dim=1).clamp(min=1e-12) / STEPS  # (N,)
        weight = (linear.weight / scale[:, None]).round().to(torch.int8)  # (N, K)
        self.register_buffer("weight", weight.t())  # (K, N)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", linear.bias.detach())

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (..., N) for (..., K)."""
        rows = hidden.flatten(0, -2)  # (..., K) -> (M, K)
        scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / STEPS  # (M, 1)
        product = torch._int_mm((rows / scale).round_().to(torch.int8), self.weight)  # (M, N)
        result = torch.addcmul(self.bias, product * scale, self.scale)
        return result.view(*hidden.shape[:-1], -1)  # (M, N) -> (..., N)


def reduce_precision(model: Model, precision: str) -> Model:
    """Change the weights of a model for inference, and return it.

    Args:
        model: on a CPU, for "int8".
        precision: "float32" changes nothing; "bfloat16"; or "int8".

    Raises:
        MiniBertError: there is no such precision, or not on this device.
    """
    if precision not in INFERENCE_PRECISIONS:
        known = ", ".join(INFERENCE_PRECISIONS)
        raise MiniBertError(f"precision is {precision!r}; choose one of {known}.")
    if precision == "bfloat16":
        return model.to(torch.bfloat16)
    if precision == "int8":
        if model.device.type != "cpu":
            raise MiniBertError(f"int8 is for a CPU, not for {model.device.type}; use bfloat16.")
        for part in [m for m in model.modules() if isinstance(m, EncoderLayer | SelfAttention)]:
            for name, child in part.named_children():
                if isinstance(child, nn.Linear):
                    setattr(part, name, Int8Linear(child))
    return model
