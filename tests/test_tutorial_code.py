"""What you can rely on: the code of five widely read tutorials runs here with its import changed.

The tutorials fine-tune BERT with `transformers` (000, 002, 003, 004) or Google's code (001). Each
block is here in short: the same calls in the same order with the same arguments. Names on the hub
are small folders. A block that is wrong fails with a sentence that says why; what is wrong with it
is told in docs/tutorial_claims.md.
"""

import argparse
import logging
import os
import runpy
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import shared
from tiny_folders import pretrained_folder
from torch import nn
from torch.nn.parallel.scatter_gather import gather
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from minibert import (
    BertConfig,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertPreTrainedModel,
    BertTokenizer,
    MiniBertError,
    get_linear_schedule_with_warmup,
)
from minibert.model.outputs import QuestionAnsweringOutput

# Ids that tutorial 002 prints; all other words have ids that are unused there.
IDS = "0 100 101 102 103 2769 1599 3614 5632 4197 6427 6241 1905 4415 3221 5428 5709"
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"我喜欢自然语言处理是翠花")
PRINTED = dict(zip(WORDS, map(int, IDS.split()), strict=True))
OTHERS = (
    *("who", "was", "<", "name", ">", "?", "a", "puppet", "##eer", "hello", ",", "my", "dog"),
    *("is", "cute", *dict.fromkeys("今天气很好适合出去玩欢迎大家来到后厂工学院习。")),
)
SMALL = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
MASK, CLS, SEP = 103, 101, 102
HOMEWORK = Path(__file__).parents[1] / "examples" / "thucnews.py"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each name: 768 wide, as the code expects, with one layer."""
    torch.manual_seed(0)
    hub = tmp_path_factory.mktemp("hub")
    tokens = {index: token for token, index in PRINTED.items()}
    tokens |= dict(enumerate((t for t in OTHERS if t not in PRINTED), start=200))
    vocabulary = [tokens.get(index, f"[unused{index}]") for index in range(6500)]
    config = BertConfig(vocab_size=6500, num_hidden_layers=1, intermediate_size=16)
    folder = hub / "bert-base-uncased"
    BertForPreTraining(config).save_pretrained(folder)
    BertTokenizer(vocabulary).save_pretrained(folder)
    (hub / "chinese-bert-wwm").symlink_to(folder)
    return hub


@pytest.fixture(autouse=True)
def beside_the_hub(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hub)
    torch.manual_seed(0)


@pytest.fixture
def tokenizer() -> BertTokenizer:
    return BertTokenizer.from_pretrained("chinese-bert-wwm")


def small_config(**changes) -> BertConfig:
    return BertConfig(vocab_size=6500, hidden_size=16, **(SMALL | changes))


# Tutorial 000


def test_000_the_encoder_and_a_layer_of_your_own_give_logits():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = BertModel.from_pretrained("bert-base-uncased").to(device)
    tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
    text = "[CLS] Who was <NAME>? [SEP] <NAME> was a puppeteer [SEP]"
    tokens = tokenizer.tokenize(text, split_special_tokens=False)  # the one thing to add
    assert tokens[:3] + tokens[-3:] == ["[CLS]", "who", "was", "puppet", "##eer", "[SEP]"]
    input_ids = torch.tensor([tokenizer.convert_tokens_to_ids(tokens)], dtype=torch.long).to(device)
    attention_mask = input_ids.gt(0)
    outputs = model(input_ids, attention_mask=attention_mask)
    last_hidden_states = outputs[0][:, 0]
    prediction_layer = nn.Linear(in_features=768, out_features=2).to(device)
    logits = prediction_layer(last_hidden_states)
    assert logits.shape == (1, 2)


def test_000_special_tokens_written_into_a_text_are_words_unless_they_are_asked_for(tokenizer):
    with pytest.warns(UserWarning, match="pass split_special_tokens=False"):
        assert "[CLS]" not in tokenizer.tokenize("[CLS] Who was a puppeteer [SEP]")


# Tutorial 001: Google's code, from TensorFlow


def test_001_a_checkpoint_of_google_is_read_by_from_pretrained_alone():
    folder = shared("golden/google_tiny")
    bert_config = BertConfig.from_pretrained(folder)
    model = BertModel.from_pretrained(folder, config=bert_config)
    input_ids = torch.tensor([[31, 51, 99], [15, 5, 0]])
    token_type_ids = torch.tensor([[0, 0, 1], [0, 1, 0]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    output = model(input_ids, token_type_ids=token_type_ids, attention_mask=mask)
    assert output[0].shape == (2, 3, bert_config.hidden_size)
    with pytest.raises(ImportError, match="from_pretrained reads Google's checkpoints"):
        from minibert import get_assignment_map_from_checkpoint  # noqa: F401


def test_001_a_list_of_inputs_is_no_input_and_padding_needs_a_mask():
    model = BertModel(config=small_config())
    input_ids = torch.tensor([[31, 51, 99], [15, 5, 0]])
    token_type_ids = torch.tensor([[0, 0, 1], [0, 1, 0]])
    with pytest.raises(MiniBertError, match="list of tensors; pass each by its name"):
        model([input_ids, token_type_ids])
    with pytest.warns(UserWarning, match="there is no attention_mask"):
        model(input_ids, token_type_ids=token_type_ids)


def test_001_a_path_of_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MiniBertError, match="uncased_L-12_H-768_A-12"):
        BertModel.from_pretrained("./uncased_L-12_H-768_A-12")


# Tutorial 002


def test_002_tokens_special_tokens_and_ids_step_by_step(tokenizer):
    tokens = tokenizer.tokenize("我喜欢自然语言处理")
    tokens = ["[CLS]"] + tokens + ["[SEP]"]  # noqa: RUF005
    input_ids = tokenizer.convert_tokens_to_ids(tokens)
    assert input_ids == [101, 2769, 1599, 3614, 5632, 4197, 6427, 6241, 1905, 4415, 102]


def test_002_the_printed_encodings_of_one_text_and_of_two():
    tokenizer = BertTokenizer.from_pretrained("chinese-bert-wwm")
    options = {"padding": True, "truncation": True, "max_length": 512, "return_tensors": "pt"}
    encoded_inputs = tokenizer("我喜欢自然语言处理", **options)
    assert str(encoded_inputs) == (
        "{'input_ids': tensor([[ 101, 2769, 1599, 3614, 5632, 4197, 6427, 6241, 1905, 4415,  102]])"
        ", 'token_type_ids': tensor([[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]), 'attention_mask': "
        "tensor([[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]])}"
    )
    encoded_inputs = tokenizer(["我喜欢自然语言处理", "我是翠花"], **options)
    second = [101, 2769, 3221, 5428, 5709, 102, 0, 0, 0, 0, 0]
    assert encoded_inputs["input_ids"][1].tolist() == second
    assert encoded_inputs["attention_mask"][1].tolist() == [1] * 6 + [0] * 5


def loaders_of_002(batch_size: int = 4) -> tuple[DataLoader, DataLoader]:
    """The block that tokenizes all texts, holds some out, and makes loaders."""
    model_selection = pytest.importorskip("sklearn.model_selection")
    sentences, labels = ["我喜欢自然语言处理", "我是翠花", "今天天气很好"] * 4, [0, 1, 1] * 4
    tokenizer = BertTokenizer.from_pretrained("chinese-bert-wwm")
    encoded_inputs = tokenizer(
        sentences, padding=True, truncation=True, max_length=512, return_tensors="pt"
    )
    train_inputs, val_inputs, train_masks, val_masks, train_labels, val_labels = (
        model_selection.train_test_split(
            encoded_inputs["input_ids"],
            encoded_inputs["attention_mask"],
            labels,
            test_size=0.25,
            random_state=42,
        )
    )
    train = TensorDataset(train_inputs.clone().detach(), train_masks, torch.tensor(train_labels))
    val = TensorDataset(val_inputs.clone().detach(), val_masks, torch.tensor(val_labels))
    return tuple(
        DataLoader(data, sampler=RandomSampler(data), batch_size=batch_size)
        for data in (train, val)
    )


def test_002_the_loop_trains_and_the_saved_folder_gives_the_same_bits(tmp_path):
    train_dataloader, val_dataloader = loaders_of_002()
    model = BertForSequenceClassification.from_pretrained("chinese-bert-wwm", num_labels=2)
    if torch.cuda.device_count() > 1:
        model = nn.DataParallel(model)
    param_optimizer = list(model.named_parameters())
    no_decay = ["bias", "LayerNorm.weight"]
    optimizer_grouped_parameters = [
        {
            "params": [p for n, p in param_optimizer if not any(nd in n for nd in no_decay)],
            "weight_decay": 0.1,  # the tutorial writes weight_decay_rate
        },
        {
            "params": [p for n, p in param_optimizer if any(nd in n for nd in no_decay)],
            "weight_decay": 0.0,
        },
    ]
    assert len(optimizer_grouped_parameters[1]["params"]) == 12
    optimizer = torch.optim.AdamW(optimizer_grouped_parameters, lr=1e-3)
    losses = []
    for _ in range(4):
        for batch in train_dataloader:
            b_input_ids, b_input_mask, b_labels = tuple(t.to("cpu") for t in batch)
            model.zero_grad()
            outputs = model(b_input_ids, attention_mask=b_input_mask, labels=b_labels)
            loss = outputs.loss.mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            logits = outputs.logits.detach().cpu().numpy()
            label_ids = b_labels.to("cpu").numpy()
            assert logits.shape == (len(label_ids), 2)
            losses.append(loss.item())
    assert sum(losses[-3:]) < sum(losses[:3]) / 2
    (model.module if hasattr(model, "module") else model).save_pretrained(tmp_path / "classifier")
    again = BertForSequenceClassification.from_pretrained(f"{tmp_path}/classifier")
    inputs, masks, _ = next(iter(val_dataloader))
    assert torch.equal(
        again(inputs, attention_mask=masks).logits, model(inputs, attention_mask=masks).logits
    )


def test_002_several_gpus_need_distributed_data_parallel():
    outputs = [BertModel(small_config())(torch.tensor([[CLS, 2769, SEP]])) for _gpu in range(2)]
    with pytest.raises(TypeError, match="use torchrun and DistributedDataParallel"):
        gather(outputs, 0)


def test_002_a_name_without_its_owner_is_told_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MiniBertError, match=r"as in hfl/chinese-bert-wwm.* a folder named chinese"):
        BertTokenizer.from_pretrained("chinese-bert-wwm")


def test_002_a_text_beyond_512_tokens_fails_in_the_model_and_not_in_the_tokenizer(tokenizer):
    model = BertModel.from_pretrained("chinese-bert-wwm")
    inputs = tokenizer("我" * 600, truncation=True, max_length=520, return_tensors="pt")
    assert inputs["input_ids"].shape == (1, 520)
    with pytest.raises(MiniBertError, match="520 tokens long but the model has 512 positions"):
        model(**inputs)


def test_002_either_text_of_a_pair_can_be_truncated(tokenizer):
    first = tokenizer("今天天气很好", "适合出去玩", truncation="only_first", max_length=10)
    second = tokenizer("今天天气很好", "适合出去玩", truncation="only_second", max_length=10)
    assert tokenizer.decode(first["input_ids"]) == "[CLS] 今 天 [SEP] 适 合 出 去 玩 [SEP]"
    assert tokenizer.decode(second["input_ids"]) == "[CLS] 今 天 天 气 很 好 [SEP] 适 [SEP]"


# Tutorial 003: tokens


class BertPooler(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, hidden_states):
        return self.activation(self.dense(hidden_states[:, 0]))


def test_003_the_pooler_exercise_fails_because_a_text_has_one_pooled_vector():
    output_tensor = BertPooler(BertConfig())(torch.ones([8, 50, 768]))
    assert output_tensor.shape != torch.Size([8, 50, 768])
    assert output_tensor.shape == torch.Size([8, 768])


def test_003_one_text_two_texts_and_their_ids(tokenizer):
    text = "欢迎大家来到后厂理工学院学习。"
    inputs_1, inputs_2 = tokenizer(text), tokenizer(text, "hello")
    inputs_3 = tokenizer.encode(text, "hello")
    assert inputs_1["token_type_ids"] == [0] * 17
    assert inputs_2["token_type_ids"] == [0] * 17 + [1] * 2
    assert inputs_3 == inputs_2["input_ids"]


def test_003_special_tokens_are_added_once(tokenizer):
    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        if token_ids_1 is None:
            return [self.cls_token_id, *token_ids_0, self.sep_token_id]
        cls, sep = [self.cls_token_id], [self.sep_token_id]
        return cls + token_ids_0 + sep + token_ids_1 + sep

    for ids in ([[2769, 1599]], [[2769], [3614, 5632]]):
        printed = build_inputs_with_special_tokens(tokenizer, *ids)
        assert tokenizer.build_inputs_with_special_tokens(*ids) == printed
    inputs_3 = tokenizer.encode("欢迎大家来到后厂理工学院学习。", "hello")
    with pytest.raises(MiniBertError, match=r"begin with \[CLS\] already"):
        tokenizer.build_inputs_with_special_tokens(inputs_3)


# Tutorial 003: pretraining


def mask_tokens(inputs, tokenizer, args):
    """The function as the tutorial prints it."""
    labels = inputs.clone()
    probability_matrix = torch.full(labels.shape, args.mlm_probability)
    special_tokens_mask = [
        tokenizer.get_special_tokens_mask(val, already_has_special_tokens=True)
        for val in labels.tolist()
    ]
    probability_matrix.masked_fill_(torch.tensor(special_tokens_mask, dtype=torch.bool), value=0.0)
    if tokenizer._pad_token is not None:
        padding_mask = labels.eq(tokenizer.pad_token_id)
        probability_matrix.masked_fill_(padding_mask, value=0.0)
    masked_indices = torch.bernoulli(probability_matrix).bool()
    labels[~masked_indices] = -100
    indices_replaced = torch.bernoulli(torch.full(labels.shape, 0.8)).bool() & masked_indices
    inputs[indices_replaced] = tokenizer.convert_tokens_to_ids(tokenizer.mask_token)
    indices_random = (
        torch.bernoulli(torch.full(labels.shape, 0.5)).bool() & masked_indices & ~indices_replaced
    )
    random_words = torch.randint(len(tokenizer), labels.shape, dtype=torch.long)
    inputs[indices_random] = random_words[indices_random]
    return inputs, labels


def test_003_the_printed_masking_hides_fifteen_percent_and_changes_the_callers_tensor(tokenizer):
    original = torch.full((400, 128), 2769)
    original[:, 0], original[:, -1] = CLS, SEP
    given = original.clone()
    inputs, labels = mask_tokens(given, tokenizer, argparse.Namespace(mlm_probability=0.15))
    picked = labels != -100
    assert inputs is given and not torch.equal(given, original)
    assert not picked[:, [0, -1]].any() and (labels[picked] == 2769).all()
    shares = [
        picked.float().mean() / (126 / 128),
        (inputs[picked] == MASK).float().mean(),
        (inputs[picked] == 2769).float().mean(),
    ]
    assert shares == pytest.approx([0.15, 0.8, 0.1], abs=0.02)
    counts = picked.sum(dim=1)
    assert counts.min() <= 13 and counts.max() >= 26  # Google's code picks 19 of 128, always


def test_003_the_steps_of_a_schedule_are_rounded_up_or_none_is_left():
    args = argparse.Namespace(gradient_accumulation_steps=4, num_train_epochs=5, warmup_steps=0)
    train_dataloader, optimizer = [0, 1, 2], torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    t_total = len(train_dataloader) // args.gradient_accumulation_steps * args.num_train_epochs
    assert t_total == 0
    with pytest.raises(MiniBertError, match=r"num_training_steps is 0, .* rounded up"):
        get_linear_schedule_with_warmup(
            optimizer, num_warmup_steps=args.warmup_steps, num_training_steps=t_total
        )
    t_total = -(-len(train_dataloader) // args.gradient_accumulation_steps) * args.num_train_epochs
    scheduler = get_linear_schedule_with_warmup(
        optimizer, num_warmup_steps=args.warmup_steps, num_training_steps=t_total
    )
    assert (t_total, scheduler.get_last_lr()) == (5, [1.0])


# Tutorial 003: models of your own


class SequenceClassifier(BertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)


class TokenClassifier(BertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)


@pytest.mark.parametrize(
    ("printed", "ours"),
    [
        (SequenceClassifier, BertForSequenceClassification),
        (TokenClassifier, BertForTokenClassification),
    ],
)
def test_003_the_printed_classes_have_the_parameters_of_ours(printed, ours):
    shapes = [
        {name: parameter.shape for name, parameter in kind(small_config()).named_parameters()}
        for kind in (printed, ours)
    ]
    assert shapes[0] == shapes[1]


class NewModel(nn.Module):
    def __init__(self, modelPath="chinese-bert-wwm"):  # noqa: N803
        super(NewModel, self).__init__()  # noqa: UP008
        self.model = BertModel.from_pretrained(modelPath)
        self.rnn = nn.GRU(768, 16, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.l1 = nn.Linear(16, 2)

    def forward(self, **inputs):
        _, last = self.rnn(self.model(**inputs).last_hidden_state)
        return self.l1(self.dropout(last[-1]))


def test_003_a_module_of_your_own_loads_bert_and_adds_layers(tokenizer):
    model = NewModel()
    logits = model(**tokenizer("我喜欢", return_tensors="pt"))
    logits.sum().backward()
    assert logits.shape == (1, 2)
    assert model.model.embeddings.word_embeddings.weight.grad[2769].abs().sum() > 0


class QuestionAnswering(BertPreTrainedModel):
    """The class and the forward pass that the tutorial prints, from `transformers` 3.4."""

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, config.num_labels)

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        start_positions=None,
        end_positions=None,
        return_dict=None,
    ):
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        outputs = self.bert(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=None,
            head_mask=None,
            inputs_embeds=None,
            output_attentions=None,
            output_hidden_states=None,
            return_dict=return_dict,
        )
        sequence_output = outputs[0]
        start_logits, end_logits = self.qa_outputs(sequence_output).split(1, dim=-1)
        start_logits, end_logits = start_logits.squeeze(-1), end_logits.squeeze(-1)
        ignored_index = start_logits.size(1)
        start_positions.clamp_(0, ignored_index)
        end_positions.clamp_(0, ignored_index)
        loss_fct = nn.CrossEntropyLoss(ignore_index=ignored_index)
        start_loss = loss_fct(start_logits, start_positions)
        end_loss = loss_fct(end_logits, end_positions)
        total_loss = (start_loss + end_loss) / 2
        return QuestionAnsweringOutput(
            loss=total_loss, start_logits=start_logits, end_logits=end_logits
        )


def test_003_the_printed_question_answering_has_our_loss():
    printed = QuestionAnswering(small_config(num_labels=2)).eval()
    ours = BertForQuestionAnswering(small_config(num_labels=2)).eval()
    ours.load_state_dict(printed.state_dict())
    ids, start, end = torch.tensor([[CLS, 2769, SEP]]), torch.tensor([1]), torch.tensor([2])
    batch = {"input_ids": ids, "start_positions": start, "end_positions": end}
    torch.testing.assert_close(printed(**batch).loss, ours(**batch).loss)
    with pytest.raises(ImportError, match="use QuestionAnsweringOutput"):
        from minibert import QuestionAnsweringModelOutput  # noqa: F401


def test_003_the_printed_defaults_of_a_config_are_ours():
    printed = {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "gradient_checkpointing": False,
    }
    assert BertConfig(**printed) == BertConfig()


# Tutorial 003: CNN, LSTM and attention on top of BERT


class Conv1d(nn.Module):
    def __init__(self, in_channels, out_channels, filter_sizes):
        super(Conv1d, self).__init__()  # noqa: UP008
        self.convs = nn.ModuleList(
            [
                nn.Conv1d(in_channels=in_channels, out_channels=out_channels, kernel_size=fs)
                for fs in filter_sizes
            ]
        )
        for m in self.convs:
            nn.init.xavier_uniform_(m.weight.data)
            nn.init.constant_(m.bias.data, 0.1)

    def forward(self, x):
        return [F.relu(conv(x)) for conv in self.convs]


class OwnHead(BertPreTrainedModel):
    """What the three classes share: three lines of the tutorial are corrected, each marked."""

    def __init__(self, config, num_labels):
        super().__init__(config)
        self.num_labels = num_labels
        self.bert = BertModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids, token_type_ids=None, attention_mask=None, labels=None):
        encoded_layers = self.bert(  # not: encoded_layers, _ = self.bert(...)
            input_ids,
            token_type_ids=token_type_ids,  # by name, not by position
            attention_mask=attention_mask,
        ).last_hidden_state  # without output_all_encoded_layers=False
        logits = self.classifier(self.pool(self.dropout(encoded_layers)))
        if labels is not None:
            loss_fct = nn.CrossEntropyLoss()
            return loss_fct(logits.view(-1, self.num_labels), labels.view(-1))
        return logits


class BertCNN(OwnHead):
    def __init__(self, config, num_labels=3, n_filters=6, filter_sizes=(2, 2, 3, 3, 4, 4)):
        super().__init__(config, num_labels)
        self.convs = Conv1d(config.hidden_size, n_filters, filter_sizes)
        self.classifier = nn.Linear(len(filter_sizes) * n_filters, num_labels)
        self.apply(self.init_weights)  # not: init_bert_weights

    def pool(self, encoded_layers):
        encoded_layers = encoded_layers.permute(0, 2, 1)
        conved = self.convs(encoded_layers)
        pooled = [F.max_pool1d(conv, conv.shape[2]).squeeze(2) for conv in conved]
        return self.dropout(torch.cat(pooled, dim=1))


class BertLSTM(OwnHead):
    def __init__(self, config, num_labels=3, layers=1, bidirectional=True):
        super().__init__(config, num_labels)
        self.rnn = nn.LSTM(
            config.hidden_size, 8, layers, bidirectional=bidirectional, batch_first=True
        )
        self.classifier = nn.Linear(8 * 2, num_labels)

    def pool(self, encoded_layers):
        _, (hidden, _cell) = self.rnn(encoded_layers)
        return self.dropout(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1))


class BertATT(OwnHead):
    def __init__(self, config, num_labels=3):
        super().__init__(config, num_labels)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        self.W_w = nn.Parameter(torch.Tensor(config.hidden_size, config.hidden_size))
        self.u_w = nn.Parameter(torch.Tensor(config.hidden_size, 1))
        nn.init.uniform_(self.W_w, -0.1, 0.1)
        nn.init.uniform_(self.u_w, -0.1, 0.1)

    def pool(self, encoded_layers):
        score = torch.tanh(torch.matmul(encoded_layers, self.W_w))
        attention_weights = F.softmax(torch.matmul(score, self.u_w), dim=1)
        return torch.sum(encoded_layers * attention_weights, dim=1)


@pytest.mark.parametrize("head", [BertCNN, BertLSTM, BertATT])
def test_003_cnn_lstm_and_attention_train_and_are_saved(head, tmp_path):
    model = head(small_config(hidden_dropout_prob=0.0))
    ids = torch.tensor([[CLS, 2769, 1599, 3614, SEP], [CLS, 3221, 5428, 5709, SEP]])
    labels, optimizer = torch.tensor([0, 2]), torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = model(ids, labels=labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    model.eval().save_pretrained(tmp_path)
    assert torch.equal(head.from_pretrained(tmp_path, quiet=True)(ids), model(ids))


@pytest.mark.parametrize("head", [BertCNN, BertLSTM, BertATT])
def test_003_their_answers_change_when_padding_is_appended(head):
    model = head(small_config()).eval()
    ids = torch.tensor([[CLS, 2769, 1599, 3614, SEP]])
    padded, mask = F.pad(ids, (0, 20)), F.pad(torch.ones_like(ids), (0, 20))
    shift = model(padded, attention_mask=mask) - model(ids)
    assert shift.abs().max() > 1e-4  # minibert's poolings pass this by, see test_pooling.py


def test_003_each_wrong_line_of_the_three_classes_says_what_to_write():
    model = BertModel(small_config())
    ids = torch.tensor([[CLS, 2769, SEP]])
    segments, mask = torch.zeros_like(ids), torch.ones_like(ids)
    with pytest.raises(MiniBertError, match="given by name"):
        model(ids, segments, mask)
    with pytest.raises(MiniBertError, match="no output_all_encoded_layers; remove it"):
        model(ids, output_all_encoded_layers=False)
    with pytest.raises(TypeError, match="cannot be unpacked; read its fields by name"):
        _encoded_layers, _ = model(ids)
    with pytest.raises(AttributeError, match=r"use self\.apply\(self\.init_weights\)"):
        model.apply(model.init_bert_weights)


def test_003_the_answer_derives_from_the_wrong_class():
    class AnswerCNN(nn.Module):  # the exercise has BertPreTrainedModel
        def __init__(self, config):
            super().__init__(config)

    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        AnswerCNN(small_config())


def test_003_the_lstm_reads_two_directions_whether_there_are_two_or_not():
    with pytest.raises(IndexError):
        BertLSTM(small_config(), layers=1, bidirectional=False)(torch.tensor([[CLS, 2769, SEP]]))


def test_003_attention_pooling_reads_the_tokens_and_not_the_pooled_vector():
    model = BertATT(small_config())
    model(torch.tensor([[CLS, 2769, SEP]])).sum().backward()
    assert model.bert.pooler.dense.weight.grad is None  # the docstring says the pooled output
    assert model.bert.encoder.layer[1].output.weight.grad.abs().sum() > 0


# Tutorial 003: which parameters learn


def test_003_two_groups_of_parameters_hold_all_of_them_once():
    model = BertForSequenceClassification.from_pretrained("chinese-bert-wwm", num_labels=2)
    no_decay = ["bias", "LayerNorm.weight"]
    groups = [
        [p for n, p in model.named_parameters() if not any(nd in n for nd in no_decay)],
        [p for n, p in model.named_parameters() if any(nd in n for nd in no_decay)],
    ]
    optimizer = torch.optim.AdamW(
        [
            {"params": groups[0], "weight_decay": 1e-2},
            {"params": groups[1], "weight_decay": 0.0},
        ],
        lr=1e-5,
    )
    assert {p.dim() for p in groups[1]} == {1} and {p.dim() for p in groups[0]} == {2}
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters()))


class Model(nn.Module):
    """The class that freezes BERT or not, with a GRU, joined states or the plain vector."""

    def __init__(self, config):
        super(Model, self).__init__()  # noqa: UP008
        folder = config["init_checkpoint"]
        bert_config = BertConfig.from_pretrained(
            os.path.join(folder, "config.json"),  # noqa: PTH118
            output_hidden_states=config["output_hidden_states"],
        )
        self.model = BertModel.from_pretrained(folder, config=bert_config)
        self.dropout = nn.Dropout(config["dropout"])
        if config["freeze_bert"]:
            for p in self.model.parameters():
                p.requires_grad = False
        if config["use_bigru"]:
            self.biGRU = torch.nn.GRU(768, 768, num_layers=1, batch_first=True, bidirectional=True)
            self.dense = nn.Linear(bert_config.hidden_size * 2, 3)
        elif config["concat_output"]:
            self.dense = nn.Linear(bert_config.hidden_size * 3, 3)
        else:
            self.dense = nn.Linear(bert_config.hidden_size, 3)


def test_003_a_frozen_bert_has_no_gradients_but_its_hidden_states():
    config = {"init_checkpoint": "chinese-bert-wwm", "dropout": 0.1, "output_hidden_states": True}
    config |= {"freeze_bert": True, "use_bigru": False, "concat_output": False}
    model = Model(config)
    outputs = model.model(torch.tensor([[CLS, 2769, SEP]]))
    model.dense(outputs.hidden_states[-1][:, 0]).sum().backward()
    learns = [name for name, p in model.named_parameters() if p.grad is not None]
    assert learns == ["dense.weight", "dense.bias"] and len(outputs.hidden_states) == 2
    with pytest.raises(MiniBertError, match="is a file; give the folder"):
        BertModel.from_pretrained("chinese-bert-wwm/pytorch_model.bin")


def test_003_parts_are_frozen_by_their_prefix(caplog):
    caplog.set_level(logging.INFO)
    model, config = BertForSequenceClassification(small_config()), {"freeze": ["embeddings"]}
    if "freeze" in config and config["freeze"]:  # noqa: RUF019
        for name, param in model.base_model.named_parameters():
            if "all" in config["freeze"] or name.startswith(tuple(config["freeze"])):
                param.requires_grad = False
                logging.info(f"Froze layer {name}...")
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert len(frozen) == len(caplog.records) == 5
    assert all(name.startswith("bert.embeddings.") for name in frozen)


def test_003_layers_are_frozen_by_number():
    model, freeze_embeddings, freeze_layers = BertForSequenceClassification(small_config()), 1, "1"
    if freeze_embeddings:
        for param in list(model.bert.embeddings.parameters()):
            param.requires_grad = False
    if freeze_layers != "":  # the tutorial writes `is not ""`
        for layer_idx in [int(x) for x in freeze_layers.split(",")]:
            for param in list(model.bert.encoder.layer[layer_idx].parameters()):
                param.requires_grad = False
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any("embeddings" in name or "layer.1." in name for name in learns)
    assert any("layer.0." in name for name in learns)  # "1" is the second layer
    with pytest.warns(SyntaxWarning, match="is not"):
        compile('freeze_layers is not ""', "tutorial", "eval")


def test_003_the_homework_compares_two_models_and_draws_and_predicts(tmp_path, monkeypatch, capsys):
    pretrained_folder(tmp_path / "model")
    titles = [f"the {animal} sat{'.' * n}" for n in range(4) for animal in ("cat", "mat")]
    lines = [f"{title}\t{'mat' in title:d}" for title in titles]
    for name, content in {
        "class.txt": ["animals", "things"],
        "train.txt": lines,
        "dev.txt": lines[:4],
        "test.txt": lines[4:],
    }.items():
        (tmp_path / name).write_text("\n".join(content) + "\n", encoding="utf-8")
    arguments = [tmp_path, "--model", tmp_path / "model", "--epochs", 1, "--titles", "the cat"]
    arguments += ["--output", tmp_path / "runs"]
    monkeypatch.setattr(sys, "argv", [str(HOMEWORK), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(HOMEWORK), run_name="__main__")
    printed = capsys.readouterr().out
    assert ended.value.code == 0, printed
    assert "test accuracy: plain 0." in printed
    assert printed.splitlines()[-1].endswith("  the cat")
    assert printed.splitlines()[-1].startswith(("animals", "things"))
    for model in ("plain", "changed"):
        for picture in ("learning_curve.png", "confusion_matrix.png"):
            assert (tmp_path / "runs" / model / picture).stat().st_size > 1000


# Tutorial 004


def test_004_the_loop_trains_with_the_loss_that_the_model_returns():
    tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
    model = BertForSequenceClassification.from_pretrained("bert-base-uncased")
    inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")
    batch = inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
    dataloader = [(*batch, torch.tensor([1]))]
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=1e-4), []
    for _epoch in range(5):
        for batch in dataloader:
            input_ids, attention_mask, token_type_ids, labels = batch
            optimizer.zero_grad()
            outputs = model(
                input_ids,
                attention_mask=attention_mask,
                token_type_ids=token_type_ids,
                labels=labels,
            )
            loss = outputs.loss  # the tutorial: F.cross_entropy(outputs, labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_004_a_loss_takes_logits_and_not_all_that_a_model_returns():
    model = BertForSequenceClassification(small_config())
    ids, labels = torch.tensor([[CLS, 2769, SEP]]), torch.tensor([1])
    with pytest.raises(TypeError, match=r"cross_entropy takes a tensor.* one of \.loss, \.logits"):
        F.cross_entropy(model(ids), labels)
    loss = F.cross_entropy(model.eval()(ids).logits, labels)
    torch.testing.assert_close(loss, model(ids, labels=labels).loss)


def test_002_and_004_the_optimizer_that_is_gone_is_named():
    with pytest.raises(ImportError, match=r"use torch\.optim\.AdamW; .*weight_decay_rate is ignor"):
        from minibert import AdamW  # noqa: F401


def test_003_names_that_are_never_imported_are_named():
    with pytest.raises(ImportError, match="use BertTokenizer"):
        from minibert import PreTrainedTokenizer  # noqa: F401
