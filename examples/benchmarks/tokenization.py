"""Compare the speed of the tokenizer with that of the `tokenizers` library.

    python examples/benchmarks/tokenization.py --vocab vocab.txt [--cased] [FILE ...]

Each line of a FILE is a text; without files, the texts are the topics of Python's `help`. The peer
is `encode_batch_fast` on one thread, the library's fastest way to ids, with Google's limit of 200
characters per word. The runs take turns, and the median of each is printed. The ids are compared,
too; `tests/test_tokenizer_unicode.py` explains the few differences, such as Greek capitals.

    first   our tokenizer is new and its cache of words is empty
    again   it has seen the texts before, as in every epoch but the first
"""

from minibert.cli.process import run

import os
import pydoc_data.topics
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minibert.cli.shared import Parser, int_range
from minibert.errors import MiniBertError
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.vocab import read_vocabulary

# Read by the library when it first makes threads.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="texts, one a line")
    parser.add_argument("--vocab", type=Path, required=True, help="a vocab.txt")
    parser.add_argument("--cased", action="store_true", help="keep capitals and accents")
    parser.add_argument("--repeats", type=int_range(1), default=5)
    limit = {"type": int_range(1), "default": 5_000_000}
    parser.add_argument("--characters", **limit, help="read no more than these")
    arguments = parser.parse_args()

    texts = read_texts(arguments.files, arguments.characters)
    if not texts:
        raise MiniBertError("these files contain no text; use others, or more --characters.")
    peer = rust_tokenizer(arguments.vocab, lower=not arguments.cased)

    def new() -> BertTokenizer:
        return BertTokenizer(arguments.vocab, not arguments.cased, model_max_length=10**9)

    def theirs() -> list[list[int]]:
        return [encoding.ids for encoding in peer.encode_batch_fast(texts)]

    def ours(tokenizer: BertTokenizer) -> list[list[int]]:
        columns = tokenizer(texts, return_token_type_ids=False, return_attention_mask=False)
        ids: list[list[int]] = columns["input_ids"]
        return ids

    known = new()
    differing = sum(a != b for a, b in zip(theirs(), ours(known), strict=True))
    times: dict[str, list[float]] = {"peer": [], "first": [], "again": []}
    for _ in range(arguments.repeats):
        fresh = new()
        times["peer"].append(seconds(theirs))
        times["first"].append(seconds(lambda tokenizer=fresh: ours(tokenizer)))
        times["again"].append(seconds(lambda: ours(known)))

    megabytes = sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6
    print(f"{len(texts):,} texts, {megabytes:.1f} MB; {differing} of them differ in an id")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        ratio = medians["peer"] / median
        print(f"{name:6} {megabytes / median:6.1f} MB/s  {ratio:5.1f} times the peer")


def read_texts(paths: list[Path], limit: int) -> list[str]:
    """Return lines of the files, or of Python's own documentation, up to `limit` characters."""
    sources = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    texts = []
    for source in sources or pydoc_data.topics.topics.values():
        for line in source.splitlines():
            limit -= len(line)
            if limit < 0:
                return texts
            if line.strip():
                texts.append(line)
    return texts


def rust_tokenizer(vocab: Path, *, lower: bool) -> Any:
    """Return BERT's tokenizer of the `tokenizers` library."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = read_vocabulary(vocab)
    model = models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=200)
    tokenizer: Any = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(token, pieces[token]) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    return tokenizer


def seconds(work: Callable[[], object]) -> float:
    """Return processor time: both tokenizers use one thread, and other programs do not matter."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    run(main)
