"""What you can rely on: attention is a weighted average of the values of real tokens.

The formula can be followed by hand; the fused kernel gives the same in value and gradient for every
mask and precision; nothing but padding gives 0 and never NaN; "auto" picks as `attention.py` says.
"""

import itertools
import math

import pytest
import torch
from small_models import small_batch, small_config, small_model
from torch import Tensor

from minibert import BertForMaskedLM, MiniBertError
from minibert.model.attention import SelfAttention, eager_attention
from minibert.model.fused_attention import ATTENTIONS, choose_attention, fused_attention

pytestmark = pytest.mark.filterwarnings("ignore:attention_mask begins with padding")

KINDS = tuple(ATTENTIONS)
# Rows of 5 tokens; one text has nothing but padding where the name says so.
MASKS = {
    "no mask": None,
    "nothing padded": [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    "padded at the end": [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]],
    "padded in front": [[0, 0, 1, 1, 1], [0, 0, 0, 0, 1]],
    "padded in between": [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0]],
    "one text of nothing but padding": [[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
    "nothing but padding": [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
}
# How far two orders of rounding may lie apart.
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.bfloat16: 4e-2,
    torch.float16: 5e-3,
}
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
    ),
]


def inner_mask(name: str, device: str = "cpu") -> Tensor | None:
    """A mask in its inner form, (B, 1, 1, S)."""
    rows = MASKS[name]
    return None if rows is None else torch.tensor(rows, device=device).bool()[:, None, None, :]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(*numbers: list[float]) -> Tensor:
    """Vectors as (B 1, H 1, S, D)."""
    return torch.tensor(numbers, dtype=torch.float64)[None, None]


