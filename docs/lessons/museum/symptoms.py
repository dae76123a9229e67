"""The symptom of each bug: what a user sees, in one or two lines.

    python symptoms.py 7

It measures the package that it imports: beside a broken copy, the copy.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from minibert import (
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertTokenizer,
)
from minibert.data.corpus.corpus import Corpus
from minibert.data.pretraining.masking import MaskingVocabulary, mask_tokens
from minibert.data.pretraining.nsp_pairs import IS_RANDOM, make_sentence_pairs
from minibert.inference.sentence_embeddings import SentenceEncoder
from minibert.training.loop import train
from minibert.training.optimizer import decay_groups, make_optimizer
from minibert.training.schedules import LearningRateSchedule
from minibert.training.settings import TrainingSettings

STORY = (
    "he opened the door and walked into the room. the old man was sitting by the fire with a book "
    "in his hand, and he did not look up. the boy took off his hat, and stood there for a while."
)
CPU = torch.device("cpu")


def small_config(**changes: float) -> BertConfig:
    """Return a config of 1 layer x 32 and 40 words, without dropout."""
    return BertConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **changes,
    )


def tiny() -> tuple[BertForMaskedLM, BertTokenizer]:
    """Return the small pretrained BERT and its tokenizer."""
    tokenizer = BertTokenizer.from_pretrained("weights/tiny")
    return BertForMaskedLM.from_pretrained("weights/tiny", quiet=True).eval(), tokenizer


def symptom_1() -> str:
    """Train next-sentence prediction on toy pairs that are easy to tell apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(32) % 2  # 0: B follows A
    second = torch.randint(10, 20, (32,), generator=generator) + 15 * labels
    first = torch.randint(10, 40, (32,), generator=generator)
    cls, sep = torch.full((32,), 2), torch.full((32,), 3)
    ids = torch.stack([cls, first, sep, second, sep], dim=1)
    torch.manual_seed(0)
    model = BertForNextSentencePrediction(small_config())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    lines = []
    for step in range(41):
        outputs = model(ids, labels=labels)
        if step % 20 == 0:
            accuracy = (outputs.logits.argmax(dim=-1) == labels).float().mean()
            lines.append(f"step {step}: loss {outputs.loss:.1f}, accuracy {accuracy:.1f}")
        optimizer.zero_grad()
        outputs.loss.backward()
        optimizer.step()
    return "; ".join(lines)


