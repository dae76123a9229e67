"""Put words of your own into a model's vocabulary, in the places that are free: [unused0] ...

minibert add-words weights/tiny --text letters --count 50 --output with-words
minibert add-words bert-base-uncased --words words.txt --output with-words
minibert prepare letters --vocabulary with-words --output corpus
minibert pretrain corpus --model with-words --output adapted

--words is a file with a word in each line. --text finds words: those that make the text shortest
when they are no longer cut into pieces. A new word starts as the mean of its pieces, and means
something once the model was pretrained on text that has it; so do all three steps.
"""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.cli.shared import counted, documents_of
from minibert.errors import MiniBertError
from minibert.files import check_folder

if TYPE_CHECKING:
    from minibert.tokenization.tokenizer import BertTokenizer
    from minibert.tokenization.training.add_words import SplitWord

SHOWN = 10
USUAL_COUNT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("model", metavar="MODEL", help="a folder or hub name")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--words", type=Path, metavar="FILE", help="a word a line")
    source.add_argument(
        "--text", nargs="+", type=Path, metavar="PATH", help=".txt, .md, .jsonl, and folders"
    )
    parser.add_argument("--count", type=int, metavar="N", help="words from --text; 100")
    parser.add_argument(
        "--append", action="store_true", help="put what finds no free place at the end"
    )
    parser.add_argument("--text-field", default="text", metavar="NAME", help="of JSONL; text")


def run(options: argparse.Namespace) -> None:
    """Do it."""
    check_folder(options.output, new=True)
    from minibert.checkpoints.convert import convert
    from minibert.checkpoints.folder import read_config
    from minibert.files import atomic_folder
    from minibert.hub import local_folder
    from minibert.model.resize import write_new_words
    from minibert.tokenization.tokenizer import BertTokenizer
    from minibert.tokenization.training.add_words import (
        MIN_COUNT,
        add_words,
        most_saving,
        split_and_count,
        unused_ids,
    )

    if options.words is not None and options.count is not None:
        raise MiniBertError("--count is for --text; all words of --words are taken.")
    if options.count is not None and options.count < 1:
        raise MiniBertError(f"--count is {options.count}; it must be at least 1.")
    read_config(
        local_folder(options.model, files=("config.json",))
    )  # refuses a corpus before texts are read
    tokenizer = BertTokenizer.from_pretrained(options.model)

    words: list[SplitWord] = []
    if options.words is not None:
        given = _read_words(options.words)
    else:
        words = split_and_count(
            documents_of(options.text, text_field=options.text_field), tokenizer
        )
        places = USUAL_COUNT if options.append else len(unused_ids(tokenizer))
        count = options.count or max(1, min(USUAL_COUNT, places))
        given = [word.word for word in most_saving(words, count)]
    larger, added = add_words(tokenizer, given, append=options.append)
    if not added:
        raise MiniBertError(
            f"the vocabulary has all words of {options.words} already; there is none to add."
            if options.words is not None
            else "there is no word to add: none that the vocabulary cuts into pieces is seen "
            f"{MIN_COUNT} times; give more text, or name words with --words."
        )

    with atomic_folder(options.output) as folder:
        convert(options.model, folder)
        write_new_words(folder, {w.id: tokenizer.convert_tokens_to_ids(w.tokens) for w in added})
        larger.save_pretrained(folder)
    for new in added[:SHOWN]:
        print(f"{new.word}  (was {' '.join(new.tokens)})")
    if len(added) > SHOWN:
        print(f"... {len(added) - SHOWN:,} more")
    left = len(unused_ids(larger))
    print(f"{options.output} has {counted(len(added), 'new word')}, and room for {left:,} more")
    if options.words is not None and len(added) < len(given):
        left_out = counted(len(given) - len(added), "word")
        print(f"left out, since known or given twice: {left_out}")
    if words:
        print(_gain(words, tokenizer, larger))
    place = shlex.quote(str(options.output))
    print(f"go on:  minibert prepare TEXTS --vocabulary {place} --output corpus")
    print(f"        minibert pretrain corpus --model {place} --output adapted")


def _gain(words: list["SplitWord"], before: "BertTokenizer", after: "BertTokenizer") -> str:
    old = sum(len(w.tokens) * w.count for w in words)
    new = sum(len(after.wordpiece.split(w.word)) * w.count for w in words)
    told = f"the text has {new:,} tokens, {1 - new / old:.1%} fewer than the {old:,} before"
    unknown = [w for w in words if w.tokens == (before.unk_token,)]
    if unknown:
        commonest = max(unknown, key=lambda w: w.count)
        told += (
            f"\n{before.unk_token} to the vocabulary: {counted(len(unknown), 'word')}, of which "
            f"{commonest.word} is the commonest; name such words with --words, to add them, too"
        )
    return told


def _read_words(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise MiniBertError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise MiniBertError(
            f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8."
        ) from error
    words = [line.strip() for line in lines if line.strip()]
    if not words:
        raise MiniBertError(f"{path} has no word in it; write one a line.")
    return words
