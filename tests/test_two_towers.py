"""What you can rely on: two texts are compared by a vector of each, and the folder embeds, too."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import shared
from tiny_folders import POSITIONS, pretrained_folder, tiny_config, tiny_tokenizer

from minibert import MiniBertError
from minibert.cli.main import main
from minibert.data.labelled.examples import Example, read_examples
from minibert.inference.sentence_embeddings import SentenceEncoder
from minibert.inference.text_classification import TextClassifier
from minibert.model.two_towers import BertTwoTowers

KINDS = [
    (pooling, combine) for pooling in ("mean", "cls", "max") for combine in ("cosine", "difference")
]
TEXTS, OTHERS = ["the cat sat", "paris"], ["a cat", "the capital of france is paris"]


def towers(pooling: str = "mean", combine: str = "cosine", **config: object) -> BertTwoTowers:
    torch.manual_seed(0)
    return BertTwoTowers(tiny_config(**config), pooling, combine).eval()


def batch(rows: int = 3, tokens: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 24, (rows, 2, tokens), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, 1, 3:] = 0
    return {"input_ids": ids, "attention_mask": mask}


# The model


def test_cosine_and_difference_are_those_of_the_two_vectors():
    inputs = batch()
    model = towers("mean", "cosine", num_labels=1)
    hidden = [
        model.bert(inputs["input_ids"][:, side], attention_mask=inputs["attention_mask"][:, side])
        for side in (0, 1)
    ]
    first, second = (
        (states.last_hidden_state * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        for states, mask in zip(hidden, inputs["attention_mask"].unbind(1), strict=True)
    )
    cosine = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    torch.testing.assert_close(model(**inputs).logits[:, 0], cosine)  # w = 1 and b = 0 at first
    other = towers("mean", "difference", num_labels=3)
    other.bert.load_state_dict(model.bert.state_dict())
    features = torch.cat([first, second, (first - second).abs()], dim=1)
    torch.testing.assert_close(other(**inputs).logits, other.classifier(features))


@pytest.mark.parametrize(("pooling", "combine"), KINDS)
def test_padding_and_the_order_of_the_texts_change_no_cosine(pooling, combine):
    model, inputs = towers(pooling, combine), batch()
    logits = model(**inputs).logits
    wide = {
        name: torch.cat([tensor, torch.zeros_like(tensor)], dim=2)
        for name, tensor in inputs.items()
    }
    torch.testing.assert_close(model(**wide).logits, logits)
    swapped = {name: tensor.flip(1) for name, tensor in inputs.items()}
    if combine == "cosine":
        torch.testing.assert_close(model(**swapped).logits, logits)


def test_both_towers_share_their_weights_and_learn():
    model, inputs = towers(num_labels=2), batch()
    model(**inputs, labels=torch.tensor([1, 0, 1])).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert sum(name.endswith("word_embeddings.weight") for name in model.state_dict()) == 1


def test_a_cosine_of_a_half_lies_between_two_classes():
    model = towers(num_labels=2)
    cosines = torch.tensor([[0.5], [0.9], [0.1]])
    chances = model.classifier(cosines).softmax(dim=1)[:, 1]
    assert chances.tolist() == pytest.approx([0.5, 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(4))])


@pytest.mark.parametrize(
    ("combine", "targets", "ends"),
    [
        ("cosine", [1.0, 5.0, 3.0], [1.0, 5.0]),  # likeness: the second pair is the most alike
        ("cosine", [5.0, 1.0, 3.0], [5.0, 1.0]),  # distance
        ("difference", [1.0, 5.0, 3.0], None),
    ],
)
def test_numbers_start_from_those_of_the_training_pairs(combine, targets, ends):
    model = towers(combine=combine, num_labels=1)
    model.start_from(targets, [0.1, 0.9, 0.6])
    if ends:
        assert model.classifier(torch.tensor([[0.0], [1.0]])).flatten().tolist() == ends
    else:
        assert model.classifier.bias.item() == 3


@pytest.mark.parametrize(("targets", "alike"), [([0, 1, 1, 0], 1), ([1, 0, 0, 1], 0)])
def test_the_class_of_alike_texts_gets_the_high_cosine(targets, alike):
    model = towers(num_labels=2)
    model.start_from(targets, [0.1, 0.9, 0.8, 0.2])
    assert model.classifier(torch.tensor([[0.9]])).argmax().item() == alike
    assert model.classifier(torch.tensor([[0.1]])).argmax().item() == 1 - alike


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: towers(num_labels=3), "--combine difference"),
        (lambda: towers("attention"), "two towers pool with mean, cls, max"),
        (lambda: towers(combine="sum"), "combine by cosine or difference"),
        (lambda: towers()(torch.ones(2, 5, dtype=torch.long)), r"\(batch, 2, tokens\)"),
        (lambda: towers()(torch.ones(2, 3, 5, dtype=torch.long)), r"\(batch, 2, tokens\)"),
        (lambda: towers()(**batch(), labels=torch.tensor([0, 1, 2])), r"labels\[2\] is 2"),
        (lambda: towers()(**batch(), labels=torch.tensor([0, 1])), "labels has the shape"),
    ],
)
def test_what_two_towers_cannot_do_is_refused(make, message):
    with pytest.raises(MiniBertError, match=message):
        make()


# Folders


@pytest.mark.parametrize(("pooling", "combine"), KINDS)
def test_a_saved_folder_has_bit_equal_logits_and_embeds_as_it_was_trained(
    tmp_path, pooling, combine
):
    model = towers(pooling, combine, id2label={0: "no", 1: "yes"})
    with torch.no_grad():
        model.classifier.weight += 0.5
    classifier = TextClassifier(model, tiny_tokenizer(), POSITIONS - 4, pairs=True)
    classifier.save_pretrained(tmp_path / "saved")
    again = TextClassifier.from_pretrained(tmp_path / "saved")
    assert isinstance(again.model, BertTwoTowers)
    assert again.predict(TEXTS, OTHERS) == classifier.predict(TEXTS, OTHERS)
    assert torch.equal(again.model(**batch()).logits, model(**batch()).logits)
    encoder = SentenceEncoder.from_pretrained(tmp_path / "saved")
    assert (encoder.pooling, encoder.max_length) == (pooling, POSITIONS - 4)
    if combine == "cosine":
        first, second = (encoder.encode(some, normalize=True) for some in (TEXTS, OTHERS))
        cosine = torch.from_numpy((first * second).sum(axis=1, keepdims=True))
        expected = model.classifier(cosine).softmax(dim=1)[:, 1].tolist()
        found = [p.probabilities["yes"] for p in again.predict(TEXTS, OTHERS)]
        assert found == pytest.approx(expected, abs=1e-5)


def test_a_pair_is_truncated_if_one_of_its_texts_is():
    classifier = TextClassifier(towers(), tiny_tokenizer(), 5, pairs=True)
    found = classifier.predict(["the cat"] * 2, ["a cat", "the cat sat on a mat"])
    assert [prediction.truncated for prediction in found] == [False, True]


# From a file to predictions


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `minibert finetune` has written: do both texts name the same thing?"""
    folder = tmp_path_factory.mktemp("matching")
    draw = random.Random(1)
    things = ("cat", "mat", "paris", "france")
    for name, count in (("train", 160), ("dev", 32)):
        lines = ["sentence1\tsentence2\tlabel"]
        for _ in range(count):
            one = draw.choice(things)
            two = draw.choice([one, one, *things])
            lines.append(f"{one} sat\t{two} is\t{'alike' if one == two else 'other'}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    run = ["finetune", "--task", "matching", "--train", folder / "train.tsv"]
    run += ["--dev", folder / "dev.tsv", "--output", folder / "run", "--epochs", "12"]
    run += ["--model", pretrained_folder(folder / "start"), "--learning-rate", "3e-3"]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in run])
    assert ended.value.code == 0
    return folder