def symptom_2() -> str:
    """Guess a hidden word twice, the second time with the attention probabilities."""
    model, tokenizer = tiny()
    text = STORY.replace("room", "[MASK]")
    batch = tokenizer(text, return_tensors="pt", split_special_tokens=False)
    place = batch["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    with torch.no_grad():
        plain, inside = (model(**batch, output_attentions=ask).logits for ask in (False, True))
    chances = [logits[0, place].softmax(-1)[tokenizer.vocab["room"]] for logits in (plain, inside)]
    far = (plain - inside).abs().max()
    return "room: {:.2f}, and then {:.2f}; ".format(*chances) + f"logits differ by up to {far:.1f}"


def symptom_3() -> str:
    """Compare the vector of a sentence alone with that of the same sentence in a batch."""
    encoder = SentenceEncoder.from_pretrained("weights/tiny")
    alone = encoder.encode(["the door was open."])[0]
    beside = encoder.encode(["the door was open.", STORY])[0]
    lengths = [np.linalg.norm(vector) for vector in (alone, beside)]
    return "length of the vector alone {:.1f}, in the batch {:.1f}".format(*lengths)


def symptom_4() -> str:
    """Evaluate the pretrained model on masked text, as pretraining does."""
    model, tokenizer = tiny()
    ids = tokenizer(STORY, return_tensors="pt")["input_ids"].expand(50, -1)
    seed = torch.Generator().manual_seed(0)
    masked, labels = mask_tokens(ids, MaskingVocabulary(tokenizer), generator=seed)
    with torch.no_grad():
        outputs = model(masked, labels=labels)
    labelled = labels != -100
    found = outputs.logits.argmax(dim=-1)[labelled] == labels[labelled]
    return f"loss {outputs.loss:.1f}, accuracy {found.float().mean():.2f}"


def symptom_5() -> str:
    """Load a model, and ask it the same question three times."""
    tokenizer = BertTokenizer.from_pretrained("weights/tiny")
    model = BertForMaskedLM.from_pretrained("weights/tiny", quiet=True)
    batch = tokenizer("he opened the [MASK].", return_tensors="pt", split_special_tokens=False)
    with torch.no_grad():
        chances = {model(**batch).logits[0, 4].softmax(dim=-1).max().item() for _ in range(3)}
    return f"different answers to three equal questions: {len(chances)}"


def symptom_6() -> str:
    """Make 100 updates in which all gradients are 0."""
    torch.manual_seed(0)
    model = BertForMaskedLM(small_config())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer = make_optimizer(decay_groups(model, weight_decay=0.1), learning_rate=0.01)
    for _ in range(100):
        optimizer.step()
    scales = [p.mean() for name, p in model.named_parameters() if "LayerNorm.weight" in name]
    return f"the scales of LayerNorm began with 1.00 and are now {torch.stack(scales).mean():.2f}"


def symptom_7() -> str:
    """Count what the model sees in place of the words that it has to predict."""
    _, tokenizer = tiny()
    ids = tokenizer(STORY, return_tensors="pt")["input_ids"].expand(500, -1)
    seed = torch.Generator().manual_seed(0)
    masked, labels = mask_tokens(ids, MaskingVocabulary(tokenizer), generator=seed)
    seen, was = masked[labels != -100], labels[labels != -100]
    hidden, same = seen == tokenizer.mask_token_id, seen == was
    shares = [kind.float().mean() for kind in (hidden, ~hidden & ~same, same)]
    return "[MASK] {:.2f}, another word {:.2f}, the word itself {:.2f}".format(*shares)


def symptom_8() -> str:
    """Make the pairs of an epoch, and look where the Bs with the label "random" come from."""
    sentences = 200  # of five tokens each, in four documents
    corpus = Corpus(
        folder=Path(),
        tokens=np.arange(5 * sentences),
        sentences=np.arange(0, 5 * sentences + 1, 5),
        documents=np.array([0, 120, 160, 180, 200]),
        fingerprints=np.arange(4),
        word_starts=None,
        chosen=np.arange(4),
    )
    pairs = make_sentence_pairs(corpus, max_length=23, seed=0, epoch=0)
    starts = pairs.bounds[pairs.labels == IS_RANDOM][:, [0, 2]]
    document = np.searchsorted(5 * corpus.documents, starts, side="right")
    same = (document[:, 0] == document[:, 1]).mean()
    return f"of the random Bs, {same:.0%} are from the document of A"


def symptom_9() -> str:
    """Split a German sentence with a vocabulary that keeps capitals."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Es", "ist", "schon", "schön", "hier"]
    tokenizer = BertTokenizer(words, do_lower_case=False)
    return " ".join(tokenizer.tokenize("Es ist schön hier"))


def symptom_10() -> str:
    """Train for ten steps, and measure how far each table of embeddings has moved."""
    torch.manual_seed(0)
    model = BertForMaskedLM(small_config())
    ids = torch.arange(5, 25).view(4, 5)
    tables = dict(model.bert.embeddings.named_parameters())
    before = {name: table.detach().clone() for name, table in tables.items()}
    optimizer = make_optimizer(decay_groups(model, weight_decay=0.01), learning_rate=0.01)
    for _ in range(10):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    moved = {name: (table - before[name]).abs().max() for name, table in tables.items()}
    return ", ".join(
        f"{name.removesuffix('_embeddings.weight').replace('_', ' ')} {far:.2f}"
        for name, far in moved.items()
        if "embed" in name
    )


def symptom_11() -> str:
    """Train one step on a batch in which one of the texts is empty."""
    torch.manual_seed(0)
    model = BertForMaskedLM(small_config())
    model.attention = "eager"
    ids = torch.tensor([[2, 10, 11, 3], [2, 12, 13, 3], [0, 0, 0, 0]])
    labels = ids.where(ids > 3, -100)
    outputs = model(ids, attention_mask=ids > 0, labels=labels)
    outputs.loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    lost = sum(int(p.isnan().sum()) for p in model.parameters()) / model.num_parameters()
    return f"loss {outputs.loss:.1f}, then {lost:.0%} of the weights are NaN"


class Batches:
    """Batches in a fixed order."""

    def __init__(self, batches: list[dict[str, Tensor]]) -> None:
        self.batches = batches

    def length(self, epoch: int) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[dict[str, Tensor]]:
        """Yield batches start, start + step, ..."""
        return iter(self.batches[start::step])


def symptom_12() -> str:
    """Make one update with eight texts: in one batch, and in four batches of two."""
    ids = torch.randint(5, 40, (8, 12), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[2:, 1:] = -100  # the last six texts have one label each
    lines = []
    for size in (8, 2):
        torch.manual_seed(0)
        model = BertForMaskedLM(small_config(initializer_range=0.2))
        batches = [
            {"input_ids": ids[i : i + size], "labels": labels[i : i + size]}
            for i in range(0, 8, size)
        ]
        settings = TrainingSettings(
            epochs=1, gradient_accumulation_steps=8 // size, logging_steps=1, learning_rate=1e-3
        )
        with tempfile.TemporaryDirectory() as folder:
            train(model, Batches(batches), settings, folder=Path(folder), device=CPU)
            log = (Path(folder) / "log.jsonl").read_text(encoding="utf-8")
        loss = json.loads(log.splitlines()[0])["loss"]
        lines.append(f"{8 // size} batch{'es' * (size < 8)} of {size}: loss {loss:.1f}")
    return ", ".join(lines)


def symptom_13() -> str:
    """Follow a weight whose gradient is always 1."""
    weight = torch.nn.Parameter(torch.zeros(1, 1))
    optimizer = make_optimizer([{"params": [weight], "weight_decay": 0.0}], learning_rate=1.0)
    lengths = []
    for _ in range(1000):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        lengths.append(before - weight.item())
    shown = ", ".join(f"{lengths[step - 1]:.1f}" for step in (1, 10, 100, 1000))
    return f"steps 1, 10, 100 and 1000 are {shown} times the learning rate"


def symptom_14() -> str:
    """Ask whether B follows A, where it does and where it does not."""
    tokenizer = BertTokenizer.from_pretrained("weights/tiny")
    model = BertForNextSentencePrediction.from_pretrained("weights/tiny", quiet=True)
    sentences = STORY.split(". ")
    other = "the array is sorted along the last axis"
    rows = [(sentences[0], sentences[1]), (sentences[1], sentences[2]), (sentences[0], other)]
    batch = tokenizer([a for a, _ in rows], [b for _, b in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        follows = model(**batch).logits.softmax(dim=-1)[:, 0]
    return "B follows A: " + ", ".join(f"{chance:.2f}" for chance in follows)


def symptom_15() -> str:
    """Show the learning rate at the beginning of each tenth of a run."""
    schedule = LearningRateSchedule("linear", epochs=3, steps_per_epoch=100, warmup_ratio=0.1)
    shares = [schedule.factor(3 * tenth / 10) for tenth in range(10)]
    return "share of the peak: " + " ".join(f"{share:.1f}" for share in shares)


SYMPTOMS: dict[int, Callable[[], str]] = {
    number: globals()[f"symptom_{number}"] for number in range(1, 16)
}

if __name__ == "__main__":
    print(SYMPTOMS[int(sys.argv[1])]())
