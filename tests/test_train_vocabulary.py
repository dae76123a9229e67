"""What you can rely on when a vocabulary is trained.

The merges are those found with paper and pencil. The fast trainer gives the same list as the
readable one, token for token. The same corpus gives the same vocabulary in every run, whatever the
order of its texts. No word in the alphabet of the corpus is ever [UNK].
"""

import heapq
import json
import os
import random
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import shared
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from minibert.errors import MiniBertError
from minibert.tokenization.normalize import NormalizeOptions, split_words
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.training.pair_merging import (
    MergeStep,
    learnable_words,
    merge_pair,
    merge_steps,
    split_characters,
)
from minibert.tokenization.training.train_vocabulary import (
    count_words,
    first_tokens,
    train_vocabulary,
)
from minibert.tokenization.vocab import SPECIAL_TOKENS, write_vocabulary
from minibert.tokenization.wordpiece import WordPiece

# nap 4 times, naps twice, map 3 times.
NAPS = ["nap naps map", "map, nap!", "Nap naps", "nap map"]
JSON = str(json.__doc__).split("\n")
ENGLISH = [*str(heapq.__doc__).split("\n"), *JSON, *str(statistics.__doc__).split("\n")]
CHINESE = [
    "今天天气很好，我们一起去公园散步。",
    "公园里的花开了，天气很暖和。",
    "BERT 是一个语言模型，我们用 BERT 学习中文和 English。",
]
train_readably = partial(train_vocabulary, fast=False)
TRAINERS = [train_vocabulary, train_readably]
both = pytest.mark.parametrize("train", TRAINERS)
Train = Callable[..., list[str]]


def test_the_merges_are_those_found_on_paper() -> None:
    # n ##a ##p (4)   n ##a ##p ##s (2)   m ##a ##p (3)
    # pairs: ##a ##p 9, n ##a 6, m ##a 3, ##p ##s 2
    # after the first merge: n ##ap 6, m ##ap 3, ##ap ##s 2
    words = count_words(NAPS)
    assert words == {"nap": 4, "naps": 2, "map": 3, ",": 1, "!": 1}
    assert [str(step) for step in merge_steps(words, first_tokens(words, size=99))] == [
        "##a + ##p -> ##ap (count 9)",
        "n + ##ap -> nap (count 6)",
        "m + ##ap -> map (count 3)",
        "nap + ##s -> naps (count 2)",
    ]


@both
def test_the_vocabulary_is_special_tokens_then_the_alphabet_then_the_merges(train: Train) -> None:
    assert train(NAPS, size=99, unused=2) == [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"),
        *("!", ",", "a", "m", "n", "p", "s"),
        *("##a", "##m", "##n", "##p", "##s"),
        *("##ap", "nap", "map", "naps"),
    ]


def test_likelihood_merges_the_surprising_pair_instead_of_the_frequent_one() -> None:
    # t 7, ##h 4, ##e 4, ##o 3, q 2, ##u 2: t ##h 4/28, ##h ##e 4/16, t ##o 3/21, q ##u 2/4
    words = Counter({"the": 4, "to": 3, "qu": 2})
    pieces = first_tokens(words, size=99)
    assert next(merge_steps(words, pieces)).merged == "th"
    first = next(merge_steps(words, pieces, score="likelihood"))
    assert first == MergeStep("q", "##u", "qu", count=2, score=0.5)
    assert str(first) == "q + ##u -> qu (count 2, score 0.5)"


def test_of_equal_pairs_the_one_with_the_older_tokens_is_merged_first() -> None:
    # The alphabet ages in the order of the code points, first "a".."d", then "##a".."##d".
    words = Counter({"cd": 3, "ab": 3, "ad": 3})
    steps = merge_steps(words, first_tokens(words, size=99))
    assert [step.merged for step in steps] == ["ab", "ad", "cd"]


def test_overlapping_pairs_are_merged_from_left_to_right() -> None:
    assert merge_pair(["##a"] * 5, ("##a", "##a"), "##aa") == ["##aa", "##aa", "##a"]


def count_anew_after_each_merge(
    words: Counter[str], pieces: list[str], min_frequency: int, score: str
) -> Iterable[MergeStep]:
    """Do what `merge_steps` does without its bookkeeping: count all words again for each merge."""
    spelled = {word: split_characters(word) for word in learnable_words(words, pieces)}
    age = {piece: index for index, piece in enumerate(pieces)}
    while True:
        singles: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelled.items():
            for part in parts:
                singles[part] += words[word]
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        scores = {
            (left, right): count
            if score == "frequency"
            else count / (singles[left] * singles[right])
            for (left, right), count in pairs.items()
            if count >= min_frequency
        }
        if not scores:
            return
        best = min(scores, key=lambda pair: (-scores[pair], age[pair[0]], age[pair[1]]))
        merged = best[0] + best[1].removeprefix("##")
        age.setdefault(merged, len(age))
        spelled = {word: merge_pair(parts, best, merged) for word, parts in spelled.items()}
        yield MergeStep(*best, merged, pairs[best], scores[best])


