"""What you can rely on: what five widely read tutorials get wrong about BERT is not true here.

Each test is named for what is true; its docstring says what one reads in tutorial 000 to 004.
docs/tutorial_claims.md is the list of all claims: some are tested elsewhere, beside the code that
they are about, and those about printed code in test_tutorial_code.py.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import shared
from small_models import small_batch, small_config, small_model
from tiny_folders import classifier_folder, pretrained_folder, tiny_tokenizer
from torch import nn

from minibert import (
    BertConfig,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    MiniBertError,
)
from minibert.data.sampler import length_grouped_batches
from minibert.evaluation.tagging import tagging_metrics
from minibert.inference.text_classification import TextClassifier
from minibert.model.attention import eager_attention
from minibert.tokenization.padding import IGNORE_INDEX
from minibert.training.optimizer import make_optimizer
from minibert.training.pretrain_setup import default_learning_rate

DOCS = Path(__file__).parents[1] / "docs"


# The model


def test_bert_is_one_unmasked_attention_per_layer_and_not_two_directions():
    """004: one set of attentions reads forward, one backward, and both are joined."""
    model = small_model("BertModel")
    ids, other = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[5, 6, 7, 20]])
    first = [model(given).last_hidden_state[0, 0] for given in (ids, other)]
    assert (first[0] - first[1]).abs().max() > 1e-4  # the first token sees the last one
    for layer in model.encoder.layer:
        assert layer.attention.query_key_value.weight.shape == (3 * 16, 16)
    for probabilities in model(ids, output_attentions=True).attentions:
        assert (probabilities > 0).all()  # above and below the diagonal
    with torch.device("meta"):
        base = BertModel(BertConfig.base())
    assert base.num_parameters() == 109_482_240
    assert base.pooler.dense.weight.shape == (768, 768)  # and not 2 x 768


def test_queries_and_keys_have_one_width_and_values_may_have_another():
    """004: d_k is the dimension of the key and the value."""
    query, key, value = torch.randn(1, 1, 5, 8), torch.randn(1, 1, 5, 8), torch.randn(1, 1, 5, 3)
    context, probabilities = eager_attention(query, key, value, None)
    assert (context.shape, probabilities.shape) == ((1, 1, 5, 3), (1, 1, 5, 5))
    expected = F.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(context, expected)
    with pytest.raises(RuntimeError):
        eager_attention(query, value, value, None)


def test_twice_the_length_is_four_times_the_attention():
    """003: memory grows linearly with the length. 004: highly efficient for long sequences."""
    model = small_model("BertModel", max_position_embeddings=64)
    sizes = [
        model(torch.ones(1, length, dtype=torch.long), output_attentions=True).attentions[0].numel()
        for length in (16, 32, 64)
    ]
    assert sizes == [4 * 16**2, 4 * 32**2, 4 * 64**2]


@pytest.mark.parametrize("preset", ["tiny", "base", "large"])
def test_512_is_the_length_of_a_table_whatever_the_memory_and_the_size_of_the_model(preset):
    """003: the limit comes from memory. 004: BERT-Large is for longer texts."""
    config = getattr(BertConfig, preset)()
    assert config.max_position_embeddings == 512
    with torch.device("meta"):  # no memory at all
        model = BertModel(config)
    assert model.embeddings.position_embeddings.weight.shape[0] == 512
    with pytest.raises(MiniBertError, match="513 tokens long but the model has 512 positions"):
        model(torch.ones(1, 513, dtype=torch.long, device="meta"))


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("BertForNextSentencePrediction", "next_sentence"),
        ("BertForSequenceClassification", "classifier"),
    ],
)
def test_classifiers_read_the_pooled_vector_and_not_the_bare_state_of_cls(kind, layer):
    """002 and 003: a linear layer directly on [CLS]. Between them is the pooler: dense and tanh."""
    model, batch = small_model(kind), small_batch(kind)
    encoded, head = model.bert(**batch), getattr(model, layer)
    bare = encoded.last_hidden_state[:, 0]
    torch.testing.assert_close(encoded.pooler_output, model.bert.pooler.dense(bare).tanh())
    torch.testing.assert_close(model(**batch).logits, head(encoded.pooler_output))
    assert (head(bare) - model(**batch).logits).abs().max() > 1e-2


def test_the_first_state_of_each_text_has_no_dimension_of_tokens():
    """000: outputs[0][:, 0] is "batch_size x seq_len x hidden_size"."""
    outputs = small_model("BertModel")(**small_batch("BertModel", rows=4, tokens=6))
    assert outputs[0].shape == (4, 6, 16)
    assert outputs[0][:, 0].shape == (4, 16)


# Pretraining


def test_masked_words_are_predicted_by_a_softmax_over_the_vocabulary():
    """000: an n-gram distribution with n the size of the dictionary, for each token."""
    model = small_model("BertForMaskedLM")
    ids, labels = torch.tensor([[5, 4, 7]]), torch.tensor([[IGNORE_INDEX, 6, IGNORE_INDEX]])
    probabilities = model(ids).logits.softmax(dim=-1)
    assert probabilities.shape == (1, 3, 50)
    torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(1, 3).double())
    torch.testing.assert_close(model(ids, labels=labels).loss, -probabilities[0, 1, 6].log())


def test_the_masked_word_loss_is_a_mean_over_the_picked_words_of_a_corrupted_text():
    """004: minus the sum over all words of log P(word given all other words)."""
    model = small_model("BertForMaskedLM")
    corrupted, original = torch.tensor([[5, 4, 30, 8]]), torch.tensor([[5, 6, 7, 8]])
    labels = torch.tensor([[IGNORE_INDEX, 6, 7, IGNORE_INDEX]])  # [MASK], and a random word
    logits = model(corrupted).logits[0]
    picked = -(logits[1].log_softmax(dim=-1)[6] + logits[2].log_softmax(dim=-1)[7])
    loss = model(corrupted, labels=labels).loss
    torch.testing.assert_close(loss, picked / 2)
    assert abs(model(corrupted, labels=original).loss - loss) > 1e-3  # all words
    assert abs(model(original, labels=labels).loss - loss) > 1e-3  # all other words, uncorrupted


def test_pretraining_has_two_losses_and_neither_an_adversary_nor_a_third_task():
    """001: adversarial training with a third task, cloze, which chooses among answers."""
    model, batch = small_model("BertForPreTraining"), small_batch("BertForPreTraining", rows=1)
    words = torch.tensor([[IGNORE_INDEX, 7, *[IGNORE_INDEX] * 4]])
    outputs = model(**batch, labels=words, next_sentence_label=torch.tensor([0]))
    assert outputs.loss_terms.keys() == {"labels", "next_sentence_label"}
    total = sum(term.mean() for term in outputs.loss_terms.values())
    torch.testing.assert_close(outputs.loss, total)
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {
        *("bert", "masked_lm", "next_sentence"),
    }


def test_next_sentence_prediction_is_conditioned_on_segments_a_and_b():
    """004: a "start" and an "end" sentence, with the loss -log P(y)."""
    model, batch = small_model("BertForPreTraining"), small_batch("BertForPreTraining", rows=2)
    label = torch.tensor([0, 1])
    outputs = model(**batch, next_sentence_label=label)
    given = -outputs.seq_relationship_logits.log_softmax(dim=-1)[[0, 1], label].mean()
    torch.testing.assert_close(outputs.loss, given)
    batch["token_type_ids"] = 1 - batch["token_type_ids"]
    assert abs(model(**batch, next_sentence_label=label).loss - given) > 1e-4
    assert model.next_sentence.weight.shape == (2, 16)


def test_next_sentence_label_0_means_that_b_follows_a():
    """001: label 1 means that the sentences are adjacent. In all released weights it is 0."""
    pairs = {
        "The function returns a new array with the same shape as the input.": (
            "If the input is not an array, it is converted to one first."
        ),
        "Draw a line between the two points of the figure.": (
            "The color of the line can be set with the color argument."
        ),
        "The file is opened for reading in binary mode.": (
            "It must be closed when it is no longer needed."
        ),
        "Compute the mean of the values along the given axis.": (
            "The axis is the last one by default."
        ),
    }
    unrelated = [
        "The learning rate controls how large the updates are.",
        "When a client connects, a new socket is returned.",
        "The month and the day have two digits each.",
        "The thread ends when the request has been answered.",
    ]
    model = BertForNextSentencePrediction.from_pretrained("weights/tiny", quiet=True)
    tokenizer = BertTokenizer.from_pretrained("weights/tiny")
    for seconds, label in ((list(pairs.values()), 0), (unrelated, 1)):
        batch = tokenizer(list(pairs), seconds, padding=True, return_tensors="pt")
        assert model(**batch).logits.argmax(dim=-1).tolist() == [label] * 4


def test_a_pair_has_one_cls_and_two_sep():
    """001: [CLS] A [SEP] [CLS] B [SEP]."""
    encoding = tiny_tokenizer()("the cat", "a mat")
    assert encoding.tokens() == ["[CLS]", "the", "cat", "[SEP]", "a", "mat", "[SEP]"]
    assert encoding["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]


def test_the_decoder_prefers_the_largest_product_and_not_the_nearest_vector():
    """003: the word whose embedding is closest to v gets the highest probability."""
    model = small_model("BertForMaskedLM")
    table = torch.zeros(50, 16, dtype=torch.float64)
    table[1, 0], table[2, 0] = 1.0, 10.0
    with torch.no_grad():
        model.masked_lm.bias.zero_()
        model.masked_lm.LayerNorm.weight.zero_()
        # Whatever comes in, this comes out: the embedding of word 1 itself.
        model.masked_lm.LayerNorm.bias.copy_(table[1])
    logits = model.masked_lm(torch.randn(16, dtype=torch.float64), table)
    assert logits.argmax().item() == 2


def test_a_linear_layer_of_its_own_is_not_tied_and_the_masked_word_head_is():
    """003: the printed class, with a new nn.Linear, shares its weights with the embeddings."""
    model = small_model("BertForMaskedLM")
    table = model.bert.embeddings.word_embeddings.weight
    printed = nn.Linear(16, 50, bias=False)
    assert printed.weight is not table and printed.weight.shape == table.shape
    hidden = model.bert(torch.tensor([[5, 6]])).last_hidden_state
    torch.testing.assert_close(model(torch.tensor([[5, 6]])).logits, model.masked_lm(hidden, table))
    assert sum(p.shape == table.shape for p in model.parameters()) == 1


def test_base_is_pretrained_with_1e_4_and_fine_tuned_with_less():
    """003: learning rates of 2e-5 and 5e-5, for pretraining too."""
    assert default_learning_rate(BertConfig.base(), new=True) == 1e-4
    assert 2e-5 <= default_learning_rate(BertConfig.base(), new=False) <= 5e-5


def test_pretraining_on_more_text_adapts_the_encoder_and_gives_no_classifier(tmp_path):
    """004: without labelled data, fine-tune for the new task on unlabelled text."""
    pretrained_folder(tmp_path / "before")
    model = BertForPreTraining.from_pretrained(tmp_path / "before", quiet=True)
    model(torch.tensor([[2, 4, 3]]), labels=torch.tensor([[-100, 11, -100]])).loss.backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    model.save_pretrained(tmp_path / "adapted")
    classifier = BertForSequenceClassification.from_pretrained(tmp_path / "adapted", quiet=True)
    assert torch.equal(
        classifier.bert.embeddings.word_embeddings.weight,
        model.bert.embeddings.word_embeddings.weight,
    )
    assert {name.partition(".")[0] for name in classifier.load_report.new} == {"classifier"}


# Words and tokens


def test_the_special_tokens_are_0_and_100_to_103_and_104_is_none_of_them():
    """003: ids 101 to 104 are special tokens."""
    for language, word in (("chinese", "<S>"), ("uncased", "[unused99]")):
        tokenizer = BertTokenizer(shared(f"data/vocab/bert-base-{language}-vocab.txt"))
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        assert tokenizer.convert_ids_to_tokens([0, 100, 101, 102, 103]) == special
        assert tokenizer.convert_ids_to_tokens(104) == word
        assert sorted(tokenizer.all_special_ids) == [0, 100, 101, 102, 103]


def test_playing_is_one_token_and_puppeteer_is_two():
    """003: playing becomes play and ##ing."""
    tokenizer = BertTokenizer(shared("data/vocab/bert-base-uncased-vocab.txt"))
    assert tokenizer.tokenize("playing puppeteer") == ["playing", "puppet", "##eer"]


