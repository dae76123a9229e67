"""What you can rely on: known bugs of other people's BERTs are not here.

One test for each, with the place where it was met; each fails when the bug is put back. Here is
what concerns the model, its losses and the optimizer; text and data are tested beside them.
"""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from small_models import (
    HEADS,
    small_batch,
    small_config,
    small_labels,
    small_model,
)
from torch import nn

from minibert import (
    BertForMaskedLM,
    BertModel,
    MiniBertError,
)
from minibert.data.pretraining.nsp_pairs import IS_NEXT
from minibert.model.encoder import ACTIVATIONS
from minibert.model.losses import count_labels
from minibert.tokenization.padding import IGNORE_INDEX
from minibert.training.loop import train
from minibert.training.optimizer import decay_groups, make_optimizer
from minibert.training.settings import TrainingSettings

pytestmark = pytest.mark.filterwarnings("ignore:attention_mask begins with padding")


def test_a_pair_that_belongs_together_is_not_ignored_in_the_loss():
    """codertimo/BERT-pytorch #32, #49, #98: one NLLLoss(ignore_index=0) for words and pairs.

    Label 0, "B follows A", then costs nothing, and next-sentence accuracy stays at 50 %.
    """
    model, ids = small_model("BertForPreTraining"), torch.tensor([[1, 2, 3]] * 4)
    all_follow = torch.full((4,), IS_NEXT)
    outputs = model(ids, next_sentence_label=all_follow)
    expected = F.cross_entropy(outputs.seq_relationship_logits, all_follow)
    torch.testing.assert_close(outputs.loss, expected)
    outputs.loss.backward()
    assert model.next_sentence.weight.grad.abs().sum() > 0


def test_word_0_may_be_the_right_answer():
    """The other side of ignore_index=0: the word with the id 0 could never be learned."""
    model = small_model("BertForMaskedLM", pad_token_id=3)
    labels = torch.tensor([[IGNORE_INDEX, 0, IGNORE_INDEX]])
    outputs = model(torch.tensor([[1, 2, 4]]), labels=labels)
    assert outputs.loss_terms["labels"].count.item() == 1
    assert outputs.loss.item() > 0


def test_positions_without_a_label_do_not_thin_out_the_loss():
    """d2l-en, bert-pretraining: a mean over all slots, multiplied with weights that do nothing."""
    model = small_model("BertForMaskedLM")
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    labels = torch.tensor([[IGNORE_INDEX, 7, IGNORE_INDEX, IGNORE_INDEX, 3, IGNORE_INDEX]])
    logits = model(ids).logits
    each = [-logits[0, at].log_softmax(dim=-1)[label] for at, label in ((1, 7), (4, 3))]
    torch.testing.assert_close(model(ids, labels=labels).loss, (each[0] + each[1]) / 2)


