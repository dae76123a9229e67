"""Write a head of your own on top of BertModel, train it, save it, and load it again.

python examples/own_head.py                                  # which library is a sentence about?
python examples/own_head.py --train train.tsv --model bert-base-uncased --output runs/mine
"""

from minibert.cli.process import run

from pathlib import Path

import torch
from torch import Tensor, nn

from minibert import BertConfig, BertModel, BertTokenizer, PretrainedModel
from minibert.cli.shared import Parser, choose_output
from minibert.data.labelled.splits import make_batches, read_task
from minibert.evaluation.classification import evaluate_classifier
from minibert.model.losses import cross_entropy
from minibert.model.outputs import TaskOutput
from minibert.training.loop import train
from minibert.training.settings import TrainingSettings, choose_device

LIMIT = 1600  # training sentences of the built-in data, which has 6,400
MAX_LENGTH = 128


class MeanClassifier(PretrainedModel):
    """Classify a text by the mean of its last hidden states and one hidden layer.

    B batch, S sequence length, E hidden width.
    """

    def __init__(self, config: BertConfig, width: int = 64) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.hidden = nn.Linear(config.hidden_size, width)
        self.score = nn.Linear(width, config.num_labels)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> TaskOutput:
        """Return `logits` (B, num_labels), and `loss` if there are labels (B,)."""
        inputs = {"attention_mask": attention_mask, "token_type_ids": token_type_ids}
        states = self.bert(input_ids, **inputs).last_hidden_state
        mask = attention_mask[..., None]  # (B, S) -> (B, S, 1); padding has no part in the mean
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1)  # (B, S, E) -> (B, E)
        logits = self.score(self.hidden(mean).relu())  # (B, E) -> (B, num_labels)
        loss = None if labels is None else cross_entropy(logits, labels)
        return TaskOutput(logits=logits).with_loss(labels=loss)


def predict(folder: str | Path, texts: list[str], *, width: int) -> list[str]:
    """Return the label of each text, from a saved folder alone."""
    model = MeanClassifier.from_pretrained(folder, width=width, quiet=True)
    tokenizer = BertTokenizer.from_pretrained(folder)
    length = {"truncation": True, "max_length": MAX_LENGTH}
    batch = tokenizer(texts, padding=True, return_tensors="pt", **length)
    with torch.inference_mode():
        chosen = model(**batch).logits.argmax(dim=1)  # (B, num_labels) -> (B,)
    return [model.config.id2label[index] for index in chosen.tolist()]


def main() -> None:
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--train", type=Path, metavar="FILE", help="labelled texts; default: built-in data")
    add("--model", default="weights/tiny", metavar="FOLDER_OR_NAME", help="pretrained weights")
    add("--width", type=int, default=64, metavar="N", help="of the hidden layer; default: 64")
    add("--epochs", type=int, default=4, metavar="N", help="default: 4")
    add("--output", type=Path, metavar="FOLDER", help="a new folder; default: runs/own_head")
    options = parser.parse_args()
    output = choose_output(options.output, Path("runs/own_head"), resume=False)

    task = read_task(options.train, limit=None if options.train else LIMIT)
    print(task.describe())
    # New layers start as the class makes them: seed them. Then the encoder's weights are loaded.
    torch.manual_seed(0)
    tokenizer = BertTokenizer.from_pretrained(options.model)
    model = MeanClassifier.from_pretrained(options.model, width=options.width, **task.labels.config)
    batches = make_batches(task, tokenizer, max_length=MAX_LENGTH, batch_size=32, seed=0)
    train(
        model,
        batches["train"],
        TrainingSettings(epochs=options.epochs, learning_rate=1e-3),
        folder=output / "training",
        device=choose_device(),
        evaluate=lambda: evaluate_classifier(model, batches["dev"], task.labels),
    )
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)

    *_, last = task.splits
    texts = [example.text for example in task.splits[last]][:5]
    for text, label in zip(texts, predict(output, texts, width=options.width), strict=True):
        print(f"{label:12} {text[:80]}")


if __name__ == "__main__":
    run(main)
