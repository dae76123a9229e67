"""What you can rely on: each command prints and writes what it promises.

An error of the user is one sentence on standard error and exit code 2, with nothing on standard
output and no file created or changed. Help needs no PyTorch and comes with an example.
"""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_attention_page import embedded
from tiny_folders import PIECES, classifier_folder, pretrained_folder

from minibert import __version__
from minibert.cli.main import COMMANDS, main
from minibert.data.corpus.tokenize_shards import tokenize_shards
from minibert.inference.sentence_embeddings import SentenceEncoder

EXAMPLES = Path(__file__).parents[1] / "examples"
LONG = "cat " * 5000
LONG_NAME = "a" * 300
PREPARE = "prepare ../made/texts.txt --vocab ../made/pretrained --output new"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pretrained folder, a classifier of texts and one of pairs, and several broken ones."""
    base = tmp_path_factory.mktemp("folders")
    pretrained_folder(base / "pretrained")
    classifier_folder(base / "classifier")
    classifier_folder(base / "pairs", pairs=True)
    for name in ("no_config", "no_vocabulary", "damaged", "long_vocabulary"):
        shutil.copytree(base / "pretrained", base / name)
    (base / "no_config" / "config.json").unlink()
    (base / "no_vocabulary" / "vocab.txt").unlink()
    for name in ("no_vocabulary", "long_vocabulary"):
        (base / name / "tokenizer.json").unlink()
    weights = base / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    vocabulary = "\n".join([*PIECES, "dog"])
    (base / "long_vocabulary" / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    shutil.copytree(base / "classifier", base / "long_classifier")
    (base / "long_classifier" / "tokenizer.json").unlink()
    shutil.copy(base / "long_vocabulary" / "vocab.txt", base / "long_classifier")
    (base / "long_classifier" / "task.json").unlink()  # or it would notice the change
    (base / "texts.txt").write_text("the cat\n猫\nparis is .\n", encoding="utf-8")
    (base / "latin.txt").write_bytes("the caf\xe9\n".encode("latin-1") * 3)
    (base / "empty.txt").write_text("", encoding="utf-8")
    (base / "corpus").mkdir()
    (base / "corpus" / "corpus.json").write_text("{}", encoding="utf-8")
    (base / "corpus" / "tokens.bin").touch()
    return base


@pytest.fixture
def minibert(made, tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder, beside which `made` lies as `../made`."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "made").symlink_to(made)
    monkeypatch.chdir(work)

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return command


def files() -> list[str]:
    """What lies in the working folder."""
    return sorted(str(path) for path in Path().rglob("*"))


# Every command that reads a model refuses a bad folder in the same words.
READERS = (
    *("predict {} text", "fill-mask {} [MASK]", "embed {} text", "attention {} text"),
    "playground {}",
)
BAD_FOLDERS = {
    "nothing": "the folder ../made/nothing does not exist",
    "no_config": "no_config has no config.json",
    "damaged": "model.safetensors is damaged",
    "corpus": "corpus is a corpus made by minibert prepare",
}
BAD = [
    *(
        (line.format(f"../made/{folder}"), words)
        for line in READERS
        for folder, words in BAD_FOLDERS.items()
    ),
    ("finetune --epoch 3", "did you mean --epochs?"),
    ("finetune --train ../made/nothing.tsv", "does not exist"),
    ("predict ../made/pretrained text", "not a trained BertForSequenceClassification"),
    ("predict ../made/long_classifier dog", "vocabulary"),
    ("predict ../made/classifier", "give at least one text: minibert predict FOLDER"),
    ("predict ../made/classifier text --pair other", "trained on single texts"),
    ("predict ../made/pairs text", "trained on pairs"),
    ("predict ../made/pairs a b --pair c", "2 texts but 1 second texts"),
    ("predict ../made/classifier --file ../made/latin.txt", "latin.txt:1:8: byte 0xe9 is not UTF"),
    (f"predict {LONG_NAME} text", "File name too long; choose another file or folder"),
    ("fill-mask ../made/long_vocabulary dog[MASK]", "has 25 tokens, but its model has"),
    ("fill-mask ../made/classifier [MASK]", "not a trained BertForMaskedLM"),
    ("fill-mask ../made/pretrained paris", "has no [MASK]"),
    ("fill-mask ../made/pretrained [MASK] --top-k 0", "top_k is 0"),
    ("embed ../made/no_vocabulary text", "no_vocabulary has no vocab.txt"),
    ("embed ../made/long_vocabulary dog", "has 25 tokens, but its model has"),
    ("embed ../made/classifier", "give at least one text: minibert embed FOLDER"),
    ("embed ../made/pretrained --file ../made/empty.txt", "empty.txt is empty"),
    ("embed ../made/pretrained --file ../made/text.txt", "Did you mean '../made/texts.txt'?"),
    ("embed ../made/pretrained text --file ../made/texts.txt", "give texts or --file, not both"),
    ("embed ../made/pretrained text --text-column a", "need --file"),
    ("embed ../made/pretrained text --pooling men", "choose one of cls, mean, max, pooler"),
    ("embed ../made/pretrained text --layer 3", "layers 1 to 2"),
    ("embed ../made/pretrained text --device gpu", "'gpu' cannot be used"),
    ("embed ../made/pretrained text --output a.txt", "must end in .npy or .jsonl"),
    ("embed ../made/pretrained text --figure a.txt", "must end in .png or .svg or .pdf"),
    ("embed ../made/pretrained text --output no/a.npy", "the folder no does not exist"),
    ("embed ../made/damaged text --output a.npy", "model.safetensors is damaged"),
    ("attention ../made/long_vocabulary dog", "has 25 tokens, but its model has"),
    ("attention ../made/pretrained text --output a.pdf", "must end in .html"),
    ("attention ../made/pretrained text --output ../made", "must end in .html"),
    ("attention ../made/pretrained text --figure a.bmp", "must end in .png"),
    ("attention ../made/pretrained text --max-length 1", "a row has 2 special tokens"),
    ("tokenize ../made/nothing text", "the folder ../made/nothing does not exist"),
    ("tokenize v.txt text", "v.txt does not exist; give the vocab.txt of a model"),
    ("tokenize ../made/pretrained The --cased", "lowercases text, which contradicts --cased"),
    ("convert ../made/nothing new", "the folder ../made/nothing does not exist"),
    ("convert ../made/damaged new", "model.safetensors is damaged"),
    ("convert ../made/corpus new", "is a corpus made by minibert prepare"),
    (f"convert ../made/pretrained {LONG_NAME}", "File name too long; choose another"),
    ("train-vocab ../made/no.txt --output v.txt", "no.txt does not exist"),
    ("train-vocab ../made/latin.txt --output v.txt", "latin.txt:3: byte 0xe9 at 8 is not UTF-8"),
    ("train-vocab ../made/pretrained/config.json --output v.txt", "rename plain text to .txt"),
    ("train-vocab ../made/empty.txt --output v.txt", "contain no words"),
    ("train-vocab ../made/texts.txt --output v.txt --vocab-size 9", "size of 9 is too small"),
    ("train-vocab ../made/texts.txt --output v.txt --vocab-size 0", "size is 0; give 1 to 16,777"),
    (f"train-vocab ../made/texts.txt --output v.txt --vocab-size {10**20}", "give 1 to 16,777,216"),
    (f"train-vocab ../made/texts.txt --output v.txt --min-frequency {10**20}", "give 1 to 2,147,4"),
    (f"train-vocab ../made/texts.txt --output v.txt --unused {10**20}", "give 0 to 8,192"),
    (
        "train-vocab ../made/corpus --output v.txt",
        "corpus is a tokenized corpus; give the text itself",
    ),
    ("prepare ../made/texts.txt --vocab v.txt --output new", "v.txt does not exist; give"),
    (f"{PREPARE} --cased", "pretrained lowercases text, which contradicts --cased"),
    (f"{PREPARE} --segmenter math:sin", "math:sin fails on a short text (must be real number, no"),
    (f"{PREPARE} --segmenter builtins:len", "len fails on a short text ('int' object is not iter"),
    (f"{PREPARE} --segmenter nothing", "--segmenter nothing: No module named 'nothing'; write MOD"),
    ("fil-mask ../made/pretrained [MASK]", "invalid choice: 'fil-mask'"),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_an_error_of_the_user_is_one_sentence(minibert, line, words):
    code, out, err = minibert(*line.split())
    assert words in err
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert files() == []


# Each line has a second mistake, which is found only when the work has begun.
OUTPUTS = [
    "embed ../made/damaged text --output",
    "train-vocab ../made/latin.txt --output",
    "prepare ../made/latin.txt --vocab v.txt --output",
    "add-words ../made/damaged --words words.txt --output",
    "convert ../made/damaged",
    "pretrain ../made/pretrained --output",
]


@pytest.mark.parametrize("line", OUTPUTS)
def test_a_file_in_place_of_a_folder_is_refused_before_any_work(minibert, line):
    code, out, err = minibert(*line.split(), "../made/texts.txt/new.npy")
    assert (code, out) == (2, "")
    assert err == "error: ../made/texts.txt is a file, not a folder; choose another place.\n"


@pytest.mark.parametrize("line", OUTPUTS[2:])
def test_a_file_is_no_output_folder(minibert, line):
    code, out, err = minibert(*line.split(), "../made/texts.txt")
    assert (code, out) == (2, "")
    assert err == "error: ../made/texts.txt is a file, not a folder; choose another place.\n"


@pytest.mark.parametrize("line", OUTPUTS[2:5])
def test_a_folder_that_must_be_new_is_not_overwritten(minibert, line):
    code, out, err = minibert(*line.split(), "../made/classifier")
    assert (code, out) == (2, "")
    assert err == "error: ../made/classifier exists and is not empty; choose another place.\n"


def test_cased_applies_where_a_folder_does_not_say(minibert):
    Path("google").mkdir()
    pieces = [*PIECES, "The", "Cat"]
    Path("google/vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    assert minibert("tokenize", "google", "The cat", "--cased") == (0, "The cat\n", "")
    code, _, err = minibert("tokenize", "google", "The cat")
    assert (code, err.count("\n")) == (2, 1)
    assert "does not say whether to lower-case" in err
    text = ("prepare", "../made/texts.txt", "--vocab", "google", "--output", "corpus")
    assert minibert(*text, "--cased")[0] == 0
    assert minibert("tokenize", "corpus", "The cat", "--cased") == (0, "The cat\n", "")


def test_every_command_has_help_with_an_example(minibert):
    code, out, err = minibert("--help")
    assert (code, err) == (0, "")
    for name in COMMANDS:
        assert f"\n    {name} " in out
        code, told, err = minibert(name, "--help")
        assert (code, err) == (0, "")
        assert f"\nminibert {name}" in told


def test_python_minus_m_is_the_command(minibert):
    command = [sys.executable, "-m", "minibert", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == minibert("--version")[1]


def test_predict_classifies_arguments_and_files_alike(minibert):
    code, out, err = minibert("predict", "../made/classifier", "the cat", "猫", "paris is .")
    assert (code, err) == (0, "")
    assert out == minibert("predict", "../made/classifier", "--file", "../made/texts.txt")[1]
    first, *_ = out.splitlines()
    assert first.startswith(("good  (good 0.", "bad  (bad 0."))
    assert first.endswith(")  the cat")
    code, out, _ = minibert("predict", "../made/pairs", "猫", "--pair", "狗", "--json")
    answer = json.loads(out)
    assert (answer["text"], answer["text_pair"]) == ("猫", "狗")
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


NOTES = [
    (("predict", "../made/classifier", LONG), "only their beginning was read"),
    (("embed", "../made/pretrained", LONG), "represent only their beginning"),
    (("fill-mask", "../made/pretrained", "[MASK]" + LONG), "reads and was truncated"),
    (("attention", "../made/pretrained", LONG), "only its beginning is shown"),
]


@pytest.mark.parametrize(("arguments", "words"), NOTES, ids=lambda value: value[0][:10])
def test_a_text_of_5000_words_is_truncated_with_one_note(minibert, arguments, words):
    code, out, err = minibert(*arguments)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("note: ")
    assert words in err
    assert out


def test_fill_mask_prints_candidates_by_probability(minibert):
    text = "Paris is the [MASK] of France."
    code, out, err = minibert("fill-mask", "../made/pretrained", text, "--top-k", "3")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert len(rows) == 3
    assert rows == sorted(rows, reverse=True)
    assert all(token in PIECES for _, token in rows)


def test_fill_mask_of_several_masks_and_as_json(minibert):
    arguments = ("fill-mask", "../made/pretrained", "a [MASK]", "--pair", "[MASK]猫", "--fill-all")
    code, out, _ = minibert(*arguments)
    assert code == 0
    assert out.startswith("[MASK] 1 of 2\n")
    assert "all filled, the most confident first\n" in out
    answer = json.loads(minibert(*arguments, "--json", "--top-k", "2")[1])
    assert (answer["text"], answer["text_pair"]) == ("a [MASK]", "[MASK]猫")
    assert [len(mask) for mask in answer["masks"]] == [2, 2]
    assert sorted(answer["filled"]["order"]) == [0, 1]
    assert answer["filled"]["text_pair"].endswith("猫")


def test_embed_writes_the_same_numbers_everywhere(minibert, made):
    common = ("embed", "../made/pretrained", "--file", "../made/texts.txt", "--layer", "1")
    code, printed, _ = minibert(*common)
    assert code == 0
    assert minibert(*common, "--output", "a.jsonl")[0] == 0
    assert minibert(*common, "--output", "a.npy")[1] == "wrote vectors of shape (3, 16) to a.npy\n"
    assert Path("a.jsonl").read_text(encoding="utf-8") == printed
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["text"] for line in lines] == ["the cat", "猫", "paris is ."]
    array = np.load("a.npy", allow_pickle=False)
    assert array.dtype == np.float32
    assert np.array_equal(np.array([line["vector"] for line in lines], dtype=np.float32), array)
    texts = [line["text"] for line in lines]
    expected = SentenceEncoder.from_pretrained(made / "pretrained").encode(texts, layer=1)
    assert np.array_equal(array, expected)
    assert minibert(*common, "--figure", "a.png")[1] == printed
    assert files() == ["a.jsonl", "a.npy", "a.png"]


@pytest.mark.parametrize(
    "line",
    [
        "embed ../made/pretrained text --output mine.npy",
        "embed ../made/pretrained text --output mine.jsonl",
        "train-vocab ../made/texts.txt --output mine.txt",
    ],
)
def test_an_existing_file_is_not_overwritten(minibert, line):
    mine = Path(line.split()[-1])
    mine.write_text("mine", encoding="utf-8")
    code, out, err = minibert(*line.split())
    assert (code, out) == (2, "")
    assert err == f"error: {mine} exists already; delete it, or name another file.\n"
    assert mine.read_text(encoding="utf-8") == "mine"
    assert files() == [str(mine)]


def test_tokenize_shows_pieces_and_ids(minibert):
    expected = f"the={PIECES.index('the')} cat={PIECES.index('cat')} ##s={PIECES.index('##s')}\n"
    assert minibert("tokenize", "../made/pretrained", "The cats", "--ids") == (0, expected, "")
    framed = "[CLS] the cat ##s [SEP]\n"
    assert minibert("tokenize", "../made/pretrained", "The cats", "--special") == (0, framed, "")
    vocabulary = "../made/pretrained/vocab.txt"
    assert minibert("tokenize", vocabulary, "The", "the", "--cased") == (0, "[UNK]\nthe\n", "")
    code, out, err = minibert("tokenize", vocabulary, "cat [SEP]")
    assert (code, out) == (0, "cat [ sep ]\n")
    assert err.startswith("note: the text contains [SEP]")


def test_only_a_large_text_is_tokenized_by_several_processes(minibert, monkeypatch):
    asked = []

    def spy(shards, *others, workers):
        asked.append(workers)
        return tokenize_shards(shards, *others, workers=1)

    monkeypatch.setattr("minibert.data.corpus.build.tokenize_shards", spy)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    minibert(*PREPARE.split())
    monkeypatch.setattr("minibert.cli.prepare.LARGE_TEXT", 1)
    for more in ("", "--workers 3", "--segmenter shlex:split"):
        minibert(*PREPARE.replace("new", f"new{len(asked)}").split(), *more.split())
    assert asked == [1, 7, 3, 1]


@pytest.mark.parametrize("score", ["frequency", "likelihood"])
def test_train_vocab_writes_a_vocabulary_that_tokenizes(minibert, score):
    Path("corpus.txt").write_text("low lower Lowest 猫\n" * 3, encoding="utf-8")
    common = ("train-vocab", "corpus.txt", "corpus.txt", "--score", score)
    code, out, err = minibert(*common, "--output", "v.txt", "--vocab-size", "24", "--unused", "2")
    assert (code, err) == (0, "")
    assert out == "wrote 24 tokens to v.txt\n"
    pieces = Path("v.txt").read_text(encoding="utf-8").split("\n")
    assert pieces[5:7] == ["[unused0]", "[unused1]"]
    assert "L" not in pieces
    assert minibert(*common, "--output", "cased.txt", "--cased")[0] == 0
    assert "L" in Path("cased.txt").read_text(encoding="utf-8").split("\n")
    assert "[UNK]" not in minibert("tokenize", "v.txt", "slower 猫", "west")[1]


def test_train_vocab_reads_what_prepare_reads_and_tells_what_it_left_out(minibert):
    texts = Path("texts")
    texts.mkdir()
    (texts / "a.md").write_text("# heading\n\nlow *low* lower\n", encoding="utf-8")
    (texts / "b.jsonl").write_text('{"body": "猫 lower"}\nno json\n', encoding="utf-8")
    (texts / "c.csv").write_text("nothing", encoding="utf-8")
    (texts / "again").symlink_to(".")
    line = ("train-vocab", "texts", "--text-field", "body", "--output", "v.txt")
    code, _, err = minibert(*line)
    assert code == 0
    assert err.splitlines() == [
        "note: folders skipped: 1 (texts/again: a link)",
        "note: lines skipped: 1 (texts/b.jsonl:2: not a JSON object)",
    ]
    pieces = set(Path("v.txt").read_text(encoding="utf-8").split("\n"))
    assert {"l", "猫", "lower"} <= pieces
    assert not {"h", "*", "{", "t"} & pieces


def test_convert_writes_a_folder_that_answers(minibert, made):
    source = Path("old")
    shutil.copytree(made / "pretrained", source)
    (source / "model.safetensors").unlink()
    weights = load_file(made / "pretrained" / "model.safetensors")
    torch.save(weights, source / "pytorch_model.bin")
    code, out, err = minibert("convert", "old", "new")
    assert (code, err) == (0, "")
    assert out
    line = ("fill-mask", "a [MASK] 猫")
    assert minibert(line[0], "new", line[1]) == minibert(line[0], "../made/pretrained", line[1])
    code, out, err = minibert("convert", "old", "new")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "new exists and is not empty" in err


def test_doctor_names_the_versions(minibert):
    code, out, _ = minibert("doctor")
    assert code == 0
    found = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert found["torch"] == torch.__version__
    assert found["minibert"] == __version__


def test_attention_writes_a_page_and_a_figure(minibert):
    arguments = ("the cat", "猫", "--output", "p.html", "--figure", "p.png")
    for folder in ("pretrained", "classifier", "classifier"):  # the second time they are replaced
        code, _, err = minibert("attention", f"../made/{folder}", *arguments)
        assert code == 0
        assert not err or err.startswith("note: no installed font has 猫; ")
    assert files() == ["p.html", "p.png"]
    data = embedded(Path("p.html").read_text(encoding="utf-8"))
    assert data["tokens"] == ["[CLS]", "the", "cat", "[SEP]", "猫", "[SEP]"]
    assert data["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert (data["layers"], data["heads"], data["title"]) == (2, 2, "the cat | 猫")
    np.testing.assert_allclose(data["probabilities"].sum(axis=-1), 1, atol=1e-3)


def run_outside(*arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from minibert.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, check=False)


def test_characters_that_the_terminal_lacks_are_escaped(made):
    done = run_outside("embed", made / "pretrained", "猫", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "\\u732b" in done.stdout.decode("latin-1")
    assert json.loads(done.stdout.decode("latin-1"))["text"] == "猫"


@pytest.fixture
def example(tmp_path, monkeypatch, capsys):
    """Run an example as a program, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return run


