"""The embedded text to pretrain on: the documentation of the installed libraries, as a corpus.

About 1.3 million tokens: enough to watch a loss fall, and far too little for a useful model.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from minibert.data.build_corpus import Report, build_corpus
from minibert.data.library_docs import library_paragraphs, library_sentences
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.train_vocab_fast import train_vocabulary_fast


def build_library_corpus(folder: Path, *, vocabulary_size: int = 8192) -> Report:
    """Learn a vocabulary from the documentation, and tokenize the documentation with it.

    The dev and test sentences of the embedded task are kept out, so that no score on them rests on
    texts that were seen in pretraining.

    Args:
        folder: where the corpus goes; it must not exist yet.
        vocabulary_size: pieces.

    Raises:
        MiniBertError: a library is missing, or the folder cannot be written.
    """
    task = library_sentences()
    documents = library_paragraphs(without=task["dev"] + task["test"])
    text = "\n\n".join("\n".join(paragraphs) for paragraphs in documents)
    pieces = train_vocabulary_fast(text.splitlines(), size=vocabulary_size)
    tokenizer = BertTokenizer({piece: index for index, piece in enumerate(pieces)})
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "documentation.txt"
        path.write_text(text + "\n", encoding="utf-8")
        return build_corpus([path], tokenizer, folder)
