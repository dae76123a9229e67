import torch
import torch.nn.functional as F
from torch import nn

from learn_solutions import right, wrong


@right
def right_1(input_ids, token_type_ids, tables):
    words, positions, token_types, weight, bias = tables.values()
    total = words[input_ids] + positions[: input_ids.shape[1]] + token_types[token_type_ids]
    return F.layer_norm(total, [words.shape[1]], weight, bias, eps=1e-12)


@right
def right_2(input_ids, token_type_ids, tables):
    words, positions, token_types, weight, bias = tables.values()
    """One-hot vectors and matrix products, LayerNorm by hand."""
    places = torch.arange(input_ids.shape[1]).expand_as(input_ids)
    x = 0
    for ids, table in ((input_ids, words), (places, positions), (token_type_ids, token_types)):
        x = x + F.one_hot(ids, len(table)).to(table.dtype) @ table
    x = x - x.mean(-1, keepdim=True)
    return x / ((x * x).mean(-1, keepdim=True) + 1e-12).sqrt() * weight + bias


@right
def right_3(input_ids, token_type_ids, tables):
    words, positions, token_types, weight, bias = tables.values()
    """A loop over tokens, and modules."""
    norm = nn.LayerNorm(len(weight), eps=1e-12)
    norm.weight, norm.bias = nn.Parameter(weight), nn.Parameter(bias)
    rows = []
    for ids, types in zip(input_ids.tolist(), token_type_ids.tolist(), strict=True):
        pairs = enumerate(zip(ids, types, strict=True))
        rows.append(torch.stack([words[i] + positions[n] + token_types[t] for n, (i, t) in pairs]))
    return norm(torch.stack(rows))


def general(ids, types, tables, *, places=None, scale=1, dim=-1, power=1, unbiased=False):
    words, positions, token_types, weight, bias = tables.values()
    places = torch.arange(ids.shape[1]) if places is None else places
    x = words[ids] * scale + positions[places] + token_types[types]
    deviation = x.std(dim, keepdim=True, unbiased=unbiased)
    return (x - x.mean(dim, keepdim=True)) / deviation**power * weight + bias


def zeroed(tables, *names):
    return {name: 0 * t if name in names else t for name, t in tables.items()}


@wrong("position embeddings are not added")
def no_positions(ids, types, tables):
    return general(ids, types, zeroed(tables, "position_embeddings"))


@wrong("token type embeddings are not added")
def no_types(ids, types, tables):
    return general(ids, types, zeroed(tables, "token_type_embeddings"))


@wrong("the first position is 1")
def from_one(ids, types, tables):
    return general(ids, types, tables, places=torch.arange(1, ids.shape[1] + 1))


@wrong("S is input_ids.shape[1]")
def one_place(ids, types, tables):
    return general(ids, types, tables, places=torch.arange(len(ids)) * 0)


@wrong("multiply first")
def bias_first(ids, types, tables):
    x, weight, bias = not_normalized(ids, types, tables), *[*tables.values()][3:]
    return (F.layer_norm(x, weight.shape) + bias) * weight


@wrong("looked up by the ids")
def positions_by_id(ids, types, tables):
    return general(ids, types, tables, places=ids.clamp(max=511))


@wrong("multiplied by sqrt(E)")
def scaled(ids, types, tables):
    return general(ids, types, tables, scale=len(tables["LayerNorm.bias"]) ** 0.5)


@wrong("LayerNorm is missing")
def not_normalized(ids, types, tables):
    words, positions, token_types, *_ = tables.values()
    return words[ids] + positions[: ids.shape[1]] + token_types[types]


@wrong("normalize their sum")
def each_normalized(ids, types, tables):
    words, positions, token_types, weight, bias = tables.values()
    parts = words[ids], positions[: ids.shape[1]], token_types[types]
    return sum(F.layer_norm(part, part.shape[-1:], weight, bias) for part in parts)


@wrong("weight and bias are not used")
def plain_norm(ids, types, tables):
    return F.layer_norm(not_normalized(ids, types, tables), tables["LayerNorm.bias"].shape)


@wrong("unbiased=False")
def unbiased(*arguments):
    return general(*arguments, unbiased=True)


@wrong("variance instead of its square root")
def variance(*arguments):
    return general(*arguments, power=2)


@wrong("mean and variance are over the tokens")
def over_tokens(*arguments):
    return general(*arguments, dim=1)


@wrong("has the shape (1, 2, 12), and (1, 2, 4) is right")
def concatenated(ids, types, tables):
    words, positions, token_types, *_ = tables.values()
    places = positions[: ids.shape[1]].expand(len(ids), -1, -1)
    return torch.cat([words[ids], places, token_types[types]], -1)


@wrong("changes its input")
def changes_the_table(ids, types, tables):
    tables["word_embeddings"][0] = 1.0
    return general(ids, types, tables)