def test_chinese_is_split_into_characters_and_the_printed_ids_spell_other_words():
    """002: five words, with the ids 101 2769 4263 3315 3221 686 102."""
    tokenizer = BertTokenizer(shared("data/vocab/bert-base-chinese-vocab.txt"))
    assert tokenizer.tokenize("我喜欢自然语言处理") == list("我喜欢自然语言处理")
    ids = tokenizer("我喜欢自然语言处理").input_ids
    assert ids == [101, 2769, 1599, 3614, 5632, 4197, 6427, 6241, 1905, 4415, 102]
    assert tokenizer.convert_ids_to_tokens([2769, 4263, 3315, 3221, 686]) == list("我爱本是世")


def test_the_token_types_of_the_pair_are_eight_zeros_and_six_ones():
    """002: six zeros and five ones, for two sentences of six and five characters."""
    tokenizer = BertTokenizer(shared("data/vocab/bert-base-chinese-vocab.txt"))
    assert tokenizer("今天天气很好", "适合出去玩").token_type_ids == [0] * 8 + [1] * 6


def test_padding_is_known_by_the_mask_and_not_by_the_id_0():
    """000: attention_mask = input_ids.gt(0), right only while the padding id is 0."""
    model = small_model("BertModel", pad_token_id=1)
    alone = model(torch.tensor([[0, 6]])).pooler_output
    ids = torch.tensor([[0, 6, 1]])
    padded = model(ids, attention_mask=torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(padded.pooler_output, alone)
    with pytest.warns(UserWarning, match="begins with padding"):
        wrong = model(ids, attention_mask=ids.gt(0))
    assert (wrong.pooler_output - alone).abs().max() > 1e-4


def test_a_pair_without_token_types_is_read_as_one_text():
    """000: a pair as ids alone. The tokenizer makes token types, and without them all are 0."""
    model, batch = small_model("BertModel"), small_batch("BertModel", rows=1)
    batch["token_type_ids"] = torch.tensor([[0, 0, 0, 1, 1, 1]])
    pair, text = model(**batch), model(batch["input_ids"])
    assert (pair.pooler_output - text.pooler_output).abs().max() > 1e-2


def test_padding_all_texts_to_the_longest_wastes_nine_tenths_of_the_work():
    """002: padding=True for the whole corpus at once. Batches by length waste a few percent."""
    lengths = np.random.default_rng(0).lognormal(3, 1, 4000).astype(int).clip(1, 510) + 2
    batches = {
        "one length": [np.arange(4000)],
        "in any order": np.arange(4000).reshape(-1, 32),
        "by length": length_grouped_batches(lengths, batch_size=32, seed=0, epoch=0),
    }
    useful = {
        name: lengths.sum() / sum(len(batch) * lengths[batch].max() for batch in made)
        for name, made in batches.items()
    }
    assert useful["one length"] < 0.1 < useful["in any order"] < 0.3
    assert useful["by length"] > 0.8


# Fine-tuning


def test_fine_tuning_trains_every_parameter_and_only_the_classifier_is_new(tmp_path):
    """001: freeze BERT and train the classifier, "from the pretrained model". 000: freeze first."""
    small_model("BertForPreTraining", dtype=torch.float32).save_pretrained(tmp_path)
    model = BertForSequenceClassification.from_pretrained(tmp_path, num_labels=3, quiet=True)
    assert sorted(model.load_report.new) == ["classifier.bias", "classifier.weight"]
    model(torch.tensor([[5, 6]]), labels=torch.tensor([1])).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad and parameter.grad.abs().sum() > 0, name


def test_a_forward_pass_trains_nothing(tmp_path):
    """000 and 001: "this contains training". They have no loss, no optimizer and no step."""
    small_model("BertModel", dtype=torch.float32).save_pretrained(tmp_path)
    model, layer = BertModel.from_pretrained(tmp_path, quiet=True), nn.Linear(16, 2)
    before = [p.clone() for p in model.parameters()]
    layer(model(torch.tensor([[5, 6]]))[0][:, 0])
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in (*model.parameters(), *layer.parameters()))


