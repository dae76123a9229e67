"""Classify Chinese news titles, better than plain BERT: the homework of a tutorial.

python examples/thucnews.py FOLDER --model bert-base-chinese --output runs/thucnews

FOLDER has class.txt (a class name per line), and train.txt, dev.txt and test.txt with
`title<TAB>number of the class` per line, as THUCNews is often prepared. Two models are trained for
four epochs by `minibert finetune`: plain BERT, and one changed as CHANGES says. Each leaves a
folder with its learning curve, its confusion matrix with class names, and its scores.
"""

from minibert.cli.process import run

import json
from pathlib import Path

from minibert.cli import finetune
from minibert.cli.shared import Parser

# Any idea of the tutorial can stand here: another --pooling, --learning-rate, --epochs, ...
CHANGES = ("--pooling", "cnn")
LONGEST = "40"  # tokens: a title has up to 30 characters
TITLES = (
    "国足客场零比一告负 主帅赛后致歉",
    "央行下调存款利率 银行理财收益走低",
    "高考志愿填报指南：这些专业就业率高",
    "新款手机今日发布 电池续航提升一倍",
)


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="class.txt, train.txt, ...")
    parser.add_argument("--model", metavar="FOLDER_OR_NAME", help="pretrained on Chinese")
    parser.add_argument("--epochs", type=int, default=4, metavar="N", help="default: 4")
    parser.add_argument("--limit", type=int, metavar="N", help="train on the first N titles only")
    parser.add_argument("--output", type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--titles", nargs="+", default=TITLES, help="to classify in the end")
    options = parser.parse_args()

    arguments = ["--max-length", LONGEST, "--epochs", str(options.epochs)]
    for name in ("train", "dev", "test"):
        arguments += [f"--{name}", str(options.folder / f"{name}.txt")]
    arguments += ["--class-names", str(options.folder / "class.txt")]
    if options.model:
        arguments += ["--model", options.model]
    if options.resume:
        arguments += ["--resume"]
    if options.limit:
        arguments += ["--limit", str(options.limit)]

    scores = {}
    for name, changes in (("plain", ()), ("changed", CHANGES)):
        print(f"\n{name} BERT {' '.join(changes)}\n", flush=True)
        command = Parser(prog="minibert finetune")
        finetune.add_arguments(command)
        output = options.output / name
        finetune.run(command.parse_args([*arguments, *changes, "--output", str(output)]))
        metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
        scores[name] = metrics["test"]["accuracy"]

    better = max(scores, key=lambda name: scores[name])
    print(f"\ntest accuracy: plain {scores['plain']:.4f}, changed {scores['changed']:.4f}")

    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert.inference.text_classification import TextClassifier

    classifier = TextClassifier.from_pretrained(options.output / better)
    for title, prediction in zip(options.titles, classifier.predict(options.titles), strict=True):
        probability = prediction.probabilities[prediction.label]
        print(f"{prediction.label:14} {probability:.2f}  {title}")


if __name__ == "__main__":
    run(main)