def random_corpus(seed: int) -> list[str]:
    """A few random words over a few letters, so that ties, repeats and overlaps are everywhere."""
    chance = random.Random(seed)
    letters = "abcdefgh"[: chance.choice([1, 2, 3, 8])]
    words = ["".join(chance.choices(letters, k=chance.randint(1, 12))) for _ in range(20)]
    return [" ".join(chance.choices(words, k=60))]


@pytest.mark.parametrize("score", ["frequency", "likelihood"])
def test_the_bookkeeping_gives_what_counting_anew_gives(score: str) -> None:
    for texts in [*map(random_corpus, range(40)), ENGLISH[:40], CHINESE]:
        words = count_words(texts)
        pieces = first_tokens(words, size=10_000)
        expected = list(count_anew_after_each_merge(words, pieces, 2, score))
        assert list(merge_steps(words, pieces, score=score)) == expected


def test_a_token_is_found_only_once() -> None:
    for seed in range(100):
        words = count_words(random_corpus(seed))
        pieces = first_tokens(words, size=10_000)
        found = [step.merged for step in merge_steps(words, pieces, min_frequency=1)]
        assert len(found) == len(set(found))


@pytest.mark.parametrize("min_frequency", [1, 2, 5])
def test_the_fast_trainer_gives_the_same_list_with_all_its_ties(min_frequency: int) -> None:
    corpora = [*map(random_corpus, range(100)), ENGLISH, CHINESE, ENGLISH + CHINESE]
    for number, texts in enumerate(corpora):
        options: dict[str, Any] = {"size": 120 + 7 * number, "min_frequency": min_frequency}
        assert train_vocabulary(texts, **options) == train_readably(texts, **options)


@pytest.mark.parametrize("options", [{"do_lower_case": False}, {"alphabet_limit": 40}])
def test_the_fast_trainer_gives_the_same_list_with_other_options(options: dict[str, Any]) -> None:
    texts = [*ENGLISH, *CHINESE, "Élan ÉLAN naïve ΟΔΟΣ한국어 日本語のテキスト"]
    assert train_vocabulary(texts, **options) == train_readably(texts, **options)


@pytest.mark.parametrize(
    "name",
    ["data/chinese_text/CLUECorpusSmall_sampled.txt", "data/books/Lewis_Carroll"],
)
def test_the_fast_trainer_gives_the_same_list_on_real_text(name: str) -> None:
    path = shared(name)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    texts = [file.read_text(encoding="utf-8")[:200_000] for file in files[:2]]
    assert train_vocabulary(texts, size=5000) == train_readably(texts, size=5000)


def test_the_library_alone_finds_the_same_merges_where_there_are_no_ties() -> None:
    library = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer()
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=99, min_frequency=2, show_progress=False)
    library.train_from_iterator(NAPS, trainer)
    found = library.get_vocab()
    assert sorted(found, key=found.__getitem__)[-4:] == ["##ap", "nap", "map", "naps"]
    # It has no "##x" for a letter that the corpus shows at the beginning of words only.
    assert set(train_vocabulary(NAPS)) - set(found) == {*SPECIAL_TOKENS, "##m", "##n"}


@both
def test_the_order_of_the_texts_does_not_matter(train: Train) -> None:
    texts = ENGLISH + CHINESE
    assert train(texts[::-1], size=400) == train(texts, size=400) == train(iter(texts), size=400)


@both
def test_every_process_finds_the_same_vocabulary(train: Train) -> None:
    code = (
        "from minibert.tokenization.training.train_vocabulary import train_vocabulary; import json;"
        "texts = json.__doc__.split('\\n');"
        f"print(json.dumps(train_vocabulary(texts, size=300, fast={train is train_vocabulary})))"
    )
    folder = Path(__file__).parents[1]
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert json.loads(found[0]) == json.loads(found[1]) == train(JSON, size=300)


@both
def test_a_smaller_vocabulary_is_the_beginning_of_a_larger_one(train: Train) -> None:
    assert train(ENGLISH, size=150) == train(ENGLISH, size=400)[:150]


@both
def test_no_training_text_has_an_unknown_token(train: Train, tmp_path: Path) -> None:
    texts = ENGLISH + CHINESE
    write_vocabulary(tmp_path / "vocab.txt", train(texts, size=400))
    tokenizer = BertTokenizer(tmp_path / "vocab.txt")
    assert tokenizer.vocab_size == 400
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 4)
    for text in texts:
        pieces = tokenizer.tokenize(text)
        assert "[UNK]" not in pieces
        rejoined = "".join(piece.removeprefix("##") for piece in pieces)
        assert rejoined == "".join(split_words(text, NormalizeOptions()))