def test_a_loaded_model_drops_nothing_out_until_model_train_is_called(tmp_path):
    """002 and 004: no model.train() after from_pretrained, so dropout never acts."""
    new = BertModel(small_config(hidden_dropout_prob=0.5))
    new.save_pretrained(tmp_path)
    loaded, ids = BertModel.from_pretrained(tmp_path, quiet=True), torch.tensor([[5, 6, 7]])
    assert new.training and not loaded.training
    assert torch.equal(loaded(ids).pooler_output, loaded(ids).pooler_output)
    loaded.train()
    assert not torch.equal(loaded(ids).pooler_output, loaded(ids).pooler_output)


def test_a_frozen_encoder_in_training_mode_still_drops_out():
    """003: to freeze is requires_grad = False. That leaves dropout on, unlike eval()."""
    encoder, ids = BertModel(small_config(hidden_dropout_prob=0.5)), torch.tensor([[5, 6, 7]])
    for parameter in encoder.train().parameters():
        parameter.requires_grad = False
    assert not torch.equal(encoder(ids).pooler_output, encoder(ids).pooler_output)
    encoder.eval()
    assert torch.equal(encoder(ids).pooler_output, encoder(ids).pooler_output)


def test_weight_decay_is_an_l2_penalty_for_sgd_and_not_for_adam():
    """003: weight decay is equivalent to L2 regularization."""

    def after_20_steps(optimizer_class, *, decay=0.0, penalty=0.0):
        weight = nn.Parameter(torch.ones((), dtype=torch.float64))
        optimizer = optimizer_class([weight], lr=0.01, weight_decay=decay)
        for _ in range(20):
            optimizer.zero_grad()
            (weight + penalty / 2 * weight**2).backward()
            optimizer.step()
        return weight.item()

    with_decay = after_20_steps(torch.optim.SGD, decay=0.1)
    assert with_decay == pytest.approx(after_20_steps(torch.optim.SGD, penalty=0.1))
    assert after_20_steps(torch.optim.Adam, penalty=0.1) == pytest.approx(0.8, abs=1e-3)
    assert after_20_steps(torch.optim.AdamW, decay=0.1) == pytest.approx(0.782, abs=1e-3)


