"""What you can rely on: loading says what it did, nothing is loaded by half, what is saved returns.

Every class, saved and loaded, gives the same bits. Folders of `transformers`, Google and older
PyTorch are read; a part that is missing, left over or of another shape is named in plain words, and
a folder from which no right model can come is refused with one sentence that says why.
"""

import copy
import json
from functools import partial
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import ANSWERS, small_batch, small_config, small_labels, small_model
from tensorflow_writer import write_google_folder
from torch import Tensor

import minibert
from minibert import (
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
    MiniBertError,
)
from minibert.checkpoints.convert import convert
from minibert.checkpoints.name_map import to_hugging_face

QUIET = {"quiet": True}


def logits(model, name: str) -> list[Tensor]:
    with torch.no_grad():
        outputs = model.eval()(**small_batch(name))
    return [outputs[answer] for answer in ANSWERS[name]]


def assert_same_answers(model, other, name: str) -> None:
    for mine, theirs in zip(logits(model, name), logits(other, name), strict=True):
        assert torch.equal(mine, theirs)


def rewrite(folder: Path, change) -> None:
    """Change the tensors of a folder's model.safetensors."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def to_bin(folder: Path, change=lambda tensors: tensors, **options) -> None:
    """Turn a folder into an old one, with pytorch_model.bin."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(change(tensors), folder / "pytorch_model.bin", **options)


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """A folder with both pretraining heads."""
    small_model("BertForPreTraining", dtype=torch.float32).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ANSWERS)
