"""What you can rely on: no file of weights or config can do harm, whoever wrote it.

A hostile or damaged safetensors file, pickle or config ends in one sentence (MiniBertError), in
less than a second and in little memory; nothing in it is run. This is shown for every lie that
their formats allow and for thousands of random changes. (Google's format has its own tests, in
test_tensorflow_checkpoint.py.)
"""

import contextlib
import json
import os
import pickle
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import MUTATIONS
from safetensors.torch import load_file
from small_models import small_config, small_model

from minibert import BertConfig, BertForPreTraining, BertModel, MiniBertError

MEGABYTE = 2**20
NAME = "bert.embeddings.LayerNorm.bias"


def memory(field: str) -> int:
    """Bytes that this process fills (VmRSS) or has filled at most (VmHWM); 0 if nobody says."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open(encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024
    return 0


@contextlib.contextmanager
def little(*, seconds: float = 1.0, megabytes: int = 50) -> Iterator[None]:
    """The block must be quick, and must not fill memory, not even for a moment."""
    with contextlib.suppress(OSError):
        # The highest mark of memory starts anew.
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before, start = memory("VmRSS"), time.process_time()
    yield
    assert time.process_time() - start < seconds
    assert memory("VmHWM") - before < megabytes * MEGABYTE


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A folder as it should be: 2 layers, both pretraining heads."""
    folder = tmp_path_factory.mktemp("saved")
    small_model("BertForPreTraining", dtype=torch.float32).save_pretrained(folder)
    BertForPreTraining.from_pretrained(
        folder, quiet=True
    )  # PyTorch's first use of meta costs memory
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def refused(folder: Path, match: str = ".") -> str:
    with little(), pytest.raises(MiniBertError, match=match) as found:
        BertForPreTraining.from_pretrained(folder, quiet=True)
    assert len(str(found.value)) < 2000
    return str(found.value)


