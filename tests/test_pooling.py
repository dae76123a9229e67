"""What you can rely on: every pooling gives the vector of a text alone, whatever it is padded to.

The last tests show that the versions that tutorials print do not.
"""

import math
import warnings

import pytest
import torch
from small_models import small_config
from tiny_folders import tiny_tokenizer
from torch import Tensor, nn

from minibert import BertForSequenceClassification, BertModel, MiniBertError
from minibert.inference.sentence_embeddings import SentenceEncoder
from minibert.model.pooling import BertForPooledClassification, make_fusion, make_pooling

NAMES = ("cls", "mean", "max", "attention", "cnn", "lstm", "gru", "last2-concat", "last2-mix")
FUSIONS = ("mean", "max", "attention", "transformer")
# Two texts, of two tokens and of one; the nines are padding.
STATES = torch.tensor([[[1.0, 4.0], [3.0, 2.0], [9.0, 9.0]], [[5.0, 6.0], [9.0, 9.0], [9.0, 9.0]]])
MASK = torch.tensor([[True, True, False], [True, False, False]])


def small_pooling(name: str, width: int = 16) -> nn.Module:
    torch.manual_seed(0)
    config = small_config(hidden_size=width, num_attention_heads=1)
    made = make_pooling(name, config) if name in NAMES else make_fusion(name, width, config)
    return made.double().eval()


def small_model(pooling: str = "pooler", fuse: str = "", **changes) -> BertForPooledClassification:
    torch.manual_seed(0)
    model = BertForPooledClassification(small_config(**changes), pooling, fuse)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


def random_states(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


IDS = torch.randint(1, 50, (5, 6), generator=torch.Generator().manual_seed(1))
LENGTHS = torch.tensor([6, 4, 1, 5, 2])
WINDOWS = {
    "input_ids": IDS,
    "attention_mask": (torch.arange(6) < LENGTHS[:, None]).long(),
    "window_counts": torch.tensor([2, 1, 2]),
}


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        ("cls", [[1, 4], [5, 6]]),
        ("mean", [[2, 3], [5, 6]]),
        ("max", [[3, 4], [5, 6]]),
    ],
)
def test_poolings_without_weights_are_what_one_computes_on_paper(name, vectors):
    assert small_pooling(name, 2)([STATES], MASK).tolist() == vectors


def test_attention_gives_each_token_the_softmax_of_its_score():
    pool = small_pooling("attention", 2).float()
    pool.dense.weight.data, pool.dense.bias.data = torch.eye(2), torch.zeros(2)
    pool.score.weight.data = torch.tensor([[math.log(3) / math.tanh(3), 0.0]])
    states = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [7.0, 7.0]]])
    torch.testing.assert_close(pool([states], MASK[:1]), torch.tensor([[9 / 4, 1.0]]))  # 3/4, 1/4


def test_a_filter_answers_with_its_strongest_response_and_reads_zeros_behind_the_text():
    pool = small_pooling("cnn", 2).float()
    for convolution in pool.filters:
        convolution.weight.data.zero_()
        convolution.weight.data[:, 0] = 1  # the sum of the first dimension over its width
        convolution.bias.data.fill_(-1)
    pooled = pool([STATES], MASK)
    assert pooled.shape == (2, 300)
    assert pooled[0].tolist() == [3] * 300  # 1 + 3 - 1
    assert pooled[1].tolist() == [4] * 300  # 5 - 1: one token, shorter than every filter


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_recurrent_network_ends_at_the_last_real_token_and_at_the_first(kind):
    pool, states = small_pooling(kind), random_states(1, 4, 16)
    outputs, _ = pool.network(states[:, :3])
    mask = torch.tensor([[True, True, True, False]])
    expected = torch.cat([outputs[:, -1, :8], outputs[:, 0, 8:]], dim=1)
    torch.testing.assert_close(pool([states], mask), expected)


def test_layers_are_joined_in_order_or_mixed_by_weights_that_start_equal():
    below, mask = torch.ones(2, 3, 16).double(), torch.ones(2, 3, dtype=torch.bool)
    joined = small_pooling("last2-concat")([below * 9, below, below * 3], mask)
    assert joined[0].tolist() == [1] * 16 + [3] * 16
    mix = small_pooling("last2-mix")
    assert mix([below * 9, below, below * 3], mask)[0].tolist() == [2] * 16
    mix.weights.data = torch.tensor([0.0, math.log(3)]).double()
    torch.testing.assert_close(mix([below, below * 5], mask)[0], torch.full((16,), 4.0).double())


