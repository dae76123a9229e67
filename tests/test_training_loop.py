"""What you can rely on: the loop trains, and many small batches equal a big one.

A run that was broken off anywhere (crash, Ctrl-C, mid-epoch, mid-accumulation, in any precision)
ends with the same bits as one that was not.
"""

import errno
import json
import math
import os
import shutil
import signal
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import dead_pid

from minibert import BertConfig, BertForSequenceClassification, MiniBertError
from minibert.data.labelled.batches import LabelledBatches, Tokenized
from minibert.errors import Interrupted, stop_signals
from minibert.files import exclusive_lock, size_and_checksum
from minibert.training import checkpoint
from minibert.training.checkpoint import TrainState, load_checkpoint, save_checkpoint
from minibert.training.loop import train
from minibert.training.settings import TrainingSettings

CPU = torch.device("cpu")


def new_model(seed: int = 0, dropout: float = 0.1) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=30,
            hidden_size=16,
            num_attention_heads=2,
            num_hidden_layers=1,
            intermediate_size=16,
            max_position_embeddings=12,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
    )


def new_batches(examples: int = 22, batch_size: int = 4) -> LabelledBatches:
    """Texts of 3 to 10 tokens; class 1 is a text with the token 7 in it."""
    random = np.random.default_rng(5)
    ids = [random.integers(8, 30, random.integers(3, 11)) for _ in range(examples)]
    targets = [number % 2 for number in range(examples)]
    for text, target in zip(ids, targets, strict=True):
        if target:
            text[1] = 7
    types = [np.zeros_like(text) for text in ids]
    texts = Tokenized(ids, types, [len(text) for text in ids])
    return LabelledBatches(texts, targets, pad_token_id=0, batch_size=batch_size, seed=3)


def run(folder: Path, settings: TrainingSettings, batches=None, **options):
    model = new_model()
    result = train(model, batches or new_batches(), settings, folder=folder, device=CPU, **options)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}, result


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


class Crash(Exception):  # noqa: N818
    """Stands for a power cut."""


class Breaking:
    """Batches that come to an end with a crash, or with a signal, after so many of them."""

    def __init__(self, after: int, signal_number: int | None = None) -> None:
        self.inner, self.left, self.signal = new_batches(), after, signal_number

    def length(self, epoch: int) -> int:
        return self.inner.length(epoch)

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[dict]:
        for batch in self.inner.epoch(epoch, start=start, step=step):
            if self.left == 0:
                if self.signal is None:
                    raise Crash
                signal.raise_signal(self.signal)
            self.left -= 1
            yield batch


SETTINGS = TrainingSettings(
    epochs=3,
    learning_rate=3e-3,
    gradient_accumulation_steps=2,
    save_steps=1,
    logging_steps=2,
    seed=11,
)


def test_the_loop_learns_a_task_that_can_be_learned(tmp_path: Path):
    batches = new_batches(64, 16)
    settings = TrainingSettings(epochs=25, learning_rate=5e-3)
    model = new_model()
    train(model, batches, settings, folder=tmp_path, device=CPU)
    with torch.no_grad():
        right = [
            (model(**batch).logits.argmax(-1) == batch["labels"]).float().mean().item()
            for batch in batches.epoch(0)
        ]
    assert np.mean(right) == 1.0


@pytest.mark.parametrize("keep", [["input_ids"], ["input_ids", "attention_mask"]])
def test_a_batch_without_labels_is_refused(keep: list[str], tmp_path: Path):
    class Unlabelled(Breaking):
        def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[dict]:
            for batch in new_batches().epoch(epoch, start=start, step=step):
                yield {name: batch[name] for name in keep} | {"label": batch["labels"]}

    with pytest.raises(MiniBertError, match=r"has no labels, only input_ids.*, label; give each"):
        run(tmp_path, SETTINGS, Unlabelled(after=99))