def safetensors_of(header: bytes | dict, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A safetensors file: the length of the header, the header, the numbers."""
    if isinstance(header, dict):
        header = json.dumps(header).encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def entry(shape: list, start: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


DEEP = 100_000
LIES = {
    "nothing": b"",
    "half a length": b"\x10\0\0",
    "a header of 0 bytes": safetensors_of(b""),
    "a header of 2^63 bytes": safetensors_of(b"{}", length=2**63),
    "a header of 2^64 - 1 bytes": safetensors_of(b"{}", length=2**64 - 1),
    "a header that ends beyond the file": safetensors_of(b"{}", length=100),
    "a header of 100 MB that is not there": safetensors_of(b"{}", length=100_000_000),
    "no JSON": safetensors_of(b"{'a': 1}"),
    "no object": safetensors_of(b"[1, 2]"),
    "no UTF-8": safetensors_of(
        b'{"\xff\xfe": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"1234"
    ),
    "a lone surrogate": safetensors_of(
        b'{"\\ud800": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"1234"
    ),
    "deep arrays": safetensors_of(b"[" * DEEP + b"]" * DEEP),
    "deep objects": safetensors_of(b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "a deep shape": safetensors_of(
        b'{"a":{"dtype":"F32","data_offsets":[0,4],"shape":' + b"[" * DEEP + b"]" * DEEP + b"}}",
        b"1234",
    ),
    "numbers beyond the file": safetensors_of({NAME: entry([16], 0, 64)}, b"\0" * 63),
    "numbers before the file": safetensors_of({NAME: entry([1], -4, 0)}),
    "numbers that end before they start": safetensors_of({NAME: entry([1], 4, 0)}, b"\0" * 4),
    "fewer numbers than the shape": safetensors_of({NAME: entry([16], 0, 60)}, b"\0" * 60),
    "more bytes than tensors": safetensors_of({NAME: entry([16], 0, 64)}, b"\0" * 65),
    "an overlap": safetensors_of({"a": entry([16], 0, 64), "b": entry([16], 32, 96)}, b"\0" * 96),
    "two names for the same bytes": safetensors_of(
        {"a": entry([16], 0, 64), "b": entry([16], 0, 64)}, b"\0" * 64
    ),
    "a hole": safetensors_of({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, b"\0" * 12),
    "one name twice": safetensors_of(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b"\0" * 8,
    ),
    "a shape of 2^63 rows": safetensors_of({NAME: entry([2**63], 0, 64)}, b"\0" * 64),
    "a shape whose product overflows to 64": safetensors_of(
        {NAME: entry([2**62, 4, 16], 0, 64)}, b"\0" * 64
    ),
    "a shape of no rows and very many": safetensors_of({NAME: entry([0, 2**62], 0, 0)}),
    "a negative shape": safetensors_of({NAME: entry([-16], 0, 64)}, b"\0" * 64),
    "a fractional shape": safetensors_of({NAME: entry([1.5], 0, 6)}, b"\0" * 6),
    "an unknown type": safetensors_of({NAME: entry([16], 0, 64, "F33")}, b"\0" * 64),
    "a type of four bits": safetensors_of({NAME: entry([16], 0, 8, "F4")}, b"\0" * 8),
    "a type of eight bits": safetensors_of({NAME: entry([16], 0, 16, "F8_E8M0")}, b"\0" * 16),
    "whole numbers": safetensors_of({NAME: entry([16], 0, 64, "U32")}, b"\0" * 64),
    "100,000 empty tensors": safetensors_of({f"bert.{n}": entry([0], 0, 0) for n in range(10_000)}),
    "a name of a megabyte": safetensors_of({"x" * MEGABYTE: entry([0], 0, 0)}),
    "a matrix of no dimension": safetensors_of({NAME: entry([], 0, 4)}, b"\0" * 4),
    "a pickle": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_in_a_safetensors_file_is_refused_quickly_and_in_little_memory(folder, lie):
    (folder / "model.safetensors").write_bytes(LIES[lie])
    refused(folder)


def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_not_waited_for(folder):
    for name in ("model.safetensors", "config.json"):
        (folder / name).rename(folder / "moved")
        os.mkfifo(folder / name)
        refused(folder, "is not a file" if name.startswith("model") else "a device or a pipe")
        (folder / name).unlink()
        (folder / name).mkdir()
        refused(folder, "is not a file" if name.startswith("model") else "is a folder")
        (folder / name).rmdir()
        (folder / "moved").rename(folder / name)


def test_an_index_of_shards_cannot_point_out_of_its_folder(folder):
    whole = (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    index = folder / "model.safetensors.index.json"
    for place in (
        "../elsewhere.safetensors",
        str(whole),
        "..",
        ".",
        "",
        "a\0b",
        "x" * 300,
        None,
        1,
    ):
        index.write_text(json.dumps({"weight_map": {NAME: place}}), encoding="utf-8")
        refused(folder)
    for content in ("[]", "{}", '{"weight_map": []}', "nonsense", '{"weight_map": {}}'):
        index.write_text(content, encoding="utf-8")
        refused(folder)


class Payload:
    """What a pickle runs when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def write_pickle(folder: Path, content, **options) -> Path:
    (folder / "model.safetensors").unlink(missing_ok=True)
    path = folder / "pytorch_model.bin"
    torch.save(content, path, **options)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, content: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("function", [os.system, eval, pickle.loads])
def test_a_payload_in_a_pickle_is_named_and_not_run(folder, function, protocol, zipped):
    trace = folder / "it ran"
    arguments = {
        os.system: f"touch '{trace}'",
        eval: f"open({str(trace)!r}, 'w')",
        pickle.loads: pickle.dumps(Payload(os.system, f"touch '{trace}'")),
    }
    content = {"x": Payload(function, arguments[function])}
    write_pickle(folder, content, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    name = function.__name__ if protocol == 2 else "STACK_GLOBAL"
    refused(folder, rf"is a pickle that refers to '[\w. ]*{name}', .* nothing in it was run")
    assert not trace.exists()


def test_a_plain_pickle_with_a_payload_is_not_run_either(folder):
    trace = folder / "it ran"
    path = write_pickle(folder, {})
    path.write_bytes(pickle.dumps(Payload(os.system, f"touch '{trace}'"), protocol=2))
    refused(folder, "nothing in it was run")
    assert not trace.exists()


def test_what_pytorch_would_let_pass_but_fills_memory_is_refused(folder):
    write_pickle(folder, {"x": Payload(bytearray, 10**10)})
    refused(folder, r"refers to '\w+\.bytearray'")


def test_a_compressed_file_is_refused_before_it_is_unpacked(folder):
    path = write_pickle(folder, {"x": torch.zeros(25 * MEGABYTE)})
    write_zip(path, members(path), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < MEGABYTE
    refused(folder, "is compressed")


def test_a_tensor_may_not_be_larger_than_the_file(folder):
    wide = torch.zeros(1).expand(2**40)
    write_pickle(folder, {"bert.embeddings.word_embeddings.weight": wide})
    refused(folder, "more numbers than it has bytes")
    large = torch.zeros(MEGABYTE)
    write_pickle(folder, {f"bert.{number}": large for number in range(100)})
    refused(folder, "more numbers than it has bytes")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"model": {}},
        {"x": 1},
        {"x": torch.zeros(2).to_sparse()},
        {"x": torch.zeros(2, device="meta")},
        {"x": torch.zeros(2, dtype=torch.complex64)},
        {"x": torch.zeros(2).to(torch.float8_e4m3fn)},
        {},
        {1: torch.zeros(1)},
    ],
    ids=str,
)
def test_what_is_no_dictionary_of_plain_tensors_is_refused(folder, content):
    write_pickle(folder, content)
    refused(folder)


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"garbage" * 9, b"\x80\x02.", b"\x80\x02}q\0."]
)
def test_what_is_no_pickle_is_refused(folder, content):
    write_pickle(folder, {}).write_bytes(content)
    refused(folder)


