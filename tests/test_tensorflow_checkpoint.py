"""What you can rely on: Google's checkpoints are read to the last bit, and no file can do harm.

A damaged or hostile file gives one sentence (MiniBertError), in less than a second and in little
memory, or else exactly the right tensors: never another exception, never a wrong tensor in
silence. This is shown for every truncation and every flipped bit of a small checkpoint, for every
lie that an index can tell, and for thousands of random mutations, half of them under checksums that
hold. (MINIBERT_MUTATIONS=10000 tries five times as many.)
"""

import contextlib
import os
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tensorflow_writer as writer
from conftest import MUTATIONS, shared

from minibert.checkpoints.tensorflow.checkpoint_reader import (
    find_checkpoint,
    read_index,
    read_tensors,
)
from minibert.checkpoints.tensorflow.crc32c import PIECE, POLYNOMIAL, crc32c, masked
from minibert.checkpoints.tensorflow.index import MAX_ELEMENTS, parse_index, read_table, varint
from minibert.errors import MiniBertError

TENSORS = {
    "bert/pooler/dense/bias": np.arange(3, dtype=np.float32),
    "bert/pooler/dense/kernel": np.arange(9, dtype=np.float32).reshape(3, 3),
    "cls/steps": np.array(12, dtype=np.int64),
}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A checkpoint of three tensors, 56 bytes of numbers in all."""
    writer.write_checkpoint(tmp_path / "model.ckpt", TENSORS)
    return tmp_path / "model.ckpt"


def index_file(prefix: Path) -> Path:
    return Path(f"{prefix}.index")


def data_file(prefix: Path) -> Path:
    return Path(f"{prefix}.data-00000-of-00001")


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return list(found) == sorted(expected) and all(
        array.shape == expected[name].shape and np.array_equal(array, expected[name])
        for name, array in found.items()
    )


# The checksum


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_the_checksum_has_its_published_values(data: bytes, checksum: int) -> None:
    assert list(by_definition(data))[-1] == checksum
    assert crc32c(data) == checksum


def by_definition(data: bytes) -> Iterator[int]:
    """The checksums of the first 0, 1, 2, ... bytes: eight steps of long division a byte."""
    remainder = 0xFFFFFFFF
    yield remainder ^ 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (POLYNOMIAL if remainder & 1 else 0)
        yield remainder ^ 0xFFFFFFFF


def test_the_fast_checksum_equals_the_definition_at_every_length() -> None:
    piece = 4 << PIECE
    data = random.Random(0).randbytes(2 * piece + 1)
    lengths = {*range(200), *range(piece - 5, piece + 6), 2 * piece - 1, 2 * piece, 2 * piece + 1}
    for length, checksum in enumerate(by_definition(data)):
        if length in lengths:
            assert crc32c(data[:length]) == checksum, length


def test_the_mask_rotates_and_adds() -> None:
    assert masked(0) == 0xA282EAD8
    assert masked(1 << 15) == 0xA282EAD9
    assert masked(1) == 0xA284EAD8


# Honest checkpoints


def test_a_small_checkpoint_comes_back(prefix: Path) -> None:
    assert same(read_tensors(prefix), TENSORS)


@pytest.mark.parametrize(
    "slot", ["adam_m", "adam_v", "Adam", "Adam_1", "lamb_m", "lamb_v", "BERTAdam_1", "adafactor_vr"]
)
def test_what_an_optimizer_keeps_is_left_out(tmp_path: Path, slot: str) -> None:
    names = ("w", f"w/{slot}", "Adam/w", "global_step")
    writer.write_checkpoint(tmp_path / "x", {name: np.ones(2) for name in names})
    assert list(read_tensors(tmp_path / "x")) == ["Adam/w", "w"]


def test_many_blocks_and_several_data_files_are_read_as_one(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    tensors = {
        f"layer_{number}/kernel": generator.normal(size=(number, 3)).astype(np.float32)
        for number in range(100)
    }
    writer.write_checkpoint(tmp_path / "x", tensors, shards=3, pairs_in_block=7)
    assert same(read_tensors(tmp_path / "x"), tensors)
    assert read_index(tmp_path / "x").shards == 3


def test_every_type_keeps_its_values(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2], [100, 77, 1]])
    tensors = {
        name: values.astype(name) for name in writer.CODES if name not in ("bool", "bfloat16")
    }
    tensors |= {"bool": values > 1, "一": np.array(-1.5), "none": np.zeros((0, 4), np.float32)}
    writer.write_checkpoint(tmp_path / "x", tensors)
    found = read_tensors(tmp_path / "x")
    assert same(found, tensors)
    assert all(found[name].dtype == array.dtype for name, array in tensors.items())
    assert all(array.flags.writeable for array in found.values())


def test_bfloat16_becomes_the_float32_of_the_same_value(tmp_path: Path) -> None:
    bits = np.array([0x3F80, 0xC000, 0x0000, 0x7F80], dtype=np.uint16)
    writer.write_checkpoint(tmp_path / "x", {"w": bits}, codes={"w": writer.CODES["bfloat16"]})
    found = read_tensors(tmp_path / "x")["w"]
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, -2.0, 0.0, float("inf")]


def test_the_checkpoint_that_google_wrote_is_read() -> None:
    folder = shared("golden/google_tiny/bert_model.ckpt.index").parent
    found = read_tensors(find_checkpoint(folder))
    assert len(found) == 46
    assert found["bert/embeddings/word_embeddings"].shape == (131, 32)
    assert found["bert/encoder/layer_1/intermediate/dense/kernel"].shape == (32, 64)
    assert {array.dtype.name for array in found.values()} == {"float32"}


def test_the_checkpoint_of_googles_training_holds_its_final_weights() -> None:
    folder = shared("golden/google_tiny/trained")
    reference = np.load(shared("golden/google_tiny/reference.npz"))
    found = read_tensors(find_checkpoint(folder))
    start = "training/final/"
    final = {
        name.removeprefix(start): reference[name] for name in reference if name.startswith(start)
    }
    assert len(final) == 46
    assert same(found, final)
    assert len(read_index(find_checkpoint(folder)).entries) == 3 * 46 + 1  # with Adam's averages


# Finding a checkpoint


def test_the_only_checkpoint_of_a_folder_is_found(prefix: Path) -> None:
    Path(f"{prefix}.meta").touch()
    assert find_checkpoint(prefix.parent) == prefix


def test_in_a_folder_googles_name_comes_first_then_the_latest(prefix: Path) -> None:
    folder = prefix.parent
    for name in ("model.ckpt-7", "model.ckpt-12"):
        writer.write_checkpoint(folder / name, TENSORS)
    with pytest.raises(
        MiniBertError, match=r"3 TensorFlow .*\(model\.ckpt, model\.ckpt-12, model\.ckpt-7\)"
    ):
        find_checkpoint(folder)
    for value in ("model.ckpt-12", "/home/someone/else/model.ckpt-12", "..\\model.ckpt-12"):
        (folder / "checkpoint").write_text(
            f'model_checkpoint_path: "{value}"\nall_model_checkpoint_paths: "model.ckpt-7"\n',
            encoding="utf-8",
        )
        assert find_checkpoint(folder) == folder / "model.ckpt-12"
    writer.write_checkpoint(folder / "bert_model.ckpt", TENSORS)
    assert find_checkpoint(folder) == folder / "bert_model.ckpt"


def test_a_checkpoint_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MiniBertError, match="holds 0 TensorFlow checkpoints"):
        find_checkpoint(tmp_path)
    with pytest.raises(MiniBertError, match="is missing"):
        read_tensors(tmp_path / "wrong.ckpt")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gone"', encoding="utf-8")
    with pytest.raises(MiniBertError, match="calls 'gone' the latest"):
        find_checkpoint(tmp_path)
    for name in ("a" * 60_000, "a\0b", "..", ""):
        (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{name}"', encoding="utf-8")
        with pytest.raises(MiniBertError, match="the latest checkpoint, but there is no"):
            find_checkpoint(tmp_path)
    (tmp_path / "checkpoint").write_bytes(random.Random(0).randbytes(1000))
    with pytest.raises(MiniBertError, match="holds 0 TensorFlow checkpoints"):
        find_checkpoint(tmp_path)


def test_a_pipe_is_not_waited_for(prefix: Path) -> None:
    data_file(prefix).unlink()
    os.mkfifo(data_file(prefix))
    with pytest.raises(MiniBertError, match="not a file"):
        read_tensors(prefix)


def test_a_missing_data_file_and_a_folder_in_its_place_are_named(prefix: Path) -> None:
    data_file(prefix).unlink()
    with pytest.raises(MiniBertError, match="data-00000-of-00001 is missing"):
        read_tensors(prefix)
    data_file(prefix).mkdir()
    with pytest.raises(MiniBertError, match="not a file"):
        read_tensors(prefix)


# Damage


def test_an_index_cut_at_any_byte_is_refused(prefix: Path) -> None:
    whole = index_file(prefix).read_bytes()
    for length in range(len(whole)):
        with pytest.raises(MiniBertError, match="damaged"):
            parse_index(whole[:length])


def test_googles_index_with_any_bit_flipped_is_refused_or_means_the_same() -> None:
    """One flip is harmless: 0x0F in the footer becomes 0x8F 0x00, a longer way to write 15."""
    whole = shared("golden/google_tiny/bert_model.ckpt.index").read_bytes()
    meaning = parse_index(whole)
    harmless = 0
    for place, bit in product(range(len(whole)), range(8)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        try:
            assert parse_index(bytes(flipped)) == meaning
            harmless += 1
        except MiniBertError:
            pass
    assert harmless == 1


def test_any_bit_flipped_in_the_numbers_names_the_tensor(prefix: Path) -> None:
    whole = data_file(prefix).read_bytes()
    assert len(whole) == 56
    for place, bit in product(range(len(whole)), range(8)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        data_file(prefix).write_bytes(flipped)
        name = "bias" if place < 12 else "kernel" if place < 48 else "steps"
        with pytest.raises(MiniBertError, match=f"{name}' is damaged: the checksum"):
            read_tensors(prefix)


def test_data_cut_at_any_byte_are_refused(prefix: Path) -> None:
    whole = data_file(prefix).read_bytes()
    for length in range(len(whole)):
        data_file(prefix).write_bytes(whole[:length])
        with pytest.raises(MiniBertError, match="is too short"):
            read_tensors(prefix)


# Lies: every checksum holds, and yet


def lie(message: bytes, *, header: bytes | None = None) -> bytes:
    """An index of one tensor, about which `message` is told."""
    header = writer.header() if header is None else header
    return writer.table([(b"", header), (b"w", message)])


def pair(shared: int, unshared: int, length: int, rest: bytes) -> bytes:
    """A block of one pair, said to be of these lengths."""
    lengths = b"".join(writer.varint(number) for number in (shared, unshared, length))
    return lengths + rest + bytes(4) + (1).to_bytes(4, "little")


def one_block(content: bytes) -> bytes:
    return writer.table_of_blocks([content])


def pointing_to(*handle: int) -> bytes:
    """A table whose only data block is said to be at this offset and of this size."""
    value = b"".join(writer.varint(number) for number in handle)
    good = writer.block([(b"", writer.header())])
    return writer.table_of_blocks([good], index=writer.block([(b"x", value)]))


NUMBERS = np.arange(4, dtype=np.float32).tobytes()
GOOD = {"code": 1, "shape": (4,), "size": 16, "checksum": masked(crc32c(NUMBERS))}


def entry(**changes: object) -> bytes:
    return writer.entry(**(GOOD | changes))  # type: ignore[arg-type]


LIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "magic number"),
    "no magic": (lie(entry())[:-1] + b"\0", "magic number"),
    "footer full": (lie(entry())[:-9] + b"\1" + writer.MAGIC, "padded with zeros"),
    "index block outside": (
        writer.sealed(b"") + writer.footer((0, 0), (1 << 62, 8)),
        "does not fit into the file",
    ),
    "huge block": (pointing_to(0, 1 << 63), "does not fit into the file"),
    "block beyond the end": (pointing_to(1 << 40, 4), "does not fit into the file"),
    "varint of 11 bytes": (
        writer.sealed(b"") + (b"\xff" * 11).ljust(40, b"\0") + writer.MAGIC,
        "longer than 10 bytes",
    ),
    "varint of 70 bits": (
        writer.sealed(b"") + (b"\xff" * 9 + b"\x7f").ljust(40, b"\0") + writer.MAGIC,
        "more than 64 bits",
    ),
    "varint cut": (one_block(b"\xff" + bytes(4) + (1).to_bytes(4, "little")), "runs past the end"),
    "shares too much": (one_block(pair(1, 0, 0, b"")), "repeats 1 bytes of a name that has 0"),
    "name beyond the block": (one_block(pair(0, 1 << 60, 0, b"")), "run past the end"),
    "value beyond the block": (one_block(pair(0, 0, 1 << 60, b"")), "run past the end"),
    "name too long": (one_block(pair(0, 513, 0, bytes(513))), "longer than 512 bytes"),
    "restart points": (one_block((1 << 31).to_bytes(4, "little")), "cannot hold"),
    "block of nothing": (one_block(b""), "cannot hold"),
    "block without pairs": (one_block(writer.block([])), "block at byte 0 is empty"),
    "nothing in the table": (writer.table([]), "header is missing"),
    "out of order": (writer.table([(b"", writer.header()), (b"b", b""), (b"a", b"")]), "of order"),
    "twice": (writer.table([(b"", writer.header()), (b"a", b""), (b"a", b"")]), "appears twice"),
    "out of order in blocks": (
        writer.table([(b"", writer.header()), (b"b", b""), (b"a", b"")], pairs_in_block=2),
        "of order",
    ),
    "one block twice": (
        writer.table_of_blocks(
            [pair(0, 1, 0, b"a")],
            index=writer.block([(b"a", bytes([0, 12])), (b"b", bytes([0, 12]))]),
        ),
        "overlap",
    ),
    "too many": (
        writer.table([(b"", writer.header())] + [(b"%06d" % n, b"") for n in range(10_001)]),
        "more than 10000 tensors",
    ),
    "compressed": (
        writer.sealed(writer.block([]), kind=1) + writer.footer((0, 8), (0, 8)),
        "is compressed",
    ),
    "no header": (writer.table([(b"w", entry())]), "header is missing"),
    "big-endian": (lie(entry(), header=writer.header(endianness=1)), "big-endian"),
    "name not UTF-8": (writer.table([(b"", writer.header()), (b"\xff", entry())]), "not UTF-8"),
    "field beyond the end": (lie(bytes([8 | 2, 100])), "runs past the end of its message"),
    "huge field": (lie(bytes([8 | 2]) + writer.varint(1 << 63)), "runs past the end"),
    "fixed field cut": (lie(bytes([6 << 3 | 5, 1, 2])), "runs past the end of its message"),
    "unknown kind": (lie(bytes([8 | 3])), "unknown kind 3"),
    "field twice": (lie(entry() + writer.field(1, 1)), "field 1 twice"),
    "slices": (lie(entry() + writer.field(7, b"")), "stored in slices"),
    "text": (lie(entry(code=7)), "is text"),
    "unknown type": (lie(entry(code=99)), "unknown type 99"),
    "no type": (lie(b""), "unknown type 0"),
    "unknown shape": (lie(writer.field(1, 1) + writer.field(2, writer.field(3, 1))), "no known"),
    "negative dimension": (lie(entry(shape=(-4, -1))), "impossible shape"),
    "many dimensions": (lie(entry(shape=[1] * 9)), "more than 8 dimensions"),
    "product that overflows to 4": (lie(entry(shape=((1 << 62) + 1, 4))), "impossible shape"),
    "empty and absurd": (lie(entry(shape=(0, 1 << 62), size=0)), "impossible shape"),
    "size of another shape": (lie(entry(shape=(5,))), "has 20 bytes, not 16"),
    "size negative": (lie(entry(size=-16)), "has 16 bytes, not 18446744073709551600"),
    "data file of none": (lie(entry(shard=1)), "data file 1 \\(from 0\\), but there are 1"),
    "data file negative": (
        lie(entry(shard=-1)),
        "data file 18446744073709551615 \\(from 0\\), but",
    ),
    "offset negative": (lie(entry(offset=-4)), "too short"),
    "offset beyond the end": (lie(entry(offset=4)), "too short"),
    "offset huge": (lie(entry(offset=(1 << 63) - 1)), "too short"),
    "size huge": (lie(entry(shape=(MAX_ELEMENTS,), size=4 * MAX_ELEMENTS)), "too short"),
    "data file missing": (
        lie(entry(shard=7), header=writer.header(shards=1 << 31)),
        "data-00007-of-2147483648 is missing",
    ),
    "no checksum": (lie(entry(checksum=0)), "the tensor 'w' is damaged: the checksum"),
    "overlap": (
        writer.table([(b"", writer.header()), (b"v", entry()), (b"w", entry())]),
        "the tensors 'v' and 'w' overlap",
    ),
    "index of 1 MB": (bytes(1 << 20) + writer.MAGIC, "has less than"),
}


@pytest.mark.parametrize("name", LIES)
def test_every_lie_has_its_own_sentence_and_costs_nothing(name: str, tmp_path: Path) -> None:
    content, sentence = LIES[name]
    index_file(tmp_path / "x").write_bytes(content)
    data_file(tmp_path / "x").write_bytes(NUMBERS)
    start = time.process_time()
    tracemalloc.start()
    with pytest.raises(MiniBertError, match=sentence):
        read_tensors(tmp_path / "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - start < 1
    assert peak < 10 << 20


def test_the_index_that_the_lies_are_about_is_read_when_it_is_true(tmp_path: Path) -> None:
    index_file(tmp_path / "x").write_bytes(lie(entry() + writer.field(99, b"of the future")))
    data_file(tmp_path / "x").write_bytes(NUMBERS)
    assert read_tensors(tmp_path / "x")["w"].tolist() == [0, 1, 2, 3]


EMPTY = writer.entry(shape=(0,))
COSTLY = {
    "names that share almost everything": writer.table(
        [(b"", writer.header())] + [(b"n" * 500 + b"%06d" % n, EMPTY) for n in range(2999)]
    ),
    "a block for each tensor": writer.table(
        [(b"", writer.header())] + [(b"%06d" % n, EMPTY) for n in range(799)], pairs_in_block=1
    ),
    "a message of nothing but fields": lie(bytes([15 << 3 | 2, 0]) * (1 << 14)),
    "a shape of nothing but dimensions": lie(entry() + writer.field(2, bytes([18, 0]) * (1 << 14))),
    "blocks of nothing": writer.table_of_blocks([writer.block([])] * 5_000),
}


@pytest.mark.parametrize("name", COSTLY)
def test_the_most_work_that_an_index_can_ask_for_is_little(name: str) -> None:
    data = COSTLY[name]
    tracemalloc.start()
    with contextlib.suppress(MiniBertError):
        parse_index(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * len(data)


@pytest.mark.parametrize("shards", [-1, 0, 1, 2, 3])
def test_a_wrong_number_of_data_files_is_refused(tmp_path: Path, shards: int) -> None:
    index_file(tmp_path / "x").write_bytes(lie(entry(shard=1), header=writer.header(shards)))
    for shard in range(2):
        Path(f"{tmp_path / 'x'}.data-{shard:05d}-of-00002").write_bytes(NUMBERS)
    if shards == 2:
        assert read_tensors(tmp_path / "x")["w"].tolist() == [0, 1, 2, 3]
    else:
        with pytest.raises(MiniBertError, match=r"data file 1|missing"):
            read_tensors(tmp_path / "x")


def test_a_number_written_in_too_many_bytes_is_still_a_number() -> None:
    assert varint(b"\x80" * 9 + b"\x00", 0) == (0, 10)
    assert varint(b"\xff" * 9 + b"\x01", 0) == ((1 << 64) - 1, 10)


# Random damage


def mutated(data: bytes, choose: random.Random) -> bytes:
    """One to four changes: bits, bytes, numbers that matter, cuts, repeats and moves."""
    changed = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        place = choose.randrange(len(changed) + 1)
        length = choose.choice([1, 2, 4, 8, 16])
        piece = bytes(changed[place : place + length])
        new: Callable[[], bytes] = choose.choice(
            [
                lambda p=piece: bytes(byte ^ 1 << choose.randrange(8) for byte in p[:1]) + p[1:],
                lambda p=piece: choose.randbytes(len(p)),
                lambda: b"",
                lambda p=piece: p + p,
                lambda n=length: b"\xff" * n + b"\x01",
                lambda: bytes(8),
                lambda: writer.varint(1 << choose.randrange(64)),
            ]
        )
        changed[place : place + length] = new()
    return bytes(changed)


def attempt(prefix: Path) -> dict[str, np.ndarray] | None:
    """Read everything: what came, or nothing if it was refused as it should be."""
    try:
        return read_tensors(prefix)
    except MiniBertError as error:
        assert len(str(error)) < 3000
        return None


def test_random_mutations_are_refused_or_change_nothing(prefix: Path) -> None:
    choose = random.Random(1)
    files = {path: path.read_bytes() for path in (index_file(prefix), data_file(prefix))}
    refused = 0
    for path, share in zip(files, (0.75, 0.25), strict=True):
        for _ in range(round(share * MUTATIONS)):
            path.write_bytes(mutated(files[path], choose))
            found = attempt(prefix)
            assert found is None or same(found, TENSORS)
            refused += found is None
        path.write_bytes(files[path])
    assert refused > 0.9 * MUTATIONS


def test_mutations_under_a_true_checksum_reach_the_parser_and_do_no_harm(prefix: Path) -> None:
    """Whoever forges an index also forges its checksums: then only the bounds are left."""
    choose = random.Random(2)
    pairs = read_table(index_file(prefix).read_bytes())
    outcomes = {True: 0, False: 0}
    for number in range(MUTATIONS):
        if number == round(0.9 * MUTATIONS):  # tracing is slow, so it watches the last tenth
            tracemalloc.start()
        told, index = list(pairs), None
        if number % 2:
            place = choose.randrange(len(told))
            told[place] = (told[place][0], mutated(told[place][1], choose))
        content = writer.block(told)
        if number % 2 == 0:
            content = mutated(content, choose)
        if number % 10 == 0:
            right = writer.block([(b"x", writer.varint(0) + writer.varint(len(content)))])
            index = mutated(right, choose)
        index_file(prefix).write_bytes(writer.table_of_blocks([content], index=index))
        found = attempt(prefix)
        outcomes[found is None] += 1
        # What does pass holds no more numbers than the file; bfloat16 doubles them.
        assert found is None or sum(array.nbytes for array in found.values()) <= 2 * 56
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20
    assert min(outcomes.values()) > 0.01 * MUTATIONS


def test_absurd_entries_are_refused_or_are_true(prefix: Path) -> None:
    choose = random.Random(3)
    absurd = [0, 1, 2, 3, 4, 9, 12, 36, 56, 255, 1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1, -1, -4]
    bias = read_index(prefix).entries["bert/pooler/dense/bias"]
    for _ in range(MUTATIONS):
        message = writer.entry(
            code=choose.choice([1, 1, 1, *range(25)]),
            shape=choose.choices(absurd, k=choose.choice([0, 1, 1, 2, 3])),
            shard=choose.choice([0, 0, 0, *absurd]),
            offset=choose.choice([0, 0, *absurd]),
            size=choose.choice([12, 12, *absurd]),
            checksum=bias.checksum,
        )
        index_file(prefix).write_bytes(lie(message))
        found = attempt(prefix)
        assert found is None or found["w"].tobytes() == data_file(prefix).read_bytes()[:12]