@pytest.mark.parametrize("returned", ["a tuple", "no loss"])
def test_a_model_without_a_loss_is_refused(returned: str, tmp_path: Path):
    class Own(BertForSequenceClassification):
        def forward(self, input_ids, *, labels, **inputs):
            outputs = super().forward(input_ids, **inputs)
            return outputs.to_tuple() if returned == "a tuple" else outputs

    with pytest.raises(MiniBertError, match=r"without a loss; .*with_loss\("):
        train(Own(new_model().config), new_batches(), SETTINGS, folder=tmp_path, device=CPU)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
    ids=["GPU", "CPU", "Python"],
)
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_when_memory_does_not_suffice_a_sentence_has_numbers_to_try(error, where, tmp_path: Path):
    class Large(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            if where == "forward":
                raise error
            return x

        @staticmethod
        def backward(ctx, gradient):
            raise error

    class Model(BertForSequenceClassification):
        def forward(self, input_ids, **inputs):
            outputs = super().forward(input_ids, **inputs)
            terms = {
                name: replace(t, total=Large.apply(t.total))
                for name, t in outputs.loss_terms.items()
            }
            return outputs.with_loss(**terms)

    def refused(fingerprint: dict, words: str) -> None:
        model = Model(new_model().config)
        options = {"folder": tmp_path, "device": CPU, "fingerprint": fingerprint}
        with pytest.raises(MiniBertError, match=words):
            train(model, new_batches(), SETTINGS, **options)

    refused(
        {}, r"step 1\. Try half the batch, and gradient_accumulation_steps=4: this gives the same"
    )
    numbers = r"--batch-size 4 --gradient-accumulation-steps 4 \(now 8 and 2\)"
    refused({"batch_size": 8}, numbers)
    refused({"batch_size": 1}, "Use a smaller model or shorter texts")


def test_another_error_in_a_step_is_no_lack_of_memory(tmp_path: Path):
    class Model(BertForSequenceClassification):
        def forward(self, input_ids, **inputs):
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        train(Model(new_model().config), new_batches(), SETTINGS, folder=tmp_path, device=CPU)


def test_another_number_of_threads_on_resume_is_named(tmp_path: Path, capsys):
    run(tmp_path, SETTINGS)
    run(tmp_path, SETTINGS, resume=True)
    assert "note" not in capsys.readouterr().out
    torch.set_num_threads(2)
    try:
        run(tmp_path, SETTINGS, resume=True)
    finally:
        torch.set_num_threads(1)
    assert "number of threads was 1 and is now 2. Sums are rounded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("examples", "epochs", "batches"),
    [
        pytest.param(12, 4, ((4, 3), (12, 1)), id="4 + 4 + 4"),
        # The mean of the means would count the last example four times.
        pytest.param(5, 1, ((4, 2), (5, 1)), id="4 + 1"),
    ],
)
def test_small_batches_give_the_gradient_of_one_big_batch(examples, epochs, batches, tmp_path):
    weights = []
    for batch_size, steps in batches:
        torch.manual_seed(0)
        model = new_model(dropout=0.0).double()
        settings = TrainingSettings(
            epochs=epochs, learning_rate=1e-2, gradient_accumulation_steps=steps
        )
        folder = tmp_path / str(batch_size)
        train(model, new_batches(examples, batch_size), settings, folder=folder, device=CPU)
        weights.append(model.state_dict())
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=1e-10, rtol=0, msg=name)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_crash_after_any_batch_changes_no_bit_of_the_result(tmp_path: Path, precision):
    settings = TrainingSettings(**{**vars(SETTINGS), "precision": precision})
    unbroken, _ = run(tmp_path / "unbroken", settings)
    batches_in_all = 3 * len(new_batches())
    for after in range(0, batches_in_all, 1 if precision == "float32" else 5):
        folder = tmp_path / f"broken-{after}"
        with pytest.raises(Crash):
            run(folder, settings, Breaking(after))
        resumed, _ = run(folder, settings, resume=True)
        assert same(unbroken, resumed), f"crash after batch {after}"


@pytest.mark.parametrize("number", stop_signals())
def test_a_signal_after_any_batch_saves_and_the_rest_gives_the_same_bits(tmp_path: Path, number):
    settings = TrainingSettings(**{**vars(SETTINGS), "save_steps": 1000})
    unbroken, _ = run(tmp_path / "unbroken", settings)
    for after in (0, 1, 2, 3, 5, 6, 7, 11, 16):
        folder = tmp_path / f"stopped-{after}"
        with pytest.raises(Interrupted) as stopped:
            run(folder, settings, Breaking(after, number), how_to_resume="say please")
        assert stopped.value.exit_code == 128 + number
        assert "say please" in str(stopped.value)
        resumed, _ = run(folder, settings, resume=True)
        assert same(unbroken, resumed), f"signal after batch {after}"