def test_the_example_of_fill_mask_runs(example, made):
    code, out, err = example("fill_mask.py", str(made / "pretrained"))
    assert (code, err) == (0, "")
    assert out.count("%") == 5 * 6  # five candidates for each of six masks
    assert "all filled: I live in " in out


def test_the_example_of_embed_finds_neighbors_and_draws_a_map(example, made):
    code, out, err = example("embed.py", str(made / "pretrained"))
    assert (code, err) == (0, "")
    assert out.count("  ->  ") == 12
    assert Path("embeddings.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "order", ["FOLDER --json paris", "FOLDER paris --json", "--json FOLDER paris"]
)
def test_options_may_stand_anywhere(order, tmp_path, capsys):
    folder = str(classifier_folder(tmp_path / "made"))
    with pytest.raises(SystemExit) as ended:
        main(["predict", *order.replace("FOLDER", folder).split()])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    assert json.loads(printed.out)["text"] == "paris"


def test_predict_and_embed_print_which_columns_they_read(minibert):
    Path("t.tsv").write_text("kind\tsentence\na\tthe cat\nb\tparis\n", encoding="utf-8")
    for command in (("predict", "../made/classifier"), ("embed", "../made/pretrained")):
        code, _, err = minibert(*command, "--file", "t.tsv")
        assert code == 0
        assert "note: t.tsv: text = column 'sentence' (names from the file, text guessed)" in err


