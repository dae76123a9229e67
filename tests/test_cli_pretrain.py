"""What you can rely on: `minibert pretrain` makes a model from a corpus, or goes on with one that
fits; stopped and resumed it gives the same bits; a model learns the words of a new field; and
next sentences are told apart where there is something to tell them by, and nowhere else.
"""

import json
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from minibert import BertConfig, BertForMaskedLM, BertForPreTraining, BertTokenizer, MiniBertError
from minibert.cli.main import main
from minibert.data.corpus.build import build_corpus
from minibert.data.corpus.corpus import Corpus, describe_files
from minibert.data.corpus.documents import FormatOptions
from minibert.data.pretraining.batches import PretrainingBatches
from minibert.evaluation.pretraining import evaluate_pretraining
from minibert.files import read_json_object, write_json
from minibert.inference.fill_mask import MaskFiller
from minibert.plots.learning_curve import read_log
from minibert.tokenization.training.train_vocabulary import train_vocabulary
from minibert.training.loop import train
from minibert.training.pretrain_setup import (
    continue_from,
    default_learning_rate,
    new_pretraining_model,
)
from minibert.training.settings import TrainingSettings

ENGLISH = (
    "the {0} {1} and the {2} {3} .",
    "cat dog cow hen fox owl".split(),
    "sleeps runs eats".split(),
)
CHINESE = ("那只{0}在{1}，{2}也在{3}。", "猫狗牛鸡", "睡跑吃叫")


def text_of(pattern: str, nouns, verbs, *, documents: int, seed: int = 0) -> str:
    """Documents of six sentences, each of two nouns and two verbs."""
    draw = random.Random(seed)

    def sentence() -> str:
        return pattern.format(*(draw.choice(words) for words in (nouns, verbs, nouns, verbs)))

    return "\n\n".join("\n".join(sentence() for _ in range(6)) for _ in range(documents))


def make_corpus(folder: Path, text: str, tokenizer: BertTokenizer) -> Path:
    file = folder.with_suffix(".txt")
    file.write_text(text, encoding="utf-8")
    build_corpus([file], tokenizer, folder, drop_duplicates=False)
    return folder


def learned_tokenizer(text: str, *, size: int = 80, unused: int = 4) -> BertTokenizer:
    pieces = train_vocabulary(text.splitlines(), size=size, unused=unused)
    return BertTokenizer({piece: index for index, piece in enumerate(pieces)})