def test_a_signal_during_evaluation_stops_at_once_and_evaluates_again_on_resume(tmp_path: Path):
    calls = []

    def evaluate(stop_at: int) -> dict[str, float]:
        calls.append(1)
        if len(calls) == stop_at:
            signal.raise_signal(signal.SIGINT)
        return {"accuracy": 0.5 + len(calls) / 100}

    with pytest.raises(Interrupted):
        run(tmp_path, SETTINGS, evaluate=lambda: evaluate(2))
    _, result = run(tmp_path, SETTINGS, evaluate=lambda: evaluate(-1), resume=True)
    assert len(calls) == 4  # epochs 1, 2 (stopped), 2, 3
    assert result.best_step == 9


def test_evaluations_within_epochs_come_at_their_steps_and_once_more_after_a_signal(tmp_path: Path):
    settings = TrainingSettings(**{**vars(SETTINGS), "eval_steps": 2})
    calls = []

    def evaluate(stop_at: int) -> dict[str, float]:
        calls.append(1)
        if len(calls) == stop_at:
            signal.raise_signal(signal.SIGINT)
        return {"accuracy": 0.5}

    def evaluations() -> list[tuple[int, float]]:
        lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        return [(x["step"], round(x["epoch"], 2)) for x in found if x["kind"] == "evaluation"]

    with pytest.raises(Interrupted):
        run(tmp_path, settings, evaluate=lambda: evaluate(3))
    assert evaluations() == [(0, 0), (2, 0.67)]
    run(tmp_path, settings, evaluate=lambda: evaluate(-1), resume=True)
    # 3 updates an epoch: after the second and fourth, and at each end.
    assert evaluations() == [(0, 0), (2, 0.67), (3, 1), (4, 1.33), (6, 2), (8, 2.67), (9, 3)]
    assert len(calls) == 8


def test_the_log_of_a_resumed_run_is_that_of_an_unbroken_one(tmp_path: Path):
    def steps(folder: Path) -> list:
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [{k: v for k, v in json.loads(x).items() if k != "tokens_per_second"} for x in lines]

    evaluate = {"evaluate": lambda: {"accuracy": 0.5}}
    run(tmp_path / "unbroken", SETTINGS, **evaluate)
    with pytest.raises(Crash):
        run(tmp_path / "broken", SETTINGS, Breaking(9), **evaluate)
    run(tmp_path / "broken", SETTINGS, resume=True, **evaluate)
    unbroken = steps(tmp_path / "unbroken")
    assert unbroken == steps(tmp_path / "broken")
    assert len({line["padding"] for line in unbroken if line["kind"] == "train"}) > 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda log: log[:-9],  # the last line has lost its end
        lambda log: log[: len(log) // 2] + "ü".encode()[:1],  # in the middle of a character
        lambda log: log.replace(b"{", b"\xff\x00", 1),
        lambda log: b"",
    ],
)
def test_a_run_with_a_damaged_log_can_be_resumed_and_has_the_same_weights(tmp_path: Path, damage):
    unbroken, _ = run(tmp_path / "unbroken", SETTINGS)
    with pytest.raises(Crash):
        run(tmp_path / "broken", SETTINGS, Breaking(15))
    log = tmp_path / "broken" / "log.jsonl"
    log.write_bytes(damage(log.read_bytes()))
    resumed, _ = run(tmp_path / "broken", SETTINGS, resume=True)
    assert same(unbroken, resumed)
    *_, last = log.read_bytes().split(b"\n")
    assert last == b""
    whole = [line for line in log.read_bytes().splitlines() if line[:1] + line[-1:] == b"{}"]
    assert json.loads(whole[-1])["step"] == 9
    assert len(log.read_bytes().splitlines()) - len(whole) <= 1


def test_the_weights_of_the_best_evaluation_are_kept_and_not_the_last(tmp_path: Path):
    scores = iter((0.5, 0.9, 0.7))
    snapshots = []
    model = new_model()

    def evaluate() -> dict[str, float]:
        snapshots.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {"accuracy": next(scores)}

    result = train(model, new_batches(), SETTINGS, folder=tmp_path, device=CPU, evaluate=evaluate)
    assert (result.best_score, result.best_step, result.steps) == (0.9, 6, 9)
    assert same(model.state_dict(), snapshots[1])
    assert not same(snapshots[1], snapshots[2])
    assert not model.training


