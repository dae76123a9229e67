"""No text is lost, and English and Chinese are split as people read them."""

import pytest
from conftest import shared

from minibert.data.corpus.sentence_splitter import split_sentences

# One sentence a line; the text is the lines with a space between.
ENGLISH = {
    "the plain case": "It rains.\nIs it cold?\nNo!",
    "titles": "Mr. and Mrs. Hall met Dr. St. John.\nThey left.",
    "initials": "J. R. R. Tolkien and J.R.R. Tolkien are one.\nSo am I.\nShe is not.",
    "numbers": "It costs $3.50 or 1,000.25 in all.\nSee No. 5 and Fig. 3.\nNo.\nWhy not?",
    "latin": "Fruit, e.g. Apples, is good.\nNuts, i.e. Almonds, too.",
    "times": "He rose at 4 A. M., with a headache.\nIt was 5 p.m. Eastern time.",
    "countries": "The U.S. Army came.\nIt left.",
    "quotes": '"Is it far?" he asked.\n"No."\n"Go!"\nHe went.',
    "brackets": "He left (it was late).\n[Nobody saw him.]\n(Or so he thought.)",
    "points": "Wait... what?\nWell...\nNever mind.",
    "several signs": "What?!\nNo!!\nYes.",
    "emphasis": "She was _gone!_\nHe knew.",
    "curly quotes": "“Come in.”\n“Why?”\n‘Because.’",
}
# The same, with nothing between.
CHINESE = {
    "the plain case": "天气很好。\n你去吗？\n走吧！",
    "semicolons": "他来了；\n她走了。",
    "quotes": "他说：“好。”\n我们走了。",
    "brackets": "（他笑了。）\n她没有。",
    "points": "我不知道……\n也许吧。",
    "several signs": "真的？！\n不会吧！！！\n会的。",
    "corner brackets": "「是。」\n『不。』\n好。",
    "numbers": "价格是3.5元。\n很贵。",
    "western signs": "好吗?\n好!\n走。",
    "mixed": "我用Python 3.11写代码。\n你呢？",
}


@pytest.mark.parametrize("name", ENGLISH)
def test_english_is_split_as_people_read_it(name):
    sentences = ENGLISH[name].split("\n")
    assert split_sentences(" ".join(sentences)) == sentences


@pytest.mark.parametrize("name", CHINESE)
def test_chinese_is_split_without_spaces(name):
    sentences = CHINESE[name].split("\n")
    assert split_sentences("".join(sentences)) == sentences


def test_both_languages_may_be_in_one_paragraph():
    assert split_sentences("He said 你好。Then he left. 再见！") == [
        "He said 你好。",
        "Then he left.",
        "再见！",
    ]


@pytest.mark.parametrize("text", ["", "  \n ", "...", "。", "?", "no end", '"', ". . .", "A.", "“"])
def test_odd_texts_lose_nothing_and_give_no_empty_sentence(text):
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentences)


@pytest.mark.parametrize(
    "name", ["data/books/Jane_Austen/Emma.md", "data/chinese_text/CLUECorpusSmall_sampled.txt"]
)
def test_real_texts_lose_nothing_and_get_sentences_of_a_usual_length(name):
    text = shared(name).read_text(encoding="utf-8")[:300_000]
    sentences = [sentence for line in text.split("\n") for sentence in split_sentences(line)]
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert 20 < sum(map(len, sentences)) / len(sentences) < 150
    assert max(map(len, sentences)) < 3000


def test_western_punctuation_after_chinese_stays_with_its_sentence():
    assert split_sentences("真的吗？! 好……. 走吧。") == ["真的吗？!", "好…….", "走吧。"]


def test_hostile_texts_take_linear_time():
    # A pattern that starts again from every character would take hours.
    for hostile in (
        "." * 200_000,
        "“" * 200_000,
        "a" * 200_000 + ".",
        "…" * 200_000,
        "。”" * 90_000,
        "." * 200_000 + "x",
        "?!" * 100_000 + "x",
        "." * 100_000 + '"' * 100_000 + "x",
        "…." * 100_000 + "x",
        " " * 200_000 + "x",
        "3." * 100_000 + "5",
    ):
        assert "".join(split_sentences(hostile)).split() == hostile.split()