def test_finetune_learns_what_matches(trained):
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert metrics["dev"]["accuracy"] > 0.95
    assert {"majority", "bag_of_words", "word_overlap"} < set(metrics["baselines"])
    examples = read_examples(trained / "dev.tsv").examples
    again = TextClassifier.from_pretrained(trained / "run").evaluate(examples)
    assert again.metrics["accuracy"] == metrics["dev"]["accuracy"]


def test_the_commands_predict_evaluate_and_search(trained, capsys):
    run = trained / "run"

    def minibert(*words: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code, *capsys.readouterr()

    code, out, _ = minibert("predict", run, "cat sat", "--pair", "cat is")
    assert (code, out.startswith("alike")) == (0, True)
    code, out, _ = minibert("evaluate", run, trained / "dev.tsv")
    assert (code, "accuracy" in out) == (0, True)
    (trained / "all.txt").write_text("cat is\nmat is\nparis is\n")
    query = ("search", run, "mat sat", "--file", trained / "all.txt", "--top", "1")
    code, out, _ = minibert(*query)
    assert (code, out.split("  ")[-1]) == (0, "mat is\n")
    (trained / "single.tsv").write_text("text\tlabel\n" + "a\tx\nb\ty\n" * 3)
    train = ("finetune", "--task", "matching", "--train")
    for words, message in (
        ((*train, trained / "single.tsv", "--output", trained / "no"), "matching compares two"),
        ((*train, trained / "train.tsv", "--pooling", "cnn"), "two towers pool with"),
        (("finetune", "--train", trained / "train.tsv", "--combine", "cosine"), "--combine is for"),
        (("finetune", "--task", "matching"), "--train FILE"),
        (("predict", run, "the cat"), "trained on pairs"),
    ):
        code, _, err = minibert(*words)
        assert code == 2, words
        assert message in err, words
    assert not (trained / "no").exists()


def test_real_pairs_are_read():
    examples = read_examples(shared("data/glue/STS-B/dev.tsv")).examples
    assert len(examples) == 1500
    assert examples[0].separate()[1] == Example("A man wearing a hard hat is dancing.")