def test_evaluation_runs_in_evaluation_mode_and_training_in_training_mode(tmp_path: Path):
    model = new_model()
    modes = []
    train(
        model.eval(),
        new_batches(),
        TrainingSettings(epochs=2),
        folder=tmp_path,
        device=CPU,
        evaluate=lambda: modes.append(model.training) or {"accuracy": 0.0},
    )
    assert modes == [False, False]
    log = [json.loads(x) for x in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert log


def test_the_same_run_gives_the_same_bits_and_another_seed_others(tmp_path: Path):
    first, _ = run(tmp_path / "1", SETTINGS)
    second, _ = run(tmp_path / "2", SETTINGS)
    other, _ = run(tmp_path / "3", TrainingSettings(**{**vars(SETTINGS), "seed": 12}))
    assert same(first, second)
    assert not same(first, other)


def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path):
    run(tmp_path, SETTINGS)
    with pytest.raises(MiniBertError, match="--resume"):
        run(tmp_path, SETTINGS)


def test_a_finished_run_can_be_resumed_and_is_still_the_same(tmp_path: Path):
    first, _ = run(tmp_path, SETTINGS)
    again, _ = run(tmp_path, SETTINGS, resume=True)
    assert same(first, again)


def test_resuming_nothing_starts_from_the_beginning(tmp_path: Path, capsys):
    first, _ = run(tmp_path / "1", SETTINGS)
    second, _ = run(tmp_path / "2", SETTINGS, resume=True)
    assert same(first, second)
    assert "no checkpoint to resume from" in capsys.readouterr().out


def test_other_settings_or_data_are_refused_on_resume_and_named(tmp_path: Path):
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9), fingerprint={"data": "a"})
    changed = TrainingSettings(**{**vars(SETTINGS), "learning_rate": 1e-3})
    with pytest.raises(MiniBertError, match=r"learning_rate was 0\.003 and is now 0\.001"):
        run(tmp_path, changed, resume=True, fingerprint={"data": "a"})
    with pytest.raises(MiniBertError, match="data was 'a' and is now 'b'"):
        run(tmp_path, SETTINGS, resume=True, fingerprint={"data": "b"})


def test_of_a_nested_fingerprint_only_the_different_field_is_named(tmp_path: Path):
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9), fingerprint={"corpus": {"tokens": 7, "documents": 2}})
    with pytest.raises(MiniBertError, match=r"run: corpus tokens was 7 and is now 8\. Resume"):
        run(tmp_path, SETTINGS, resume=True, fingerprint={"corpus": {"tokens": 8, "documents": 2}})


def test_a_checkpoint_is_written_again_only_if_the_run_is_elsewhere(tmp_path: Path):
    """A later time of day is no reason; and there is one for each step, under whatever name."""
    model = new_model()
    optimizer = torch.optim.AdamW(model.parameters())

    def save(position: TrainState) -> float:
        save_checkpoint(tmp_path, model, optimizer, position, {})
        [path] = tmp_path.glob("step-*/state.json")
        return json.loads(path.read_text("utf-8"))["state"]["seconds"]

    assert save(TrainState(step=3, seconds=1.0)) == 1.0
    assert save(TrainState(step=3, seconds=2.0)) == 1.0
    assert save(TrainState(step=3, seconds=3.0, evaluated_step=3)) == 3.0


@pytest.mark.parametrize(
    "times", [{"save_steps": 3}, {"save_steps": 2, "eval_steps": 2}, {"save_steps": 1}]
)
def test_a_stop_at_an_evaluation_that_cannot_save_loses_no_checkpoint(
    tmp_path: Path, monkeypatch, times
):
    """The step has just been saved; the checkpoint of it must outlive a full disk."""
    settings = TrainingSettings(**{**vars(SETTINGS), **times})
    unbroken, _ = run(tmp_path / "unbroken", settings, evaluate=lambda: {"accuracy": 0.5})
    folder = tmp_path / "broken"
    write = checkpoint.write_safetensors

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def evaluate() -> dict[str, float]:
        if [*folder.glob("step-*")]:
            monkeypatch.setattr(checkpoint, "write_safetensors", full)
            signal.raise_signal(signal.SIGTERM)
        return {"accuracy": 0.5}

    with pytest.raises((MiniBertError, Interrupted), match=r"No space left on device|is saved"):
        run(folder, settings, evaluate=evaluate)
    monkeypatch.setattr(checkpoint, "write_safetensors", write)
    step = 2 if "eval_steps" in times else 3
    assert max(folder.glob("step-*")).name == f"step-{step:08d}-epoch-0"
    resumed, _ = run(folder, settings, evaluate=lambda: {"accuracy": 0.5}, resume=True)
    assert same(unbroken, resumed)


