"""Small models with random weights, and batches for them: what the tests of the model share."""

import torch
from torch import Tensor

import minibert
from minibert.model.outputs import ModelOutput

# What each class answers with.
ANSWERS = {
    "BertModel": ("last_hidden_state", "pooler_output"),
    "BertForPreTraining": ("prediction_logits", "seq_relationship_logits"),
    "BertForMaskedLM": ("logits",),
    "BertForNextSentencePrediction": ("logits",),
    "BertForSequenceClassification": ("logits",),
    "BertForTokenClassification": ("logits",),
    "BertForQuestionAnswering": ("start_logits", "end_logits"),
    "BertForMultipleChoice": ("logits",),
}
HEADS = [name for name in ANSWERS if name != "BertModel"]
# The answers that have a row for each token, (B, S, ...); the others have one for the whole text.
PER_TOKEN = ("last_hidden_state", "prediction_logits", "start_logits", "end_logits")


def small_config(**changes) -> minibert.BertConfig:
    """2 layers x 16, 50 words, 12 positions, 3 classes, no dropout."""
    sizes = {
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "max_position_embeddings": 12,
        "num_labels": 3,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return minibert.BertConfig(**(sizes | changes))


def small_model(
    name: str, *, attention: str = "auto", dtype: torch.dtype = torch.float64, **changes
):
    """A model in which no weight is 0 or 1, so that nothing can be left out unseen."""
    torch.manual_seed(0)
    model = getattr(minibert, name)(small_config(**changes))
    model.attention = attention
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.to(dtype).eval()


def small_batch(name: str, *, rows: int = 4, tokens: int = 6, seed: int = 1) -> dict[str, Tensor]:
    """Ids and segments without padding: (rows, tokens), or (rows, 3, tokens) for choices."""
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, 3, tokens) if name == "BertForMultipleChoice" else (rows, tokens)
    return {
        "input_ids": torch.randint(1, 50, shape, generator=generator),
        "token_type_ids": torch.randint(0, 2, shape, generator=generator),
    }


def small_labels(name: str, *, rows: int = 4, tokens: int = 6, seed: int = 2) -> dict[str, Tensor]:
    """The labels that a head takes, some of them -100; none for the bare encoder."""
    generator = torch.Generator().manual_seed(seed)

    def draw(limit: int, *shape: int) -> Tensor:
        return torch.randint(0, limit, shape, generator=generator)

    some = torch.arange(rows * tokens).view(rows, tokens) % 3 == 0
    if name == "BertModel":
        return {}
    if name == "BertForMaskedLM":
        return {"labels": draw(50, rows, tokens).masked_fill(~some, -100)}
    if name == "BertForPreTraining":
        labels = draw(50, rows, tokens).masked_fill(~some, -100)
        return {"labels": labels, "next_sentence_label": draw(2, rows)}
    if name == "BertForTokenClassification":
        return {"labels": draw(3, rows, tokens).masked_fill(~some, -100)}
    if name == "BertForQuestionAnswering":
        return {"start_positions": draw(tokens, rows), "end_positions": draw(tokens, rows)}
    return {"labels": draw(2 if name == "BertForNextSentencePrediction" else 3, rows)}


def answers_of(name: str, outputs: ModelOutput) -> dict[str, Tensor]:
    """The tensors that a class answers with, by name."""
    return {field: outputs[field] for field in ANSWERS[name]}


def is_per_token(name: str, field: str) -> bool:
    """Whether an answer has a row for each token."""
    of_tokens = name in ("BertForMaskedLM", "BertForTokenClassification")
    return field in PER_TOKEN or of_tokens
