"""What you can rely on with a GPU: the same answers, losses and gradients as on the CPU, in every
precision; runs that can be resumed; and a batch that would end in a device-side assert ends in one
sentence, after which the process goes on.
"""

import signal
from pathlib import Path

import pytest
import torch
from small_models import HEADS, answers_of, small_batch, small_labels, small_model
from test_training_loop import new_batches, new_model
from toy_corpus import toy_corpus

from minibert import BertConfig, BertForPreTraining, BertForSequenceClassification, MiniBertError
from minibert.cli.main import main
from minibert.data.pretraining.batches import PretrainingBatches
from minibert.errors import Interrupted
from minibert.evaluation.pretraining import evaluate_pretraining
from minibert.files import read_json_object
from minibert.training.gradient_accumulation import prefetch
from minibert.training.loop import train
from minibert.training.settings import TrainingSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def moved(batch):
    return {name: tensor.to(GPU) for name, tensor in batch.items()}


def padded(name):
    """A batch in which the last two places of every other row are padding."""
    batch = small_batch(name) | small_labels(name)
    mask = torch.ones_like(batch["input_ids"])
    mask[::2, ..., -2:] = 0
    return batch | {"attention_mask": mask}


@pytest.mark.parametrize("attention", ["eager", "fused"])
@pytest.mark.parametrize("name", HEADS)
def test_a_head_answers_on_the_gpu_as_on_the_cpu_and_learns_the_same(name, attention):
    batch = padded(name)
    model = small_model(name, attention=attention, dtype=torch.float32)
    answers, gradients = [], []
    for device in (CPU, GPU):
        model.to(device).zero_grad()
        inputs = {key: tensor.to(device) for key, tensor in batch.items()}
        outputs = model(**inputs)
        outputs.loss.backward()
        unlabelled = {k: v for k, v in inputs.items() if k not in small_labels(name)}
        with torch.no_grad():
            said = answers_of(name, model(**unlabelled))
        answers.append([outputs.loss.detach().cpu(), *(tensor.cpu() for tensor in said.values())])
        gradients.append([p.grad.cpu().clone() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(answers[1], answers[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_training_learns_in_every_precision_what_can_be_learned(tmp_path: Path, precision):
    settings = TrainingSettings(epochs=25, learning_rate=5e-3, precision=precision)
    batches = new_batches(64, 16)
    model = new_model()
    train(model, batches, settings, folder=tmp_path, device=GPU)
    with torch.no_grad():
        for batch in batches.epoch(0):
            right = model(**moved(batch)).logits.argmax(-1).cpu() == batch["labels"]
            assert right.all()


def test_an_update_on_the_gpu_is_the_update_on_the_cpu(tmp_path: Path):
    settings = TrainingSettings(
        epochs=2, learning_rate=1e-3, precision="float32", gradient_accumulation_steps=2
    )
    weights = []
    for device in (CPU, GPU):
        model = new_model(dropout=0.0)
        train(model, new_batches(), settings, folder=tmp_path / device.type, device=device)
        weights.append({name: tensor.cpu() for name, tensor in model.state_dict().items()})
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path, precision):
    class Stopping:
        """Batches that come with a signal after nine of them."""

        def __init__(self) -> None:
            self.inner, self.left = new_batches(), 9

        def length(self, epoch):
            return self.inner.length(epoch)

        def epoch(self, epoch, *, start=0, step=1):
            for batch in self.inner.epoch(epoch, start=start, step=step):
                if self.left == 0:
                    signal.raise_signal(signal.SIGTERM)
                self.left -= 1
                yield batch

    settings = TrainingSettings(epochs=3, learning_rate=1e-3, precision=precision, save_steps=2)
    whole, parts = new_model(), new_model()
    train(whole, new_batches(), settings, folder=tmp_path / "whole", device=GPU)
    options = {"folder": tmp_path / "parts", "device": GPU}
    with pytest.raises(Interrupted):
        train(parts, Stopping(), settings, **options)
    parts = new_model()
    train(parts, new_batches(), settings, resume=True, **options)
    torch.testing.assert_close(parts.state_dict(), whole.state_dict(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "place", "beyond", "sentence"),
    [
        ("input_ids", (1, 1), 30, r"input_ids\[1, 1\] is 30, but the vocabulary"),
        ("labels", (0,), 7, r"labels\[0\] is 7, but num_labels allows 0 to 1"),
    ],
)
def test_what_is_beyond_the_model_is_one_sentence_and_the_gpu_lives_on(
    tmp_path: Path, name, place, beyond, sentence
):
    class Wrong:
        def length(self, epoch):
            return 1

        def epoch(self, epoch, *, start=0, step=1):
            batch = next(new_batches().epoch(0))
            batch[name][place] = beyond
            yield batch

    with pytest.raises(MiniBertError, match=sentence):
        train(new_model(), Wrong(), TrainingSettings(epochs=1), folder=tmp_path, device=GPU)
    assert torch.ones(3, device=GPU).sum().item() == 3


def test_batches_prefetch_are_the_same_in_the_same_order():
    data = new_batches()
    prefetched = list(prefetch(data.epoch(1), GPU))
    for made, batch in zip(prefetched, data.epoch(1), strict=True):
        assert all(tensor.is_pinned() for tensor in made.values())
        assert all(torch.equal(made[name], batch[name]) for name in batch)


def test_batches_masked_on_the_gpu_train_there(tmp_path: Path):
    corpus = toy_corpus(tmp_path, [12] * 8, sentence_length=3)
    data = PretrainingBatches(corpus, max_length=32, batch_size=8, device="cuda")
    config = BertConfig.tiny(vocab_size=corpus.tokenizer.vocab_size)
    assert all(tensor.is_cuda for tensor in next(data.epoch(0)).values())
    model = BertForPreTraining(config)
    result = train(model, data, TrainingSettings(epochs=2), folder=tmp_path / "run", device=GPU)
    assert result.steps == data.length(0) + data.length(1)


def test_pretraining_and_evaluation_on_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    corpus = toy_corpus(tmp_path, [12] * 30, sentence_length=3)
    options = "--preset tiny --epochs 2 --batch-size 8 --max-length 32 --held-out 0.2"
    with pytest.raises(SystemExit) as stop:
        main(f"pretrain toy --output out --device cuda {options}".split())
    assert stop.value.code == 0
    said = read_json_object(tmp_path / "out" / "metrics.json")
    judge = PretrainingBatches(corpus.split(0.2)[1], max_length=32, batch_size=64)
    model = BertForPreTraining.from_pretrained("out").eval()
    on_cpu = evaluate_pretraining(model, judge.fixed())
    assert said["loss"] == pytest.approx(on_cpu["loss"], rel=1e-4)


def test_a_model_may_be_saved_from_the_gpu(tmp_path: Path):
    model = new_model().to(GPU).eval()
    model.save_pretrained(tmp_path)
    again = BertForSequenceClassification.from_pretrained(tmp_path)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].cpu())


@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_trained_on_the_gpu(tmp_path: Path, name):
    class Few:
        def length(self, epoch):
            return 3

        def epoch(self, epoch, *, start=0, step=1):
            yield from [padded(name)] * 3

    model = small_model(name, dtype=torch.float32)
    settings = TrainingSettings(epochs=8, learning_rate=1e-3)
    before = model(**padded(name)).loss.item()
    train(model, Few(), settings, folder=tmp_path, device=GPU)
    with torch.no_grad():
        assert model(**moved(padded(name))).loss.item() < before
