"""Write the documentation of the installed libraries as text, to pretrain on.

python examples/library_text.py --output docs.txt
minibert train-vocab docs.txt --output vocab.txt
minibert prepare docs.txt --vocabulary vocab.txt --output corpus
minibert pretrain corpus --output mine

A paragraph a line, and a blank line between documents. The sentences that examples/finetune_cls.py
is judged by are left out.
"""

import argparse
from pathlib import Path

from minibert.cli.shared import Parser, check_output, run
from minibert.data.builtin.library_docs import write_library_text


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a new .txt")
    output = parser.parse_args().output
    check_output(output, endings=(".txt",))
    documents = write_library_text(output)
    print(f"{documents:,} documents, {output.stat().st_size / 1e6:.1f} MB, are in {output}")


if __name__ == "__main__":
    run(main)