@pytest.fixture
def minibert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., tuple]:
    """Run a command in an empty folder, and give its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def command(line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(line.split())
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return command


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    text = text_of(*ENGLISH, documents=40)
    return make_corpus(tmp_path / "corpus", text, learned_tokenizer(text))


@pytest.fixture
def model(tmp_path: Path, corpus: Path) -> Path:
    """A small model for that corpus."""
    tokenizer = BertTokenizer.from_pretrained(corpus)
    torch.manual_seed(0)
    BertForPreTraining(small_config(len(tokenizer))).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def small_config(vocab_size: int, width: int = 32) -> BertConfig:
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=4 * width,
        max_position_embeddings=32,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def test_a_new_model_and_all_that_a_run_leaves(minibert, corpus):
    line = "pretrain corpus --output out --epochs 4 --max-length 32 --held-out 0.2"
    code, out, err = minibert(line)
    assert code == 0, err
    assert out.startswith("initial weights: random, preset tiny\n")
    assert "35 documents, " in out
    assert "5 documents are held out" in out
    metrics = json.loads(Path("out/metrics.json").read_text(encoding="utf-8"))
    log = read_log(Path("out/training/log.jsonl"))
    judged = [record for record in log if record["kind"] == "evaluation"]
    assert judged[0]["step"] == 0
    assert metrics["loss"] < judged[0]["loss"] - 1
    assert metrics["tokens_seen"] == judged[-1]["tokens"]
    assert 0.5 <= metrics["next_sentence_majority"] < 1
    assert metrics["seconds"] > 0
    assert Path("out/learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"} <= {
        path.name for path in Path("out").iterdir()
    }
    assert len(MaskFiller.from_pretrained("out")("the [MASK] sleeps .")[0]) == 5
    code, _, err = minibert("pretrain corpus --output out")
    assert (code, err.count("\n")) == (2, 1)
    assert "out holds a run; continue it with --resume" in err
    code, out, err = minibert(f"{line} --resume")
    assert code == 0, err
    again = json.loads(Path("out/metrics.json").read_text(encoding="utf-8"))
    assert again | {"seconds": 0} == metrics | {"seconds": 0}


def test_masked_words_only_in_chinese(minibert, tmp_path):
    text = text_of(*CHINESE, documents=60)
    make_corpus(tmp_path / "zh", text, learned_tokenizer(text))
    line = "pretrain zh --output out --no-next-sentence --mask-rate 0.3 --epochs 4 --held-out 0.2"
    line += " --batch-size 4"
    code, _, err = minibert(line)
    assert code == 0, err
    metrics = json.loads(Path("out/metrics.json").read_text(encoding="utf-8"))
    assert not [name for name in metrics if name.startswith("next_sentence")]
    first = next(r for r in read_log(Path("out/training/log.jsonl")) if r["kind"] == "evaluation")
    assert metrics["loss"] < first["loss"] - 0.5
    assert BertForMaskedLM.from_pretrained("out", quiet=True, strict=True)
    code, _, err = minibert(f"{line.replace('0.3', '0.2')} --resume")
    assert code == 2
    assert "run: masking picked was 0.3 and is now 0.2. Resume" in err


def test_the_example_trains_the_same_weights_as_the_command(minibert, corpus, monkeypatch):
    example = Path(__file__).parents[1] / "examples" / "pretrain.py"
    options = "--epochs 1 --max-length 32"
    line = f"{example} --corpus corpus --output by_example {options}"
    monkeypatch.setattr(sys, "argv", line.split())
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(example), run_name="__main__")
    assert ended.value.code == 0
    assert minibert(f"pretrain corpus --output by_command {options}")[0] == 0
    weights = [Path(f, "model.safetensors").read_bytes() for f in ("by_example", "by_command")]
    assert weights[0] == weights[1]


BAD = [
    ("pretrain corpus.txt --output out", "corpus.txt is a file; make a corpus:"),
    ("pretrain corpus --output out --seed -1", "the seed is -1; it must be from 0"),
    ("pretrain nothing --output out", "the folder nothing does not exist; make a corpus:"),
    ("pretrain model --output out", "model is not a tokenized corpus"),
    ("pretrain corpus --output out --model corpus", "corpus is a corpus made by minibert prep"),
    ("pretrain corpus --output corpus.txt", "corpus.txt is a file, not a folder; choose another"),
    ("pretrain corpus --output corpus.txt/out", "corpus.txt is a file, not a folder; choose"),
    ("pretrain corpus", "arguments are required: --output"),
    ("pretrain corpus --output model", "model has a model.safetensors, which would be overwritten"),
    ("pretrain corpus --output out --preset huge", "choose one of tiny, mini, small"),
    ("pretrain corpus --output out --preset tiny --model model", "is for a new model"),
    ("pretrain corpus --output out --dropout 1", "at least 0 and below 1"),
    ("pretrain corpus --output out --model ./none", "the folder none does not exist"),
    ("pretrain corpus --output out --model model --max-length 33", "use --max-length 32 or less"),
    ("pretrain corpus --output out --max-length 513", "use --max-length 512 or less"),
    (f"pretrain corpus --output out --max-length {10**20}", "out of range; give 1 to 1000000"),
    ("pretrain corpus --output out --batch-size 0", "the batch size is 0"),
    ("pretrain corpus --output out --epochs 0", "epochs is 0"),
    ("pretrain corpus --output out --learning-rate 0", "learning_rate is 0.0"),
    ("pretrain corpus --output out --mask-rate 1.1", "(--mask-rate) is 1.1"),
    ("pretrain corpus --output out --held-out 0", "the fraction to hold out is 0.0"),
    ("pretrain corpus --output out --held-out 0.999", "leaves none to train"),
    ("pretrain corpus --output out --device gpu", "'gpu' cannot be used"),
    ("pretrain corpus --output out --precision int8", "precision is 'int8'"),
]


@pytest.mark.usefixtures("corpus", "model")
def test_invalid_options_are_one_sentence_and_nothing_is_written(minibert):
    for line, words in BAD:
        code, out, err = minibert(line)
        assert not ("--output corpus.txt" in line and out), line  # said before the text is read
        told = [row for row in err.splitlines() if "tensors loaded" not in row]
        assert words in err, line
        assert (code, len(told)) == (2, 1), line
        assert not Path("out").exists(), line


def test_a_corpus_of_another_vocabulary_is_refused_though_it_has_as_many_pieces(corpus, model):
    vocabulary = model / "vocab.txt"
    (model / "tokenizer.json").unlink()
    pieces = vocabulary.read_text(encoding="utf-8").split("\n")
    pieces[20], pieces[21] = pieces[21], pieces[20]
    vocabulary.write_text("\n".join(pieces), encoding="utf-8")
    with pytest.raises(
        MiniBertError, match=rf"id 20 is .* minibert prepare TEXTS --vocab.* {model}"
    ):
        continue_from(model, Corpus.open(corpus), max_length=32)
    vocabulary.write_text("\n".join(pieces[:30]), encoding="utf-8")
    with pytest.raises(MiniBertError, match=r"id 20 is "):
        continue_from(model, Corpus.open(corpus), max_length=32)


def test_a_corpus_that_kept_capitals_is_refused_by_a_model_that_lowers_them(corpus, model):
    config = corpus / "tokenizer_config.json"
    config.write_text(config.read_text("utf-8").replace("true", "false", 1), encoding="utf-8")
    about = read_json_object(corpus / "corpus.json") | {"files": describe_files(corpus)}
    write_json(corpus / "corpus.json", about)
    assert not Corpus.open(corpus).tokenizer.do_lower_case
    with pytest.raises(MiniBertError, match=r"model lowercases text and .*corpus does not"):
        continue_from(model, Corpus.open(corpus), max_length=32)


def test_weights_that_do_not_know_the_whole_vocabulary_are_refused(corpus, model):
    BertForPreTraining(small_config(40)).save_pretrained(model)
    with pytest.raises(MiniBertError, match="its model has embeddings for 40; copy the"):
        continue_from(model, Corpus.open(corpus), max_length=32)


def dropouts(model: torch.nn.Module) -> set[float]:
    """All the rates that are in use."""
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    return rates | {layer.attention.dropout for layer in model.bert.encoder.layer}


def test_a_new_model_drops_nothing_while_pretraining_and_is_saved_with_the_papers_dropout(corpus):
    new = new_pretraining_model(Corpus.open(corpus), "tiny", max_length=32)
    assert dropouts(new) == {0.0}
    assert new.config.hidden_dropout_prob == new.config.attention_probs_dropout_prob == 0.1


def test_a_continued_model_keeps_its_dropout_unless_another_is_asked_for(corpus, model):
    rates = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}
    BertForPreTraining(small_config(80).with_changes(**rates)).save_pretrained(model)
    for asked, used in ((None, 0.3), (0.0, 0.0), (0.2, 0.2)):
        again = continue_from(model, Corpus.open(corpus), max_length=32, dropout=asked)
        assert dropouts(again) == {used}
        assert again.config.hidden_dropout_prob == 0.3


def test_larger_models_continue_with_lower_learning_rates():
    sizes = ("tiny", "mini", "small", "medium", "base", "large")
    rates = [default_learning_rate(getattr(BertConfig, size)(), new=False) for size in sizes]
    assert rates == sorted(rates, reverse=True)
    assert max(rates) < default_learning_rate(BertConfig.tiny(), new=True)


def test_another_seed_holds_out_the_same_documents(minibert, corpus, model):
    # Otherwise a model that continues with another seed is evaluated on text that it has seen.
    held_out = []
    for seed in (0, 1):
        line = f"pretrain corpus --model model --epochs 1 --max-length 32 --seed {seed}"
        assert minibert(f"{line} --output out-{seed}")[0] == 0
        state = next(Path(f"out-{seed}/training").glob("step-*/state.json"))
        held_out.append(json.loads(state.read_text(encoding="utf-8"))["fingerprint"]["corpus"])
    assert held_out[0] == held_out[1]


def test_a_narrow_model_starts_with_larger_numbers(corpus):
    config = new_pretraining_model(Corpus.open(corpus), "tiny", max_length=32).config
    assert config.initializer_range == pytest.approx(0.02 * 6**0.5)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGTERM")
def test_stopped_by_a_signal_and_resumed_it_gives_the_same_bits(minibert, corpus, model, tmp_path):
    line = "pretrain corpus --model model --epochs 2 --max-length 32 --batch-size 2"
    assert minibert(f"{line} --output unbroken")[0] == 0
    code = "from minibert.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *line.split(), "--output", "broken"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "broken" / "training" / "log.jsonl"
    while process.poll() is None and not (log.exists() and '"train"' in log.read_text("utf-8")):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, err
    assert f"minibert {line} --output broken --resume" in err
    assert not (tmp_path / "broken" / "model.safetensors").exists()
    assert minibert(f"{line} --output broken --resume")[0] == 0
    unbroken, broken = (tmp_path / name for name in ("unbroken", "broken"))
    assert (broken / "model.safetensors").read_bytes() == (
        unbroken / "model.safetensors"
    ).read_bytes()
    metrics = [json.loads((f / "metrics.json").read_text("utf-8")) for f in (unbroken, broken)]
    for found in metrics:
        del found["seconds"]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize(
    ("old", "new", "word", "shown"),
    [
        (
            ENGLISH,
            ("the {0} {1} , so {2} {3} .", ["zebrafish", "owl"], ["eats", "swims"]),
            "zebrafish",
            "the [MASK] eats , so owl swims .",
        ),
        (
            CHINESE,
            ("{0}服用{1}，{2}{3}。", ["mrna", "他"], ["vaxon", "药"]),
            "vaxon",
            "他服用[MASK]，他药。",
        ),
    ],
    ids=["English", "Chinese"],
)
def test_a_model_learns_a_new_field_with_a_word_that_was_in_pieces(minibert, old, new, word, shown):
    """The whole way: a model of old text, new words, the new text, going on."""
    before = text_of(*old, documents=40)
    # The alphabet of the new text is known, its words are not.
    alphabet = " ".join(sorted(set(text_of(*new, documents=9)) - set(" \n")))
    letters = "".join(sorted(set(word)))
    tokenizer = learned_tokenizer(f"{before}\n{alphabet}\n{' '.join(letters)}", size=90)
    make_corpus(Path("old"), before, tokenizer)
    torch.manual_seed(0)
    BertForPreTraining(small_config(len(tokenizer))).save_pretrained("start")
    tokenizer.save_pretrained("start")
    common = "--max-length 32 --batch-size 8 --learning-rate 3e-3 --held-out 0.2"
    assert minibert(f"pretrain old --model start --output general {common} --epochs 4")[0] == 0

    Path("new.txt").write_text(text_of(*new, documents=40, seed=1), encoding="utf-8")
    assert minibert("add-words general --text new.txt --count 2 --output words")[0] == 0
    larger = BertTokenizer.from_pretrained("words")
    pieces = tokenizer.tokenize(word)
    assert len(pieces) > 1
    assert larger.tokenize(word) == [word]
    name = "bert.embeddings.word_embeddings.weight"
    table = load_file("general/model.safetensors")[name]
    start = load_file("words/model.safetensors")[name][larger.convert_tokens_to_ids(word)]
    expected = table[tokenizer.convert_tokens_to_ids(pieces)].mean(dim=0)
    torch.testing.assert_close(start, expected)

    assert minibert("prepare new.txt --vocab words --output new --keep-duplicates")[0] == 0
    assert minibert(f"pretrain new --model words --output adapted {common} --epochs 12")[0] == 0
    log = read_log(Path("adapted/training/log.jsonl"))
    first, *_, last = [record for record in log if record["kind"] == "evaluation"]
    assert last["loss"] < first["loss"] - 0.5
    candidates = MaskFiller.from_pretrained("adapted")(shown)[0]
    assert word in [guess.token for guess in candidates]


def sentences_by_topic(*, shuffled: bool) -> str:
    """240 documents; each has words of one of 8 topics, unless all sentences are shuffled."""
    draw = random.Random(1)
    documents = [
        [" ".join(f"t{number % 8}w{draw.randrange(4)}" for _ in range(4)) for _ in range(8)]
        for number in range(240)
    ]
    if shuffled:
        sentences = [sentence for document in documents for sentence in document]
        draw.shuffle(sentences)
        documents = [sentences[start : start + 8] for start in range(0, len(sentences), 8)]
    return "\n\n".join("\n".join(document) for document in documents)


@pytest.mark.parametrize("shuffled", [False, True], ids=["topics", "shuffled"])
def test_next_sentences_are_told_apart_only_where_documents_hang_together(tmp_path, shuffled):
    """The control: with the same sentences in any order, there is nothing to learn but chance."""
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    pieces = [*special, *(f"t{topic}w{word}" for topic in range(8) for word in range(4))]
    tokenizer = BertTokenizer({piece: index for index, piece in enumerate(pieces)})
    (tmp_path / "text.txt").write_text(sentences_by_topic(shuffled=shuffled), encoding="utf-8")
    format_options = FormatOptions(lines="sentences")
    build_corpus(
        [tmp_path / "text.txt"],
        tokenizer,
        tmp_path / "corpus",
        format_options=format_options,
        drop_duplicates=False,
    )
    documents, held_out = Corpus.open(tmp_path / "corpus").split(0.25)
    batches = PretrainingBatches(documents, max_length=16, batch_size=32)
    judge = PretrainingBatches(held_out, max_length=16, batch_size=64)
    torch.manual_seed(0)
    model = BertForPreTraining(small_config(len(pieces), width=64))
    train(
        model,
        batches,
        TrainingSettings(epochs=12, learning_rate=2e-3, save_steps=1000),
        folder=tmp_path / "run",
        device=torch.device("cpu"),
    )
    found = evaluate_pretraining(model, judge.fixed())["next_sentence_accuracy"]
    labels = judge.sequences(0).labels
    assert labels is not None
    chance = max(labels.mean(), 1 - labels.mean())
    if shuffled:
        assert abs(found - chance) < 0.1
    else:
        assert found > chance + 0.2
