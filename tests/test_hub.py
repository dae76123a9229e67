"""What you can rely on: a local folder always wins; without the hub a sentence says what to copy.

No test here touches the network: `snapshot_download` is replaced.
"""

from pathlib import Path

import huggingface_hub
import pytest
from small_models import small_config

from minibert import BertConfig, BertForMaskedLM, BertModel, BertTokenizer
from minibert.errors import MiniBertError
from minibert.files import bundled
from minibert.hub import local_folder

FILES = ("vocab.txt", "*.safetensors")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the hub was asked for; it answers with `tmp_path`."""
    calls = []

    def download(name, allow_patterns, **options):
        calls.append((name, allow_patterns, *options.items()))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return calls


def test_a_local_folder_wins_over_the_hub(asked, tmp_path, monkeypatch):
    (tmp_path / "bert-base-uncased").mkdir()
    monkeypatch.chdir(tmp_path)
    assert local_folder("bert-base-uncased", files=FILES).samefile(tmp_path / "bert-base-uncased")
    assert local_folder(tmp_path, files=FILES) == tmp_path
    assert asked == []


def test_weights_that_come_with_minibert_are_found_from_any_folder(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert local_folder("weights/tiny", files=FILES) == bundled("weights/tiny")
    for name in ("weights/none", "weights/.."):
        assert local_folder(name, files=FILES) == tmp_path  # as the hub says
    (tmp_path / "weights/tiny").mkdir(parents=True)
    assert local_folder("weights/tiny", files=FILES).samefile(tmp_path / "weights/tiny")
    assert [name for name, _ in asked] == ["weights/none", "weights/.."]


def test_the_hub_is_asked_for_the_named_files_only(asked, tmp_path):
    assert local_folder("google-bert/bert-base-uncased", files=FILES) == tmp_path
    assert asked == [("google-bert/bert-base-uncased", list(FILES))]


def test_options_for_the_hub_are_passed_on(asked, tmp_path):
    BertForMaskedLM(small_config()).save_pretrained(tmp_path)
    BertModel.from_pretrained("google/x", revision="v1", local_files_only=True, quiet=True)
    BertConfig.from_pretrained("google/x", cache_dir="c")
    assert [options for _, _, *options in asked] == [
        [("local_files_only", True), ("revision", "v1")],
        [("cache_dir", "c")],
    ]


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/model", "~/nowhere", "a/b/c"])
def test_what_looks_like_a_path_is_never_asked_for_on_the_hub(asked, name):
    with pytest.raises(MiniBertError, match=r"does not exist; check the path, or give a hub name"):
        local_folder(name, files=FILES)
    assert asked == []


@pytest.mark.parametrize(
    "name", ["./weigths/tiny", "weights/tinny/", "{}/weight/tiny", "../a/weights/tin"]
)
def test_a_misspelt_folder_is_told_the_one_that_exists(monkeypatch, tmp_path, name):
    def download(name, allow_patterns):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    (tmp_path / "a/weights/tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    with pytest.raises(MiniBertError, match=r"did you mean .*weights/tiny\?"):
        local_folder(name.format(tmp_path / "a"), files=FILES)


@pytest.mark.parametrize("kind", [BertModel, BertConfig, BertTokenizer])
@pytest.mark.parametrize("given", [BertConfig(), None, {}])
def test_from_pretrained_takes_a_name_and_says_how_a_config_becomes_a_model(kind, given):
    said = f"takes a folder or a hub name, not {type(given).__name__};.*BertModel\\(config\\)"
    with pytest.raises(MiniBertError, match=said):
        kind.from_pretrained(given)


def test_a_file_is_not_a_folder(asked, tmp_path):
    (tmp_path / "vocab.txt").write_text("x", encoding="utf-8")
    with pytest.raises(MiniBertError, match="is a file; give the folder"):
        local_folder(tmp_path / "vocab.txt", files=FILES)


@pytest.mark.parametrize("name", ["bert_model.ckpt", "bert_model.ckpt.index"])
def test_a_checkpoint_of_tensorflow_is_named_by_its_folder(asked, tmp_path, name):
    (tmp_path / "bert_model.ckpt.index").write_bytes(b"")
    with pytest.raises(MiniBertError, match=f"give the folder that it is in: {tmp_path}"):
        local_folder(tmp_path / name, files=FILES)


@pytest.mark.parametrize("start", ["https://huggingface.co/", "huggingface.co/"])
@pytest.mark.parametrize("end", ["", "/tree/main", "/"])
def test_an_address_of_the_hub_is_told_the_name_in_it(asked, start, end):
    with pytest.raises(MiniBertError, match=r"give the name alone: google-bert/bert-base-cased$"):
        local_folder(f"{start}google-bert/bert-base-cased{end}", files=FILES)


def test_a_hub_name_may_be_a_path(asked, tmp_path):
    assert local_folder(Path("google/bert"), files=FILES) == tmp_path
    assert asked == [("google/bert", list(FILES))]


@pytest.mark.parametrize(
    "error", [ConnectionError("no route\nto host"), OSError(), ValueError("?")]
)
def test_without_the_hub_a_sentence_says_which_files_to_copy_where(monkeypatch, error):
    def download(name, allow_patterns):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(MiniBertError) as found:
        local_folder("bert-base-uncased", files=FILES)
    message = str(found.value)
    assert (
        "copy vocab.txt, *.safetensors of that model into a folder named bert-base-uncased"
        in message
    )
    assert "\n" not in message
