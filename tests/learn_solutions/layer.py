import torch
import torch.nn.functional as F
from torch import nn

from learn_solutions import right, wrong
from minibert.model.attention import eager_attention


def linear(x, weights, name):
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def norm(x, weights, name):
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12)


@right
def right_1(hidden, mask, weights, heads):
    parts = linear(hidden, weights, "attention.query_key_value").chunk(3, dim=-1)
    query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
    context, _ = eager_attention(query, key, value, mask)
    attended = linear(context.transpose(1, 2).flatten(2), weights, "attention.output")
    hidden = norm(hidden + attended, weights, "attention_LayerNorm")
    transformed = linear(F.gelu(linear(hidden, weights, "intermediate")), weights, "output")
    return norm(hidden + transformed, weights, "output_LayerNorm")


@right
def right_2(hidden, mask, weights, heads):
    """A loop over heads, GELU and LayerNorm by hand."""
    width = hidden.shape[-1] // heads
    joined = hidden @ weights["attention.query_key_value.weight"].T
    query, key, value = (joined + weights["attention.query_key_value.bias"]).chunk(3, dim=-1)
    found = []
    for head in range(heads):
        q, k, v = (t[..., head * width : (head + 1) * width] for t in (query, key, value))
        scores = q @ k.mT / width**0.5
        if mask is not None:
            scores = scores + torch.where(mask[:, 0], 0, -1e9)
        found.append(scores.softmax(-1) @ v)
    attended = linear(torch.cat(found, -1), weights, "attention.output")
    x = norm(hidden + attended, weights, "attention_LayerNorm")
    wide = linear(x, weights, "intermediate")
    wide = wide * (1 + torch.erf(wide / 2**0.5)) / 2
    x = x + linear(wide, weights, "output")
    x = (x - x.mean(-1, keepdim=True)) / x.var(-1, keepdim=True, unbiased=False).sqrt()
    return x * weights["output_LayerNorm.weight"] + weights["output_LayerNorm.bias"]


@right
def right_3(hidden, mask, weights, heads):
    """PyTorch's own layer."""
    module = nn.TransformerEncoderLayer(
        hidden.shape[-1], heads, 4 * hidden.shape[-1], 0.0, "gelu", 1e-12, batch_first=True
    )
    names = {
        "self_attn.in_proj_": "attention.query_key_value.",
        "self_attn.out_proj.": "attention.output.",
        "linear1.": "intermediate.",
        "linear2.": "output.",
        "norm1.": "attention_LayerNorm.",
        "norm2.": "output_LayerNorm.",
    }
    state = {t + p: weights[o + p] for t, o in names.items() for p in ("weight", "bias")}
    module.load_state_dict(state)
    padding = None if mask is None else ~mask[:, 0, 0]
    return module.train()(hidden, src_key_padding_mask=padding).detach()


def general(hidden, mask, weights, heads, **o):
    names = ("attention_LayerNorm", "output_LayerNorm")[:: o.get("norms", 1)]
    shape = o.get("shape", lambda p: p.unflatten(-1, (heads, -1)).transpose(1, 2))
    join = o.get("join", lambda c: c.transpose(1, 2).flatten(2))
    add_1, add_2 = o.get("add_1", torch.add), o.get("add_2", torch.add)
    parts = linear(hidden, weights, "attention.query_key_value").chunk(3, dim=-1)
    context, _ = eager_attention(*map(shape, parts), mask)
    attended = o.get("output", lambda c: linear(c, weights, "attention.output"))(join(context))
    x = o.get("norm_1", norm)(add_1(hidden, attended), weights, names[0])
    wide = o.get("activation", F.gelu)(linear(x, weights, "intermediate"))
    base = hidden if o.get("first") else x
    return norm(add_2(base, linear(wide, weights, "output")), weights, names[1])


@wrong("a head then gets some tokens instead of a part of each")
def view_alone(hidden, mask, weights, heads):
    batch, length, width = hidden.shape
    return general(
        hidden,
        mask,
        weights,
        heads,
        shape=lambda p: p.reshape(batch, heads, length, -1),
        join=lambda c: c.reshape(batch, length, width),
    )


@wrong("a head takes numbers that are far apart")
def heads_apart(hidden, mask, weights, heads):
    return general(
        hidden,
        mask,
        weights,
        heads,
        shape=lambda p: p.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2),
    )


@wrong("query, key and value are mixed up")
def other_order(hidden, mask, weights, heads):
    names = ("attention.query_key_value.weight", "attention.query_key_value.bias")
    flipped = {name: torch.cat(weights[name].chunk(3)[::-1]) for name in names}
    return general(hidden, mask, {**weights, **flipped}, heads)


@wrong("the heads are joined without transpose(1, 2)")
def joined_directly(hidden, *rest):
    return general(hidden, *rest, join=lambda c: c.reshape(hidden.shape))


@wrong("there is only one head")
def one_head(hidden, mask, weights, heads):
    return general(hidden, mask, weights, 1)


@wrong("With two tokens of padding: the mask does not reach")
def no_mask(hidden, mask, weights, heads):
    return general(hidden, None, weights, heads)


@wrong("the biases of the linear layers are not added")
def no_biases(hidden, mask, weights, heads):
    kept = {n: 0 * t if n.endswith("bias") and "Norm" not in n else t for n, t in weights.items()}
    return general(hidden, mask, kept, heads)


@wrong("the matrix attention.output is not applied")
def no_output(*arguments):
    return general(*arguments, output=lambda c: c)


@wrong("x @ W; a linear layer is x @ W.T")
def not_transposed(hidden, mask, weights, heads):
    weight, bias = weights["attention.output.weight"], weights["attention.output.bias"]
    return general(hidden, mask, weights, heads, output=lambda c: c @ weight + bias)


@wrong("residual connection around attention")
def no_first_residual(*arguments):
    return general(*arguments, add_1=lambda x, y: y)


@wrong("residual connection around the feed-forward network")
def no_second_residual(*arguments):
    return general(*arguments, add_2=lambda x, y: y)


@wrong("add the output of the first")
def residual_from_the_input(*arguments):
    return general(*arguments, first=True)


@wrong("attention_LayerNorm is missing")
def no_first_norm(*arguments):
    return general(*arguments, norm_1=lambda x, *_: x)


@wrong("the two LayerNorms are exchanged")
def exchanged_norms(*arguments):
    return general(*arguments, norms=-1)


@wrong("the activation (GELU) is missing")
def no_activation(*arguments):
    return general(*arguments, activation=lambda x: x)


@wrong("the activation is ReLU")
def relu(*arguments):
    return general(*arguments, activation=F.relu)


@wrong("the activation is ReLU; BERT's is GELU")
def two_mistakes(*arguments):
    return general(*arguments, activation=F.relu, add_1=lambda x, y: y)


@wrong("in BERT it follows the addition")
def norm_first(hidden, mask, weights, heads):
    x = norm(hidden, weights, "attention_LayerNorm")
    parts = linear(x, weights, "attention.query_key_value").chunk(3, dim=-1)
    query, key, value = (p.unflatten(-1, (heads, -1)).transpose(1, 2) for p in parts)
    context, _ = eager_attention(query, key, value, mask)
    hidden = hidden + linear(context.transpose(1, 2).flatten(2), weights, "attention.output")
    x = norm(hidden, weights, "output_LayerNorm")
    return hidden + linear(F.gelu(linear(x, weights, "intermediate")), weights, "output")


@wrong("changes its input")
def in_place(hidden, *rest):
    return hidden.copy_(general(hidden, *rest))
