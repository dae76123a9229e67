"""What happened when weights met a model, in plain words."""

from collections.abc import Iterable
from dataclasses import dataclass, field

# What the parts of a BERT are for, by the start of their name.
PARTS = {
    "bert.embeddings": "the embeddings",
    "bert.encoder": "the encoder",
    "bert.pooler": "the pooler",
    "masked_lm": "the masked-word head",
    "next_sentence": "the next-sentence head",
    "classifier": "the task's own layer",
    "span": "the task's own layer",
}


@dataclass(frozen=True)
class WrongShape:
    """A tensor that does not fit."""

    name: str
    in_file: tuple[int, ...]
    in_model: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} is {self.in_file} in the file and {self.in_model} in the model"


@dataclass
class LoadReport:
    """What was loaded, what is new, what was left over, what did not fit."""

    model: str
    source: str
    loaded: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)  # not in the file: initialised at random
    unused: list[str] = field(default_factory=list)  # in the file, but this class has no such part
    unknown: list[str] = field(default_factory=list)  # in the file, and no BERT has it
    wrong_shape: list[WrongShape] = field(default_factory=list)  # initialised at random instead
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.model}: {len(self.loaded)} tensors loaded from {self.source}"]
        lines += [f"  note: {note}" for note in self.notes]
        lines += [
            f"  new, at random: {group}: the file has none; train it before you trust it"
            for group in _grouped(self.new)
        ]
        lines += [f"  did not fit, new at random: {wrong}" for wrong in self.wrong_shape]
        lines += [f"  not used here: {group}" for group in _grouped(self.unused)]
        if self.unknown:
            listed = ", ".join(_shortened(self.unknown))
            lines.append(f"  no part of a BERT of this config, left out: {listed}")
        return "\n".join(lines)


def _grouped(names: Iterable[str]) -> list[str]:
    """One entry a part: 'classifier.* (the task's own layer)'."""
    groups: dict[str, str] = {}
    for name in names:
        part = next((part for part in PARTS if name.startswith(part)), name)
        groups[part] = f"{part}.* ({PARTS[part]})" if part in PARTS else name
    return list(groups.values())


def _shortened(names: list[str], *, shown: int = 5) -> list[str]:
    # A foreign file may call a tensor anything, so nothing of it goes to a terminal unquoted.
    quoted = [repr(name[:100]) for name in names[:shown]]
    return quoted + [f"and {len(names) - shown} more"] * (len(names) > shown)
