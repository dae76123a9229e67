"""Turn sentences into vectors, find the nearest of each, and draw them all.

python examples/embed.py weights/tiny
python examples/embed.py bert-base-multilingual-cased --file sentences.txt --pooling mean
"""

import argparse
from pathlib import Path

import numpy as np

from minibert.cli.shared import Parser, run
from minibert.data.labelled.examples import read_examples
from minibert.errors import MiniBertError
from minibert.inference.sentence_embeddings import POOLING_MODES, SentenceEncoder
from minibert.plots.style import save_figure
from minibert.plots.text_map import text_map
from minibert.tokenization.vocab import MOSTLY_UNKNOWN, unknown_rate

SENTENCES = {
    "animals": (
        "The cat sleeps on the sofa.",
        "A dog runs after the ball.",
        "Birds build their nests in spring.",
        "猫在沙发上睡觉。",
        "狗在追一个球。",
    ),
    "weather": (
        "It will rain tomorrow morning.",
        "Snow fell all night long.",
        "The wind is cold today.",
        "明天早上会下雨。",
        "昨天晚上下了大雪。",
    ),
    "food": (
        "She bakes bread with butter.",
        "The soup needs more salt.",
        "We had noodles for dinner.",
        "我们晚饭吃了面条。",
        "这碗汤太咸了。",
    ),
    "money": (
        "The bank raised its interest rates.",
        "Shares fell sharply on Monday.",
        "He paid off his debts.",
        "银行提高了利率。",
        "股票星期一大跌。",
    ),
}


def main() -> None:
    options = parse_options()
    if options.folder is None:
        raise MiniBertError(
            "give a folder or hub name with a pretrained BERT: python examples/embed.py FOLDER."
        )
    texts = [text for topic in SENTENCES.values() for text in topic]
    topics = [name for name, topic in SENTENCES.items() for _ in topic]
    if options.file is not None:
        examples, _ = read_examples(options.file, labelled=False)
        texts = [example.text for example in examples]
        topics = [""] * len(texts)
    if len(texts) < 2:
        raise MiniBertError("one sentence has no nearest other; give a file with more of them.")

    encoder = SentenceEncoder.from_pretrained(options.folder)
    chinese = [text for text in texts if not text.isascii()]
    if options.file is None and unknown_rate(encoder.tokenizer, chinese) > MOSTLY_UNKNOWN:
        topics = [topic for topic, text in zip(topics, texts, strict=True) if text.isascii()]
        texts = [text for text in texts if text.isascii()]
    # (N, E), every row 1 long: the dot product of two rows is their cosine.
    vectors = encoder.encode(texts, pooling=options.pooling, layer=options.layer, normalize=True)
    cosines = vectors @ vectors.T  # (N, E) x (E, N) -> (N, N)
    np.fill_diagonal(cosines, -np.inf)  # a sentence is not its own neighbour
    nearest = cosines.argmax(axis=1)
    for index, neighbour in enumerate(nearest):
        print(f"{cosines[index, neighbour]:.3f}  {texts[index]}  ->  {texts[neighbour]}")
    if options.file is None:
        same = np.mean([topics[i] == topics[j] for i, j in enumerate(nearest)])
        chance = np.mean([topics.count(topic) - 1 for topic in topics]) / (len(texts) - 1)
        print(f"nearest is of the same topic: {same:.0%}; by chance it would be {chance:.0%}")

    title = f"{options.pooling} of layer {options.layer}, {Path(options.folder).name}"
    save_figure(text_map(vectors, texts, groups=topics, title=title), options.picture)
    print(f"the picture is {options.picture}")


def parse_options() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="a folder with a BERT, or a name on the hub")
    parser.add_argument("--file", type=Path, help=".txt (a sentence a line), .tsv, .csv or .jsonl")
    parser.add_argument("--pooling", choices=POOLING_MODES, default="mean")
    parser.add_argument("--layer", type=int, default=-1, help="0 is the embeddings, -1 the last")
    parser.add_argument("--picture", type=Path, default=Path("vectors.png"), metavar="FILE")
    options: argparse.Namespace = parser.parse_args()
    return options


if __name__ == "__main__":
    run(main)
