import math

import torch
import torch.nn.functional as F

from learn_solutions import right, wrong

LOWEST = torch.finfo(torch.float32).min


@right
def right_1(query, key, value, attention_mask):
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, -math.inf)
    probabilities = F.softmax(scores, dim=-1)
    return probabilities @ value, probabilities


@right
def right_2(query, key, value, attention_mask):
    """Exponents by hand, without softmax."""
    powers = torch.einsum("bhid,bhjd->bhij", query / query.shape[-1] ** 0.5, key).exp()
    if attention_mask is not None:
        powers = powers * attention_mask
    probabilities = powers / powers.sum(-1, keepdim=True)
    return torch.einsum("bhij,bhjd->bhid", probabilities, value), probabilities


@right
def right_3(query, key, value, attention_mask):
    """A loop over texts, heads and tokens, returned as a list."""
    context = torch.zeros(*query.shape[:-1], value.shape[-1])
    probabilities = torch.zeros(*query.shape[:-1], key.shape[-2])
    for b, h, s in torch.cartesian_prod(*(torch.arange(n) for n in query.shape[:3])).tolist():
        scores = (key[b, h] * query[b, h, s]).sum(-1) / math.sqrt(query.shape[-1])
        if attention_mask is not None:
            scores = scores + torch.where(attention_mask[b, 0, 0], 0.0, -10_000.0)
        probabilities[b, h, s] = scores.softmax(0)
        context[b, h, s] = probabilities[b, h, s] @ value[b, h]
    return [context, probabilities]


def general(query, key, value, mask, *, scale=None, dim=-1, fill=LOWEST):
    scores = query @ key.transpose(-1, -2) / (scale or math.sqrt(query.shape[-1]))
    if mask is not None:
        scores = scores.masked_fill(~mask, fill)
    probabilities = scores.softmax(dim)
    return probabilities @ value, probabilities


@wrong("you divided by D instead of its square root")
def by_width(query, key, value, mask):
    return general(query, key, value, mask, scale=query.shape[-1])


@wrong("not divided by sqrt")
def unscaled(query, key, value, mask):
    return general(query, key, value, mask, scale=1)


@wrong("divided by sqrt(S)")
def by_tokens(query, key, value, mask):
    return general(query, key, value, mask, scale=math.sqrt(query.shape[-2]))


@wrong("divided by the root of the width of a value")
def by_width_of_value(query, key, value, mask):
    return general(query, key, value, mask, scale=math.sqrt(value.shape[-1]))


@wrong("your rows add up to 1 over the wrong axis")
def over_queries(query, key, value, mask):
    return general(query, key, value, mask, dim=-2)


@wrong("over the heads")
def over_heads(query, key, value, mask):
    return general(query, key, value, mask, dim=1)


@wrong("D = query.shape[-1]. Also, your rows add up to 1 over the wrong axis")
def two_mistakes(query, key, value, mask):
    return general(query, key, value, mask, scale=1, dim=-2)


@wrong("your softmax is over the whole matrix")
def over_everything(query, key, value, mask):
    powers = (query @ key.mT / math.sqrt(query.shape[-1])).exp()
    probabilities = powers / powers.sum((-2, -1), keepdim=True)
    return probabilities @ value, probabilities


@wrong("divide the scores")
def divided_after_softmax(query, key, value, mask):
    _, probabilities = general(query, key, value, mask, scale=1)
    probabilities = probabilities / math.sqrt(query.shape[-1])
    return probabilities @ value, probabilities


@wrong("in BERT every token looks at both sides")
def as_in_gpt(query, key, value, mask):
    seen = torch.ones(query.shape[-2], query.shape[-2]).tril().bool()
    return general(query, key, value, seen if mask is None else mask & seen)


@wrong("is your number for padding low enough?")
def fill_of_minus_ten(query, key, value, mask):
    return general(query, key, value, mask, fill=-10.0)


@wrong("a row of scores is -inf everywhere")
def inverted_infinite_mask(query, key, value, mask):
    return general(query, key, value, None if mask is None else ~mask, fill=-math.inf)


@wrong("the result differs from call to call")
def with_dropout(query, key, value, mask):
    _, probabilities = general(query, key, value, mask)
    probabilities = F.dropout(probabilities, 0.5)
    return probabilities @ value, probabilities


@wrong("query and key are exchanged")
def exchanged(query, key, value, mask):
    return general(key, query, value, mask)


@wrong("Padding still receives 45% of the attention: the mask is not used")
def no_mask(query, key, value, mask):
    return general(query, key, value, None)


@wrong("the mask is applied after the softmax")
def mask_after_softmax(query, key, value, mask):
    _, probabilities = general(query, key, value, None)
    if mask is not None:
        probabilities = probabilities.masked_fill(~mask, 0.0)
    return probabilities @ value, probabilities


@wrong("Padding still receives 100% of the attention: the mask is used the wrong way round")
def inverted_mask(query, key, value, mask):
    return general(query, key, value, None if mask is None else ~mask)


@wrong("e to the power of 0 is 1")
def zero_scores(query, key, value, mask):
    return general(query, key, value, mask, fill=0.0)


@wrong("you masked rows instead of columns")
def masked_rows(query, key, value, mask):
    return general(query, key, value, None if mask is None else mask.transpose(-1, -2))


@wrong("the probabilities are transposed")
def transposed_average(query, key, value, mask):
    _, probabilities = general(query, key, value, mask)
    return probabilities.transpose(-1, -2) @ value, probabilities


@wrong("return the 2 values context, probabilities")
def context_alone(query, key, value, mask):
    return general(query, key, value, mask)[0]


@wrong("`context` has the shape (1, 1, 3, 3), and (1, 1, 3, 2) is right")
def wrong_order(query, key, value, mask):
    return general(query, key, value, mask)[::-1]


@wrong("changes its input")
def in_place(query, key, value, mask):
    query /= math.sqrt(query.shape[-1])
    return general(query, key, value, mask, scale=1)