def test_a_folder_that_has_become_read_only_is_named_and_the_run_goes_on_elsewhere(
    tmp_path: Path, monkeypatch
):
    unbroken, _ = run(tmp_path / "unbroken", SETTINGS)
    mkdir = os.mkdir

    def refuse(path, *mode: int, **options: int) -> None:
        if "step-00000003" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        mkdir(path, *mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        reason = "cannot write .*step-00000003-epoch-0: Read-only file system; choose another place"
        with pytest.raises(MiniBertError, match=reason):
            run(tmp_path / "broken", SETTINGS)
    (tmp_path / "broken").rename(tmp_path / "elsewhere")
    resumed, _ = run(tmp_path / "elsewhere", SETTINGS, resume=True)
    assert same(unbroken, resumed)


def test_the_duration_of_a_resumed_run_includes_that_of_before(tmp_path: Path):
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9))
    newest = sorted(tmp_path.glob("step-*"))[-1]
    state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
    assert state["state"]["seconds"] > 0
    state["state"]["seconds"] = 5000.0
    (newest / "state.json").write_text(json.dumps(state), encoding="utf-8")
    manifest = json.loads((newest / "manifest.json").read_text(encoding="utf-8"))
    content = (newest / "state.json").read_bytes()
    manifest["state.json"] = {"bytes": len(content), "crc32": zlib.crc32(content)}
    (newest / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    _, result = run(tmp_path, SETTINGS, resume=True)
    assert 5000 < result.seconds < 6000


def test_a_damaged_newest_checkpoint_is_skipped_and_the_result_is_the_same(tmp_path: Path, capsys):
    unbroken, _ = run(tmp_path / "unbroken", SETTINGS)
    with pytest.raises(Crash):
        run(tmp_path / "broken", SETTINGS, Breaking(9))
    for file in ("model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"):
        for damage in ("flip", "cut", "empty", "delete"):
            folder = shutil.copytree(tmp_path / "broken", tmp_path / f"{file}-{damage}")
            newest = sorted(folder.glob("step-*"))[-1]
            harm(newest / file, damage)
            capsys.readouterr()
            resumed, _ = run(folder, SETTINGS, resume=True)
            assert f"{newest} is damaged" in capsys.readouterr().out
            assert same(unbroken, resumed), (file, damage)


def harm(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "delete":
        path.unlink()
    elif how == "rename":
        path.rename(path.with_suffix(".old"))
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"flip": flipped, "cut": content[:middle], "empty": b""}[how])


def test_damaged_checkpoints_are_not_kept_in_the_place_of_intact_ones(tmp_path: Path, capsys):
    """The newest two were kept by their number, so a new one was deleted as soon as written."""
    model = new_model()
    optimizer = torch.optim.AdamW(model.parameters())
    for step in (10, 20, 30):
        save_checkpoint(tmp_path, model, optimizer, TrainState(step=step), {})
    save_checkpoint(tmp_path, model, optimizer, TrainState(step=5), {})  # deleted at once
    for newest in tmp_path.glob("step-*"):
        if "30" in newest.name:
            harm(newest / "model.safetensors", "flip")
    assert load_checkpoint(tmp_path, model, optimizer, {}, resume=True).step == 20
    save_checkpoint(tmp_path, model, optimizer, TrainState(step=25), {})
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"step-00000020-epoch-0", "step-00000025-epoch-0"}
    assert load_checkpoint(tmp_path, model, optimizer, {}, resume=True).step == 25


@pytest.mark.parametrize("content", ["{}", '{"state": {"stop": 1}}', '{"state": []}', "{"])
def test_a_checkpoint_that_is_damaged_while_the_run_goes_on_does_not_end_it(
    tmp_path: Path, content
):
    def evaluate() -> dict[str, float]:
        for path in (tmp_path / "run").glob("step-*/state.json"):
            path.write_text(content, encoding="utf-8")
        return {"accuracy": 0.5}

    settings = TrainingSettings(**{**vars(SETTINGS), "save_steps": 2})
    unbroken, _ = run(tmp_path / "unbroken", settings, evaluate=lambda: {"accuracy": 0.5})
    weights, _ = run(tmp_path / "run", settings, evaluate=evaluate)
    assert same(weights, unbroken)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "delete", "rename"])