def test_a_transformer_reads_the_windows_of_a_text_as_a_bert_without_positions():
    fuse, states = small_pooling("transformer"), random_states(2, 3, 16)
    mask = torch.ones(2, 3, dtype=torch.bool)
    torch.testing.assert_close(fuse([states], mask), fuse([states.flip(1)], mask))
    assert not torch.allclose(fuse([states], mask), fuse([states[:, :2]], mask[:, :2]))


@pytest.mark.parametrize("name", dict.fromkeys((*NAMES, *FUSIONS)))
def test_padding_that_is_appended_never_changes_a_vector(name):
    pool, states = small_pooling(name), [random_states(5, 6, 16), random_states(5, 6, 16) + 1]
    mask = torch.arange(6) < LENGTHS[:, None]
    usual = pool(states, mask)
    longer = [torch.cat([layer, 99 * random_states(5, 3, 16)], dim=1) for layer in states]
    padded = pool(longer, nn.functional.pad(mask, (0, 3)))
    torch.testing.assert_close(padded, usual, atol=1e-12, rtol=1e-12)
    alone = pool([layer[2:3, :1] for layer in states], mask[2:3, :1])  # its single token
    torch.testing.assert_close(alone, usual[2:3], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("pooling", ["pooler", *NAMES])
def test_neither_padding_nor_the_batch_changes_the_logits_of_a_model(pooling):
    model = small_model(pooling, "mean")
    usual = model(**WINDOWS).logits
    padded = {
        "input_ids": nn.functional.pad(IDS, (0, 4), value=7),
        "attention_mask": nn.functional.pad(WINDOWS["attention_mask"], (0, 4)),
        "window_counts": WINDOWS["window_counts"],
    }
    torch.testing.assert_close(model(**padded).logits, usual, atol=1e-11, rtol=1e-11)
    last = model(IDS[3:], attention_mask=padded["attention_mask"][3:, :6]).logits
    together = model(
        IDS[3:],
        attention_mask=WINDOWS["attention_mask"][3:],
        window_counts=torch.tensor([1, 1]),
    ).logits
    torch.testing.assert_close(last, together)


@pytest.mark.parametrize("fuse", FUSIONS)
def test_the_windows_of_a_text_are_fused_with_each_other_only(fuse):
    model = small_model("mean", fuse)
    logits = model(**WINDOWS).logits
    assert logits.shape == (3, 3)
    for text, rows in enumerate((slice(0, 2), slice(2, 3), slice(3, 5))):
        alone = model(
            IDS[rows],
            attention_mask=WINDOWS["attention_mask"][rows],
            window_counts=torch.tensor([rows.stop - rows.start]),
        ).logits
        torch.testing.assert_close(alone, logits[text : text + 1])


def test_with_the_pooler_it_is_the_usual_classifier():
    pooled = small_model()
    usual = BertForSequenceClassification(pooled.config).double().eval()
    usual.load_state_dict(pooled.state_dict())
    labels = torch.tensor([0, 1, 2, -100, 1])
    assert torch.equal(pooled(IDS, labels=labels).loss, usual(IDS, labels=labels).loss)
    for name in ("hidden_states", "attentions"):
        options = {f"output_{name}": True}
        assert len(pooled(IDS, **options)[name]) == len(usual(IDS, **options)[name])


def test_hidden_states_are_returned_only_on_request():
    model = small_model("last2-mix")
    assert model(IDS).keys() == ["logits"]
    assert len(model(IDS, output_hidden_states=True).hidden_states) == 3


@pytest.mark.parametrize("pooling", ["pooler", *NAMES])
def test_every_weight_learns_and_is_saved(pooling, tmp_path):
    model = small_model(pooling, "transformer").float()
    model(**WINDOWS, labels=torch.tensor([0, 1, 2])).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    model.save_pretrained(tmp_path)
    loaded = BertForPooledClassification.from_pretrained(tmp_path, strict=True, quiet=True)
    assert torch.equal(loaded(**WINDOWS).logits, model(**WINDOWS).logits)
    assert not loaded.load_report.notes
    with pytest.raises(MiniBertError, match=f"pooling '{pooling}', which a BertForSeq"):
        BertForSequenceClassification.from_pretrained(tmp_path, quiet=True)
    assert BertModel.from_pretrained(tmp_path, quiet=True).load_report.loaded


def test_the_layers_that_fuse_windows_are_not_taken_for_those_of_the_encoder(tmp_path):
    tokenizer = tiny_tokenizer()
    sizes = {"num_hidden_layers": 1, "vocab_size": len(tokenizer)}
    small_model("mean", "transformer", **sizes).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BertForPooledClassification.from_pretrained(tmp_path, strict=True, quiet=True)
        assert SentenceEncoder.from_pretrained(tmp_path).encode(["the cat"]).shape == (1, 16)


def test_a_pretrained_encoder_gets_the_pooling_that_is_asked_for(tmp_path):
    BertModel(small_config()).save_pretrained(tmp_path)
    load = BertForPooledClassification.from_pretrained
    model = load(tmp_path, pooling="lstm", fuse="max", num_labels=4, quiet=True)
    assert model.config.pooling == "lstm" and model.config.fuse == "max"
    assert {*model.load_report.new} >= {"classifier.weight", "pool.network.weight_hh_l0"}
    # The new layers start as PyTorch and BERT make them, and not as the memory happened to be.
    assert 0 < model.pool.network.weight_hh_l0.abs().max() <= 8**-0.5
    assert 0 < model.classifier.weight.std() < 0.03
    assert torch.equal(load(tmp_path, pooling="pooler", quiet=True).classifier.bias, torch.zeros(3))


@pytest.mark.parametrize(
    ("pooling", "fuse", "error"),
    [
        ("median", "", "no pooling 'median'; choose pooler, cls, mean"),
        ("last4-concat", "", "reads 4 layers, but the model has 2; use last2-concat"),
        ("last0-mix", "", "use last2-mix"),
        ("mean", "sum", "--fuse is 'sum'; choose one of mean, max"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(pooling, fuse, error):
    with pytest.raises(MiniBertError, match=error):
        small_model(pooling, fuse)


def test_windows_that_fit_no_text_are_refused_before_anything_is_computed():
    model = small_model("mean", "max")
    with pytest.raises(MiniBertError, match="add up to the 5 rows"):
        model(IDS, window_counts=torch.tensor([2, 1]))
    with pytest.raises(MiniBertError, match="at least 1"):
        model(IDS, window_counts=torch.tensor([5, 0]))
    with pytest.raises(MiniBertError, match=r"it must be \(3,\)"):
        model(**WINDOWS, labels=torch.tensor([0, 1]))
    with pytest.raises(MiniBertError, match="one window a text"):
        small_model("mean")(IDS, window_counts=torch.tensor([2, 3]))


def changes_with_padding(pool) -> bool:
    """Whether a pooling without a mask, as in a tutorial, depends on what is padded behind."""
    states = random_states(2, 4, 16).float()
    longer = torch.cat([states, random_states(2, 3, 16).float()], dim=1)
    return not torch.allclose(pool(states), pool(longer), atol=1e-3)


def test_the_pooling_that_tutorials_print_changes_with_padding():
    torch.manual_seed(0)
    convolution = nn.Conv1d(16, 6, 2)
    lstm = nn.LSTM(16, 8, bidirectional=True, batch_first=True)
    weight, context = torch.rand(16, 16) - 0.5, torch.rand(16, 1) - 0.5

    def cnn(states: Tensor) -> Tensor:
        responses = convolution(states.permute(0, 2, 1)).relu()
        return nn.functional.max_pool1d(responses, responses.shape[2]).squeeze(2)

    def last_states(states: Tensor) -> Tensor:
        _, (hidden, _) = lstm(states)
        return torch.cat((hidden[-2], hidden[-1]), dim=1)

    def attention(states: Tensor) -> Tensor:
        weights = (torch.tanh(states @ weight) @ context).softmax(dim=1)
        return (states * weights).sum(dim=1)

    with torch.no_grad():
        for pool in (cnn, last_states, attention, lambda states: states.mean(dim=1)):
            assert changes_with_padding(pool)
        assert not changes_with_padding(lambda states: states[:, 0])
