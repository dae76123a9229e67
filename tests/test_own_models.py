"""What you can rely on: a model of your own, built on a BERT, is saved and loaded whole.

Published programs put an LSTM, a CNN or a few numbers of their own on a BERT. What the file has
comes back; what it has not begins as the class made it, and never as the memory happened to be.
"""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_models import small_batch, small_config, small_labels
from tiny_folders import pretrained_folder
from torch import nn

from minibert import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    MiniBertError,
)
from minibert.model.losses import cross_entropy
from minibert.model.outputs import TaskOutput
from minibert.model.pretrained import PretrainedModel
from minibert.training.loop import train
from minibert.training.settings import TrainingSettings

CONFIG = small_config()


class Tagger(PretrainedModel):
    """A BERT with one of everything that a BERT has not."""

    def __init__(self, config: BertConfig, labels: int = 3) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.lstm = nn.LSTM(config.hidden_size, 8, bidirectional=True, batch_first=True)
        self.convolution = nn.Conv1d(16, 16, 3)
        self.normal = nn.BatchNorm1d(16)
        self.scale = nn.Parameter(torch.full((3,), 7.0))
        self.register_buffer("steps", torch.tensor(5))
        self.register_buffer("mask", torch.ones(4, dtype=torch.bool), persistent=False)
        self.head = nn.Linear(16, labels)
        self.decoder = nn.Linear(16, config.vocab_size, bias=False)
        self.decoder.weight = self.bert.embeddings.word_embeddings.weight


class LongerTagger(Tagger):
    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, labels=5)


