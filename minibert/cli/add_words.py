"""Add words of your own to a vocabulary, in place of its unused tokens ([unused0], ...).

minibert add-words weights/tiny --text letters --count 50 --output with-words
minibert add-words bert-base-uncased --words words.txt --output with-words
minibert prepare letters --vocab with-words --output corpus
minibert pretrain corpus --model with-words --output adapted

--words names a file with one word per line. --text finds the words that shorten the text most when
they become one token. A new word starts as the mean of its former tokens. Prepare and pretrain
afterwards, as above, so that the model learns what it means.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.cli.shared import int_range, read_documents_as_text
from minibert.errors import MiniBertError
from minibert.files import check_folder, read_small_file, shell_path

if TYPE_CHECKING:
    from minibert.tokenization.tokenizer import BertTokenizer
    from minibert.tokenization.training.add_words import SplitWord

SHOWN = 10
DEFAULT_COUNT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a model's folder or hub name")
    add("--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--words", type=Path, metavar="FILE", help="one word per line")
    source.add_argument(
        "--text", nargs="+", type=Path, metavar="PATH", help=".txt, .md and .jsonl files, folders"
    )
    help_text = f"words to take from --text; default: {DEFAULT_COUNT}, or one per unused token"
    add("--count", type=int_range(1), metavar="N", help=help_text)
    add("--append", action="store_true", help="append words if no unused token is left")
    help_text = "the field of a JSONL object that holds the text; default: text"
    add("--text-field", default="text", metavar="NAME", help=help_text)


def run(options: argparse.Namespace) -> None:
    """Write the model with the larger vocabulary."""
    check_folder(options.output, new=True)
    from minibert.checkpoints.convert import convert
    from minibert.checkpoints.folder import read_config
    from minibert.files import atomic_folder
    from minibert.hub import local_folder
    from minibert.model.resize import write_new_words
    from minibert.tokenization.tokenizer import BertTokenizer
    from minibert.tokenization.training import add_words as vocabulary

    if options.words is not None and options.count is not None:
        raise MiniBertError("--count needs --text; --words takes all words of the file.")
    # Refuses a corpus before the texts are read.
    read_config(local_folder(options.model, files=("config.json",)))
    tokenizer = BertTokenizer.from_pretrained(options.model)
    counted: list[SplitWord] = []
    if options.words is not None:
        words = _read_words(options.words)
        nothing_new = f"the vocabulary already has all words of {options.words}."
    else:
        texts = read_documents_as_text(options.text, text_field=options.text_field)
        counted = vocabulary.split_and_count(texts, tokenizer)
        unused = DEFAULT_COUNT if options.append else len(vocabulary.unused_ids(tokenizer))
        count = options.count or max(1, min(DEFAULT_COUNT, unused))
        words = [word.word for word in vocabulary.most_saving(counted, count)]
        nothing_new = (
            "no word of several tokens occurs often enough in the text (at least "
            f"{vocabulary.MIN_COUNT} times); give more text, or name words with --words."
        )
    larger, added = vocabulary.add_words(tokenizer, words, append=options.append)
    if not added:
        raise MiniBertError(nothing_new)

    with atomic_folder(options.output) as folder:
        convert(options.model, folder)
        write_new_words(folder, {w.id: tokenizer.convert_tokens_to_ids(w.tokens) for w in added})
        larger.save_pretrained(folder)
    for new in added[:SHOWN]:
        print(f"{new.word}  (was {' '.join(new.tokens)})")
    if len(added) > SHOWN:
        print(f"... and {len(added) - SHOWN:,} more")
    if options.words is not None and len(added) < len(words):
        print(f"skipped, because known or repeated: {len(words) - len(added):,}")
    unused = len(vocabulary.unused_ids(larger))
    print(f"wrote {options.output}: new words {len(added):,}, unused tokens left {unused:,}")
    if counted:
        _print_savings(counted, tokenizer, larger)
    place = shell_path(options.output)
    print(f"next:  minibert prepare TEXTS --vocab {place} --output corpus")
    print(f"       minibert pretrain corpus --model {place} --output adapted")


def _print_savings(
    words: list["SplitWord"], before: "BertTokenizer", after: "BertTokenizer"
) -> None:
    """Print by how much the text becomes shorter, and what is still unknown."""
    old = sum(len(w.tokens) * w.count for w in words)
    new = sum(len(after.wordpiece.split(w.word)) * w.count for w in words)
    print(f"the text has {new:,} tokens, {1 - new / old:.1%} fewer than the {old:,} before")
    unknown = [word for word in words if word.tokens == (before.unk_token,)]
    if unknown:
        most_common = max(unknown, key=lambda word: word.count).word
        print(
            f"unknown words ({before.unk_token}): {len(unknown):,}, most often {most_common}; add "
            "such words with --words"
        )


def _read_words(path: Path) -> list[str]:
    try:
        lines = read_small_file(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise MiniBertError(
            f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8."
        ) from error
    words = [line.strip() for line in lines if line.strip()]
    if not words:
        raise MiniBertError(f"{path} has no words; write one per line.")
    return words
