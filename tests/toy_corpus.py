"""A corpus whose tokens are numbered behind the special ones, so that each tells its place."""

from minibert.data.corpus.build import build_corpus
from minibert.data.corpus.corpus import Corpus
from minibert.data.corpus.documents import FormatOptions
from minibert.tokenization.tokenizer import BertTokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)


def toy_corpus(folder, sentences_per_document, *, sentence_length=1, name="toy") -> Corpus:
    """Documents of so many sentences; the n-th token of all of them is n + 6."""
    total = sum(sentences_per_document) * sentence_length
    tokens = [*SPECIAL, "[unused0]", *(f"t{n}" for n in range(total))]
    words = iter(tokens[6:])
    text = "\n\n".join(
        "\n".join(" ".join(next(words) for _ in range(sentence_length)) for _ in range(sentences))
        for sentences in sentences_per_document
    )
    path = folder / "toy.txt"
    path.write_text(text, encoding="utf-8")
    tokenizer = BertTokenizer({token: index for index, token in enumerate(tokens)})
    build_corpus([path], tokenizer, folder / name, format_options=FormatOptions(lines="sentences"))
    return Corpus.open(folder / name)