class Spam(BertForSequenceClassification):
    """As in tutorials: only a config, and a layer more."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.more = nn.Linear(config.hidden_size, config.hidden_size)


def test_a_subclass_of_a_head_is_made_from_a_config_alone(tmp_path):
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    model = Spam.from_pretrained(tmp_path, attention="eager", quiet=True)
    assert model.attention == "eager" and "more.weight" in model.load_report.new
    batch = small_batch("BertForSequenceClassification")
    assert model(**batch, labels=torch.tensor([0, 1, 2, -100])).loss > 0
    with pytest.raises(MiniBertError, match="is 3, but num_labels allows 0 to 2"):
        model(**batch, labels=torch.tensor([0, 1, 3, 0]))


class Convolution(PretrainedModel):
    """As in tutorials: arguments of its own, one of them a field, and positional inputs."""

    def __init__(self, config, num_labels, filters, *, width=2, **more):
        super().__init__(config)
        self.bert = BertModel(config)
        self.convolution = nn.Conv1d(config.hidden_size, filters, width)
        self.classifier = nn.Linear(filters, num_labels)
        self.more = more
        self.post_init()

    def forward(self, input_ids, token_type_ids=None, attention_mask=None, labels=None):
        outputs = self.bert(input_ids, attention_mask=attention_mask, return_dict=False)
        maximum = self.convolution(outputs[0].transpose(1, 2)).amax(dim=2)
        return self.classifier(maximum).view(-1, self.num_labels), labels


def test_arguments_of_a_class_of_your_own_are_passed_to_it(tmp_path):
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    options = {"hidden_dropout_prob": 0.25, "alpha": 2, "quiet": True}
    by_name = Convolution.from_pretrained(tmp_path, num_labels=5, filters=4, width=3, **options)
    by_place = Convolution.from_pretrained(tmp_path, 3, 4, **options)
    for model, labels in ((by_name, 5), (by_place, 3)):
        assert model.num_labels == labels == model.classifier.out_features
        assert model.config.hidden_dropout_prob == 0.25 and model.more == {"alpha": 2}
        assert 0 < model.classifier.weight.abs().max() < 0.2  # by post_init, as BERT's layers
    ids = torch.tensor([[5, 6, 7, 8]])
    assert by_name(ids, None, torch.ones_like(ids), "kept")[1] == "kept"
    with pytest.raises(MiniBertError, match="no field 'widht'; it has vocab_size"):
        Spam.from_pretrained(tmp_path, widht=3)


def test_what_a_model_of_your_own_has_beside_the_bert_is_saved_and_loaded(tmp_path):
    model = Tagger(CONFIG)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
        model.steps += 1
        model.normal.running_mean += 2
    model.save_pretrained(tmp_path)
    assert {"head.weight", "lstm.weight_hh_l0", "scale", "steps"} <= {
        *load_file(tmp_path / "model.safetensors")
    }
    loaded = Tagger.from_pretrained(tmp_path, strict=True, quiet=True)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_what_the_file_has_not_begins_as_the_class_makes_it(tmp_path):
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    model = Tagger.from_pretrained(tmp_path, quiet=True)
    assert model.scale.tolist() == [7, 7, 7]
    assert model.steps == 5
    assert model.mask.all()
    assert model.normal.running_var.eq(1).all()
    # PyTorch draws them from at most 1 / sqrt(8) and 1 / sqrt(16 * 3).
    assert 0 < model.lstm.weight_hh_l0.abs().max() <= 8**-0.5
    assert 0 < model.convolution.weight.abs().max() <= 48**-0.5
    body = BertModel.from_pretrained(tmp_path, quiet=True)
    assert torch.equal(
        model.bert.encoder.layer[1].intermediate.weight,
        body.encoder.layer[1].intermediate.weight,
    )
    assert "scale" in model.load_report.new


@pytest.mark.parametrize("saved_by", [Tagger, BertForPreTraining])
def test_a_layer_that_you_tied_stays_tied(saved_by, tmp_path):
    saved_by(CONFIG).save_pretrained(tmp_path)
    model = Tagger.from_pretrained(tmp_path, quiet=True)
    assert model.decoder.weight is model.bert.embeddings.word_embeddings.weight


def test_a_layer_of_your_own_of_another_shape_starts_anew_where_that_is_allowed(tmp_path):
    Tagger(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(MiniBertError, match=r"head\.weight is \(3, 16\).*ignore_mismatched_sizes"):
        LongerTagger.from_pretrained(tmp_path, quiet=True)
    model = LongerTagger.from_pretrained(tmp_path, ignore_mismatched_sizes=True, quiet=True)
    assert model.head.weight.shape == (5, 16)
    assert 0 < model.head.weight.abs().max() <= 0.25


def test_other_classes_read_the_bert_in_it_and_name_what_they_leave_out(tmp_path):
    model = Tagger(CONFIG)
    model.save_pretrained(tmp_path)
    body = BertModel.from_pretrained(tmp_path, quiet=True)
    assert torch.equal(
        body.embeddings.word_embeddings.weight, model.bert.embeddings.word_embeddings.weight
    )
    assert "head.weight" in body.load_report.unknown


def test_a_part_with_a_name_that_means_something_else_to_hugging_face_is_refused(tmp_path):
    model = BertForPreTraining(CONFIG)
    model.cls = nn.ModuleDict({"seq_relationship": nn.Linear(16, 2)})
    with pytest.raises(
        MiniBertError, match=r"cls\.seq_relationship\.bias, which is Hugging Face's name for"
    ):
        model.save_pretrained(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_model_of_your_own_can_be_trained_and_its_training_resumed(tmp_path):
    class Trained(Tagger):
        def forward(self, input_ids, *, labels, attention_mask=None):
            hidden = self.bert(input_ids, attention_mask=attention_mask).last_hidden_state
            normal = self.normal(self.lstm(hidden)[0].transpose(1, 2)).transpose(1, 2)
            logits = self.head(normal) * self.scale
            term = cross_entropy(logits.flatten(0, 1), labels.flatten())
            return TaskOutput(logits=logits).with_loss(labels=term)

    class Few:
        def length(self, epoch):
            return 4

        def epoch(self, epoch, *, start=0, step=1):
            batch = small_batch("") | small_labels("BertForTokenClassification")
            del batch["token_type_ids"]
            yield from [batch] * (4 - start)

    def trained(folder, epochs, *, resume=False):
        torch.manual_seed(0)
        model = Trained(CONFIG)
        settings = TrainingSettings(epochs=epochs, learning_rate=1e-2, save_steps=2)
        options = {"folder": folder, "device": torch.device("cpu"), "resume": resume}
        result = train(model, Few(), settings, **options)
        return model, result

    model, result = trained(tmp_path, 3)
    assert result.steps == 12
    again, _ = trained(tmp_path, 3, resume=True)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert again.normal.num_batches_tracked == 12


def test_the_example_of_a_head_of_ones_own_trains_saves_and_loads_it(tmp_path, monkeypatch, capsys):
    pretrained_folder(tmp_path / "pretrained")
    lines = [f"{'the cat sat' if n % 2 else 'paris is'}\t{n % 2}" for n in range(200)]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    example = Path(__file__).parents[1] / "examples" / "own_head.py"
    options = ["--train", "train.tsv", "--model", "pretrained", "--epochs", "30", "--width", "8"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example), *options, "--output", "mine"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(example), run_name="__main__")
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    names = runpy.run_path(str(example))
    texts = ["the cat sat", "paris is"]
    assert names["predict"]("mine", texts, width=8) == ["1", "0"]
    assert printed.out.splitlines()[-1].startswith(("1            the cat", "0            paris"))
    # What was saved is what was trained, to the last bit.
    best = load_file(next(Path("mine", "training").glob("best-*.safetensors")))
    saved = names["MeanClassifier"].from_pretrained("mine", width=8, strict=True, quiet=True)
    assert all(torch.equal(tensor, best[name]) for name, tensor in saved.state_dict().items())
