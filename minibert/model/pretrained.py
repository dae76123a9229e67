"""What happened when weights met a model, in plain words."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from minibert.checkpoints import folder as folders
from minibert.checkpoints.name_map import parameters
from minibert.errors import MiniBertError
from minibert.model.config import BertConfig

# What the parts of a BERT are for, by the start of their name.
PARTS = {
    "bert.embeddings": "the embeddings",
    "bert.encoder": "the encoder",
    "bert.pooler": "the pooler",
    "masked_lm": "the masked-word head",
    "next_sentence": "the next-sentence head",
    "classifier": "the task's own layer",
    "qa_outputs": "the task's own layer",
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


# Weights in and out of every model class: `from_pretrained` and `save_pretrained`.
#
# A model is first built without memory (on PyTorch's "meta" device), then each parameter is either
# taken from the file or initialised. A class of your own may have more than a BERT, an LSTM say:
# then
# it is built as usual, so that these parts begin as you made them, and they are saved and loaded
# under their own names. Nothing is loaded by half: a file without a part of the encoder is refused,
# and what is new, left over or of another shape is said.


def initialise(module: nn.Module, config: BertConfig) -> None:
    """BERT's initialisation of one module; use with `model.apply`.

    Matrices and tables are normal with deviation `initializer_range`, as in transformers (Google's
    `create_initializer` also cuts off at two deviations, which costs 20 x the time); biases are 0,
    LayerNorm starts as the identity.
    """
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=config.initializer_range)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.zeros_(module.weight[module.padding_idx])
    if isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
    bias = getattr(module, "bias", None)
    if isinstance(bias, nn.Parameter):
        nn.init.zeros_(bias)


class PretrainedModel(nn.Module):
    """What all model classes share: a config, loading and saving.

    Attributes:
        config: the sizes and choices.
        load_report: what `from_pretrained` found; None for a model made from a config.
    """

    # What stands before this class's parameter names in the table of names.
    prefix: ClassVar[str] = ""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if not isinstance(config, BertConfig):
            raise MiniBertError(
                f"{type(self).__name__} is made from a BertConfig and got {config!r}; for a folder "
                f"or a hub name use {type(self).__name__}.from_pretrained(...)."
            )
        self.config = config
        self.load_report: LoadReport | None = None

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Run `forward`, but say in words what the order of arguments would leave unsaid."""
        if len(args) > 1:
            raise MiniBertError(
                "all but input_ids is given by name, since libraries differ in the order: "
                "model(input_ids, attention_mask=..., token_type_ids=...), or model(**batch)."
            )
        return super().__call__(*args, **named)

    def check_labels(self, *_input_ids: Any, **_labels: Any) -> None:
        """Refuse labels that the loss cannot look up, given `input_ids` and the labels by name.

        Each head has its own, and asks it in `forward` on the CPU. The training loop asks before a
        batch goes to a GPU, where a label that there is not would end the process.
        """

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        attention: str = "auto",
        ignore_mismatched_sizes: bool = False,
        strict: bool = False,
        quiet: bool = False,
        **config_changes: Any,
    ) -> Self:
        """A model with the weights of a folder or of a hub name, in evaluation mode.

        Args:
            name_or_path: a folder that Hugging Face's library, Google's code or minibert wrote, or
                a name such as "google-bert/bert-base-uncased". A local folder always wins.
            attention: "auto", "eager" or "fused".
            ignore_mismatched_sizes: start a task's own layer of another shape anew, and say so.
            strict: refuse anything new or left over too.
            quiet: do not print the load report (to standard error).
            **config_changes: fields of BertConfig, for example num_labels=4.

        Raises:
            MiniBertError: something is missing, damaged, or does not fit.

        Example:
            >>> model = BertForSequenceClassification.from_pretrained("weights/tiny", num_labels=4)
        """
        checkpoint = folders.read_folder(folders.weights_folder(name_or_path))
        config = BertConfig.from_dict(checkpoint.config).with_changes(**config_changes)
        with torch.device("meta"):
            model = cls(config, attention=attention)  # type: ignore[call-arg]
        report = model._compare(checkpoint, allow_shapes=ignore_mismatched_sizes)
        all_bert = model._is_all_bert()
        if all_bert:
            model._start(report)
        else:
            model = cls(config, attention=attention)  # type: ignore[call-arg]
        # Tied layers of your own are copied into, since an assignment would untie them.
        model._load(checkpoint, report, assign=all_bert)
        if unexplained := config.unexplained_fields():
            report.notes.append(f"config fields without a meaning here, kept: {unexplained}")
        if strict and (report.new or report.unused or report.unknown or report.wrong_shape):
            raise MiniBertError(f"strict loading found differences:\n{report}")
        if not quiet:
            print(report, file=sys.stderr)
        model.load_report = report
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `config.json`, which `transformers` loads too.

        Raises:
            MiniBertError: the system refused to write; what was there before stays whole.
        """
        config = self.config.to_dict() | {"architectures": [type(self).__name__]}
        folders.write_folder(Path(folder).expanduser(), self._named(), config)

    @property
    def device(self) -> torch.device:
        """Where the parameters are, and where the inputs must be."""
        return next(self.parameters()).device

    def parameter_count(self) -> int:
        """How many numbers the model has learned or will learn."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _named(self) -> dict[str, Tensor]:
        """All tensors by their names in the table of names."""
        return {self.prefix + name: tensor for name, tensor in self.state_dict().items()}

    def _compare(self, checkpoint: folders.Checkpoint, *, allow_shapes: bool) -> LoadReport:
        """What of the file fits where; refused where it is not enough."""
        report = LoadReport(type(self).__name__, checkpoint.source, notes=checkpoint.notes)
        wanted = self._named()
        given = checkpoint.tensors | checkpoint.unknown
        for name, tensor in wanted.items():
            if name not in given:
                report.new.append(name)
            elif given[name].shape != tensor.shape:
                wrong = WrongShape(name, tuple(given[name].shape), tuple(tensor.shape))
                report.wrong_shape.append(wrong)
            else:
                report.loaded.append(name)
        report.unused = sorted(checkpoint.tensors.keys() - wanted.keys())
        report.unknown = [name for name in checkpoint.unknown if name not in wanted]
        _refuse_half(report, allow_shapes=allow_shapes)
        return report

    def _is_all_bert(self) -> bool:
        """Whether there is nothing but what the table of names has; BERT has no buffers."""
        table = {row.ours for row in parameters(self.config.num_hidden_layers)}
        return self._named().keys() <= table and not any(True for _ in self.buffers())

    def _start(self, report: LoadReport) -> None:
        """Give a model without memory its memory, and initialise what is not in the file."""
        self.to_empty(device="cpu")
        fresh = {*report.new, *(wrong.name for wrong in report.wrong_shape)}
        for path, module in self.named_modules():
            own = [
                f"{self.prefix}{path}.{name}" for name, _ in module.named_parameters(recurse=False)
            ]
            if fresh.intersection(own):
                initialise(module, self.config)

    def _load(self, checkpoint: folders.Checkpoint, report: LoadReport, *, assign: bool) -> None:
        given = checkpoint.tensors | checkpoint.unknown
        loaded = {name.removeprefix(self.prefix): given[name] for name in report.loaded}
        self.load_state_dict(loaded, strict=False, assign=assign)


def _refuse_half(report: LoadReport, *, allow_shapes: bool) -> None:
    """Refuse a file that lacks a part of the encoder, or whose tensors do not fit."""
    body = [name for name in report.new if name.startswith(("bert.embeddings", "bert.encoder"))]
    if body:
        raise MiniBertError(
            f"{report.source} lacks {len(body)} tensors of the encoder ({', '.join(body[:3])}, "
            "...): it is incomplete, or its config.json belongs to another model."
        )
    shared = ("bert.", "masked_lm.", "next_sentence.")
    own_layer = not any(wrong.name.startswith(shared) for wrong in report.wrong_shape)
    if report.wrong_shape and not (allow_shapes and own_layer):
        shapes = "; ".join(str(wrong) for wrong in report.wrong_shape[:3])
        advice = (
            "it was trained for another number of labels: give the same num_labels, or "
            "ignore_mismatched_sizes=True to start that layer anew"
            if own_layer
            else "config.json and the weights are of different models, or an option changed a size "
            "(tables of words and positions grow with minibert.model.resize)"
        )
        raise MiniBertError(f"{report.source} does not fit: {shapes}; {advice}.")
