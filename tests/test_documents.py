"""Each layout of text gives the documents that one sees in it. Unreadable lines are skipped and
counted, and no document is lost, not even a short one at the end of a file.
"""

import json
import os
from pathlib import Path

import pytest
from conftest import shared

from minibert.data.corpus import documents
from minibert.data.corpus.build import build_corpus
from minibert.data.corpus.documents import (
    FormatOptions,
    ReadStats,
    find_text_files,
    read_documents,
)
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer


def read(*paths, stats=None, **options):
    found = read_documents(paths, FormatOptions(**options), stats or ReadStats())
    return [document.paragraphs for document in found]


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write


# Plain text

TEXT = "One. Two.\nThree.\n\n\nFour.\nFive."


def test_a_blank_line_ends_a_document(write):
    path = write("a.txt", TEXT)
    assert read(path) == [["One. Two.", "Three."], ["Four.", "Five."]]


def test_a_line_can_be_a_document(write):
    lines = [["One. Two."], ["Three."], ["Four."], ["Five."]]
    assert read(write("a.txt", TEXT), lines="documents") == lines


def test_wrapped_lines_are_joined_and_the_file_is_the_document(write):
    wrapped = [["One. Two. Three.", "Four. Five."]]
    assert read(write("a.txt", TEXT), lines="wrapped") == wrapped


def test_only_lines_that_are_sentences_are_not_split_further(write):
    path = write("a.txt", TEXT)
    for lines in documents.LINES:
        for document in read_documents([path], FormatOptions(lines=lines), ReadStats()):
            assert document.are_sentences == (lines == "sentences")