def test_a_finished_run_with_damaged_best_weights_ends_with_its_last(
    tmp_path: Path, damage, capsys
):
    scores = iter((0.5, 0.9, 0.7))
    last, _ = run(tmp_path / "last", SETTINGS)
    folder = tmp_path / "run"
    best, _ = run(folder, SETTINGS, evaluate=lambda: {"accuracy": next(scores)})
    assert not same(best, last)
    harm(folder / "best-00000006.safetensors", damage)
    capsys.readouterr()
    for _ in range(2):  # and once more
        again, result = run(folder, SETTINGS, evaluate=lambda: {"accuracy": 0.0}, resume=True)
        assert same(again, last)
        assert result.best_step is None
        said = capsys.readouterr().out
        assert "best-00000006.safetensors is missing or damaged" in said
        assert "end with its last weights" in said


@pytest.mark.parametrize(("later", "best_step"), [(0.7, None), (0.95, 9)])
def test_damaged_best_weights_are_named_before_training_goes_on(
    tmp_path: Path, later, best_step, capsys
):
    last, _ = run(tmp_path / "last", SETTINGS)
    scores = [0.5, 0.9]
    folder = tmp_path / "run"
    with pytest.raises(Crash):
        run(folder, SETTINGS, Breaking(15), evaluate=lambda: {"accuracy": scores.pop(0)})
    harm(folder / "best-00000006.safetensors", "flip")
    capsys.readouterr()

    def evaluate() -> dict[str, float]:
        assert "best-00000006.safetensors is missing or damaged" in capsys.readouterr().out
        return {"accuracy": later}

    weights, result = run(folder, SETTINGS, evaluate=evaluate, resume=True)
    assert same(weights, last)
    assert result.best_step == best_step


def test_best_weights_that_are_deleted_while_training_do_not_fail_the_run(tmp_path: Path, capsys):
    last, _ = run(tmp_path / "last", SETTINGS)
    scores = [0.5, 0.9, 0.7]

    def evaluate() -> dict[str, float]:
        for path in (tmp_path / "run").glob("best-00000006*"):
            path.unlink()
        return {"accuracy": scores.pop(0)}

    weights, _ = run(tmp_path / "run", SETTINGS, evaluate=evaluate)
    assert same(weights, last)
    assert "best-00000006.safetensors is missing" in capsys.readouterr().out


def test_a_run_of_an_earlier_version_is_resumed(tmp_path: Path):
    """Its checkpoints know neither the checksum of the best weights nor the padding so far."""
    scores = [0.5, 0.9, 0.7]
    best, _ = run(tmp_path / "1", SETTINGS, evaluate=lambda: {"accuracy": scores.pop(0)})
    for path in (tmp_path / "1").glob("step-*/state.json"):
        content = json.loads(path.read_text("utf-8"))
        for name in ("best_file", "epoch_tokens", "epoch_positions"):
            del content["state"][name]
        path.write_text(json.dumps(content), "utf-8")
        manifest = json.loads((path.parent / "manifest.json").read_text("utf-8"))
        manifest["state.json"] = size_and_checksum(path)
        (path.parent / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    again, _ = run(tmp_path / "1", SETTINGS, evaluate=lambda: {"accuracy": 0.0}, resume=True)
    assert same(best, again)


def test_when_all_checkpoints_are_damaged_a_run_does_not_silently_start_again(tmp_path: Path):
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9))
    for path in tmp_path.glob("step-*"):
        harm(path / "model.safetensors", "flip")
    with pytest.raises(MiniBertError, match=r"all checkpoints in .* are damaged"):
        run(tmp_path, SETTINGS, resume=True)


def test_only_the_two_newest_checkpoints_are_kept(tmp_path: Path):
    run(tmp_path, SETTINGS)
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == [
        "step-00000009-epoch-2",
        "step-00000009-epoch-3",
    ]


def test_a_metric_that_is_not_a_number_is_never_the_best(tmp_path: Path):
    scores = iter((math.nan, 0.9, math.nan))
    _, result = run(tmp_path, SETTINGS, evaluate=lambda: {"accuracy": next(scores)})
    assert (result.best_score, result.best_step) == (0.9, 6)


def test_a_missing_metric_for_the_best_model_is_refused(tmp_path: Path):
    with pytest.raises(
        MiniBertError, match="metric_for_best_model is 'f1', but the metrics are accuracy"
    ):
        run(tmp_path, SETTINGS, evaluate=lambda: {"accuracy": 0.5}, metric_for_best_model="f1")


