"""The corpus holds the documents and sentences of the text, for any number of workers.

Duplicates are dropped and counted, and a damaged corpus is never opened.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import shared
from toy_corpus import toy_corpus

from minibert.cli import prepare
from minibert.data.corpus import tokenize_shards
from minibert.data.corpus.build import SLOTS, DuplicateFilter, build_corpus
from minibert.data.corpus.corpus import Corpus, describe_files
from minibert.data.corpus.documents import FormatOptions
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] . ? one two three four ##s 我 爱 北 京 。".split()
TOKENIZER = BertTokenizer({word: index for index, word in enumerate(WORDS)})


@pytest.fixture
def build(tmp_path):
    def build(text, name="corpus", **options):
        path = tmp_path / "text.txt"
        path.write_text(text, encoding="utf-8")
        stats = build_corpus([path], TOKENIZER, tmp_path / name, **options)
        return Corpus.open(tmp_path / name), stats

    return build


def texts(corpus):
    """The corpus as text: documents of sentences of tokens."""
    tokens = corpus.tokenizer.convert_ids_to_tokens
    return [
        [" ".join(tokens(sentence)) for sentence in corpus.document(index)]
        for index in range(len(corpus))
    ]


def test_documents_and_sentences_come_back_as_they_were(build):
    corpus, stats = build("One. Two?\nThrees four.\n\n我爱北京。爱。\n")
    assert texts(corpus) == [
        ["one .", "two ?", "three ##s four ."],
        ["我 爱 北 京 。", "爱 。"],
    ]
    assert (stats.documents, stats.sentences, stats.tokens) == (2, 5, 15)
    assert (len(corpus), corpus.token_count) == (2, 15)
    assert stats.unknown_tokens == 0


def test_sentences_are_views_of_two_bytes_a_token(build):
    corpus, _ = build("One. Two?")
    assert corpus.tokens.dtype == np.uint16
    assert np.shares_memory(corpus.document(0)[1], corpus.tokens)


def test_a_large_vocabulary_takes_four_bytes(tmp_path):
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    vocabulary |= {f"w{index}": index for index in range(len(WORDS), 65_537)}
    (tmp_path / "a.txt").write_text("w65536 one", encoding="utf-8")
    build_corpus([tmp_path / "a.txt"], BertTokenizer(vocabulary), tmp_path / "corpus")
    corpus = Corpus.open(tmp_path / "corpus")
    assert corpus.tokens.dtype == np.uint32
    assert corpus.tokens.tolist() == [65_536, WORDS.index("one")]


def test_what_has_no_token_is_no_sentence_and_no_document(build):
    corpus, stats = build("one.\n\u200b\n\n\u200b\n\ntwo.")
    assert texts(corpus) == [["one ."], ["two ."]]
    assert stats.documents == 2


def test_a_last_short_document_is_there(build):
    corpus, _ = build("one two three.\nfour.\n\none")
    assert texts(corpus)[-1] == ["one"]


def test_the_corpus_is_the_same_for_any_number_of_workers(build, tmp_path, monkeypatch):
    text = "\n\n".join(f"one two. three four {'one ' * (n % 7)}." + "\ntwo" * n for n in range(40))
    build(text, name="alone", segmenter=str.split)
    monkeypatch.setattr("minibert.data.corpus.build.SHARD_CHARS", 300)
    build(text, name="together", segmenter=str.split, workers=2)
    files = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "together").iterdir())
    for name in files:
        assert (tmp_path / "alone" / name).read_bytes() == (
            tmp_path / "together" / name
        ).read_bytes()


def test_only_a_few_shards_are_in_progress_at_a_time(tmp_path, monkeypatch):
    # Memory does not grow if no more is read than the workers will soon ask for.
    class Now:
        def __init__(self, *_, **__): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def submit(self, *_):
            return self

        def result(self):
            return "shard"

    monkeypatch.setattr(tokenize_shards, "ProcessPoolExecutor", Now)
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield []

    done = tokenize_shards.tokenize_shards(endless(), tmp_path, TOKENIZER, None, workers=2)
    for given in range(1, 20):
        next(done)
        assert read - given <= 4


# Duplicates

LONG = "one two three four " * 5


def test_duplicates_are_dropped_and_counted(build):
    text = f"one.\n\n{LONG}.\ntwo.\n\none.\n\nthree.\n{LONG}.\ntwo.\n"
    corpus, stats = build(text)
    # The short "two." may occur again. The document "one." and the long line are duplicates.
    assert [document[0][:5] for document in texts(corpus)] == ["one .", "one t", "three"]
    assert texts(corpus)[2] == ["three .", "two ."]
    assert (stats.duplicate_documents, stats.duplicate_paragraphs) == (1, 1)
    assert "1 documents, 1 paragraphs" in stats.summary()


def test_duplicates_can_be_kept(build):
    corpus, stats = build("one.\n\none.\n\none.", drop_duplicates=False)
    assert len(corpus) == 3
    assert stats.duplicate_documents == 0


def test_a_full_duplicate_filter_forgets_but_never_grows_and_is_never_wrong():
    texts = [str(number) for number in range(5000)]
    small = DuplicateFilter(size=64)
    assert not any(map(small.is_duplicate, texts))  # no new text is taken for a duplicate
    assert small.is_duplicate(texts[-1])
    assert len(small.table) == 64 >= SLOTS
    large = DuplicateFilter()
    assert not any(map(large.is_duplicate, texts)) and all(map(large.is_duplicate, texts))


# Held-out documents


def test_documents_are_held_out_by_seed_and_no_document_is_lost(tmp_path):
    corpus = toy_corpus(tmp_path, [2] * 300)
    train, held_out = corpus.split(0.1, seed=3)
    assert 20 <= len(held_out) <= 40 and len(train) + len(held_out) == 300
    assert sorted([*train.chosen, *held_out.chosen]) == list(range(300))
    assert train.token_count + held_out.token_count == corpus.token_count == 600
    assert all(len(part.document(0)) == 2 for part in (train, held_out))
    assert held_out.document(4)[1].tolist() == corpus.document(int(held_out.chosen[4]))[1].tolist()
    again, other = corpus.split(0.1, seed=3)[1], corpus.split(0.1, seed=4)[1]
    assert again.chosen.tolist() == held_out.chosen.tolist() != other.chosen.tolist()
    assert len(set(held_out.chosen) & set(other.chosen)) < 15
    assert set(held_out.chosen) < set(corpus.split(0.2, seed=3)[1].chosen)
    assert train.fingerprint != held_out.fingerprint == again.fingerprint


def test_duplicates_of_a_document_are_on_one_side(build):
    text = "\n\n".join(f"one {'two ' * (n % 20)}" for n in range(200))
    corpus, _ = build(text, drop_duplicates=False)
    for seed in range(20):
        train, held_out = corpus.split(0.1, seed=seed)
        assert not {str(d) for d in texts(train)} & {str(d) for d in texts(held_out)}


def test_a_document_is_held_out_whatever_is_around_it(build):
    texts_of_documents = [f"one {'two ' * n}." for n in range(100)]
    first, _ = build("\n\n".join(texts_of_documents), name="first")
    second, _ = build("\n\n".join(reversed(texts_of_documents)), name="second")
    held_out = [sorted(map(str, texts(corpus.split(0.1)[1]))) for corpus in (first, second)]
    assert held_out[0] == held_out[1]


def test_no_document_changes_sides_when_text_is_added(build):
    old = [f"one {'two ' * n}." for n in range(100)]
    new = [f"two {'one ' * n}." for n in range(50)]
    before, after = (
        {str(text) for text in texts(build("\n\n".join(documents), name=name)[0].split(0.1)[1])}
        for documents, name in ((old, "before"), (old + new, "after"))
    )
    assert before < after


def test_at_least_two_documents_are_held_out(tmp_path):
    assert len(toy_corpus(tmp_path, [2] * 20).split(1e-9)[1]) == 2


def test_holding_out_everything_is_refused(tmp_path):
    corpus = toy_corpus(tmp_path, [2, 2])
    for share in (0.5, 0, 1):
        with pytest.raises(MiniBertError, match="hold"):
            corpus.split(share)


# Segmenters


def two_words(text):
    return [text[:2], text[2:]] if text.startswith("我爱") else text.split()


def test_a_segmenter_tells_where_chinese_words_start(build):
    corpus, _ = build("我爱北京。\n\none twos", segmenter=two_words)
    assert corpus.word_starts.tolist() == [1, 0, 1, 0, 0, 1, 1, 0]


def test_a_segmenter_that_changes_the_text_is_refused(build, tmp_path):
    with pytest.raises(MiniBertError, match="not in the text"):
        build("我爱北京。", segmenter=lambda text: ["我", "愛"])
    assert not (tmp_path / "corpus").exists()


def test_a_segmenter_that_cannot_be_sent_to_workers_is_refused(build):
    with pytest.raises(MiniBertError, match="cannot be sent"):
        build("one.", segmenter=lambda text: text.split(), workers=2)


# Refusals


def test_an_existing_folder_is_not_touched(build, tmp_path):
    build("one.")
    with pytest.raises(MiniBertError, match="exists and is not empty"):
        build("two.")
    assert texts(Corpus.open(tmp_path / "corpus")) == [["one ."]]


def test_no_text_leaves_no_corpus(build, tmp_path):
    with pytest.raises(MiniBertError, match="these files contain no text"):
        build("\n \n")
    with pytest.raises(MiniBertError, match="at least 1"):
        build("one", workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", b'[{"text": "One."}]\n', "1: no object with a text in the field 'text'"),
        ("a.txt", "天气很好。".encode("gb18030"), "1: byte 0xcc at 1 is not UTF-8"),
    ],
)
def test_the_refusal_of_unreadable_text_says_why(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MiniBertError, match=rf"no text; lines skipped: 1 \(.*{reason}\)"):
        build_corpus([tmp_path / name], TOKENIZER, tmp_path / "corpus")


CORPUS_FILES = (
    *("tokens.bin", "sentences.bin", "documents.bin", "fingerprints.bin", "word_starts.bin"),
    *("vocab.txt", "tokenizer_config.json"),
)


def edit(folder: Path, **changes: object) -> None:
    """Change fields of corpus.json; None deletes one."""
    path = folder / "corpus.json"
    about = json.loads(path.read_text("utf-8")) | changes
    kept = {name: value for name, value in about.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.parametrize("name", CORPUS_FILES)
def test_a_damaged_file_of_a_corpus_is_named_and_not_read(build, name):
    folder = build("one. two.\n\nthree.", segmenter=str.split)[0].folder
    other = build("one. twos.\n\nfour.", name="other", segmenter=str.split)[0].folder
    whole = (folder / name).read_bytes()
    flipped = bytes([whole[0] ^ 1]) + whole[1:]
    lines = whole.splitlines(keepends=True)
    of_another = (other / name).read_bytes()
    for content in (flipped, whole[:-2], whole[::-1], whole + whole[-8:], b"", b"".join(lines[1:])):
        if content != whole:
            (folder / name).write_bytes(content)
            with pytest.raises(MiniBertError, match=f"{folder / name} is not as it was prepared"):
                Corpus.open(folder)
    if of_another != whole:
        (folder / name).write_bytes(of_another)
        with pytest.raises(MiniBertError, match="is not as it was prepared"):
            Corpus.open(folder)
    (folder / name).unlink()
    with pytest.raises(MiniBertError, match=f"{folder / name} is missing; copy the corpus again"):
        Corpus.open(folder)
    (folder / name).write_bytes(whole)
    assert len(Corpus.open(folder)) == 2


def test_a_damaged_or_edited_corpus_json_is_refused(build, tmp_path):
    folder = build("one. two.\n\nthree.")[0].folder
    path = folder / "corpus.json"
    whole = path.read_bytes()
    for content in (whole[:-2], b"", whole[1:], whole.replace(b'"tokens"', b'"token"', 1)):
        path.write_bytes(content)
        with pytest.raises(MiniBertError, match=r"corpus\.json"):
            Corpus.open(folder)
    edits = (
        ({"format": 2}, "format 1"),
        ({"tokens": 7}, "holds 6 numbers; corpus.json says 7"),
        ({"documents": 10**12}, "holds 3 numbers"),
        ({"sentences": True}, "holds 3 numbers; corpus.json says 2"),
        ({"vocab_size": 99}, "has 17 tokens; corpus.json says 99"),
        ({"vocab_size": 70_000}, "numbers; corpus.json says"),
        ({"word_starts": True}, r"contradicts that there is \(no\) word_starts.bin"),
        ({"files": {}}, "is not as it was prepared"),
        ({"files": [1]}, "is not as it was prepared"),
        ({"files": {"../corpus.json": {"bytes": 1}}}, "is not as it was prepared"),
    )
    for changes, reason in edits:
        path.write_bytes(whole)
        edit(folder, **changes)
        with pytest.raises(MiniBertError, match=reason):
            Corpus.open(folder)
    path.unlink()
    with pytest.raises(MiniBertError, match="not a tokenized corpus"):
        Corpus.open(folder)


def test_a_file_of_another_tokenizer_beside_a_corpus_is_noticed(build):
    folder = build("one. two.\n\nthree.")[0].folder
    (folder / "special_tokens_map.json").write_text('{"unk_token": "one"}', encoding="utf-8")
    with pytest.raises(MiniBertError, match=r"special_tokens_map\.json is not as it was prepared"):
        Corpus.open(folder)


def test_a_corpus_of_an_earlier_version_is_opened_with_a_note(build):
    corpus = build("one. two.\n\nthree.")[0]
    edit(corpus.folder, files=None)
    with pytest.warns(UserWarning, match="has no checksums, because an earlier version prepared"):
        old = Corpus.open(corpus.folder)
    assert texts(old) == texts(corpus)
    # A run that an earlier version began can be resumed: the fingerprint is as it was then.
    names = ("fingerprints.bin", "sentences.bin", "vocab.txt", "tokenizer_config.json")
    content = b"".join((corpus.folder / name).read_bytes() for name in names)
    assert old.fingerprint == hashlib.blake2b(content, digest_size=8).hexdigest()
    assert old.fingerprint != corpus.fingerprint


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        (
            "sentences.bin",
            lambda a: a[[0, 2, 1, *range(3, len(a))]],
            "does not ascend from 0 to 10",
        ),
        ("sentences.bin", lambda a: a[[0, 1, 1, *range(3, len(a))]], "does not ascend"),
        ("documents.bin", lambda a: a[[0, 1, 0, *range(3, len(a))]], "does not ascend from 0 to 3"),
        ("sentences.bin", lambda a: np.roll(a, 1), "does not ascend"),
        ("documents.bin", lambda a: -a, "does not ascend"),
        ("tokens.bin", lambda a: a + 7, "has the id 17, beyond a vocabulary of 17 tokens"),
        ("tokens.bin", lambda a: a[:-1], "holds 9 numbers; corpus.json says 10"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*has no checksums")
def test_a_corpus_without_checksums_is_checked_for_what_no_corpus_holds(
    build, name, damage, reason
):
    folder = build("one. two.\n\nthree. four.\n\ns.")[0].folder
    edit(folder, files=None)
    path = folder / name
    dtype = np.uint16 if name == "tokens.bin" else np.int64
    path.write_bytes(damage(np.frombuffer(path.read_bytes(), dtype)).astype(dtype).tobytes())
    with pytest.raises(MiniBertError, match=f"{path} {reason}"):
        Corpus.open(folder)


def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    (tmp_path / "a.txt").write_text("one.\n", encoding="utf-8")
    TOKENIZER.save_pretrained(tmp_path / "tokenizer")
    script = tmp_path / "script.py"
    script.write_text(
        "from minibert.data.corpus.build import build_corpus\n"
        "from minibert.tokenization.tokenizer import BertTokenizer\n"
        f"tokenizer = BertTokenizer.from_pretrained({str(tmp_path / 'tokenizer')!r})\n"
        f"build_corpus([{str(tmp_path / 'a.txt')!r}], tokenizer, {str(tmp_path / 'corpus')!r},"
        " workers=2)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert "MiniBertError: a worker process could not start" in done.stderr
    assert not (tmp_path / "corpus").exists()


def test_both_languages_at_full_size(tmp_path):
    for name, vocabulary, lines in [
        ("data/books/Lewis_Carroll", "bert-base-uncased", "paragraphs"),
        ("data/chinese_text/CLUECorpusSmall_sampled.txt", "bert-base-chinese", "documents"),
    ]:
        tokenizer = BertTokenizer(shared(f"data/vocab/{vocabulary}-vocab.txt"))
        folder = tmp_path / vocabulary
        stats = build_corpus(
            [shared(name)], tokenizer, folder, format_options=FormatOptions(lines=lines)
        )
        assert stats.unknown_tokens < 0.01 * stats.tokens
        assert 10 < stats.tokens / stats.sentences < 60
        assert Corpus.open(folder).token_count == stats.tokens


def test_a_part_numbers_its_own_documents(tmp_path):
    corpus = toy_corpus(tmp_path, [3] * 10)
    part = replace(corpus, chosen=np.array([7, 2]))
    assert len(part) == 2
    assert part.document(0)[0].tolist() == corpus.document(7)[0].tolist()


def test_the_page_on_the_format_runs():
    page = (Path(__file__).parents[1] / "docs" / "corpus_format.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "corpus_format.md", "exec"), {})


def test_the_page_on_the_format_names_all_options_of_the_command():
    page = (Path(__file__).parents[1] / "docs" / "corpus_format.md").read_text(encoding="utf-8")
    parser = argparse.ArgumentParser(add_help=False)
    prepare.add_arguments(parser)
    options = [action.option_strings[0] for action in parser._actions if action.option_strings]
    assert len(options) > 8
    assert [option for option in options if f"| `{option}" not in page] == []
    kinds = next(action.choices for action in parser._actions if action.dest == "lines")
    assert [kind for kind in kinds if f"`--lines {kind}`" not in page] == []


def test_the_command_prepares_a_corpus_and_prints_a_summary(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"body": "One two.\\nThree."}\n', encoding="utf-8")
    TOKENIZER.save_pretrained(tmp_path / "tokenizer")
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)

    def minibert_prepare(*options):
        where = ["--vocab", str(tmp_path / "tokenizer"), "--output", str(tmp_path / "corpus")]
        arguments = [str(tmp_path / "a.jsonl"), "--text-field", "body", *where, *options]
        prepare.run(parser.parse_args(arguments))

    with pytest.raises(MiniBertError, match="--segmenter shlex:nothing"):
        minibert_prepare("--segmenter", "shlex:nothing")
    minibert_prepare("--segmenter", "shlex:split", "--lines", "sentences")
    assert texts(Corpus.open(tmp_path / "corpus")) == [["one two .", "three ."]]
    assert "1 documents, 2 sentences, 5 tokens" in capsys.readouterr().out


def test_the_fingerprint_depends_on_sentences_and_vocabulary(build):
    text = "One. Two?\nThree four.\n"
    corpus, _ = build(text)
    assert build(text, "again")[0].fingerprint == corpus.fingerprint
    assert (
        build(text, "lines", format_options=FormatOptions(lines="sentences"))[0].fingerprint
        != corpus.fingerprint
    )
    # A folder in which everything fits together, but which is another one.
    vocabulary = "\n".join([*WORDS[:-1], "more"]) + "\n"
    tokens = np.fromfile(corpus.folder / "tokens.bin", np.uint16)
    (corpus.folder / "tokenizer.json").unlink()
    for name, content in (
        ("vocab.txt", vocabulary.encode()),
        ("tokens.bin", tokens[::-1].tobytes()),
    ):
        (corpus.folder / name).write_bytes(content)
        edit(corpus.folder, files=describe_files(corpus.folder))
        assert Corpus.open(corpus.folder).fingerprint != corpus.fingerprint