def test_line_ends_of_windows_and_byte_order_marks_leave_no_trace(write):
    path = write("a.txt", b"\xef\xbb\xbfOne.\r\nTwo.\r\n\r\nThree.\r\n")
    assert read(path) == [["One.", "Two."], ["Three."]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_lf_crlf_or_cr_in_every_format(write, end):
    assert read(write("a.txt", TEXT.replace("\n", end))) == read(write("b.txt", TEXT))
    markdown = "# Book\n\nOne\nline.\n\n- Two.\n---\nThree.\n".replace("\n", end)
    assert read(write("a.md", markdown)) == [["One line.", "Two.", "Three."]]
    rows = end.join(['{"text": "One.\\nTwo."}', '{"text": "Three."}'])
    assert read(write("a.jsonl", rows)) == [["One.", "Two."], ["Three."]]
    mixed = write("mixed.txt", f"One.{end}Two.\nThree.\r\n\r\nFour.")
    assert read(mixed) == [["One.", "Two.", "Three."], ["Four."]]


def test_a_long_file_with_cr_is_not_one_line_that_is_too_long(write, monkeypatch):
    monkeypatch.setattr(documents, "MAX_LINE_BYTES", 10)
    assert read(write("a.txt", "One.\r" * 20), lines="documents") == [["One."]] * 20


WIKI = """<doc id="12" url="https://en.wikipedia.org/wiki?curid=12" title="A "quoted" title">
Anarchism

AT&amp;T is 1 &lt; 2.

Section.
The end.

</doc>
<doc id="25" url="" title="Autism">
Autism

Second article.

</doc>
"""
ARTICLES = [["Anarchism", "AT&T is 1 < 2.", "Section.", "The end."], ["Autism", "Second article."]]


@pytest.mark.parametrize("name", ["AA/wiki_00", "AA/wiki_107", "wiki.txt"])
@pytest.mark.parametrize("lines", documents.LINES)
def test_the_articles_of_wikiextractor_are_documents_and_its_tags_are_not_text(write, name, lines):
    write(name, WIKI)
    folder = write("readme.txt", "<p>Not a tag of it.\n").parent
    files = documents.find_text_files([folder], [])
    assert len(files) == 2
    assert sorted(read(*files, lines=lines)) == [["<p>Not a tag of it."], *ARTICLES]


def test_wikiextractor_may_have_written_json(write):
    path = write("AA/wiki_00", json.dumps({"id": "12", "text": "Anarchism\n\nThe end."}) + "\n")
    assert read(*documents.find_text_files([path], [])) == [["Anarchism", "The end."]]


def test_text_around_articles_keeps_its_layout(write):
    assert read(write("a.txt", f"{TEXT}\n{WIKI}{TEXT}")) == [
        *([["One. Two.", "Three."], ["Four.", "Five."]]),
        *ARTICLES,
        *([["One. Two.", "Three."], ["Four.", "Five."]]),
    ]


def test_the_last_document_is_there_however_the_file_ends(write):
    for end in ("", "\n", "\n\n\n", "\r\n", " "):
        assert read(write("a.txt", "One.\n\nShort." + end))[-1] == ["Short."]


# Markdown


def test_a_heading_begins_a_new_document(write):
    path = write("a.md", "# Book\n\n## I\n\nOne\nline.\n\nTwo.\n\n## II\n\nThree.\n")
    assert read(path) == [["One line.", "Two."], ["Three."]]
    assert read(path, chapters=False) == [["One line.", "Two.", "Three."]]


def test_front_matter_is_dropped(write):
    assert read(write("a.md", "---\ntitle: x\n---\nText.\n")) == [["Text."]]
    assert read(write("a.md", "---\nText.\n")) == [["Text."]]  # a rule, not front matter


def test_inline_markup_is_dropped_and_its_words_are_kept(write):
    text = "See **the** _big_ [map](a.png) `x` ![pic](b.png) <b>now</b>: a_b_c, 2 * 3 * 4, \\*."
    assert read(write("a.md", text)) == [["See the big map x  now: a_b_c, 2 * 3 * 4, *."]]


def test_code_tables_and_rules_are_dropped_and_list_items_become_paragraphs(write):
    text = "One.\n```\n# code\n```\n| a | b |\n|---|---|\n- two\n  more\n- three\n***\n> Four.\n"
    assert read(write("a.md", text)) == [["One.", "two more", "three", "Four."]]


def test_a_line_that_starts_with_inline_code_is_not_a_fence(write):
    text = "```pip install x``` installs it.\n\nMore.\n\n~~~ a `mark`\ncode\n~~~\n\nThe end.\n"
    assert read(write("a.md", text)) == [["pip install x installs it.", "More.", "The end."]]


def test_code_ends_at_a_fence_that_is_as_long_as_the_first(write):
    text = "One.\n````md\n```sh\n# code\n```\n```` no end\n`````\nTwo.\n"
    assert read(write("a.md", text)) == [["One.", "Two."]]


def test_code_in_lists_and_quotes_ends_where_it_ends(write):
    text = "- ```sh\n  code\n  ```\n- One.\n\n> ```\n> code\n> ```\n> Two.\n\nThree.\n"
    assert read(write("a.md", text)) == [["One.", "Two.", "Three."]]


def test_link_targets_with_brackets_are_dropped_whole(write):
    text = 'A [lamp](https://a.org/lamp_(oil)) ![x](b_(c).png "(d)")here.'
    assert read(write("a.md", text)) == [["A lamp here."]]


HOSTILE = ["[", "![", "[a](", "[a][", "[a](b(", "<!--", "<a", "`", "*", "*a ", "_", "("]


@pytest.mark.parametrize("begin", [*(f"One. {unit}" for unit in HOSTILE), "-|", "- "])
def test_hostile_markdown_takes_linear_time(write, begin):
    # A pattern that starts again from every character would take hours.
    line = begin + begin.removeprefix("One. ") * 100_000 + " the end."
    assert read(write("a.md", line))[0][0].endswith(" the end.")


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("- eggs\n---\nNext.", [["eggs", "Next."]]),
        ("* eggs\n  and milk\n---\nNext.", [["eggs and milk", "Next."]]),
        ("1. eggs\n===\nNext.", [["eggs", "Next."]]),
        ("- eggs\n-\n- milk", [["eggs", "milk"]]),
        ("> Quoted\n---\nNext.", [["Quoted", "Next."]]),
        ("A sentence.\n---\nNext.", [["A sentence.", "Next."]]),
        ("Two\nlines\n---\nNext.", [["Two lines", "Next."]]),
        ("- eggs\n\nTitle\n---\nNext.", [["eggs"], ["Next."]]),
        ("---\nOnce.\n---\nNext.", [["Once.", "Next."]]),  # no front matter, but two rules
    ],
)
def test_a_rule_directly_below_text_does_not_make_it_a_heading(write, text, documents):
    assert read(write("a.md", text)) == documents


def test_an_underlined_heading_is_a_heading(write):
    assert read(write("a.md", "One.\n\nTitle\n=====\nTwo.\n")) == [["One."], ["Two."]]


