"""What you can rely on: attributions of words add up to what the words change in the output."""

import pytest
import torch
from tiny_folders import PIECES, classifier_folder, tiny_tokenizer
from torch import Tensor, nn

from minibert.evaluation.attributions import attribute_words, integrated_gradients
from minibert.inference.text_classification import TextClassifier
from minibert.model.outputs import TaskOutput

CLS, SEP, MASK = (PIECES.index(piece) for piece in ("[CLS]", "[SEP]", "[MASK]"))


class Toy(nn.Module):
    """Words are numbers: the embedding of an id is the id. Logit 0 is their sum, 1 its square."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        table = nn.Embedding.from_pretrained(torch.arange(10.0)[:, None])
        self.bert = nn.ModuleDict({"embeddings": nn.ModuleDict({"word_embeddings": table})})

    def forward(self, input_ids: Tensor) -> TaskOutput:
        total = self.bert["embeddings"]["word_embeddings"](input_ids).sum(dim=(1, 2))
        return TaskOutput(logits=torch.stack([total, total**2], dim=1))


def attribute(ids: list[int], start: list[int], direction: list[float], steps: int = 2):
    arguments = map(torch.tensor, (ids, start, direction))
    return integrated_gradients(Toy(), *arguments, steps=steps).tolist()


def test_in_a_sum_every_word_counts_as_itself():
    assert attribute([3, 5, 1], [0, 1, 1], [1.0, 0.0]) == pytest.approx([3, 4, 0])


def test_in_a_square_words_share_the_difference():
    # (3 + 5)^2 - 0 = 64, of which the words get 3/8 and 5/8.
    assert attribute([3, 5], [0, 0], [0.0, 1.0]) == pytest.approx([24, 40])


def test_a_direction_weighs_the_logits():
    # 64 for the square minus 8 for the sum
    assert attribute([3, 5], [0, 0], [-1.0, 1.0]) == pytest.approx([21, 35])


def test_the_number_of_steps_is_free():
    for steps in (1, 8, 9, 20):
        assert attribute([3, 5], [0, 0], [0.0, 1.0], steps) == pytest.approx([24, 40], rel=1e-5)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return TextClassifier.from_pretrained(classifier_folder(tmp_path_factory.mktemp("cls")))


def ids_and_baseline(text: str) -> tuple[Tensor, Tensor]:
    ids = torch.tensor(tiny_tokenizer()(text)["input_ids"])
    return ids, torch.where((ids == CLS) | (ids == SEP), ids, MASK)


def test_attributions_add_up_to_the_difference_of_the_outputs(classifier):
    ids, baseline = ids_and_baseline("the cats sat on a mat 猫")
    direction = torch.tensor([1.0, -1.0])
    found = integrated_gradients(classifier.model, ids, baseline, direction, steps=200)
    both = classifier.model(torch.stack([ids, baseline])).logits @ direction
    assert found.sum().item() == pytest.approx((both[0] - both[1]).item(), abs=1e-3)
    assert found[[0, -1]].tolist() == [0, 0]  # [CLS] and [SEP] are the same in both


def test_the_model_is_left_as_it_was(classifier):
    ids, baseline = ids_and_baseline("the cat")
    before = classifier.model(ids[None]).logits
    integrated_gradients(classifier.model, ids, baseline, torch.tensor([1.0, 0.0]))
    assert torch.equal(classifier.model(ids[None]).logits, before)
    assert all(parameter.grad is None for parameter in classifier.model.parameters())


def test_the_pieces_of_a_word_are_added_up_and_words_have_places_in_the_text(classifier):
    text, text_pair, direction = "The cats sat.", "猫 paris", torch.tensor([1.0, 0.0])
    options = {"max_length": 16, "mask_token_id": MASK}
    arguments = (classifier.model, tiny_tokenizer(), text, text_pair, direction)
    words = attribute_words(*arguments, **options)
    texts = (text, text_pair)
    spelled = [texts[word.sequence][word.start : word.end] for word in words]
    assert spelled == ["The", "cats", "sat", ".", "猫", "paris"]
    encoding = tiny_tokenizer()(text, text_pair)
    ids, types = (torch.tensor(encoding[name]) for name in ("input_ids", "token_type_ids"))
    special = (ids == CLS) | (ids == SEP)
    of_tokens = integrated_gradients(
        classifier.model, ids, torch.where(special, ids, MASK), direction, token_type_ids=types
    ).tolist()
    expected = [of_tokens[1], of_tokens[2] + of_tokens[3], *of_tokens[4:6], *of_tokens[7:9]]
    assert [word.score for word in words] == pytest.approx(expected)


def test_what_is_truncated_has_no_attribution(classifier):
    direction = torch.tensor([1.0, 0.0])
    arguments = (classifier.model, tiny_tokenizer(), "the cat sat", None, direction)
    words = attribute_words(*arguments, max_length=4, mask_token_id=MASK)
    assert [(word.start, word.end) for word in words] == [(0, 3), (4, 7)]


def test_captum_finds_the_same(classifier):
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    ids, baseline = ids_and_baseline("the cats sat on a mat")
    ours = integrated_gradients(classifier.model, ids, baseline, torch.tensor([0.0, 1.0]))
    words = classifier.model.bert.embeddings.word_embeddings
    method = captum.LayerIntegratedGradients(lambda ids: classifier.model(ids).logits, words)
    theirs = method.attribute(ids[None], baseline[None], target=1, n_steps=32).sum(dim=-1)[0]
    torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=1e-5, rtol=1e-4)
