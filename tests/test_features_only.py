"""What you can rely on: --features-only trains the last layer to its optimum, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from tiny_folders import pretrained_folder, tiny_config

from minibert import BertForSequenceClassification, MiniBertError
from minibert.cli.main import main
from minibert.data.labelled.batches import LabelledBatches, Tokenized
from minibert.evaluation.classification import predict
from minibert.inference.text_classification import TextClassifier
from minibert.training.features_only import last_layer_inputs, train_last_layer


def texts(count: int = 60) -> Tokenized:
    draw = np.random.default_rng(0)
    ids = [draw.integers(1, 24, draw.integers(3, 12)).astype(np.int32) for _ in range(count)]
    return Tokenized(ids, [np.zeros_like(row) for row in ids], [*map(len, ids)])


def trained(problem_type: str, targets: list, num_labels: int, **options: float):
    """A model after training of its last layer, and its vectors standardized."""
    torch.manual_seed(1)
    model = BertForSequenceClassification(
        tiny_config(num_labels=num_labels, problem_type=problem_type)
    )
    batches = LabelledBatches(texts(), targets, pad_token_id=0)
    vectors = last_layer_inputs(model, batches).numpy()
    train_last_layer(model, batches, **options)
    return predict(model, batches).logits, (vectors - vectors.mean(0)) / vectors.std(0)


def test_vectors_come_in_the_order_of_the_texts_and_without_dropout():
    torch.manual_seed(1)
    model = BertForSequenceClassification(tiny_config()).train()
    batches = LabelledBatches(texts(), pad_token_id=0)
    vectors = last_layer_inputs(model, batches)
    row = model.bert(torch.from_numpy(texts().input_ids[7][None].astype(np.int64)))
    torch.testing.assert_close(vectors[7], row.pooler_output[0])


def test_only_the_last_layer_changes():
    model = BertForSequenceClassification(tiny_config(problem_type="single_label_classification"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train_last_layer(model, LabelledBatches(texts(), [0, 1] * 30, pad_token_id=0))
    changed = {
        name for name, tensor in model.state_dict().items() if (tensor != before[name]).any()
    }
    assert changed == {"classifier.weight", "classifier.bias"}


def test_classes_are_those_of_scikit_learns_logistic_regression():
    targets = np.random.default_rng(1).integers(0, 3, 60)
    logits, vectors = trained("single_label_classification", targets.tolist(), 3, penalty=2.0)
    peer = LogisticRegression(C=1 / 2, max_iter=1000, tol=1e-8).fit(vectors, targets)
    ours = torch.from_numpy(logits).softmax(dim=1).numpy()
    np.testing.assert_allclose(ours, peer.predict_proba(vectors), atol=2e-3)


def test_numbers_are_those_of_scikit_learns_ridge_regression():
    targets = np.random.default_rng(1).normal(50, 9, 60)
    logits, vectors = trained("regression", targets.tolist(), 1, penalty=3.0)
    peer = Ridge(alpha=3.0).fit(vectors, targets)
    np.testing.assert_allclose(logits[:, 0], peer.predict(vectors), rtol=1e-3)


def test_each_of_several_classes_is_a_decision_of_its_own():
    targets = np.random.default_rng(1).integers(0, 2, (60, 2))
    rows = targets.astype(float).tolist()
    logits, vectors = trained("multi_label_classification", rows, 2)
    for column in (0, 1):
        peer = LogisticRegression(max_iter=1000, tol=1e-8).fit(vectors, targets[:, column])
        expected = peer.decision_function(vectors)
        np.testing.assert_allclose(logits[:, column], expected, atol=2e-2)


def test_the_command_writes_a_folder_that_predicts(tmp_path: Path, capsys):
    rows = ["text\tlabel", *["the cat sat\tgood", "paris is france\tbad", "a cat\tgood"] * 8]
    train = tmp_path / "train.tsv"
    train.write_text("\n".join([*rows, "paris\tbad"]) + "\n")
    start = pretrained_folder(tmp_path / "start")

    def minibert(*words: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--features-only"])
        return ended.value.code, *capsys.readouterr()

    run = ("finetune", "--train", train, "--dev", train, "--output")
    code, out, err = minibert(*run, tmp_path / "run", "--model", start)
    assert (code, err) == (0, ""), err
    assert "on the vectors of 25 texts" in out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["dev"]["accuracy"] == 1
    classifier = TextClassifier.from_pretrained(tmp_path / "run")
    assert classifier("the cat sat").label == "good"
    code, _, err = minibert(*run, tmp_path / "random", "--preset", "tiny")
    assert (code, "needs pretrained weights" in err) == (2, True)
    assert not (tmp_path / "random").exists()


def test_a_part_with_random_weights_below_the_last_layer_is_refused():
    model = BertForSequenceClassification(tiny_config(problem_type="single_label_classification"))
    model.load_report = type("Report", (), {"new": ["classifier.weight", "pool.dense.weight"]})()
    with pytest.raises(MiniBertError, match="pool has weights"):
        train_last_layer(model, LabelledBatches(texts(), [0, 1] * 30, pad_token_id=0))