@pytest.mark.parametrize("kind", KINDS)
def test_with_identical_keys_every_token_gets_the_mean_of_the_values(kind):
    keys = rows([1, 2], [1, 2], [1, 2])
    values = rows([3, 0], [6, 0], [0, 30])
    context, _ = ATTENTIONS[kind](draw(1, 1, 3, 2), keys, values, None, dropout=0.0)
    torch.testing.assert_close(context, rows([3, 10], [3, 10], [3, 10]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_softmax_over_two_tokens_can_be_done_by_hand(kind):
    # D = 4, so scores are divided by 2. The query fits key 0 with 2 ln 3 and key 1 with 0: after
    # the division ln 3 and 0, so the weights are 3/4 and 1/4, and 8 x 3/4 + 4 x 1/4 = 7.
    query = rows([2 * math.log(3), 0, 0, 0])
    keys = rows([1, 0, 0, 0], [0, 1, 0, 0])
    values = rows([8, 0, 0, 0], [4, 0, 0, 4])
    context, probabilities = ATTENTIONS[kind](query, keys, values, None, dropout=0.0)
    torch.testing.assert_close(context, rows([7, 0, 0, 1]))
    if kind == "eager":
        torch.testing.assert_close(probabilities, rows([0.75, 0.25]))


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_left_out_of_the_mean(kind):
    keys = rows([1, 2], [1, 2], [1, 2])
    values = rows([3, 0], [6, 0], [1000, 1000])
    attention_mask = torch.tensor([True, True, False])[None, None, None]
    context, _ = ATTENTIONS[kind](draw(1, 1, 3, 2), keys, values, attention_mask, dropout=0.0)
    torch.testing.assert_close(context, rows([4.5, 0], [4.5, 0], [4.5, 0]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_eager_and_fused_agree_in_value_and_gradient(mask, dtype, device):
    attention_mask = inner_mask(mask, device)
    results = []
    for attend in (eager_attention, fused_attention):
        # three tensors (B 2, H 3, S 5, D 8)
        inputs = [
            draw(2, 3, 5, 8, seed=seed).to(device, dtype).requires_grad_() for seed in range(3)
        ]
        context, _ = attend(*inputs, attention_mask, dropout=0.0)
        (context * draw(2, 3, 5, 8, seed=3).to(device, dtype)).sum().backward()
        results.append([context, *(tensor.grad for tensor in inputs)])
    tolerance = TOLERANCES[dtype]
    for name, eager, fused in zip("context query key value".split(), *results, strict=True):
        assert eager.isfinite().all() and fused.isfinite().all(), name
        torch.testing.assert_close(
            eager,
            fused,
            atol=tolerance,
            rtol=tolerance,
            msg=lambda message, name=name: f"{name}: {message}",
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_nothing_but_padding_receives_0_and_never_nan(kind, dtype, device):
    attention_mask = inner_mask("one text of nothing but padding", device)
    # Scores in the thousands, so that a softmax over them is all 0 and 1.
    query, key, value = (
        (scale * draw(2, 3, 5, 8, seed=seed)).to(device, dtype).requires_grad_()
        for seed, scale in enumerate((30, 30, 1))
    )
    context, _ = ATTENTIONS[kind](query, key, value, attention_mask, dropout=0.0)
    context.square().sum().backward()
    assert (context[1] == 0).all()
    assert (context[0] != 0).any()
    for tensor in (query, key, value):
        assert tensor.grad.isfinite().all()
        assert (tensor.grad[1] == 0).all()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_whole_models_agree_whatever_the_mask(mask, dtype):
    outcomes = []
    for kind in KINDS:
        model = small_model("BertModel", attention=kind, dtype=dtype)
        batch = small_batch("BertModel", rows=2, tokens=5)
        given = MASKS[mask]
        attention_mask = None if given is None else torch.tensor(given)
        hidden = model(**batch, attention_mask=attention_mask).last_hidden_state
        counted = hidden if given is None else hidden * attention_mask[..., None]
        # a token of its own weight each, or LayerNorm would make every gradient 0
        (counted * draw(5, 16).to(dtype)).sum().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert hidden.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients)
        outcomes.append([counted, *gradients])
    # Eight bits through two layers: rounding adds up.
    tolerance = {torch.bfloat16: 0.4, torch.float16: 0.05, torch.float32: 2e-5}.get(dtype, 1e-10)
    eager_outcome, *others = outcomes
    for other in others:
        for eager, fused in zip(eager_outcome, other, strict=True):
            scale = max(1.0, eager.abs().max().item())
            assert (eager - fused).abs().max().item() <= tolerance * scale


@pytest.mark.parametrize("mask", MASKS)
def test_probabilities_sum_to_1_over_real_tokens_and_are_exactly_0_on_padding(mask):
    given = MASKS[mask]
    attention_mask = torch.ones(2, 5).bool() if given is None else torch.tensor(given).bool()
    model = small_model("BertModel")
    outputs = model(
        **small_batch("BertModel", rows=2, tokens=5),
        attention_mask=None if given is None else torch.tensor(given),
        output_attentions=True,
    )
    assert len(outputs.attentions) == 2
    for probabilities in outputs.attentions:
        assert probabilities.shape == (2, 4, 5, 5)  # (B, H, S, S)
        sums = probabilities.sum(dim=-1)
        expected = attention_mask.any(dim=-1).double()[:, None, None].expand_as(sums)
        torch.testing.assert_close(sums, expected, atol=1e-12, rtol=0)
        padded = ~attention_mask[:, None, None, :].expand_as(probabilities)
        assert (probabilities[padded] == 0).all()
        assert (probabilities[~padded] > 0).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.int32, torch.uint8, torch.float32])
def test_ones_and_zeros_of_any_type_are_the_same_mask(dtype):
    model = small_model("BertModel")
    batch = small_batch("BertModel", rows=2, tokens=5)
    mask = torch.tensor(MASKS["padded at the end"])
    expected = model(**batch, attention_mask=mask).last_hidden_state
    given = model(**batch, attention_mask=mask.to(dtype)).last_hidden_state
    assert torch.equal(expected, given)


def test_auto_is_fused_unless_probabilities_are_asked_for():
    assert choose_attention("auto", output_attentions=False) is fused_attention
    assert choose_attention("auto", output_attentions=True) is eager_attention
    assert choose_attention("eager", output_attentions=False) is eager_attention
    assert choose_attention("eager", output_attentions=True) is eager_attention
    assert choose_attention("fused", output_attentions=False) is fused_attention


def test_fused_attention_says_that_it_has_no_probabilities():
    model = small_model("BertModel", attention="fused")
    with pytest.raises(MiniBertError, match=r"cannot return the probabilities.*attention='eager'"):
        model(torch.tensor([[1, 2]]), output_attentions=True)


def test_an_unknown_attention_is_refused_when_it_is_set_and_when_a_model_is_loaded(tmp_path):
    model = small_model("BertForMaskedLM")
    with pytest.raises(MiniBertError, match="'flash'; choose one of 'auto', 'eager', 'fused'"):
        model.attention = "flash"
    assert model.attention == "auto"
    model.save_pretrained(tmp_path)
    with pytest.raises(MiniBertError, match="'flash'"):
        BertForMaskedLM.from_pretrained(tmp_path, attention="flash", quiet=True)


def test_the_attention_of_a_model_may_be_changed_at_any_time():
    model = small_model("BertForMaskedLM", attention="fused")
    ids = torch.tensor([[1, 2, 3]])
    fused = model(ids).logits
    model.attention = "eager"
    assert (model.attention, model.bert.attention) == ("eager", "eager")
    assert len(model(ids, output_attentions=True).attentions) == 2
    torch.testing.assert_close(model(ids).logits, fused)


def test_each_head_attends_in_its_own_slice_of_the_width():
    # Q, K and V by their rows of the one matrix, head by head, with loops and no reshaping.
    attention = small_model("BertModel").encoder.layer[0].attention
    hidden = draw(1, 3, 16)
    weight, bias = attention.query_key_value.weight, attention.query_key_value.bias
    query, key, value = (
        hidden[0] @ weight[start : start + 16].T + bias[start : start + 16] for start in (0, 16, 32)
    )
    slices = []
    for head in range(4):
        own = slice(4 * head, 4 * head + 4)
        scores = query[:, own] @ key[:, own].T / 2  # sqrt(4)
        slices.append(scores.softmax(dim=-1) @ value[:, own])
    expected = torch.cat(slices, dim=-1) @ attention.output.weight.T + attention.output.bias
    for attend in (eager_attention, fused_attention):
        gathered, _ = attention(hidden, None, attend)
        torch.testing.assert_close(gathered[0], expected)


def test_attention_alone_does_not_see_the_order_of_the_tokens():
    # Position comes from the embeddings alone: shuffled tokens give shuffled results.
    attention = small_model("BertModel").encoder.layer[0].attention
    hidden, order = draw(1, 5, 16), torch.tensor([3, 0, 4, 1, 2])
    straight, _ = attention(hidden, None, eager_attention)
    shuffled, _ = attention(hidden[:, order], None, eager_attention)
    torch.testing.assert_close(straight[:, order], shuffled)


def test_attention_looks_in_both_directions():
    model = small_model("BertModel")
    outputs = model(**small_batch("BertModel", rows=1), output_attentions=True)
    for probabilities in outputs.attentions:
        above, below = torch.triu_indices(6, 6, 1), torch.tril_indices(6, 6, -1)
        for row, column in (above, below):
            assert (probabilities[:, :, row, column] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_tokens_vector_depends_on_the_last_token_and_the_other_way_round(kind):
    model = small_model("BertModel", attention=kind)
    ids = torch.tensor([[7, 8, 9, 10]])
    usual = model(ids).last_hidden_state
    for changed, looked_at in ((3, 0), (0, 3)):
        other = ids.clone()
        other[0, changed] = 20
        moved = (model(other).last_hidden_state - usual)[0, looked_at].abs().max().item()
        assert moved > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_falls_on_the_probabilities_and_only_in_training(kind):
    torch.manual_seed(0)
    attention = SelfAttention(small_config(attention_probs_dropout_prob=0.5)).double()
    hidden = draw(1, 6, 16)
    passes = [attention.train()(hidden, None, ATTENTIONS[kind])[0] for _ in range(2)]
    assert not torch.equal(*passes)
    passes = [attention.eval()(hidden, None, ATTENTIONS[kind])[0] for _ in range(2)]
    assert torch.equal(*passes)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_keeps_the_average(kind):
    # Half of the probabilities are dropped and the others doubled: over many draws, no change.
    torch.manual_seed(0)
    query, key, value = (draw(1, 1, 4, 2, seed=seed) for seed in range(3))
    many = [tensor.expand(20_000, 1, 4, 2) for tensor in (query, key, value)]
    expected, _ = ATTENTIONS[kind](query, key, value, None, dropout=0.0)
    context, _ = ATTENTIONS[kind](*many, None, dropout=0.5)
    torch.testing.assert_close(context.mean(dim=0, keepdim=True), expected, atol=0.03, rtol=0)


def test_neither_attention_changes_its_inputs():
    for attend, mask in itertools.product((eager_attention, fused_attention), MASKS):
        inputs = [draw(2, 1, 5, 2, seed=seed) for seed in range(3)]
        copies = [tensor.clone() for tensor in inputs]
        attention_mask = inner_mask(mask)
        attend(*inputs, attention_mask, dropout=0.0)
        assert all(map(torch.equal, inputs, copies))
        assert attention_mask is None or torch.equal(attention_mask, inner_mask(mask))


def test_bfloat16_training_on_a_cpu_has_the_gradients_of_float32_within_its_rounding():
    torch.manual_seed(0)
    attention_mask = torch.tensor([True] * 5 + [False] * 2).view(1, 1, 1, 7)

    def gradients(dtype: torch.dtype) -> list[torch.Tensor]:
        parts = [x.detach().to(dtype).requires_grad_() for x in exact]
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            context, _ = fused_attention(*parts, attention_mask, dropout=0.0)
        assert context.dtype == dtype
        context.float().square().sum().backward()
        return [part.grad.float() for part in parts]

    exact = [torch.randn(2, 3, 7, 8) for _ in range(3)]
    for ours, reference in zip(gradients(torch.bfloat16), gradients(torch.float32), strict=True):
        assert (ours - reference).abs().max() < 0.02 * reference.abs().max()