def test_a_text_that_the_vocabulary_lacks_is_noted(minibert):
    for command in (
        ("predict", "../made/classifier", "Ωμέγα"),
        ("embed", "../made/pretrained", "Ωμέγα"),
        ("fill-mask", "../made/pretrained", "Ωμέγα [MASK]"),
    ):
        code, _, err = minibert(*command)
        assert (code, "note: most of this text is unknown" in err) == (0, True), command
    assert "unknown" not in minibert("predict", "../made/classifier", "the cat")[2]


def test_prepare_notes_what_is_useless_for_pretraining(minibert):
    Path("greek.txt").write_text("Ωμέγα και άλφα.\nΚαι βήτα.\n", encoding="utf-8")
    vocabulary = ("--vocab", "../made/pretrained")
    code, _, err = minibert("prepare", "greek.txt", *vocabulary, "--output", "greek")
    assert code == 0
    assert "learn one from it: minibert train-vocab greek.txt --output vocab.txt" in err
    assert "this is one document" in err and "--lines documents" in err
    Path("cats.txt").write_text("the cat\n\nparis is .\n", encoding="utf-8")
    _, _, err = minibert("prepare", "cats.txt", *vocabulary, "--output", "cats")
    assert err == ""


def test_utf_16_is_recognized_in_raw_text(minibert):
    Path("wide.txt").write_text("the cat\n" * 20, encoding="utf-16")
    code, _, err = minibert(*PREPARE.replace("../made/texts.txt", "wide.txt").split())
    assert code == 2
    assert "iconv -f UTF-16 -t UTF-8" in err


