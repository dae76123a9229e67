"""The embedded text to pretrain on: the documentation of the installed libraries, as a corpus.

About 1.3 million tokens: enough to watch a loss fall, and far too little for a useful model.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from minibert.data.builtin.library_docs import library_paragraphs, library_sentences
from minibert.data.corpus.build import CorpusStats, build_corpus
from minibert.files import write_atomic
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.training.fast_trainer import train_vocabulary_fast


def write_library_text(path: Path) -> int:
    """Write the documentation as text: a paragraph a line, and a blank line between documents.

    The dev and test sentences of the embedded task are kept out, so that no score on them rests on
    texts that were seen in pretraining.

    Args:
        path: the file; one that is there is replaced.

    Returns:
        How many documents it holds.

    Raises:
        MiniBertError: a library is missing, or the file cannot be written.
    """
    task = library_sentences()
    documents = library_paragraphs(without=task["dev"] + task["test"])
    write_atomic(path, "\n\n".join("\n".join(paragraphs) for paragraphs in documents) + "\n")
    return len(documents)


def build_library_corpus(folder: Path, *, vocabulary_size: int = 8192) -> CorpusStats:
    """Learn a vocabulary from that text, and tokenize the text with it.

    Args:
        folder: where the corpus goes; it must not exist yet.
        vocabulary_size: pieces.

    Raises:
        MiniBertError: a library is missing, or the folder cannot be written.
    """
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "documentation.txt"
        write_library_text(path)
        lines = path.read_text(encoding="utf-8").splitlines()
        pieces = train_vocabulary_fast(lines, size=vocabulary_size)
        tokenizer = BertTokenizer({piece: index for index, piece in enumerate(pieces)})
        return build_corpus([path], tokenizer, folder)