@pytest.mark.parametrize("attention", ["eager", "fused"])
@pytest.mark.parametrize("head", ["BertForMaskedLM", "BertForTokenClassification"])
def test_longer_padding_does_not_lower_the_loss(head, attention):
    """huggingface/transformers #2718, #2759: padding has a label, and is easy to get right."""
    model = small_model(head, attention=attention)
    losses = []
    for padding in (0, 5):
        ids = torch.tensor([[5, 6, 7, *[0] * padding]])
        mask = torch.tensor([[1, 1, 1, *[0] * padding]])
        labels = torch.tensor([[IGNORE_INDEX, 2, 1, *[IGNORE_INDEX] * padding]])
        losses.append(model(ids, attention_mask=mask, labels=labels).loss)
    torch.testing.assert_close(losses[0], losses[1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("head", HEADS)
def test_batches_with_unequal_numbers_of_labels_weigh_by_their_labels(head):
    """mlcommons #498, torchtune #1875, mlx-lm #1413: accumulation adds up means.

    nn.DataParallel with `loss.mean()` does the same. Three items and one item are 3 : 1.
    """
    whole = small_batch(head) | small_labels(head)
    pieces = [{name: tensor[rows] for name, tensor in whole.items()} for rows in ([0, 1, 2], [3])]
    model = small_model(head)
    loss = model(**whole).loss
    counts = count_labels(whole)
    added = sum(
        term.total / counts[name]
        for piece in pieces
        for name, term in model(**piece).loss_terms.items()
    )
    torch.testing.assert_close(added, loss, atol=1e-12, rtol=1e-12)
    of_means = sum(model(**piece).loss for piece in pieces) / 2
    assert abs(of_means - loss) > 1e-4  # so the test above can fail


def test_a_batch_in_which_nothing_was_masked_does_not_end_the_training():
    """0 / 0: short texts and 15 % leave batches without a masked word, and the loss is NaN."""
    model = small_model("BertForMaskedLM")
    labels = torch.full((2, 3), IGNORE_INDEX)
    loss = model(torch.ones(2, 3, dtype=torch.long), labels=labels).loss
    assert F.cross_entropy(
        torch.zeros(2, 3), torch.full((2,), IGNORE_INDEX)
    ).isnan()  # PyTorch's mean
    assert loss.item() == 0.0
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("attention", ["eager", "fused"])
def test_ones_are_real_tokens_and_zeros_padding(attention):
    """torch.nn.MultiheadAttention's key_padding_mask has it the other way round."""
    model = small_model("BertModel", attention=attention)
    alone = model(torch.tensor([[5, 6]])).pooler_output
    ids, mask = torch.tensor([[5, 6, 7]]), torch.tensor([[1, 1, 0]])
    torch.testing.assert_close(model(ids, attention_mask=mask).pooler_output, alone)
    turned = model(ids, attention_mask=1 - mask).pooler_output
    assert (turned - alone).abs().max() > 1e-4


@pytest.mark.parametrize("inner", [[0.0, 0.0, -10000.0], [0.0, 0.0, torch.finfo().min]])
def test_the_inner_form_of_old_masks_is_refused_and_not_turned_round(inner):
    """transformers' `extended_attention_mask`: 0 is real and -10000 is padding, added to scores."""
    with pytest.raises(MiniBertError, match="it must be 1 for real tokens and 0 for padding"):
        small_model("BertModel")(torch.tensor([[5, 6, 7]]), attention_mask=torch.tensor([inner]))


def test_segments_are_not_ignored():
    """CMU minBERT, bert.py:165: segment ids are 0 whatever is given."""
    for head in HEADS:
        model, batch = small_model(head), small_batch(head)
        other = batch | {"token_type_ids": 1 - batch["token_type_ids"]}
        assert (model(**batch)[0] - model(**other)[0]).abs().max() > 1e-4, head


def test_positions_count_and_are_not_sines():
    """codertimo: sinusoidal positions, so that no published weights can be loaded."""
    model = small_model("BertModel")
    assert isinstance(model.embeddings.position_embeddings, nn.Embedding)
    assert model.embeddings.position_embeddings.weight.requires_grad
    there, back = (model(torch.tensor([ids])).last_hidden_state for ids in ([5, 6, 7], [7, 6, 5]))
    assert (there - back.flip(1)).abs().max() > 1e-4


def test_both_forms_of_gelu_are_there_and_differ_by_what_is_said():
    """Google's code computes the tanh form, transformers' "gelu" is the exact one."""
    at = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    exact = at * 0.5 * (1 + torch.special.erf(at / math.sqrt(2)))
    tanh = 0.5 * at * (1 + torch.tanh(math.sqrt(2 / math.pi) * (at + 0.044715 * at**3)))
    torch.testing.assert_close(ACTIVATIONS["gelu"]()(at), exact, atol=1e-12, rtol=0)
    torch.testing.assert_close(ACTIVATIONS["gelu_tanh"]()(at), tanh, atol=1e-12, rtol=0)
    assert (exact - tanh).abs().max().item() == pytest.approx(4.7e-4, rel=0.02)


def test_layer_norm_comes_after_the_residual():
    """annotated-transformer #13, #92: the text says one order and the code another.

    After the last norm (here with its scale 1 and shift 0) each vector has mean 0 and deviation 1;
    with the norm in front of each part it would not.
    """
    model = BertModel(small_config()).double().eval()
    for state in model(torch.tensor([[5, 6, 7]]), output_hidden_states=True).hidden_states:
        torch.testing.assert_close(state.mean(dim=-1), torch.zeros(1, 3).double())
        torch.testing.assert_close(state.std(dim=-1, correction=0), torch.ones(1, 3).double())


def test_layer_norm_adds_its_small_number_to_the_variance():
    """annotated-transformer: x / (std + eps), with the unbiased deviation (n - 1)."""
    norm = small_model("BertModel").encoder.layer[0].attention_LayerNorm
    with torch.no_grad():
        norm.weight.fill_(1)
        norm.bias.zero_()
    vector = torch.arange(16, dtype=torch.float64)
    deviation = math.sqrt((16**2 - 1) / 12)  # of the numbers 0 to 15, divided by 16 and not 15
    torch.testing.assert_close(norm(vector), (vector - 7.5) / deviation)


def test_google_eps_is_the_default():
    """PyTorch's own 1e-5 in place of BERT's 1e-12 moves every hidden state of published weights."""
    norms = [m for m in BertModel(small_config()).modules() if isinstance(m, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-12}


def test_the_decoder_is_still_the_token_table_after_loading(tmp_path):
    """transformers' `tie_weights`, forgotten after loading or resizing: two tables, one learns."""
    saved = small_model("BertForMaskedLM", dtype=torch.float32)
    saved.save_pretrained(tmp_path)
    model = BertForMaskedLM.from_pretrained(tmp_path, quiet=True)
    model(torch.tensor([[5, 6]]), labels=torch.tensor([[IGNORE_INDEX, 7]])).loss.backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    table = model.bert.embeddings.word_embeddings.weight
    assert not torch.equal(
        table[7], saved.bert.embeddings.word_embeddings.weight[7]
    )  # as a decoder's row
    hidden = model.bert(torch.tensor([[7, 6]])).last_hidden_state
    expected = model.masked_lm(hidden, table)
    torch.testing.assert_close(model(torch.tensor([[7, 6]])).logits, expected)
    assert sum(tensor.shape == table.shape for tensor in model.state_dict().values()) == 1


def test_biases_and_norms_do_not_decay():
    """The same by what it does: a step without gradients leaves biases and norms where they are."""
    model = small_model("BertForPreTraining", dtype=torch.float32)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(decay_groups(model, weight_decay=0.1), learning_rate=0.1).step()
    for name, parameter in model.named_parameters():
        flat = name.endswith("bias") or "LayerNorm" in name
        assert torch.equal(parameter, before[name]) == flat, name


def masked_lm_run(folder, *, lengths=(2, 2), **options):
    """Epochs of so many batches; the weights before and after, and the lines of the log."""
    model = BertForMaskedLM(small_config())
    before = [parameter.detach().clone() for parameter in model.parameters()]
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    batch = {"input_ids": ids, "labels": torch.where(ids % 2 == 0, ids, IGNORE_INDEX)}

    class SameBatches:
        def length(self, epoch):
            return lengths[epoch]

        def epoch(self, epoch, *, start=0, step=1):
            return (batch for _ in range(start, lengths[epoch], step))

    settings = TrainingSettings(epochs=len(lengths), logging_steps=1, weight_decay=0.0, **options)
    train(model, SameBatches(), settings, folder=folder, device=torch.device("cpu"))
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    after = [parameter.detach() for parameter in model.parameters()]
    return before, after, [json.loads(line) for line in lines]


def test_no_update_is_made_with_a_rate_of_zero(tmp_path):
    """PyTorch's schedulers begin at step 0: the first update of a warm-up then changes nothing."""
    before, after, lines = masked_lm_run(tmp_path, learning_rate=1e-3, warmup_ratio=0.5)
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert rates == pytest.approx([0.5e-3, 1e-3, 2e-3 / 3, 1e-3 / 3])
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("lengths", [(10, 7, 4), (10, 12, 19)])
def test_the_rate_comes_down_to_the_end_whatever_the_length_of_later_epochs(tmp_path, lengths):
    """A schedule counted in updates of the first epoch ends too high, or trains with rate 0."""
    _, _, lines = masked_lm_run(tmp_path, lengths=lengths, learning_rate=30.0, warmup_ratio=1e-9)
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert len(rates) == sum(lengths)
    assert rates[:10] == pytest.approx([30.0 - n for n in range(10)])
    assert 0 < rates[-1] <= 30.0 / lengths[-1] and rates == sorted(rates, reverse=True)
    epochs = [line["epoch"] for line in lines if "epoch" in line]
    assert max(epochs) == 3


def test_batches_left_over_at_the_end_of_an_epoch_make_an_update(tmp_path):
    """annotated-transformer: `if i % accumulation == 0`, so the last batches are never used."""
    before, after, lines = masked_lm_run(tmp_path, gradient_accumulation_steps=3)
    assert [line["step"] for line in lines if "learning_rate" in line] == [1, 2]
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_gradients_are_clipped_before_the_optimizer_sees_them(tmp_path):
    """Clipping after the step, or of another optimizer's parameters, changes nothing."""
    moved = []
    for name, limit in (("free", 1e9), ("clipped", 1e-14)):
        before, after, _ = masked_lm_run(tmp_path / name, max_grad_norm=limit)
        pairs = zip(before, after, strict=True)
        moved.append(max(float((new - old).abs().max()) for old, new in pairs))
    # Adam divides by the gradient's size, until that is far below its eps of 1e-8.
    assert moved[1] < moved[0] / 1000
