"""Let a pretrained BERT guess the words that [MASK] hides.

python examples/fill_mask.py weights/tiny
python examples/fill_mask.py bert-base-chinese "巴黎是[MASK]国的首都。"
"""

import argparse

from minibert.cli.shared import Parser, run
from minibert.errors import MiniBertError
from minibert.inference.fill_mask import Candidate, MaskFiller
from minibert.tokenization.vocab import MOSTLY_UNKNOWN, unknown_rate

# Grammar, then meaning, then the world: the later ones need a better model.
ENGLISH = (
    "The cat sat [MASK] the mat.",
    "She has two brothers and three [MASK].",
    "He put on his coat because it was [MASK] outside.",
    "The capital of France is [MASK].",
    "I live in [MASK] [MASK].",
)
CHINESE = (
    "他们[MASK]在学校。",
    "今天天[MASK]很好。",
)


def main() -> None:
    options = parse_options()
    if options.folder is None:
        raise MiniBertError(
            "give a folder or hub name with a pretrained BERT: python examples/fill_mask.py FOLDER."
        )
    filler = MaskFiller.from_pretrained(options.folder)
    unknown = unknown_rate(filler.tokenizer, CHINESE[0].split("[MASK]"))
    for text in options.texts or (ENGLISH + CHINESE if unknown < MOSTLY_UNKNOWN else ENGLISH):
        print(text)
        masks = filler(text, top_k=options.top_k)
        for candidates in masks:
            print("   ", in_a_line(candidates))
        if len(masks) > 1:
            # Each mask was predicted independently. Now they are filled one after another.
            print("    all filled:", filler.fill_all(text).text)
        print()


def in_a_line(candidates: list[Candidate]) -> str:
    """Candidates in a line, with their probabilities in percent."""
    return "   ".join(f"{found.token} {found.probability:.1%}" for found in candidates)


def parse_options() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="a pretrained folder, or a name on the hub")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts of your own with [MASK]")
    parser.add_argument("--top-k", type=int, default=5, help="candidates per mask; 5")
    options: argparse.Namespace = parser.parse_args()
    return options


if __name__ == "__main__":
    run(main)
