"""What you can rely on: each added word becomes one token, and starts from what the model knew.

Every old token keeps its id and its vector. The vector and bias of a new word are the means of
those of its tokens before. No head is lost, and `transformers` reads the folder.
"""

from pathlib import Path

import pytest
import torch
from small_models import small_batch, small_model
from tiny_folders import PIECES, classifier_folder, pretrained_folder, tiny_config, tiny_tokenizer
from transformers import BertForMaskedLM as TheirMaskedLM
from transformers import BertTokenizer as TheirTokenizer

from minibert import BertForMaskedLM, BertForPreTraining, BertTokenizer, MiniBertError
from minibert.cli.main import main
from minibert.model.resize import mean_rows, with_new_words
from minibert.tokenization.training.add_words import (
    SplitWord,
    add_words,
    find_new_words,
    most_saving,
    split_and_count,
    unused_ids,
)

# Unused tokens that are not side by side, as in Google's vocabularies.
FREE = ("[unused0]", *PIECES, "[unused1]", "m", "##a", "##t", "##l", "##os", "[unused2]")


@pytest.fixture
def tokenizer() -> BertTokenizer:
    return tiny_tokenizer(FREE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of both tasks whose vocabulary has three free places."""
    torch.manual_seed(0)
    BertForPreTraining(tiny_config(vocab_size=len(FREE), pad_token_id=1)).save_pretrained(
        tmp_path / "model"
    )
    tiny_tokenizer(FREE).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["add-words", *arguments])
    return int(stop.value.code)


def test_words_are_counted_with_their_tokens(tokenizer):
    words = {w.word: w for w in split_and_count(["The cats,", "malt MALT\tcats. 猫猫"], tokenizer)}
    assert words["malt"] == SplitWord("malt", ("m", "##a", "##l", "##t"), 2)
    assert words["cats"].tokens == ("cat", "##s")
    assert [words[w].tokens_saved for w in ("the", "cats", "malt")] == [0, 2, 6]
    assert words["猫"].count == 2


def test_words_that_save_most_tokens_come_first_without_rare_ones_and_numbers():
    words = [
        SplitWord("often", ("o", "##ften"), 100),
        SplitWord("cut", ("c", "##u", "##t"), 60),
        SplitWord("whole", ("whole",), 1000),
        SplitWord("b", ("x", "##y"), 100),
        SplitWord("rare", ("r", "##a", "##r", "##e"), 4),
        SplitWord("2021", ("20", "##21"), 900),
    ]
    assert [w.word for w in most_saving(words, 9)] == ["cut", "b", "often"]
    assert [w.word for w in most_saving(words, 1)] == ["cut"]
    assert [w.word for w in most_saving(words, 9, min_count=1)][-1] == "rare"


def test_a_word_replaces_the_next_unused_token_and_no_other_id_changes(tokenizer):
    larger, added = add_words(tokenizer, ["malt", "mats"])
    assert [tokenizer.convert_ids_to_tokens(w.id) for w in added] == ["[unused0]", "[unused1]"]
    assert [w.tokens for w in added] == [("m", "##a", "##l", "##t"), ("mat", "##s")]
    assert larger.tokenize("the malt mats") == ["the", "malt", "mats"]
    assert tokenizer.tokenize("malt") == ["m", "##a", "##l", "##t"]
    before, after = tokenizer.get_vocab(), larger.get_vocab()
    assert all(after[piece] == before[piece] for piece in before.keys() & after.keys())
    assert sorted(after.values()) == sorted(before.values())
    assert len(unused_ids(larger)) == 1


def test_the_options_of_the_tokenizer_are_kept(tokenizer):
    cased = BertTokenizer(
        tokenizer.get_vocab(),
        backend="rust",
        do_lower_case=False,
        split_special_tokens=False,
        model_max_length=9,
        mask_token="[unused2]",
    )
    larger, _ = add_words(cased, ["Mat"])
    assert larger.tokenize("Mat mat") == ["Mat", "mat"]
    assert (larger.options, larger.backend) == (cased.options, "rust")


def test_words_are_added_as_the_tokenizer_will_look_them_up(tokenizer):
    assert find_new_words(["Málts", "the", "malts", "狼"], tokenizer) == ["malts", "狼"]
    cased = BertTokenizer(tokenizer.get_vocab(), do_lower_case=False)
    assert find_new_words(["Malts", "malts"], cased) == ["Malts", "malts"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("two words", "is 2 words"),
        ("don't", r"is 3 words \(don ' t\), not one"),
        ("北京", "every Chinese character"),
        ("[unused7]", "is 3 words"),
        ("\u200b", "is 0 words"),
        ("m" * 201, "more than 200 characters"),
    ],
)
def test_what_the_tokenizer_would_never_look_up_is_refused(tokenizer, word, message):
    with pytest.raises(MiniBertError, match=message):
        add_words(tokenizer, [word])


def test_more_words_than_unused_tokens_are_refused_or_appended(tokenizer):
    words = ["malt", "mats", "catmat", "catos", "matos"]
    with pytest.raises(MiniBertError, match=r"5 new words, but only 3 \[unusedN\] tokens"):
        add_words(tokenizer, words)
    larger, added = add_words(tokenizer, words, append=True)
    assert [w.id for w in added[3:]] == [len(FREE), len(FREE) + 1]
    assert len(larger) == len(FREE) + 2
    assert larger.tokenize(" ".join(words)) == words


def test_a_new_row_is_the_mean_of_its_tokens_rows():
    table = torch.tensor([[1.0], [3.0], [9.0]])
    assert mean_rows(table, {2: [0, 1], 3: [1, 1, 0, 0]}).tolist() == [[1], [3], [2], [2]]
    assert table.tolist() == [[1], [3], [9]]


@pytest.mark.parametrize("starts", [{3: [4, 5, 4]}, {3: [4, 5], 50: [7], 51: [8, 9]}])
def test_a_new_words_logit_is_the_mean_of_its_tokens_and_the_old_ones_stay(starts):
    model = small_model("BertForMaskedLM")
    kept = [i for i in range(50) if i not in starts]
    batch = small_batch("BertForMaskedLM")
    batch["input_ids"] = batch["input_ids"].clamp(min=4)
    with torch.no_grad():
        before = model(**batch).logits
        after = with_new_words(model, starts)(**batch).logits
    torch.testing.assert_close(after[..., kept], before[..., kept])
    for word, pieces in starts.items():
        torch.testing.assert_close(after[..., word], before[..., pieces].mean(dim=-1))
        probability = after.softmax(-1)
        assert (probability[..., word] <= probability[..., pieces].mean(-1) + 1e-12).all()
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, before)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ({60: [1]}, "must continue from 50 without a gap"),
        ({-1: [2]}, "must continue from 50 without a gap"),
        ({50: [50]}, "needs pieces with ids from 0 to 49"),
        ({3: []}, "needs pieces with ids from 0 to 49"),
    ],
)
def test_impossible_ids_are_refused(starts, message):
    with pytest.raises(MiniBertError, match=message):
        with_new_words(small_model("BertForMaskedLM"), starts)


def test_the_command_writes_a_folder_in_which_only_the_new_rows_differ(folder, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("Malt\nthe\n\nmatos\nmalt\n", encoding="utf-8")
    out = tmp_path / "out"
    assert command(str(folder), "--words", str(tmp_path / "words.txt"), "--output", str(out)) == 0
    printed = capsys.readouterr().out
    assert "malt  (was m ##a ##l ##t)\n" in printed
    assert f"wrote {out}: new words 2, unused tokens left 1\n" in printed
    assert "skipped, because known or repeated: 2\n" in printed
    before = BertForPreTraining.from_pretrained(folder, quiet=True, strict=True).state_dict()
    after = BertForPreTraining.from_pretrained(out, quiet=True, strict=True).state_dict()
    new = [FREE.index("[unused0]"), FREE.index("[unused1]")]
    pieces = [
        [FREE.index(p) for p in word] for word in (("m", "##a", "##l", "##t"), ("mat", "##os"))
    ]
    for name, tensor in before.items():
        if name in ("bert.embeddings.word_embeddings.weight", "masked_lm.bias"):
            for row, of in zip(new, pieces, strict=True):
                torch.testing.assert_close(after[name][row], tensor[of].mean(dim=0))
            tensor[new] = after[name][new]
        assert torch.equal(after[name], tensor), name
    assert BertTokenizer.from_pretrained(out).tokenize("malt matos") == ["malt", "matos"]


def test_words_are_found_in_text_and_the_gain_is_printed(folder, tmp_path, capsys):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.md").write_text("# malt\n\n" + "The malt mats. 龙\n" * 6, encoding="utf-8")
    (texts / "b.jsonl").write_text('{"body": "malt"}\n', encoding="utf-8")
    line = [str(folder), "--text", str(texts), "--text-field", "body", "--count", "2"]
    assert command(*line, "--output", str(tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    # 6 x (the malt=4 mats=2 . 龙) and once malt; then malt and mats are one token each.
    assert "the text has 31 tokens, 46.6% fewer than the 58 before\n" in printed
    assert "unknown words ([UNK]): 1, most often 龙; add" in printed
    # Without --count not more than there are places for; and a rare word is not taken.
    more = "catos osmat lat matos matlos " * 5 + "tam"
    (texts / "c.txt").write_text(more, encoding="utf-8")
    assert command(*line[:-2], "--output", str(tmp_path / "three")) == 0
    assert "new words 3," in capsys.readouterr().out
    (tmp_path / "rare.txt").write_text("malt", encoding="utf-8")
    rare = ["--text", str(tmp_path / "rare.txt"), "--output", str(tmp_path / "none")]
    assert command(str(folder), *rare) == 2
    assert "no word of several tokens occurs often enough" in capsys.readouterr().err


def test_a_vocabulary_without_unused_tokens_can_grow(tmp_path, capsys):
    folder = pretrained_folder(tmp_path / "model")
    (tmp_path / "words.txt").write_text("cats\nmats\n", encoding="utf-8")
    line = [str(folder), "--words", str(tmp_path / "words.txt"), "--output", str(tmp_path / "out")]
    assert command(*line) == 2
    assert "2 new words, but only 0 [unusedN] tokens to replace" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert command(*line, "--append") == 0
    grown = BertForMaskedLM.from_pretrained(tmp_path / "out", quiet=True)
    assert grown.config.vocab_size == len(PIECES) + 2
    ids = BertTokenizer.from_pretrained(tmp_path / "out")("cats mats", return_tensors="pt")
    assert ids["input_ids"].tolist() == [[2, len(PIECES), len(PIECES) + 1, 3]]
    assert grown(**ids).logits.shape == (1, 4, len(PIECES) + 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "words.txt has no words; write one per line."),
        (" \n\n", "words.txt has no words; write one per line."),
        ("cat\nThe\n", "the vocabulary already has all words of "),
    ],
)
def test_a_list_with_nothing_to_add_is_refused(folder, tmp_path, capsys, words, told):
    (tmp_path / "words.txt").write_text(words, encoding="utf-8")
    out = tmp_path / "out"
    assert command(str(folder), "--words", str(tmp_path / "words.txt"), "--output", str(out)) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.count("\n") == 1
    assert not out.exists()


def test_a_corpus_is_no_model(folder, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("malt\n", encoding="utf-8")
    (folder / "corpus.json").write_text("{}", encoding="utf-8")
    (folder / "config.json").unlink()
    words = str(tmp_path / "words.txt")
    assert command(str(folder), "--words", words, "--output", str(tmp_path / "out")) == 2
    assert "is a corpus made by minibert prepare, not a model" in capsys.readouterr().err


def test_an_existing_folder_is_not_overwritten(folder, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("malt\n", encoding="utf-8")
    words = str(tmp_path / "words.txt")
    there = classifier_folder(tmp_path / "there")
    assert command(str(folder), "--words", words, "--output", str(there)) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert command(str(folder), "--words", words, "--output", str(folder)) == 2
    assert BertTokenizer.from_pretrained(folder).tokenize("malt") == ["m", "##a", "##l", "##t"]


def test_transformers_reads_the_folder_and_answers_the_same(folder, tmp_path):
    (tmp_path / "words.txt").write_text("malt\nmatos\n狼\nmats\n", encoding="utf-8")
    words, out = str(tmp_path / "words.txt"), tmp_path / "out"
    assert command(str(folder), "--words", words, "--append", "--output", str(out)) == 0
    text = "The malt [MASK] on Matos, 狼 mats."
    ours = BertTokenizer.from_pretrained(out, split_special_tokens=False)
    theirs = TheirTokenizer.from_pretrained(out)
    batch = ours(text, return_tensors="pt")
    assert batch["input_ids"][0].tolist() == theirs(text)["input_ids"]
    assert {"malt", "matos", "狼", "mats"} <= set(theirs.tokenize(text))
    with torch.no_grad():
        expected = TheirMaskedLM.from_pretrained(out).eval()(**batch).logits
        found = BertForMaskedLM.from_pretrained(out, quiet=True)(**batch).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