def test_the_best_weights_belong_to_the_checkpoint_that_names_them(tmp_path: Path):
    # Resumed from the checkpoint before the newest, the run must not meet the newest one's best.
    def evaluate_with(scores: list[float]):
        return lambda: {"accuracy": scores.pop(0)}

    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(12), evaluate=evaluate_with([0.5, 0.9]))
    harm(sorted(tmp_path.glob("step-*"))[-1] / "model.safetensors", "flip")
    _, result = run(tmp_path, SETTINGS, evaluate=evaluate_with([0.8, 0.7]), resume=True)
    assert (result.best_step, result.best_score) == (6, 0.8)
    assert [path.name for path in tmp_path.glob("best-*")] == ["best-00000006.safetensors"]


def test_the_best_weights_of_the_older_checkpoint_are_there_if_the_newer_one_is_damaged(
    tmp_path: Path,
):
    def evaluate_with(scores: list[float]):
        return lambda: {"accuracy": scores.pop(0)}

    settings = TrainingSettings(**{**vars(SETTINGS), "save_steps": 100})
    with pytest.raises(Crash):
        run(tmp_path, settings, Breaking(12), evaluate=evaluate_with([0.5, 0.9]))
    harm(sorted(tmp_path.glob("step-*"))[-1] / "model.safetensors", "flip")
    _, result = run(tmp_path, settings, evaluate=evaluate_with([0.4, 0.3]), resume=True)
    assert (result.best_step, result.best_score) == (3, 0.5)


def test_epoch_10_is_newer_than_epoch_9_of_the_same_step(tmp_path: Path):
    model = new_model()
    optimizer = torch.optim.AdamW(model.parameters())
    for epoch in (9, 10):
        save_checkpoint(tmp_path, model, optimizer, TrainState(step=20, epoch=epoch), {})
    assert load_checkpoint(tmp_path, model, optimizer, {}, resume=True).epoch == 10
    save_checkpoint(tmp_path, model, optimizer, TrainState(step=22, epoch=10), {})
    assert {path.name for path in tmp_path.glob("step-*")} == {
        "step-00000020-epoch-10",
        "step-00000022-epoch-10",
    }


def test_a_run_without_its_log_can_be_resumed(tmp_path: Path):
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9))
    (tmp_path / "log.jsonl").unlink()
    _, result = run(tmp_path, SETTINGS, resume=True)
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    state = json.loads((tmp_path / "step-00000009-epoch-3" / "state.json").read_text("utf-8"))
    assert state["state"]["log_lines"] == len(lines) > 0
    assert result.tokens == state["state"]["tokens"]


def test_a_loss_term_without_labels_is_refused(tmp_path: Path):
    class Odd(BertForSequenceClassification):
        def forward(self, input_ids, **inputs):
            output = super().forward(input_ids, **inputs)
            return output.with_loss(tags=output.loss_terms["labels"])

    model = Odd(new_model().config)
    with pytest.raises(MiniBertError, match=r"loss term 'tags'\. A loss term must have the name"):
        train(model, new_batches(), SETTINGS, folder=tmp_path, device=CPU)


def test_the_loss_is_logged_in_float32_though_the_weights_have_fewer_bits(tmp_path: Path):
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        model = new_model(dropout=0.0).to(dtype)
        folder = tmp_path / str(dtype)
        settings = TrainingSettings(epochs=1, learning_rate=1e-9, logging_steps=1, warmup_ratio=0.0)
        train(model, new_batches(), settings, folder=folder, device=CPU)
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    rough = [float(torch.tensor(loss).bfloat16()) for loss in losses[1]]
    assert rough != losses[1]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_logging_and_save_steps_can_change_on_resume(tmp_path: Path):
    unbroken, _ = run(tmp_path / "unbroken", SETTINGS)
    with pytest.raises(Crash):
        run(tmp_path / "broken", SETTINGS, Breaking(9))
    changed = TrainingSettings(**{**vars(SETTINGS), "save_steps": 2, "logging_steps": 3})
    resumed, _ = run(tmp_path / "broken", changed, resume=True)
    assert same(unbroken, resumed)


def test_a_fingerprint_is_compared_as_json_returns_it(tmp_path: Path):
    fingerprint = {"shape": (1, 2), "names": {1: "a"}}
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9), fingerprint=fingerprint)
    _, result = run(tmp_path, SETTINGS, resume=True, fingerprint=fingerprint)
    assert result.steps == 9


def test_other_initial_weights_are_another_run(tmp_path: Path):
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9))
    with pytest.raises(MiniBertError, match="initial weights was"):
        train(new_model(1), new_batches(), SETTINGS, folder=tmp_path, device=CPU, resume=True)