def test_weight_decay_rate_is_ignored_by_pytorch_and_refused_here():
    """002: {'weight_decay_rate': 0.0} for biases, which decay by the default of 0.01 then."""
    bias = nn.Parameter(torch.ones(2))
    bias.grad = torch.zeros(2)
    kept = torch.optim.AdamW([{"params": [bias], "weight_decay_rate": 0.0}], lr=0.1)
    kept.step()
    assert bias.tolist() == pytest.approx([0.999, 0.999], abs=1e-6)
    with pytest.raises(MiniBertError, match="'weight_decay_rate'; did you mean 'weight_decay'"):
        make_optimizer([{"params": [bias], "weight_decay_rate": 0.0}], learning_rate=0.1)


def test_a_tag_is_scored_by_word_and_not_by_piece():
    """003: every token has to be predicted. A word of many pieces would count many times."""
    true, predicted = [["B-LOC", "O"]], [["B-LOC", "B-LOC"]]
    by_word = tagging_metrics(predicted, true, "IOB2")["entity_f1"]
    pieces = [["B-LOC", "O", "O", "O"]], [["B-LOC", "B-LOC", "B-LOC", "B-LOC"]]
    by_piece = tagging_metrics(pieces[1], pieces[0], "IOB2")["entity_f1"]
    assert by_word == pytest.approx(2 / 3) and by_piece == pytest.approx(2 / 5)


