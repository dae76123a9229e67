"""Exercise: split a text into words, as an uncased BERT does before it looks them up."""

import unicodedata
from collections.abc import Set
from typing import Any

from minibert.learn.compare import Text, expect_cases
from minibert.tokenization.normalize import (
    NormalizeOptions,
    clean,
    is_accent,
    is_chinese,
    is_dropped,
    is_punctuation,
    split_words,
)

FUNCTIONS = ("normalize",)
LESSON = "01"
SOLUTION = "minibert/tokenization/normalize.py, split_words"
HINTS = (
    Text(
        "Go through the text one character at a time. Each is dropped, kept, or kept with a space "
        "on both sides. At the end, split() at spaces.",
        "一个字符一个字符地看：丢掉、保留，或者两边加空格后保留。最后用 split() 按空格切开。",
    ),
    Text(
        "unicodedata.normalize('NFD', text) turns é into e and an accent of category Mn. Control "
        "characters have the category Cc or Cf, but tab and line ends separate words.",
        "unicodedata.normalize('NFD', text) 把 é 变成 e 加一个类别为 Mn 的重音符号。"
        "控制字符的类别是 Cc 或 Cf，但制表符和换行是分隔词的。",
    ),
    Text(
        "Punctuation: category(c).startswith('P'), or an ASCII character that is printable and "
        "neither alphanumeric nor a space, such as $ and +. Chinese: '\\u4e00' <= c <= '\\u9fff'.",
        "标点：category(c).startswith('P')，或者 ASCII 里可打印、不是字母数字也不是空格的字符，"
        "例如 $ 和 +。汉字：'\\u4e00' <= c <= '\\u9fff'。",
    ),
)
CASES = {
    "He  opened\tthe\ndoor": Text("With several kinds of spaces", "有几种空白时"),
    "He OPENED": Text("With capitals", "有大写字母时"),
    "Élan, naïve Größe": Text("With accents", "有重音符号时"),
    "don't go... (now)!": Text("With punctuation", "有标点时"),
    "$5+5=10 a_b": Text("With ASCII symbols", "有 ASCII 符号时"),
    "“so”—he said…": Text("With punctuation outside ASCII", "有 ASCII 以外的标点时"),
    "我爱BERT，真的": Text("With Chinese characters", "有汉字时"),
    "in\u200bvisible\x00 zero\ufeff": Text("With invisible characters", "有看不见的字符时"),
    "": Text("With an empty text", "当文本为空时"),
}
MISTAKES = {
    "case": Text("the words are not lower-cased.", "没有变成小写。"),
    "accents": Text("the accents are still there.", "重音符号还在。"),
    "ascii": Text(
        "all that is not ASCII is dropped, even whole letters; drop only accents (category Mn).",
        "ASCII 以外的字符全被丢掉了，连字母也丢了；只应该丢掉重音符号（类别 Mn）。",
    ),
    "NFKC": Text(
        "NFKC or NFKD change characters, … into three dots for example; use NFD.",
        "NFKC 和 NFKD 会改变字符，例如把 … 变成三个点；应该用 NFD。",
    ),
    "glued": Text("punctuation is not split from words.", "标点没有和词分开。"),
    "lost": Text("punctuation is lost; each mark is a token.", "标点丢了；每个标点也是一个词元。"),
    "grouped": Text(
        "marks side by side are one token; each is a token of its own.",
        "相邻的标点连在了一起；每个标点都应该单独成为一个词元。",
    ),
    "only P": Text(
        "$, +, = and other ASCII symbols are not split: Unicode does not call them punctuation "
        "(their category is S), but BERT does.",
        "$、+、= 等 ASCII 符号没有分开：它们的 Unicode 类别是 S，不是标点，但 BERT 当标点处理。",
    ),
    "only ASCII": Text(
        "punctuation outside ASCII, such as “ and —, is not split.",
        "ASCII 以外的标点（如 “ 和 —）没有分开。",
    ),
    "Chinese": Text(
        "Chinese characters stay together; each is a word of its own.",
        "汉字连在一起了；每个汉字都应该单独成词。",
    ),
    "kept": Text("invisible characters are kept.", "看不见的字符还留着。"),
    "as space": Text(
        "invisible characters split words; they are dropped without a space.",
        "看不见的字符把词切开了；应该直接丢掉，不留空格。",
    ),
    "tabs": Text(
        "tab and line end are dropped, and the words around them grow together.",
        "制表符和换行被丢掉了，前后的词粘在了一起。",
    ),
    "split(' ')": Text(
        "there are empty words: split() splits at any number of spaces, split(' ') at each.",
        "出现了空的词：split() 按任意多个空白切分，split(' ') 在每个空格处都切。",
    ),
}


def normalize(text: str, *, mistakes: Set[str]) -> list[str]:
    """Return the words as `split_words` does, with these mistakes."""
    text = unicodedata.normalize("NFKC", text) if "NFKC" in mistakes else text
    if "tabs" in mistakes:
        text = text.replace("\t", "").replace("\n", "")
    if "as space" in mistakes:
        text = "".join(" " if is_dropped(c) else c for c in text)
    text = text if "kept" in mistakes else clean(text)
    text = text if "case" in mistakes else text.lower()
    if "ascii" in mistakes:
        text = unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()
    elif "accents" not in mistakes:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not is_accent(c))
    parts: list[str] = []
    for c in text:
        is_mark = is_punctuation(c)
        if "only P" in mistakes:
            is_mark = unicodedata.category(c).startswith("P")
        if "only ASCII" in mistakes:
            is_mark = is_mark and c.isascii()
        if is_chinese(c) and "Chinese" not in mistakes:
            parts.append(f" {c} ")
        elif not is_mark or "glued" in mistakes:
            parts.append(c)
        elif "grouped" in mistakes and parts and parts[-1].startswith(" ") and parts[-1].strip():
            parts[-1] = f"{parts[-1].rstrip()}{c} "
        else:
            parts.append(" " if "lost" in mistakes else f" {c} ")
    return "".join(parts).split(" ") if "split(' ')" in mistakes else "".join(parts).split()


def check(student: Any) -> None:
    """Compare texts that have one difficulty each."""
    options = NormalizeOptions()
    expect_cases(
        [student.normalize(text) for text in CASES],
        [split_words(text, options) for text in CASES],
        [f"normalize({text!r})" for text in CASES],
        cases=list(CASES.values()),
        compute=lambda names: [normalize(text, mistakes=names) for text in CASES],
        mistakes=MISTAKES,
        each=True,
    )