def test_chinese_characters_are_tokens_and_never_merge() -> None:
    pieces = train_vocabulary(["今天天气很好，今天 BERT"] * 9)
    assert {"今", "天", "气", "，", "bert"} <= set(pieces)
    assert not {"##天", "今天", "##，"} & set(pieces)


def test_a_new_word_in_known_letters_is_never_unknown() -> None:
    vocabulary = {piece: index for index, piece in enumerate(train_vocabulary(NAPS))}
    # The corpus never shows "s" at the beginning of a word, nor "m" and "n" inside one.
    assert WordPiece(vocabulary).split("snm") == ["s", "##n", "##m"]


@both
def test_a_limited_alphabet_keeps_the_most_frequent_characters(train: Train) -> None:
    pieces = train(["ab ab abz yab"] * 2 + ["猫 狗 猫"], alphabet_limit=3)
    # y, z and 猫 are seen twice, and the least code point stays; so nothing is learned from "abz".
    assert pieces[5:] == ["a", "b", "y", "##a", "##b", "##y", "ab", "ya", "yab"]


@both
def test_a_rare_pair_is_not_merged(train: Train) -> None:
    assert "on" in train(["on on"], min_frequency=2)
    assert "on" not in train(["on on"], min_frequency=3)
    assert "on" in train(["on " * 25_001], min_frequency=25_001)
    assert "on" not in train(["on " * 25_001], min_frequency=25_002)


@both
def test_case_and_accents_stay_in_a_cased_vocabulary(train: Train) -> None:
    assert {"Élan", "élan"} <= set(train(["Élan élan"] * 2, do_lower_case=False))
    assert "elan" in train(["Élan élan"] * 2, do_lower_case=True)


@both
def test_a_special_token_may_be_a_word_of_the_corpus(train: Train) -> None:
    pieces = train(NAPS, special_tokens=["[UNK]", "nap"])
    assert pieces[:2] == ["[UNK]", "nap"]
    assert pieces[-3:] == ["##ap", "map", "naps"]


@both
def test_what_the_tokenizer_cannot_use_is_not_learned(train: Train) -> None:
    pieces = train(["x" * 201 + " ab", "x" * 201 + " ab \ud83d\ud83d"])
    assert pieces[5:] == ["a", "b", "x", "##a", "##b", "##x", "ab"]


def test_words_are_counted_as_the_tokenizer_splits_them() -> None:
    nasty = "a\x0bb c\x1cd\u2028e\u3000f\xa0g\tΟΔΟΣ İx\ufeffy e\u0301 猫,狗\r\nz\x85w 한국"
    for lower in (True, False):
        options = NormalizeOptions(lower_case=lower, strip_accents=lower)
        expected = Counter(split_words(nasty, options))
        assert count_words([nasty], options) == expected


def test_words_are_counted_the_same_when_memory_must_be_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = count_words(ENGLISH)
    monkeypatch.setattr("minibert.tokenization.training.train_vocabulary.MAX_CHUNKS_HELD", 3)
    assert count_words(ENGLISH) == expected


@both
@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "contain no words"),
        ([" ", "\n"], {}, "contain no words"),
        ("one text", {}, "list of texts"),
        (["one", None], {}, "item 1 .* NoneType"),
        (NAPS, {"size": 16}, "7 characters already need 17.* larger size"),
        (NAPS, {"size": 0}, "size is 0; give 1 to 16,777,216"),
        (NAPS, {"size": 2**64}, f"size is {2**64}; give 1 to 16,777,216"),
        (NAPS, {"min_frequency": 0}, "min_frequency is 0"),
        (NAPS, {"min_frequency": 2**64}, f"min_frequency is {2**64}; give 1 to"),
        (NAPS, {"unused": 10**12}, f"unused is {10**12}; give 0 to 8,192"),
        (NAPS, {"alphabet_limit": 0}, "alphabet_limit is 0"),
        (NAPS, {"unused": -1}, "unused is -1"),
        (NAPS, {"special_tokens": ["[UNK]", "[UNK]"]}, "'\\[UNK\\]' is given twice"),
        (NAPS, {"special_tokens": ["[UNK]", "a b"]}, "'a b' .* not one word"),
    ],
)
def test_an_impossible_request_is_refused(
    train: Train, texts: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(MiniBertError, match=message):
        train(texts, **options)


def never() -> Iterable[str]:
    raise AssertionError("the corpus was read")
    yield


def test_an_unknown_score_is_refused_before_the_corpus_is_read() -> None:
    with pytest.raises(MiniBertError, match="score='bpe' is unknown; choose one of frequency"):
        train_vocabulary(never(), score="bpe")


@both
@pytest.mark.parametrize("name", ["size", "min_frequency", "alphabet_limit", "unused"])
def test_an_impossible_number_is_refused_before_the_corpus_is_read(train: Train, name: str) -> None:
    with pytest.raises(MiniBertError, match=f"{name} is -1; give"):
        train(never(), **{name: -1})
