"""Write the documentation of the installed libraries as a text file to pretrain on.

python examples/library_text.py --output docs.txt
minibert train-vocab docs.txt --output vocab.txt
minibert prepare docs.txt --vocab vocab.txt --output corpus
minibert pretrain corpus --output mine

Each line is a paragraph; a blank line ends a document. The sentences on which
examples/finetune_cls.py evaluates are left out.
"""

from minibert.cli.process import run

from pathlib import Path

from minibert.cli.shared import Parser, check_output


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a new .txt")
    output = parser.parse_args().output
    check_output(output, suffixes=(".txt",))

    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert.data.builtin.library_docs import write_library_text

    documents = write_library_text(output)
    print(f"wrote {documents:,} documents, {output.stat().st_size / 1e6:.1f} MB, to {output}")


if __name__ == "__main__":
    run(main)