def test_a_zip_with_its_parts_missing_or_outside_is_refused_and_writes_nothing(folder):
    path = write_pickle(folder, load_file(folder / "model.safetensors"))
    whole = members(path)
    before = sorted(folder.parent.iterdir())
    for name in whole:
        without = {other: data for other, data in whole.items() if other != name}
        if name.endswith("data.pkl") or "/data/" in name:
            write_zip(path, without)
            refused(folder)
        write_zip(path, without | {f"../../{name}": whole[name]})
        with contextlib.suppress(MiniBertError), little():
            BertModel.from_pretrained(folder, quiet=True)
    for name in whole:
        if "/data/" in name:
            write_zip(path, whole | {name: whole[name][:-1]})
            refused(folder)
            break
    assert sorted(folder.parent.iterdir()) == before


def mutations(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The content with a few bytes changed, cut, doubled or taken out, as a seed has it."""
    rng = random.Random(seed)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            place = rng.randrange(max(1, len(changed)))
            match rng.randrange(6):
                case 0:
                    changed[place : place + 1] = bytes([rng.randrange(256)])
                case 1:
                    changed[place : place + 1] = rng.choice(
                        (b"\0", b"\xff", b"9", b"}", b'"', b"[")
                    )
                case 2:
                    del changed[place : place + rng.randrange(1, 9)]
                case 3:
                    changed[place:place] = changed[place : place + rng.randrange(1, 33)]
                case 4:
                    changed[place : place + 8] = rng.choice((2**63, 2**31, 2**64 - 1)).to_bytes(
                        8, "little"
                    )
                case _:
                    del changed[rng.randrange(len(changed) + 1) :]
        yield bytes(changed)


def outcomes(folder: Path, path: Path, files: Iterator[bytes]) -> tuple[int, int]:
    """How many of the files were read and how many refused; anything else is a failure."""
    read = refusals = 0
    for content in files:
        path.write_bytes(content)
        try:
            with little():
                BertModel.from_pretrained(folder, quiet=True)
            read += 1
        except MiniBertError:
            refusals += 1
    return read, refusals


@pytest.fixture
def smallest(tmp_path: Path) -> Path:
    """A folder of one layer, so that most random changes hit what describes the numbers."""
    config = small_config(vocab_size=3, hidden_size=2, num_attention_heads=1, num_hidden_layers=1,
                          intermediate_size=2, max_position_embeddings=2)  # fmt: skip
    BertModel(config).save_pretrained(tmp_path)
    BertModel.from_pretrained(tmp_path, quiet=True)  # PyTorch's first use of meta costs a second
    return tmp_path


def test_random_changes_of_a_safetensors_file_are_refused_or_read(smallest):
    path = smallest / "model.safetensors"
    read, refusals = outcomes(smallest, path, mutations(path.read_bytes(), MUTATIONS, seed=1))
    assert read > 0.025 * MUTATIONS
    assert refusals > 0.5 * MUTATIONS


@pytest.mark.filterwarnings(
    "ignore:Defining your `__torch_function__`:UserWarning"
)  # PyTorch's own
def test_random_changes_of_a_pickle_are_refused_or_read(smallest):
    path = write_pickle(smallest, load_file(smallest / "model.safetensors"))
    whole = members(path)
    program = next(name for name in whole if name.endswith("data.pkl"))

    def files() -> Iterator[bytes]:
        yield from mutations(path.read_bytes(), MUTATIONS // 10, seed=2)
        for changed in mutations(whole[program], MUTATIONS // 4, seed=3):  # in a zip that is whole
            write_zip(path, whole | {program: changed})
            yield path.read_bytes()

    read, refusals = outcomes(smallest, path, files())
    assert read > 0.005 * MUTATIONS
    assert refusals > 0.12 * MUTATIONS


def test_random_changes_of_a_config_are_refused_or_read(smallest):
    path = smallest / "config.json"
    read, refusals = outcomes(smallest, path, mutations(path.read_bytes(), MUTATIONS // 4, seed=4))
    assert read > 0.01 * MUTATIONS
    assert refusals > 0.1 * MUTATIONS


SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
NO_SIZES = (
    0,
    -1,
    10**12,
    2**63,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    "768",
    None,
    True,
    [],
    {},
)
CONTRADICTIONS = (
    {"hidden_size": 17},
    {"num_attention_heads": 5},
    {"pad_token_id": 50},
    {"pad_token_id": -2},
    {"hidden_dropout_prob": float("nan")},
    {"hidden_dropout_prob": 1.001},
    {"hidden_dropout_prob": "0.1"},
    {"attention_probs_dropout_prob": -0.1},
    {"classifier_dropout": 7},
    {"layer_norm_eps": -1e-9},
    {"layer_norm_eps": float("inf")},
    {"initializer_range": float("nan")},
    {"hidden_act": "swish"},
    {"hidden_act": None},
    {"model_type": "roberta"},
    {"position_embedding_type": "relative_key"},
    {"is_decoder": True},
    {"id2label": {"0": "a", "00": "b"}},
    {"id2label": {"zero": "a"}},
    {"num_labels": -1},
)


@pytest.mark.parametrize("field", SIZES)
def test_an_impossible_size_is_refused_before_anything_is_allocated(folder, field):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for value in NO_SIZES:
        (folder / "config.json").write_text(json.dumps(config | {field: value}), encoding="utf-8")
        assert field in refused(folder)


@pytest.mark.parametrize("field", SIZES)
def test_a_possible_size_that_is_not_that_of_the_file_is_refused_without_allocating_it(
    folder, field
):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {field: 200 if field == "num_hidden_layers" else 2**20}
    config["hidden_size"] = max(config["hidden_size"], config["num_attention_heads"])
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    refused(folder)


@pytest.mark.parametrize("change", CONTRADICTIONS, ids=str)
def test_a_config_that_contradicts_itself_is_refused(folder, change):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    message = refused(folder)
    assert any(name in message for name in (*change, "num_labels")), message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b"{'vocab_size': 3}",
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"vocab_size": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda content: repr(content[:20]),
)
@pytest.mark.parametrize("name", ["config.json", "bert_config.json"])
def test_a_config_that_is_no_json_object_is_refused(folder, name, content):
    (folder / "config.json").unlink()
    (folder / name).write_bytes(content)
    assert name in refused(folder)
    with pytest.raises(MiniBertError):
        BertConfig.from_json_file(folder / name)
