"""Predict masked words with a pretrained BERT, in Python.

python examples/fill_mask.py weights/tiny
python examples/fill_mask.py bert-base-chinese "巴黎是[MASK]国的首都。"
"""

from minibert.cli.process import run

from minibert.cli.shared import Parser

# From grammar to meaning to knowledge of the world: the later ones need a better model.
TEXTS = (
    "The cat sat [MASK] the mat.",
    "She has two brothers and three [MASK].",
    "He put on his coat because it was [MASK] outside.",
    "The capital of France is [MASK].",
    "I live in [MASK] [MASK].",
)


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="a pretrained folder or hub name")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts of your own with [MASK]")
    options = parser.parse_args()

    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert.inference.fill_mask import MaskFiller

    filler = MaskFiller.from_pretrained(options.folder)
    for text in options.texts or TEXTS:
        print(text)
        masks = filler(text)  # for each mask its candidates, the most probable first
        for candidates in masks:
            print("   ", "  ".join(f"{c.token} {c.probability:.1%}" for c in candidates))
        if len(masks) > 1:
            # Each mask was predicted independently. Now each is given those filled before it.
            print("    all filled:", filler.fill_all(text).text)


if __name__ == "__main__":
    run(main)
