"""What you can rely on: the CRF gives what adding up all sequences of tags gives, padded or not."""

from itertools import product
from pathlib import Path

import pytest
import torch
from small_models import small_batch, small_config, small_labels
from torch import Tensor

from minibert import BertForTokenClassification, MiniBertError
from minibert.inference.load import load_for_inference
from minibert.model.crf import CRF, BertCrfForTokenClassification, select_words
from minibert.model.losses import count_labels

TAGS, WORDS = 3, 4


def random_crf() -> CRF:
    torch.manual_seed(0)
    crf = CRF(TAGS).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def sentences() -> tuple[Tensor, Tensor, Tensor]:
    """Emissions, tags and mask of sentences of 4, 1 and 3 words; padding holds other numbers."""
    generator = torch.Generator().manual_seed(1)
    emissions = torch.randn(3, WORDS, TAGS, dtype=torch.float64, generator=generator)
    tags = torch.randint(0, TAGS, (3, WORDS), generator=generator)
    mask = torch.arange(WORDS) < torch.tensor([[4], [1], [3]])
    return emissions, tags, mask


def score(crf: CRF, emissions: Tensor, tags: tuple[int, ...]) -> Tensor:
    """The score of tags, term by term, as the docstring of crf.py writes it."""
    total = crf.start[tags[0]] + crf.end[tags[-1]]
    for position, tag in enumerate(tags):
        total = total + emissions[position, tag]
        if position:
            total = total + crf.transitions[tags[position - 1], tag]
    return total


def all_scores(crf: CRF, emissions: Tensor) -> dict[tuple[int, ...], Tensor]:
    sequences = product(range(TAGS), repeat=len(emissions))
    return {tags: score(crf, emissions, tags) for tags in sequences}


def test_two_words_and_two_tags_by_hand():
    crf = CRF(2)
    with torch.no_grad():
        crf.transitions.copy_(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
    emissions, mask = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]), torch.ones(1, 2, dtype=torch.bool)
    # The scores are 2 for 0 0, 1 + 2 = 3 for 0 1, 1 for 1 0 and 0 for 1 1.
    expected = torch.tensor([2.0, 3.0, 1.0, 0.0]).logsumexp(0)
    assert crf.log_partition(emissions, mask).item() == pytest.approx(expected.item())
    assert crf.viterbi(emissions, mask).tolist() == [[0, 1]]


def test_without_transitions_it_is_a_softmax_for_each_word():
    emissions, tags, mask = sentences()
    of_words = emissions.log_softmax(dim=2).gather(2, tags[:, :, None])[:, :, 0]
    expected = of_words.where(mask, 0).sum(dim=1)
    assert torch.allclose(CRF(TAGS).double().log_likelihood(emissions, tags, mask), expected)


def test_the_partition_and_the_likelihood_equal_those_of_all_sequences():
    crf, (emissions, tags, mask) = random_crf(), sentences()
    partition = crf.log_partition(emissions, mask)
    likelihood = crf.log_likelihood(emissions, tags, mask)
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        scores = all_scores(crf, emissions[row, :length])
        log_sum = torch.stack(list(scores.values())).logsumexp(0)
        assert torch.allclose(partition[row], log_sum)
        expected = scores[tuple(tags[row, :length].tolist())] - log_sum
        assert torch.allclose(likelihood[row], expected)


def test_viterbi_finds_the_best_of_all_sequences():
    crf, (emissions, _, mask) = random_crf(), sentences()
    found = crf.viterbi(emissions, mask)
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        scores = all_scores(crf, emissions[row, :length])
        assert tuple(found[row, :length].tolist()) == max(scores, key=lambda tags: scores[tags])


def test_gradients_are_those_of_finite_differences_and_padding_has_none():
    crf, (emissions, tags, mask) = random_crf(), sentences()
    emissions.requires_grad_()
    inputs = (emissions, *crf.parameters())
    assert torch.autograd.gradcheck(lambda e, *_: crf.log_likelihood(e, tags, mask).sum(), inputs)
    (gradient,) = torch.autograd.grad(crf.log_likelihood(emissions, tags, mask).sum(), emissions)
    assert not gradient[~mask].any()
    # That of the partition is the probability of each tag, so over the tags it adds up to 1.
    (marginals,) = torch.autograd.grad(crf.log_partition(emissions, mask).sum(), emissions)
    assert torch.allclose(marginals.sum(dim=2), mask.double())


def test_padding_never_changes_a_sentence():
    crf, (emissions, tags, mask) = random_crf(), sentences()
    alone = crf.log_likelihood(emissions[2:, :3], tags[2:, :3], mask[2:, :3])
    assert torch.equal(crf.log_likelihood(emissions, tags, mask)[2:], alone)
    assert crf.viterbi(emissions, mask)[2, :3].tolist() == (
        crf.viterbi(emissions[2:, :3], mask[2:, :3])[0].tolist()
    )


def test_words_are_selected_in_their_order():
    values = torch.tensor([[5, 6, 7, 8], [1, 2, 3, 4]])
    is_word = torch.tensor([[False, True, False, True], [False, False, True, False]])
    words, mask = select_words(values, is_word)
    assert words[mask].tolist() == [6, 8, 3]
    assert mask.tolist() == [[True, True], [True, False]]
    vectors, _ = select_words(values[:, :, None].expand(-1, -1, 2), is_word)
    assert vectors[mask].tolist() == [[6, 6], [8, 8], [3, 3]]


def crf_model() -> BertCrfForTokenClassification:
    torch.manual_seed(0)
    model = BertCrfForTokenClassification(small_config()).double().eval()
    for parameter in model.crf.parameters():
        torch.nn.init.normal_(parameter)
    return model


def test_the_loss_of_the_model_skips_what_has_no_label_and_counts_the_others():
    model = crf_model()
    batch = small_batch("") | small_labels("BertForTokenClassification")
    batch["labels"][1] = -100  # a text without a label
    outputs = model(**batch)
    expected = 0
    for logits, labels in zip(outputs.logits, batch["labels"], strict=True):
        words = labels != -100
        if words.any():
            scores = all_scores(model.crf, logits[words])
            log_sum = torch.stack(list(scores.values())).logsumexp(0)
            expected += log_sum - scores[tuple(labels[words].tolist())]
    term = outputs.loss_terms["labels"]
    assert torch.allclose(term.total, expected)
    assert term.count.item() == count_labels(batch)["labels"]


def test_a_batch_without_labels_has_the_loss_zero():
    batch = small_batch("")
    loss = crf_model()(**batch, labels=torch.full_like(batch["input_ids"], -100)).loss
    assert loss.item() == 0
    loss.backward()


def test_it_is_saved_and_loaded_bit_for_bit_and_refused_without_its_crf(tmp_path: Path):
    model = crf_model().float()
    model.save_pretrained(tmp_path)
    again = BertCrfForTokenClassification.from_pretrained(tmp_path, quiet=True)
    assert again.load_report is not None
    assert not again.load_report.new
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    batch = small_batch("")
    assert torch.equal(again(**batch).logits, model(**batch).logits)
    with pytest.raises(MiniBertError, match="BertCrfForTokenClassification"):
        load_for_inference(BertForTokenClassification, tmp_path)


def test_words_keep_their_order_when_they_are_moved_to_the_left():
    is_word = torch.rand(2, 300, generator=torch.Generator().manual_seed(2)) < 0.5
    places = torch.arange(300).expand(2, -1)
    words, mask = select_words(places, is_word)
    for row in range(2):
        assert words[row][mask[row]].tolist() == places[row][is_word[row]].tolist()
