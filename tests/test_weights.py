"""What you can rely on: the weights that come with the code are whole, small, and know something.

Each folder says what its files are (SHA256SUMS), loads in minibert and in `transformers` with the
same answers, and guesses masked words that a reader would accept.
"""

import hashlib
from pathlib import Path

import pytest
import torch

from minibert import BertForPreTraining, BertTokenizer
from minibert.inference.fill_mask import MaskFiller

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in (ROOT / "weights").glob("*/config.json"))
MEGABYTES = 15


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_there_is_a_tiny_one_for_each_language():
    assert {"tiny", "tiny-zh"} <= {folder.name for folder in FOLDERS}


def test_every_file_has_the_checksum_that_is_written_beside_it(folder: Path):
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums.keys() == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_it_is_small(folder: Path):
    assert sum(path.stat().st_size for path in folder.iterdir()) < MEGABYTES * 1e6


def test_its_card_says_what_a_user_must_know(folder: Path):
    card = (folder / "README.md").read_text(encoding="utf-8").lower()
    assert "@" not in card
    for subject in ("data", "command", "hours", "tokens", "seeds", "limits", "licence"):
        assert subject in card, subject


def test_transformers_gives_the_same_answers(folder: Path):
    transformers = pytest.importorskip("transformers")
    ours = BertForPreTraining.from_pretrained(folder, strict=True, quiet=True)
    # Its config says float16, as the file has it, and transformers would compute in that.
    theirs = transformers.BertForPreTraining.from_pretrained(folder, dtype=torch.float32).eval()
    batch = BertTokenizer.from_pretrained(folder)(
        ["The king and the [MASK].", "今天很[MASK]兴。"],
        ["They came.", "不。"],
        padding=True,
        split_special_tokens=False,
    )
    batch = {name: torch.tensor(rows) for name, rows in batch.items()}
    with torch.inference_mode():
        mine, other = ours(**batch), theirs(**batch)
    real = batch["attention_mask"].bool()
    assert (mine.prediction_logits - other.prediction_logits)[real].abs().max() < 1e-4
    difference = mine.seq_relationship_logits - other.seq_relationship_logits
    assert difference.abs().max() < 1e-4


# Sentences of our own, and words that a reader would accept.
ENGLISH = {
    "He opened the [MASK] and walked into the room.": {"door", "window", "gate"},
    "I have not seen him for three [MASK].": {"years", "months", "days", "weeks"},
    "They drank a glass of [MASK].": {"wine", "water", "beer", "brandy", "milk"},
    "The function returns a [MASK] of integers.": {"list", "tuple", "tensor", "sequence"},
    "If the file does not [MASK], an error is raised.": {"exist"},
}
CHINESE = {
    "中国的首都是北[MASK]。": {"京"},
    "我今天很[MASK]兴。": {"高"},
    "他喝了一杯[MASK]。": {"酒", "茶", "水"},
    "如果文件不[MASK]在，就会报错。": {"存"},
    "函数返回一个[MASK]表。": {"列"},
}


def test_masked_words_are_guessed_as_a_reader_would(folder: Path):
    filler = MaskFiller.from_pretrained(folder)
    for sentence, accepted in (CHINESE if folder.name.endswith("-zh") else ENGLISH).items():
        guesses = [candidate.token for candidate in filler(sentence)[0]]
        assert accepted.intersection(guesses[:5]), (sentence, guesses)