def test_every_class_gives_the_same_bits_after_saving_and_loading(name, tmp_path):
    model = small_model(name, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    loaded = getattr(minibert, name).from_pretrained(tmp_path, strict=True, **QUIET)
    assert not loaded.training
    assert_same_answers(model, loaded, name)
    assert loaded.config == minibert.BertConfig.from_json_file(tmp_path / "config.json")
    assert loaded.config.num_labels == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_stored_in_another_precision_become_float32_and_this_is_said(dtype, tmp_path):
    model = small_model("BertForMaskedLM", dtype=dtype)
    model.save_pretrained(tmp_path)
    loaded = BertForMaskedLM.from_pretrained(tmp_path, strict=True, **QUIET)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert_same_answers(model.float(), loaded, "BertForMaskedLM")
    kind = str(dtype).removeprefix("torch.")
    assert f"note: stored as {kind}, loaded as float32" in str(loaded.load_report)


def test_a_folder_in_shards_is_read_as_one(pretrained):
    whole = BertForPreTraining.from_pretrained(pretrained, **QUIET)
    tensors = load_file(pretrained / "model.safetensors")
    (pretrained / "model.safetensors").unlink()
    places = {}
    for number, name in enumerate(sorted(tensors)):
        places[name] = f"model-{number % 3 + 1:05d}-of-00003.safetensors"
    for file in set(places.values()):
        part = {name: tensors[name] for name, place in places.items() if place == file}
        save_file(part, pretrained / file)
    index = pretrained / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    loaded = BertForPreTraining.from_pretrained(pretrained, strict=True, **QUIET)
    assert_same_answers(whole, loaded, "BertForPreTraining")
    (pretrained / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(MiniBertError, match="model-00002-of-00003"):
        BertForPreTraining.from_pretrained(pretrained, **QUIET)


@pytest.mark.parametrize("zipped", [True, False])
def test_an_old_bin_file_is_read_in_both_of_its_layouts(pretrained, zipped):
    whole = BertForPreTraining.from_pretrained(pretrained, **QUIET)

    def as_it_was(tensors):
        # The decoder was stored too, as the same memory, and so were the numbers of the positions.
        table = tensors["bert.embeddings.word_embeddings.weight"]
        positions = torch.arange(12)[None]
        old = {name.replace("Norm.bias", "Norm.beta"): tensor for name, tensor in tensors.items()}
        return old | {
            "cls.predictions.decoder.weight": table,
            "bert.embeddings.position_ids": positions,
        }

    to_bin(pretrained, as_it_was, _use_new_zipfile_serialization=zipped)
    loaded = BertForPreTraining.from_pretrained(pretrained, strict=True, **QUIET)
    assert_same_answers(whole, loaded, "BertForPreTraining")


def test_a_bin_of_parameters_or_of_shared_memory_gives_parameters_of_their_own(pretrained):
    def shared_memory(tensors):
        norm = torch.nn.Parameter(torch.ones(16))
        return {n: norm if n.endswith("LayerNorm.weight") else t for n, t in tensors.items()}

    to_bin(pretrained, shared_memory)
    loaded = BertModel.from_pretrained(pretrained, **QUIET)
    pointers = [parameter.data_ptr() for parameter in loaded.parameters()]
    assert len(set(pointers)) == len(pointers)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_googles_folder_is_read_and_written_back_as_one_of_transformers(tmp_path):
    model = small_model("BertForPreTraining", dtype=torch.float32, hidden_act="gelu_tanh")
    write_google_folder(tmp_path, model)
    loaded = BertForPreTraining.from_pretrained(tmp_path, strict=True, **QUIET)
    assert_same_answers(model, loaded, "BertForPreTraining")
    loaded.save_pretrained(tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text(encoding="utf-8"))
    assert config["hidden_act"] == "gelu_pytorch_tanh"


@pytest.mark.parametrize("labels", [2, 3])
def test_a_classifier_trained_with_googles_code_is_read(labels, tmp_path):
    name = "BertForSequenceClassification"
    model = small_model(name, dtype=torch.float32, hidden_act="gelu_tanh", num_labels=labels)
    write_google_folder(tmp_path, model)
    loaded = BertForSequenceClassification.from_pretrained(
        tmp_path, num_labels=labels, strict=True, **QUIET
    )
    assert_same_answers(model, loaded, name)
    # The config of Google's code does not say how many there are, but the classifier does.
    loaded = BertForSequenceClassification.from_pretrained(tmp_path, strict=True, **QUIET)
    assert_same_answers(model, loaded, name)


def test_the_report_says_what_is_loaded_new_and_left_over_in_words(pretrained, capsys):
    rewrite(pretrained, lambda t: t.update({"crf.transitions\x1b[2J": torch.zeros(2)}))
    BertForSequenceClassification.from_pretrained(pretrained)
    assert capsys.readouterr().err.splitlines() == [
        f"BertForSequenceClassification: 31 tensors loaded from {pretrained}/model.safetensors",
        "  newly initialized: classifier.* (the task's own layer): not in the file, so train it "
        "before use",
        "  not used here: masked_lm.* (the masked-word head)",
        "  not used here: next_sentence.* (the next-sentence head)",
        "  not loaded, as no BERT of this config has it: 'crf.transitions\\x1b[2J'",
    ]
    BertForSequenceClassification.from_pretrained(pretrained, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_pooler_that_the_file_has_not_is_said_to_be_new(tmp_path):
    small_model("BertForMaskedLM", dtype=torch.float32).save_pretrained(tmp_path)
    report = BertModel.from_pretrained(tmp_path, **QUIET).load_report
    assert report.new == ["bert.pooler.dense.weight", "bert.pooler.dense.bias"]
    assert "newly initialized: bert.pooler.* (the pooler): not in the file" in str(report)


def test_layers_beyond_the_config_are_refused_unless_you_ask_for_fewer(pretrained):
    config = json.loads((pretrained / "config.json").read_text(encoding="utf-8"))
    (pretrained / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    for load in (BertModel.from_pretrained, BertForMaskedLM.from_pretrained):
        with pytest.raises(MiniBertError, match=r"has 2 layers, .*num_hidden_layers 1; correct"):
            load(pretrained, **QUIET)
    with pytest.raises(MiniBertError, match="has 2 layers"):
        convert(pretrained, pretrained / "new")
    report = BertModel.from_pretrained(pretrained, num_hidden_layers=1, **QUIET).load_report
    assert len([name for name in report.unused if "encoder.layer.1." in name]) == 12
    assert "not used here: bert.encoder.* (the encoder)" in str(report)


def test_strict_refuses_what_is_new_and_what_is_left_over(pretrained):
    BertForPreTraining.from_pretrained(pretrained, strict=True, **QUIET)
    with pytest.raises(MiniBertError, match=r"(?s)strict.*not used here: masked_lm"):
        BertModel.from_pretrained(pretrained, strict=True, **QUIET)
    with pytest.raises(MiniBertError, match=r"(?s)strict.*newly initialized: qa_outputs"):
        BertForQuestionAnswering.from_pretrained(pretrained, strict=True, **QUIET)
    rewrite(pretrained, lambda tensors: tensors.update({"more": torch.zeros(2)}))
    with pytest.raises(MiniBertError, match=r"(?s)strict.*config has it: 'more'"):
        BertForPreTraining.from_pretrained(pretrained, strict=True, **QUIET)


def test_a_new_layer_starts_as_a_fresh_one_does_and_the_rest_is_the_files(pretrained):
    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(pretrained, num_labels=200, **QUIET)
    assert model.classifier.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.classifier.bias.count_nonzero() == 0
    body = BertModel.from_pretrained(pretrained, **QUIET).state_dict()
    for name, tensor in model.bert.state_dict().items():
        assert torch.equal(tensor, body[name]), name


def test_another_number_of_labels_is_refused_unless_the_layer_may_start_anew(tmp_path):
    small_model("BertForTokenClassification", dtype=torch.float32).save_pretrained(tmp_path)
    load = minibert.BertForTokenClassification.from_pretrained
    with pytest.raises(
        MiniBertError,
        match=r"classifier\.weight is \(3, 16\) in the file and \(5, 16\) in the model.*"
        "another number of labels.*ignore_mismatched_sizes",
    ):
        load(tmp_path, num_labels=5, **QUIET)
    model = load(tmp_path, num_labels=5, ignore_mismatched_sizes=True, **QUIET)
    assert model.classifier.weight.shape == (5, 16)
    assert model.config.id2label[4] == "LABEL_4"
    assert (
        "newly initialized, as the shape differs: classifier.weight is (3, 16) in the file"
        in str(model.load_report)
    )
    assert load(tmp_path, id2label={0: "a", 1: "b", 2: "c"}, **QUIET).config.label2id["c"] == 2


def names_of_the_body() -> list[str]:
    model = small_model("BertModel", dtype=torch.float32)
    named = model.named_tensors()
    theirs = to_hugging_face(named, 2)
    return [name for name in theirs if "pooler" not in name]


@pytest.mark.parametrize("what", ["missing", "misspelt", "cut", "NaN", "infinite"])
@pytest.mark.parametrize("name", names_of_the_body())
def test_each_tensor_of_the_encoder_that_is_missing_or_wrong_is_refused(pretrained, name, what):
    def spoil(tensors):
        tensor = tensors.pop(name)
        if what == "misspelt":
            tensors[name.replace("bert.", "bart.")] = tensor
        elif what == "cut":
            tensors[name] = tensor[:-1].clone()
        elif what != "missing":
            tensors[name] = tensor.clone()
            tensors[name].view(-1)[0] = torch.nan if what == "NaN" else -torch.inf

    rewrite(pretrained, spoil)
    with pytest.raises(MiniBertError) as found:
        BertForPreTraining.from_pretrained(pretrained, ignore_mismatched_sizes=True, **QUIET)
    expected = {"cut": ("does not fit", "must have one shape"), "NaN": ("NaN or infinite",)}
    expected["infinite"] = expected["NaN"]
    assert any(part in str(found.value) for part in expected.get(what, ("lacks",)))


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, torch.float8_e4m3fn, torch.int64])
def test_numbers_that_are_no_weights_are_refused(pretrained, dtype):
    name = "bert.embeddings.LayerNorm.bias"
    rewrite(pretrained, lambda tensors: tensors.update({name: torch.ones(16).to(dtype)}))
    with pytest.raises(MiniBertError, match=r"torch\.(int8|complex64|float8_e4m3fn|int64), which"):
        BertModel.from_pretrained(pretrained, **QUIET)


def test_a_config_of_other_sizes_is_refused_with_both_shapes(pretrained):
    for change, shapes in (
        ({"vocab_size": 51}, r"word_embeddings\.weight is \(50, 16\) .* \(51, 16\)"),
        (
            {"max_position_embeddings": 24},
            r"position_embeddings\.weight is \(12, 16\) .* \(24, 16\).*resize",
        ),
        ({"num_hidden_layers": 3}, r"has 2 of the 3 layers .*another model"),
    ):
        with pytest.raises(MiniBertError, match=shapes):
            BertModel.from_pretrained(pretrained, ignore_mismatched_sizes=True, **change, **QUIET)
    with pytest.raises(MiniBertError, match="no field 'num_label'; did you mean 'num_labels'"):
        BertModel.from_pretrained(pretrained, num_label=3, **QUIET)


def test_a_folder_that_is_not_whole_says_what_is_missing(pretrained, tmp_path):
    with pytest.raises(MiniBertError, match=r"nowhere does not exist; check the path"):
        BertModel.from_pretrained(tmp_path / "nowhere", **QUIET)
    (pretrained / "config.json").rename(pretrained / "config.jsn")
    with pytest.raises(MiniBertError, match=r"no config\.json"):
        BertModel.from_pretrained(pretrained, **QUIET)
    (pretrained / "config.jsn").rename(pretrained / "config.json")
    (pretrained / "model.safetensors").unlink()
    with pytest.raises(MiniBertError, match=r"holds no weights: .*--resume"):
        BertModel.from_pretrained(pretrained, **QUIET)


def test_a_file_cut_short_is_refused(pretrained):
    file = pretrained / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MiniBertError, match=r"model\.safetensors is damaged.*copy it again"):
        BertModel.from_pretrained(pretrained, **QUIET)


def test_without_a_network_a_hub_name_says_what_to_copy_where(monkeypatch):
    def refuse(name, allow_patterns):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(
        MiniBertError, match=r"bert-base-chinese.*no route.*copy config\.json.*model\."
    ):
        BertModel.from_pretrained("bert-base-chinese", **QUIET)


def test_a_model_is_made_from_a_config_and_not_from_a_name():
    with pytest.raises(MiniBertError, match=r"BertModel\.from_pretrained\(\.\.\.\)"):
        BertModel("bert-base-uncased")


def after_load(model, folder):
    model.save_pretrained(folder)
    return type(model).from_pretrained(folder, **QUIET)


@pytest.mark.parametrize("name", ["BertForMaskedLM", "BertForPreTraining"])
@pytest.mark.parametrize(
    "treat",
    [
        pytest.param(after_load, id="saved and loaded"),
        pytest.param(lambda model, _: copy.deepcopy(model), id="copied"),
        pytest.param(lambda model, _: model.to(torch.bfloat16), id="converted"),
        pytest.param(lambda model, _: model.to("meta").to_empty(device="cpu").float(), id="moved"),
        pytest.param(lambda model, _: torch.compile(model, backend="eager"), id="compiled"),
    ],
)
def test_the_decoder_is_the_token_table_whatever_was_done_to_the_model(name, treat, tmp_path):
    model = treat(small_model(name, dtype=torch.float32), tmp_path)
    answer = ANSWERS[name][0]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) / 4)
        before = model(**small_batch(name))[answer]
        table = next(
            p
            for n, p in model.named_parameters()
            if n.endswith("embeddings.word_embeddings.weight")
        )
        table[0] += 1  # [PAD] is in no input, so it changes its own column and nothing else
        after = model(**small_batch(name))[answer]
    assert torch.equal(before[..., 1:], after[..., 1:])
    assert not torch.equal(before[..., 0], after[..., 0])
    stored = [n for n, p in model.named_parameters() if p.shape == table.shape]
    assert len(stored) == 1