def test_without_a_metric_the_last_weights_are_kept(tmp_path: Path):
    scores = iter((0.9, 0.5, 0.1))
    options = {"evaluate": lambda: {"accuracy": next(scores)}, "metric_for_best_model": None}
    judged, result = run(tmp_path / "judged", SETTINGS, **options)
    plain, _ = run(tmp_path / "plain", SETTINGS)
    assert same(judged, plain)
    assert result.best_step is None
    assert not list((tmp_path / "judged").glob("best-*"))


def test_two_signals_within_a_second_count_as_one(tmp_path: Path):
    class Twice(Breaking):
        def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[dict]:
            for number, batch in enumerate(super().epoch(epoch, start=start, step=step)):
                if number == 2:
                    signal.raise_signal(signal.SIGINT)
                    signal.raise_signal(signal.SIGTERM)
                yield batch

    with pytest.raises(Interrupted):
        run(tmp_path, SETTINGS, Twice(10**6))
    assert list(tmp_path.glob("step-*"))


def test_a_model_of_another_shape_does_not_resume(tmp_path: Path):
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9))
    config = new_model().config.with_changes(intermediate_size=32)
    other = BertForSequenceClassification(config)
    with pytest.raises(MiniBertError, match="model intermediate_size was 16 and is now 32"):
        train(other, new_batches(), SETTINGS, folder=tmp_path, device=CPU, resume=True)


def test_half_written_files_of_a_killed_process_are_deleted(tmp_path: Path):
    with pytest.raises(Crash):
        run(tmp_path, SETTINGS, Breaking(9))
    ended = dead_pid()
    (tmp_path / f".step-00000007-epoch-1.{ended}.tmp").mkdir()
    (tmp_path / f".best-00000006.safetensors.{ended}.tmp").write_bytes(b"half")
    (tmp_path / f".best-00000006.safetensors.{os.getppid()}.tmp").write_bytes(b"of a living one")
    run(tmp_path, SETTINGS, resume=True)
    assert [path.name for path in tmp_path.glob(".*.tmp")] == [
        f".best-00000006.safetensors.{os.getppid()}.tmp"
    ]


def test_two_runs_cannot_share_a_folder(tmp_path: Path):
    with exclusive_lock(tmp_path), pytest.raises(MiniBertError, match="another run is writing"):
        run(tmp_path, SETTINGS)


def test_gradients_that_are_not_finite_never_reach_the_weights(tmp_path: Path):
    model = new_model()
    calls = []

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * math.nan if len(calls) == 5 else gradient

    model.classifier.weight.register_hook(poison)
    with pytest.raises(MiniBertError, match="not finite"):
        train(model, new_batches(), SETTINGS, folder=tmp_path, device=CPU)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_float16_leaves_out_an_update_that_overflows_and_goes_on(tmp_path: Path):
    model = new_model()
    calls = []
    seen = []

    def overflow(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * math.inf if len(calls) == 3 else gradient

    model.classifier.weight.register_hook(overflow)
    settings = TrainingSettings(epochs=1, precision="float16", save_steps=1, logging_steps=1)
    train(
        model,
        new_batches(),
        settings,
        folder=tmp_path,
        device=CPU,
        evaluate=lambda: seen.append(1) or {"accuracy": 1.0},
    )
    state = json.loads(next(tmp_path.glob("step-*6-epoch-1/state.json")).read_text("utf-8"))[
        "state"
    ]
    assert (state["step"], state["skipped"]) == (6, 1)
    assert state["loss_scale"]["scale"] == 32768  # half of the 65,536 it starts with
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_endless_overflow_stops_with_advice(tmp_path: Path):
    model = new_model()
    model.classifier.weight.register_hook(lambda gradient: gradient * math.inf)
    settings = TrainingSettings(epochs=30, precision="float16")
    with pytest.raises(MiniBertError, match="lower learning rate"):
        train(model, new_batches(), settings, folder=tmp_path, device=CPU)


def test_a_checkpoint_holds_the_optimizer_under_the_names_of_the_parameters(tmp_path: Path):
    from safetensors.torch import load_file

    run(tmp_path, SETTINGS)
    names = load_file(sorted(tmp_path.glob("step-*"))[-1] / "optimizer.safetensors").keys()
    assert "exp_avg of bert.embeddings.word_embeddings.weight" in names
    assert {name.split(" of ")[0] for name in names} == {"step", "exp_avg", "exp_avg_sq"}


def test_nothing_is_pickled(tmp_path: Path):
    run(tmp_path, SETTINGS)
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes <= {".safetensors", ".json", ".jsonl", ""}  # "" is the lock