def test_a_book_is_its_chapters():
    path = shared("data/books/Jane_Austen/Emma.md")
    found = read(path)
    assert len(found) == 55
    assert found[0][0].startswith("Emma Woodhouse, handsome, clever, and rich")
    assert not any("_" in paragraph or "#" in paragraph for paragraph in found[0])


# JSONL


def test_an_object_is_a_document(write):
    rows = [{"text": "One.\nTwo.\n\nThree."}, {"text": "四。", "n": 1}]
    path = write("a.jsonl", "\n".join(map(json.dumps, rows)))
    assert read(path) == [["One.", "Two.", "Three."], ["四。"]]
    assert read(path, lines="wrapped") == [["One. Two.", "Three."], ["四。"]]


def test_the_text_may_be_in_another_field(write):
    assert read(write("a.jsonl", '{"body": "x"}'), text_field="body") == [["x"]]


def test_objects_without_text_are_skipped_and_counted(write):
    rows = ['{"text": "One."}', "{", '{"text": 3}', "[]", '{"text": "Two."}', '{"text": "\\ud83d"}']
    rows += ['{"text": "Three."}']
    stats = ReadStats()
    path = write("a.jsonl", "\n".join(rows))
    assert read(path, stats=stats) == [["One."], ["Two."], ["\ufffd"], ["Three."]]
    assert (stats.lines, stats.bad_lines) == (7, 3)
    assert stats.bad_examples[0] == f"{path}:2: not a JSON object"


# Bad and long lines


def test_lines_that_are_not_utf8_are_skipped_and_counted(write):
    stats = ReadStats()
    path = write("a.txt", b"One.\nna\xefve\nTwo.\nNUL \0 here\nThree.\n")
    assert read(path, stats=stats) == [["One.", "Two.", "Three."]]
    assert (stats.files, stats.lines, stats.bad_lines) == (1, 5, 2)
    assert stats.bad_examples[0] == f"{path}:2: byte 0xef at 3 is not UTF-8"


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("gb18030", "GB18030"),
        ("utf-16", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-32-be", "UTF-32"),
    ],
)
def test_a_file_in_another_encoding_is_refused_and_the_encoding_is_named(write, encoding, named):
    path = write("a.txt", "天气很好。 It is fine.\n我们走吧。 Let us go.\n".encode(encoding) * 9)
    with pytest.raises(MiniBertError, match=f"lines cannot be read .*iconv -f {named} -t UTF-8"):
        read(path)


def test_a_document_that_is_too_long_is_split(write, monkeypatch):
    monkeypatch.setattr(documents, "MAX_DOCUMENT_CHARS", 10)
    stats = ReadStats()
    assert read(write("a.txt", "12345\n" * 5), stats=stats) == [
        ["12345"] * 2,
        ["12345"] * 2,
        ["12345"],
    ]
    assert stats.cut_documents == 2


def test_a_line_that_is_too_long_is_skipped(write, monkeypatch):
    monkeypatch.setattr(documents, "MAX_LINE_BYTES", 10)
    stats = ReadStats()
    path = write("a.txt", "short\n" + "long " * 20 + "\nshort\n" + "exactly 9\n" + "endless" * 9)
    assert read(path, stats=stats) == [["short", "short", "exactly 9"]]
    assert stats.bad_lines == 2


def test_an_unknown_value_of_lines_is_refused():
    with pytest.raises(MiniBertError, match="must be one of"):
        FormatOptions(lines="words")


def test_the_refusal_of_a_file_shows_a_line_of_that_file(write):
    good = write("a.txt", b"fine.\n" * 9 + b"\xff\n" * 5)
    bad = write("b.txt", "天气很好。\n".encode("gb18030") * 9)
    with pytest.raises(MiniBertError, match=rf"{bad}:9: .* UTF-8: iconv"):
        read(good, bad)


def test_the_refusal_of_a_json_list_says_how_to_make_lines_of_it(write):
    path = write("a.jsonl", json.dumps([{"text": "One."}, {"text": "Two."}], indent=1))
    with pytest.raises(MiniBertError, match=r"not a JSON object.*jq -c"):
        read(path)


# Folders stand for the text files in them, but for subfolders that a program wrote. The user is
# told what is skipped, and all files are found before any work starts.

TOKENIZER = BertTokenizer({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "one": 5})


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("One.\n", encoding="utf-8")


