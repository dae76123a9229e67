"""How much of some texts a vocabulary cannot write: the sign of a model of another language."""

from collections.abc import Sequence

from minibert.tokenization.tokenizer import BertTokenizer

LOOKED_AT = 500  # texts; they tell of the others
TOO_MUCH_UNKNOWN = 0.1  # Google's vocabularies: below 0.01 in their own language
MOSTLY_UNKNOWN = 0.5  # what a model says of such text means nothing


def unknown_share(tokenizer: BertTokenizer, texts: Sequence[str]) -> float:
    """The share of the pieces that are [UNK], from 0 to 1, in the first few hundred texts.

    Example:
        >>> unknown_share(BertTokenizer.from_pretrained("weights/tiny"), ["a cat", "猫"])
        0.3333333333333333
    """
    some = list(texts[:LOOKED_AT])
    rows = tokenizer(some, add_special_tokens=False, truncation=True, split_special_tokens=True)[
        "input_ids"
    ]
    unknown: int = sum(row.count(tokenizer.unk_token_id) for row in rows)
    return unknown / max(1, sum(map(len, rows)))