def test_an_answer_is_two_choices_among_the_positions_of_a_text():
    """003: a question of two classes for each token: is it the start, is it the end?"""
    model = small_model("BertForQuestionAnswering")
    place = torch.tensor([2])
    outputs = model(torch.tensor([[5, 6, 7]]), start_positions=place, end_positions=place)
    logits = (outputs.start_logits, outputs.end_logits)
    assert [row.shape for row in logits] == [(1, 3), (1, 3)]
    by_hand = [-row.softmax(dim=1)[0, 2].log() for row in logits]
    torch.testing.assert_close(outputs.loss, (by_hand[0] + by_hand[1]) / 2)


def test_positions_outside_of_a_text_are_refused_and_the_callers_labels_are_not_changed():
    """003: start_positions.clamp_(0, ignored_index), in the caller's own tensor."""
    model = BertForQuestionAnswering(small_config())
    ids, start = torch.tensor([[5, 6, 7]]), torch.tensor([3])
    with pytest.raises(MiniBertError, match="start_positions"):
        model(ids, start_positions=start, end_positions=torch.tensor([2]))
    assert start.item() == 3


def test_weights_alone_are_no_classifier_and_a_folder_of_minibert_is(tmp_path):
    """002: the model is saved, without its tokenizer and the names of its classes."""
    classifier = TextClassifier.from_pretrained(classifier_folder(tmp_path / "all"))
    classifier.model.save_pretrained(tmp_path / "weights")
    with pytest.raises(MiniBertError, match=r"vocab\.txt"):
        TextClassifier.from_pretrained(tmp_path / "weights")
    classifier.save_pretrained(tmp_path / "again")
    again = TextClassifier.from_pretrained(tmp_path / "again")
    assert again("the cat") == classifier("the cat")
    assert again("the cat").label in {"good", "bad"}