def test_folders_are_searched_in_a_fixed_order(tmp_path):
    touch(*(tmp_path / name for name in ("b/two.md", "a/one.txt", "c.jsonl", "picture.png")))
    assert [path.name for path in find_text_files([tmp_path], [])] == [
        "one.txt",
        "two.md",
        "c.jsonl",
    ]


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "corpus.json", "vocab.txt"])
def test_a_folder_of_texts_may_hold_files_of_any_name(tmp_path, name):
    touch(tmp_path / "project/README.md", tmp_path / "project" / name)
    skipped = []
    assert tmp_path / "project/README.md" in find_text_files([tmp_path], skipped)
    assert not skipped


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["corpus.json", "tokens.bin", "vocab.txt"], "a corpus"),
        (["config.json", "model.safetensors", "vocab.txt"], "a model"),
        (["config.json", "pytorch_model.bin", "vocab.txt"], "a model"),
        (["bert_config.json", "bert_model.ckpt.index", "vocab.txt"], "a model"),
        (["tokenizer_config.json", "vocab.txt"], "a tokenizer"),
        ([".lock", "log.jsonl"], "a training run"),
    ],
)
def test_subfolders_that_a_program_wrote_are_skipped_and_named(tmp_path, names, reason):
    touch(tmp_path / "text.txt", *(tmp_path / "runs/one" / name for name in names))
    skipped = []
    assert find_text_files([tmp_path], skipped) == [tmp_path / "text.txt"]
    assert skipped == [f"{tmp_path / 'runs/one'}: {reason}"]
    with pytest.raises(MiniBertError, match=rf"no file ends in .* \(skipped .*one: {reason}\)"):
        find_text_files([tmp_path / "runs"], [])


def test_the_summary_of_a_corpus_names_the_skipped_folders(tmp_path):
    touch(tmp_path / "texts/one.txt", tmp_path / "texts/mine/model.safetensors")
    stats = build_corpus([tmp_path / "texts"], TOKENIZER, tmp_path / "corpus")
    assert f"folders skipped: 1 ({tmp_path / 'texts/mine'}: a model)" in stats.summary()


def test_a_linked_folder_is_skipped_and_named(tmp_path):
    touch(tmp_path / "texts/one.txt")
    (tmp_path / "texts/again").symlink_to(".", target_is_directory=True)
    skipped = []
    assert find_text_files([tmp_path / "texts"], skipped) == [tmp_path / "texts/one.txt"]
    assert skipped == [f"{tmp_path / 'texts/again'}: a link"]
    # A link that the user names is searched.
    assert len(find_text_files([tmp_path / "texts/again"], [])) == 1


def test_hidden_files_and_folders_are_ignored(tmp_path):
    touch(tmp_path / "one.txt", tmp_path / ".one.txt", tmp_path / ".git/two.txt")
    assert find_text_files([tmp_path], []) == [tmp_path / "one.txt"]


def test_paths_without_text_are_refused(tmp_path):
    touch(tmp_path / "empty/picture.png", tmp_path / "a.docx")
    touch(tmp_path / "corpus/corpus.json", tmp_path / "corpus/tokens.bin")
    (tmp_path / "device.txt").symlink_to(os.devnull)
    for name, message in [
        ("device.txt", "a pipe or a device"),
        ("absent.txt", "does not exist"),
        ("absent", "does not exist"),
        ("empty", "no file ends in"),
        ("a.docx", "no file ends in .* rename plain text"),
        ("corpus", "give the text itself"),
        ("x" * 300 + ".txt", "cannot read .*: File name too long"),
    ]:
        with pytest.raises(MiniBertError, match=message):
            find_text_files([tmp_path / name], [])
    with pytest.raises(MiniBertError, match="give at least one"):
        find_text_files([], [])


def test_an_unreadable_folder_is_refused_before_any_work_starts(tmp_path, monkeypatch):
    touch(tmp_path / "texts/one.txt", tmp_path / "texts/locked/two.txt")
    usual = Path.iterdir

    def iterdir(path):  # the tests may run as root, which may read everything
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    started = []
    monkeypatch.setattr(TOKENIZER, "save_pretrained", started.append)
    for paths, message in (
        ([tmp_path / "texts"], "cannot read .*locked: Permission denied"),
        ([tmp_path / "texts/one.txt", tmp_path / "two.txt"], "does not exist"),
    ):
        with pytest.raises(MiniBertError, match=message):
            build_corpus(paths, TOKENIZER, tmp_path / "corpus")
    assert not started