def test_a_compiled_model_saves_the_names_of_the_plain_one(tmp_path):
    model = small_model("BertForMaskedLM", dtype=torch.float32)
    torch.compile(model, backend="eager").save_pretrained(tmp_path)
    loaded = BertForMaskedLM.from_pretrained(tmp_path, strict=True, **QUIET)
    assert_same_answers(model, loaded, "BertForMaskedLM")


def test_arrays_of_google_may_be_trained(tmp_path):
    write_google_folder(tmp_path, small_model("BertForPreTraining", dtype=torch.float32))
    model = BertForPreTraining.from_pretrained(tmp_path, **QUIET)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    outputs = model(**small_batch("BertForPreTraining"), labels=torch.ones(4, 6).long())
    outputs.loss.backward()
    optimizer.step()
    changed = [n for n, p in model.named_parameters() if not torch.equal(p, before[n])]
    assert "bert.embeddings.word_embeddings.weight" in changed
    again = BertForPreTraining.from_pretrained(tmp_path, **QUIET)
    assert all(np.array_equal(p.detach(), before[n]) for n, p in again.named_parameters())


def test_gradient_checkpointing_changes_no_bit():
    def gradients(*, enabled: bool):
        torch.manual_seed(0)
        model = minibert.BertForPreTraining(small_config(hidden_dropout_prob=0.5)).train()
        model.masked_positions_only = True  # the last layer has fewer queries than keys
        if enabled:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={})
            model = copy.deepcopy(model)
        batch = small_batch("BertForPreTraining") | small_labels("BertForPreTraining")
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            loss = model(**batch).loss
        loss.backward()
        model.gradient_checkpointing_disable()
        assert not any("forward" in vars(layer) for layer in model.bert.encoder.layer)
        return len(kept), [loss, *(parameter.grad for parameter in model.parameters())]

    (all_kept, expected), (few_kept, found) = gradients(enabled=False), gradients(enabled=True)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert few_kept < all_kept


def test_weights_are_loaded_in_the_type_asked_for(tmp_path):
    minibert.BertModel(small_config()).save_pretrained(tmp_path, safe_serialization=True)
    load = partial(minibert.BertModel.from_pretrained, tmp_path, quiet=True)
    assert load().dtype == load(dtype="auto").dtype == torch.float32
    assert load(torch_dtype="bfloat16").dtype == load(dtype=torch.bfloat16).dtype == torch.bfloat16
    with pytest.raises(MiniBertError, match="dtype is 'float17'; use one such as"):
        load(dtype="float17")
    assert load(attn_implementation="eager").attention == "eager"
    assert load(attn_implementation="sdpa").attention == "auto"
    config = minibert.BertConfig.from_pretrained(tmp_path, num_hidden_layers=2)
    assert load(config=config).config == config
    with pytest.raises(TypeError, match="no argument 'spam'"):
        load().save_pretrained(tmp_path, spam=1)