# Calls


def test_mask_and_token_types_cannot_change_places():
    """003: self.bert(ids, token_type_ids, attention_mask); transformers' order differs.

    Both are (B, S) of 0 and 1, so nothing fails and the output is another.
    """
    model = small_model("BertModel")
    ids = torch.tensor([[5, 6, 7, 8]])
    segments, mask = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[1, 1, 1, 0]])
    right = model(ids, token_type_ids=segments, attention_mask=mask).pooler_output
    with pytest.warns(UserWarning, match="begins with padding"):
        swapped = model(ids, token_type_ids=mask, attention_mask=segments).pooler_output
    assert (right - swapped).abs().max() > 1e-2  # which is what would go unseen
    with pytest.raises(MiniBertError, match="given by name"):
        model(ids, segments, mask)


def test_outputs_are_read_by_name_and_cannot_be_unpacked():
    """003: `encoded, _ = self.bert(...)` gives the *names* since transformers 4."""
    outputs = small_model("BertModel")(torch.tensor([[5, 6]]))
    with pytest.raises(TypeError, match=r"last_hidden_state, \.pooler_output"):
        _encoded, _pooled = outputs


@pytest.mark.parametrize("keyword", ["output_all_encoded_layers", "use_cache", "spam"])
def test_no_keyword_is_swallowed(keyword):
    """003: output_all_encoded_layers=False vanishes in transformers' **kwargs."""
    with pytest.raises((TypeError, MiniBertError), match=keyword):
        small_model("BertForMaskedLM")(torch.tensor([[5, 6]]), **{keyword: False})


# The pages


@pytest.mark.parametrize("page", ["tutorial_claims.md", "tutorial_claims.zh.md"])
def test_every_test_that_the_page_names_exists(page):
    named = re.findall(
        r"\[`(test_\w+)`\]\(\.\./tests/(\w+\.py)\)", DOCS.joinpath(page).read_text("utf-8")
    )
    assert len(named) > 60
    for test, file in named:
        source = (Path(__file__).parent / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source, f"{test} is not in tests/{file}"


def test_both_pages_have_the_same_rows_and_name_every_test_of_this_file():
    english, chinese = (
        [
            re.findall(r"`(test_\w+)`", line)
            for line in (DOCS / f"tutorial_claims{ending}").read_text(encoding="utf-8").splitlines()
            if line.startswith("| 00")
        ]
        for ending in (".md", ".zh.md")
    )
    assert english == chinese
    own = set(re.findall(r"^def (test_\w+)", Path(__file__).read_text(encoding="utf-8"), re.M))
    about_pages = {name for name in own if "_page" in name}
    assert own - about_pages <= {name for row in english for name in row}
