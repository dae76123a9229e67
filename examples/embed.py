"""Compare sentences by their vectors, in Python: the nearest of each, and a plot of all.

python examples/embed.py weights/tiny
python examples/embed.py weights/tiny-zh --chinese
"""

from minibert.cli.process import run

from pathlib import Path

from minibert.cli.shared import Parser

ENGLISH = {
    "animals": ("The cat sleeps on the sofa.", "A dog runs after the ball.", "Birds build nests."),
    "weather": ("It will rain tomorrow.", "Snow fell all night long.", "The wind is cold today."),
    "food": ("She bakes bread with butter.", "The soup needs more salt.", "We ate noodles."),
    "money": ("The bank raised its rates.", "Shares fell on Monday.", "He paid off his debts."),
}
CHINESE = {
    "动物": ("小猫睡在沙发上。", "狗追着球跑。", "小鸟在树上做窝。"),
    "天气": ("明天要下雨。", "雪下了一整夜。", "今天的风很冷。"),
    "食物": ("她用黄油烤面包。", "汤里要再放一点盐。", "我们吃了面条。"),
    "金钱": ("银行提高了利率。", "股票在星期一下跌。", "他还清了债务。"),
}


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="a folder or hub name of any BERT")
    parser.add_argument("--chinese", action="store_true", help="compare Chinese sentences")
    parser.add_argument("--figure", type=Path, default=Path("embeddings.png"), metavar="FILE")
    options = parser.parse_args()

    # Imported here, because PyTorch takes seconds and --help does not need it.
    import numpy as np

    from minibert.inference.sentence_embeddings import SentenceEncoder
    from minibert.plots.embedding_plot import embedding_plot
    from minibert.plots.style import save_figure

    samples = CHINESE if options.chinese else ENGLISH
    texts = [text for sentences in samples.values() for text in sentences]
    topics = [topic for topic, sentences in samples.items() for _ in sentences]

    encoder = SentenceEncoder.from_pretrained(options.folder)
    # Rows have length 1, so that the dot product of two rows is their cosine.
    vectors = encoder.encode(texts, pooling="mean", normalize=True)  # (N, E)
    cosines = vectors @ vectors.T  # (N, E) x (E, N) -> (N, N)
    np.fill_diagonal(cosines, -1)  # a text is not its own neighbor
    nearest = cosines.argmax(axis=1)
    for index, neighbor in enumerate(nearest):
        print(f"{cosines[index, neighbor]:.3f}  {texts[index]}  ->  {texts[neighbor]}")
    same = np.mean([topics[i] == topics[j] for i, j in enumerate(nearest)])
    print(f"nearest is of the same topic: {same:.0%}; by chance: {2 / 11:.0%}")

    save_figure(embedding_plot(vectors, texts, groups=topics), options.figure)
    print(f"wrote {options.figure}")


if __name__ == "__main__":
    run(main)
