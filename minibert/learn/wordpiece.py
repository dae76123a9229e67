"""Exercise: WordPiece, greedy longest match first."""

from collections.abc import Mapping, Set
from typing import Any

from minibert.files import bundled
from minibert.learn.compare import Text, expect_cases
from minibert.tokenization.wordpiece import WordPiece

FUNCTIONS = ("wordpiece",)
LESSON = "02"
SOLUTION = "minibert/tokenization/wordpiece.py, WordPiece.split"
HINTS = (
    Text(
        "Two loops: the outer one moves `start` through the word, the inner one tries ends, the "
        "longest first.",
        "两重循环：外层让 start 在词里往前走，内层试不同的结尾，从最长的开始。",
    ),
    Text(
        "Only a piece that starts inside the word is looked up with ## in front. If no end fits, "
        "forget what you have: the whole word is [UNK].",
        "只有从词中间开始的词片，查词表时才在前面加 ##。如果哪个结尾都不行，就丢掉已经得到的："
        "整个词是 [UNK]。",
    ),
    Text(
        "for end in range(len(word), start, -1): token = prefix + word[start:end]; if it is in the "
        "vocabulary, break. for ... else runs its else only if nothing was found.",
        "for end in range(len(word), start, -1): token = prefix + word[start:end]；"
        "在词表里就 break。for ... else 的 else 只在什么都没找到时运行。",
    ),
)
LONGEST = 20  # letters of a token of the vocabularies here
PIECES = ("[UNK]", "un", "##aff", "##able", "play", "##ing", "##s", "s", "##a", "able", "in", "a")
WORDS = ("play", "playing", "unaffable", "able", "playful", "unplaying", "as", "ables", "x", "")
MISTAKES = {
    "no prefix": Text(
        "pieces inside a word are looked up without ##.", "词中间的词片查词表时没有加 ##。"
    ),
    "ids": Text("these are ids; return the tokens.", "这是 id；应该返回词元。"),
    "stripped": Text("the ## is missing in the result.", "结果里丢了 ##。"),
    "prefix first": Text(
        "the first piece is looked up with ##; only those after it have one.",
        "第一个词片也加了 ##；只有后面的词片才加。",
    ),
    "either": Text(
        "pieces with and without ## are mixed: ## stands inside a word, and nowhere else.",
        "带 ## 和不带 ## 的词片混用了：词中间必须带 ##，词首必须不带。",
    ),
    "shortest": Text(
        "you take the shortest piece that fits; take the longest.",
        "你取的是最短的匹配；应该取最长的。",
    ),
    "never whole": Text(
        "the piece that reaches to the end of the word is never found: does `end` start at "
        "len(word), and is there a break?",
        "一直到词尾的那个词片从来找不到：end 是从 len(word) 开始的吗？有没有 break？",
    ),
    "no last letter": Text(
        "a piece of a single letter is never tried.", "只有一个字母的词片没有试过。"
    ),
    "rest unknown": Text(
        "the pieces before the unknown part are kept; the whole word is [UNK].",
        "未知部分前面的词片还留着；整个词应该是 [UNK]。",
    ),
    "skips": Text(
        "a letter that fits nowhere is skipped or becomes an [UNK] of its own; the whole word is "
        "one [UNK].",
        "查不到的字母被跳过了，或者单独变成 [UNK]；整个词应该只是一个 [UNK]。",
    ),
    "limit": Text(
        "a word of 200 characters is [UNK]; only longer ones are.",
        "200 个字符的词成了 [UNK]；超过 200 才是。",
    ),
    "no limit": Text(
        "a word of more than 200 characters is [UNK].", "超过 200 个字符的词应该是 [UNK]。"
    ),
}


def wordpiece(word: str, vocabulary: Mapping[str, int], *, mistakes: Set[str]) -> list[Any]:
    """Return the tokens as `WordPiece.split` does, with these mistakes."""
    if "ids" in mistakes:
        return [vocabulary[token] for token in wordpiece(word, vocabulary, mistakes=set())]
    limit = 199 if "limit" in mistakes else 200
    if len(word) > limit and "no limit" not in mistakes:
        return ["[UNK]"]
    tokens: list[str] = []
    start = 0
    while start < len(word):
        inside = (start > 0) != ("prefix first" in mistakes and start == 0)
        prefixes = ["##" if inside and "no prefix" not in mistakes else ""]
        if "either" in mistakes:
            prefixes += ["", "##"]
        shortest = 1 + ("no last letter" in mistakes)
        longest = min(len(word) - ("never whole" in mistakes), start + LONGEST)
        ends = range(longest, start + shortest - 1, -1)
        order = reversed(ends) if "shortest" in mistakes else ends
        found = ((p + word[start:end], end) for end in order for p in prefixes)
        token, end = next(((t, end) for t, end in found if t in vocabulary), ("[UNK]", start + 1))
        if token == "[UNK]" and "rest unknown" in mistakes:
            return [*tokens, token]
        if token == "[UNK]" and "skips" not in mistakes:
            return [token]
        tokens.append(token.removeprefix("##") if "stripped" in mistakes else token)
        start = end
    return tokens


def check(student: Any) -> None:
    """Compare short words, then others with the vocabulary of `weights/tiny`."""
    small = {piece: number for number, piece in enumerate(PIECES)}
    cases = [(word, small) for word in WORDS]
    lines = bundled("weights/tiny/vocab.txt").read_text(encoding="utf-8").splitlines()
    tiny = {token: number for number, token in enumerate(lines)}
    cases += [(word, tiny) for word in ("snowflake", "embeddings", "我", "a" * 200, "a" * 201)]
    shown = [f"'a' * {len(word)}" if len(word) > 99 else repr(word) for word, _ in cases]
    expect_cases(
        [student.wordpiece(*case) for case in cases],
        [WordPiece(vocabulary).split(word) for word, vocabulary in cases],
        [f"wordpiece({word})" for word in shown],
        cases=[Text(f"With the word {word}", f"对于词 {word}") for word in shown],
        compute=lambda names: [wordpiece(*case, mistakes=names) for case in cases],
        mistakes=MISTAKES,
    )
