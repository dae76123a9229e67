"""Raw text for commands that only look at its words: what `minibert prepare` would read."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path


def documents_of(paths: Sequence[Path], *, text_field: str = "text") -> Iterator[str]:
    """The text of each document, one in memory at a time.

    Args:
        paths: .txt, .md and .jsonl files, and folders of them.
        text_field: the field of a JSONL object that holds the text.

    Raises:
        MiniBertError: there is no such file, it cannot be read, or most of its lines are no text.
    """
    from minibert.data.documents import Findings, Layout, read_documents

    findings = Findings()
    for document in read_documents(paths, Layout(text_field=text_field), findings):
        yield document.text
    for told in findings.in_words():
        print(f"note: {told}", file=sys.stderr)