def test_an_unfinished_training_is_named_with_the_way_to_resume_it(minibert):
    Path("run/training/step-00000010-epoch-0").mkdir(parents=True)
    code, _, err = minibert("predict", "run", "the cat")
    assert code == 2
    assert "holds an unfinished training run" in err and "--resume" in err


def test_a_git_lfs_pointer_is_told_from_a_damaged_file(minibert):
    shutil.copytree("../made/pretrained", "pointer")
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 11\n"
    Path("pointer/model.safetensors").write_text(text, encoding="utf-8")
    code, _, err = minibert("embed", "pointer", "the cat")
    assert code == 2
    assert "git lfs pull" in err


@pytest.mark.parametrize(
    ("line", "weight"),
    [
        ("predict broken cat", "classifier.weight"),
        ("predict broken cat --json", "embeddings.LayerNorm.weight"),
        ("fill-mask broken [MASK]", "predictions.transform.LayerNorm.weight"),
        ("embed broken cat --output x.npy", "layer.1.output.LayerNorm.weight"),
        ("attention broken cat --output x.html", "embeddings.LayerNorm.weight"),
    ],
)
def test_answers_that_are_not_finite_are_refused(minibert, line, weight):
    source = "classifier" if "predict" in line else "pretrained"
    shutil.copytree(f"../made/{source}", "broken")
    weights = load_file("broken/model.safetensors")
    [name] = [name for name in weights if name.endswith(weight)]
    Path("broken/task.json").unlink(missing_ok=True)  # it may hold a checksum
    weights[name] = torch.full_like(weights[name], 3e38)  # finite, but not in a sum
    save_file(weights, "broken/model.safetensors")
    code, out, err = minibert(*line.split())
    assert (code, out) == (2, "") and "not finite numbers" in err
    assert not Path("x.npy").exists() and not Path("x.html").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("can't allocate memory"),
        MemoryError(),
    ],
    ids=["GPU", "CPU", "Python"],
)
def test_too_little_memory_is_one_sentence(minibert, monkeypatch, error):
    def encode(*arguments, **options):
        raise error

    monkeypatch.setattr(SentenceEncoder, "encode_tokenized", encode)
    code, out, err = minibert("embed", "../made/pretrained", "cat")
    assert (code, out) == (2, "") and err.startswith(
        "error: there is not enough memory; use a smaller"
    )


@pytest.mark.parametrize("command", ["predict FOLDER text", "evaluate FOLDER ../made/texts.txt"])
def test_a_folder_for_an_unknown_task_is_refused(made, minibert, tmp_path, command):
    folder = tmp_path / "other"
    shutil.copytree(made / "classifier", folder)
    settings = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    (folder / "task.json").write_text(json.dumps(settings | {"task": "rhyming"}), encoding="utf-8")
    code, _, err = minibert(*command.replace("FOLDER", str(folder)).split())
    assert code == 2
    assert "trained for the task 'rhyming'" in err
