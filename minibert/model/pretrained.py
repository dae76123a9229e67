"""The base class of all models: initialize, load and save, and report what was loaded.

`from_pretrained` builds a model without memory (on PyTorch's "meta" device); each parameter is then
taken from the file or initialized. A class of your own with more layers than BERT, such as an LSTM,
is built as usual, so that these layers start as you initialized them; they keep their names in
files.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute_in_backward

from minibert.checkpoints.folder import Checkpoint, read_folder, write_folder
from minibert.checkpoints.name_map import from_hugging_face, parameters
from minibert.errors import MiniBertError
from minibert.from_transformers import INSTEAD, check_options, explain
from minibert.hub import pop_hub_options
from minibert.model import input_checks
from minibert.model.config import BertConfig
from minibert.model.config_checks import LABEL_FIELDS, check_class, check_tied, unexplained_fields
from minibert.model.config_files import OUTPUTS, from_fields, split_arguments
from minibert.model.fused_attention import choose_attention
from minibert.model.outputs import ModelOutput

# Descriptions of the parts of a BERT, by the start of their names.
PARTS = {
    "bert.embeddings": "the embeddings",
    "bert.encoder": "the encoder",
    "bert.pooler": "the pooler",
    "masked_lm": "the masked-word head",
    "next_sentence": "the next-sentence head",
    "classifier": "the task's own layer",
    "qa_outputs": "the task's own layer",
}
ENCODER = ("bert.embeddings.", "bert.encoder.")
SHARED = ("bert.", "masked_lm.", "next_sentence.")  # the parts that do not depend on the task


@dataclass
class LoadReport:
    """The tensors that were loaded, are new, were not used, or have another shape."""

    model: str
    source: str
    loaded: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)  # not in the file: initialized at random
    unused: list[str] = field(default_factory=list)  # in the file, but not in this class
    unknown: list[str] = field(default_factory=list)  # in the file, but in no BERT of this config
    wrong_shape: dict[str, str] = field(default_factory=dict)  # by name, in words
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.model}: {len(self.loaded)} tensors loaded from {self.source}"]
        lines += [f"  note: {note}" for note in self.notes]
        lines += [
            f"  newly initialized: {part}: not in the file, so train it before use"
            for part in _by_part(self.new)
        ]
        lines += [
            f"  newly initialized, as the shape differs: {text}"
            for text in self.wrong_shape.values()
        ]
        lines += [f"  not used here: {part}" for part in _by_part(self.unused)]
        if self.unknown:
            # A foreign file may contain any name, so names are quoted and truncated.
            names = [repr(name[:100]) for name in self.unknown[:5]]
            names += [f"and {len(self.unknown) - 5} more"] * (len(self.unknown) > 5)
            lines.append(f"  not loaded, as no BERT of this config has it: {', '.join(names)}")
        return "\n".join(lines)


def _by_part(names: Iterable[str]) -> list[str]:
    """Return one entry per part: 'classifier.* (the task's own layer)'."""
    found = {}
    for name in names:
        part = next((part for part in PARTS if name.startswith(part)), name)
        found[part] = f"{part}.* ({PARTS[part]})" if part in PARTS else name
    return list(found.values())


class PretrainedModel(nn.Module):
    """A model with a config that can be loaded and saved; the base class also of your own models.

    Attributes:
        config: the sizes and options.
        load_report: the report of `from_pretrained`; None for a model made from a config.
    """

    prefix: ClassVar[str] = ""  # the start of this class's names in name_map.py

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if not isinstance(config, BertConfig):
            raise MiniBertError(
                f"{type(self).__name__} takes a BertConfig, not {config!r}; for a folder or a hub "
                f"name use {type(self).__name__}.from_pretrained(...)."
            )
        check_class(config, type(self))
        self.config = config
        self.load_report: LoadReport | None = None
        self._attention = "auto"

    def __call__(self, *args: Any, **batch: Any) -> Any:
        """Check the batch and run `forward`: the encoder checks the inputs, a head its labels.

        With `return_dict=False`, the output is a tuple.
        """
        if str(type(self).forward.__module__).startswith("minibert."):  # not a class of your own
            for name in [name for name in batch if name in INSTEAD]:
                if batch.pop(name) is not None:
                    raise MiniBertError(explain(name))
            if len(args) > 1:
                raise MiniBertError(
                    "all arguments but input_ids must be given by name, since libraries differ in "
                    "the order: model(input_ids, attention_mask=..., token_type_ids=...) or "
                    "model(**batch)."
                )
        return_dict = batch.pop("return_dict", None)
        if hasattr(self, "bert"):
            self.check_labels(*args[:1], **batch)
        else:
            for name in OUTPUTS:
                if batch.get(name) is None and self.config.foreign.get(name):
                    batch[name] = True
            input_checks.check_inputs(self.config, *args, **batch)
        outputs = super().__call__(*args, **batch)
        as_tuple = return_dict is False and isinstance(outputs, ModelOutput)
        return outputs.to_tuple() if as_tuple else outputs

    def __getattr__(self, name: str) -> Any:
        if name == "num_labels":
            return self.config.num_labels
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name not in INSTEAD:
                raise
        raise AttributeError(explain(name))

    # May be overridden for a head of your own. The training loop calls it too, before a batch goes
    # to a GPU.
    check_labels = input_checks.check_labels

    def init_weights(self, module: nn.Module | None = None) -> None:
        """Initialize one module as BERT does, or all; `self.apply(self.init_weights)` does that.

        Weights are normal with standard deviation `initializer_range`, as in transformers (Google's
        code also truncates at two deviations, which takes 20 times as long). Biases are 0, and the
        weights of LayerNorm are 1.
        """
        if module is None:
            self.apply(self.init_weights)
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
        bias = getattr(module, "bias", None)
        if isinstance(bias, nn.Parameter):
            nn.init.zeros_(bias)

    post_init = init_weights  # at the end of the `__init__` of a class for transformers

    @property
    def base_model(self) -> "PretrainedModel":
        """The encoder below the head; for an encoder, the model itself."""
        encoder: PretrainedModel = getattr(self, "bert", self)
        return encoder

    @property
    def attention(self) -> str:
        """The kind: "auto", "eager", "fused" or "packed"; may be changed at any time."""
        return self.base_model._attention

    @attention.setter
    def attention(self, name: str) -> None:
        choose_attention(name)
        self.base_model._attention = name

    @property
    def device(self) -> torch.device:
        """Where the parameters are, and where the inputs must be."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return next(self.parameters()).dtype

    def num_parameters(self, *, only_trainable: bool = False) -> int:
        """Return how many numbers the parameters hold, all or those that are not frozen."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of word embeddings."""
        table: nn.Embedding = self.base_model.embeddings.word_embeddings
        return table

    def gradient_checkpointing_enable(self, **_: Any) -> None:
        """Compute each layer again in the backward pass: takes longer, but much less memory."""
        for layer in self.base_model.encoder.layer:
            layer.forward = partial(
                recompute_in_backward, type(layer).forward, layer, use_reentrant=False
            )

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations for the backward pass, as is the default."""
        for layer in self.base_model.encoder.layer:
            layer.__dict__.pop("forward", None)

    @classmethod
    def from_config(cls, config: BertConfig) -> Self:
        """Return a model with random weights, as the class itself does."""
        return cls(config)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *model_args: Any,
        config: BertConfig | str | Path | None = None,
        dtype: torch.dtype | str | None = None,
        attention: str = "auto",
        ignore_mismatched_sizes: bool = False,
        strict: bool = False,
        quiet: bool = False,
        **changes: Any,
    ) -> Self:
        """Return a model with the weights of a folder or a hub name, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a folder of Google, Hugging Face or minibert, or a name
                such as "google-bert/bert-base-uncased". A local folder always wins.
            *model_args: further arguments of a class of your own.
            config: replaces that of the folder; or a path, see `BertConfig.from_pretrained`.
            dtype: of the weights; default: float32, whatever the file has.
            attention: "auto", "eager", "fused" or "packed".
            ignore_mismatched_sizes: initialize a task's own layer if its shape differs.
            strict: refuse a file that has more or fewer tensors than the model.
            quiet: do not print the load report (to standard error).
            **changes: fields of BertConfig (num_labels=4), arguments of this class, hub options.

        Raises:
            MiniBertError: something is missing, damaged, or does not fit.

        Example:
            >>> bert = BertModel.from_pretrained("weights/tiny", quiet=True)
            >>> bert.num_parameters()
            1527680
        """
        hub, fields = pop_hub_options(changes), BertConfig.__dataclass_fields__
        dtype = changes.pop("torch_dtype", dtype)
        if changes.pop("attn_implementation", None) == "eager":  # "auto" stands for the others
            attention = "eager"
        changes, own = split_arguments(check_options(changes), cls, fields)
        config = BertConfig.from_pretrained(config) if isinstance(config, str | Path) else config
        layers = changes.get("num_hidden_layers", config and config.num_hidden_layers)
        checkpoint = read_folder(pretrained_model_name_or_path, num_hidden_layers=layers, **hub)
        if config is None:
            new_labels = any(name in changes for name in LABEL_FIELDS)
            dropped = LABEL_FIELDS if new_labels else ()  # the file's labels may be invalid
            kept = {n: v for n, v in checkpoint.config.items() if n not in dropped}
            config = from_fields(BertConfig, kept, checkpoint.folder)
        elif not checkpoint.config.get("tie_word_embeddings", True):
            config = replace(config, foreign={**config.foreign, "tie_word_embeddings": False})
        if changes:
            config = config.with_changes(**changes)
        build = partial(cls, config, *model_args, **own)
        with torch.device("meta"):
            model = build()
        report = model._compare(checkpoint, ignore_mismatched_sizes=ignore_mismatched_sizes)
        if strict and (report.new or report.unused or report.unknown or report.wrong_shape):
            raise MiniBertError(f"strict loading found differences:\n{report}")
        known = {row.ours for row in parameters(config.num_hidden_layers)}
        only_bert = model.named_tensors().keys() <= known and not list(model.buffers())
        if only_bert:
            model.to_empty(device="cpu")
            new = {*report.new, *report.wrong_shape}
            for path, module in model.named_modules():
                names = [name for name, _ in module.named_parameters(recurse=False)]
                if new.intersection(f"{cls.prefix}{path}.{name}" for name in names):
                    model.init_weights(module)
        else:
            model = build()
        given = checkpoint.tensors | checkpoint.unknown
        tensors = {name.removeprefix(cls.prefix): given[name] for name in report.loaded}
        # Assigning a tensor saves a copy, but would untie layers that you tied.
        model.load_state_dict(tensors, strict=False, assign=only_bert)
        if dtype not in (None, "auto"):
            chosen = getattr(torch, str(dtype).removeprefix("torch."), None)
            if not isinstance(chosen, torch.dtype):
                raise MiniBertError(f"dtype is {dtype!r}; use one such as torch.bfloat16.")
            model.to(chosen)
        model.attention = attention
        model.load_report = report
        if not quiet:
            print(report, file=sys.stderr)
        return model.eval()

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Write `model.safetensors` and `config.json`, which `transformers` loads too.

        Args:
            folder: made if needed.
            **options: those of `transformers` that change nothing here: safe_serialization=True.

        Raises:
            MiniBertError: the folder cannot be written; its earlier content is left intact.
        """
        if not options.pop("safe_serialization", True):
            raise MiniBertError("minibert writes safetensors only; leave out safe_serialization.")
        for name in check_options(options):
            raise TypeError(f"save_pretrained has no argument {name!r}")
        config = self.config.to_dict() | {"architectures": [type(self).__name__]}
        folder = Path(folder).expanduser()
        write_folder(folder, self.named_tensors(), config, prefix=self.prefix)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """Load tensors as in PyTorch; their names may also be those of `transformers`."""
        if not state_dict.keys() <= self.state_dict().keys():
            found = from_hugging_face(state_dict, self.config.num_hidden_layers)
            if found.tied is False and hasattr(self, "masked_positions_only"):
                check_tied(replace(self.config, foreign={"tie_word_embeddings": False}))
            state_dict = {
                name.removeprefix(self.prefix): tensor
                for name, tensor in (found.tensors | found.unknown).items()
            }
        return super().load_state_dict(state_dict, *args, **options)

    def named_tensors(self) -> dict[str, Tensor]:
        """Return all tensors by their names in `name_map.py`."""
        return {self.prefix + name: tensor for name, tensor in self.state_dict().items()}

    def _compare(self, checkpoint: Checkpoint, *, ignore_mismatched_sizes: bool) -> LoadReport:
        """Return which tensors of the file fit the model; raise if required ones do not."""
        report = LoadReport(type(self).__name__, checkpoint.source, notes=checkpoint.notes)
        if unexplained := unexplained_fields(self.config.foreign):
            report.notes.append(f"config fields that minibert does not use, kept: {unexplained}")
        wanted = self.named_tensors()
        own = [name for name, part in self.named_modules() if isinstance(part, PretrainedModel)]
        if len(own) == 2:  # this model, and its encoder, which you may call otherwise than `bert`
            checkpoint.tensors = {
                re.sub(r"^bert\b", own[1], name): tensor
                for name, tensor in checkpoint.tensors.items()
            }
        for name in wanted.keys() - checkpoint.unknown.keys():  # of a class made from BertModel
            if (bare := name.removeprefix(self.prefix)) in checkpoint.unknown:
                checkpoint.unknown[name] = checkpoint.unknown.pop(bare)
        given = checkpoint.tensors | checkpoint.unknown
        report.unused = sorted(checkpoint.tensors.keys() - wanted.keys())
        report.unknown = [name for name in checkpoint.unknown if name not in wanted]
        for name, tensor in wanted.items():
            if name not in given:
                report.new.append(name)
            elif given[name].is_floating_point() != tensor.is_floating_point():
                raise MiniBertError(
                    f"{report.source}: {name} is stored as {given[name].dtype}, but the model has "
                    f"{tensor.dtype}; save it again with that type."
                )
            elif given[name].shape == tensor.shape:
                report.loaded.append(name)
            else:
                report.wrong_shape[name] = (
                    f"{name} is {tuple(given[name].shape)} in the file and {tuple(tensor.shape)} "
                    "in the model"
                )
        if not report.loaded and not report.wrong_shape:
            raise MiniBertError(
                f"{report.source} has no tensor of a {report.model}, but {checkpoint.names}; a "
                "class of your own has one encoder: self.bert = BertModel(config)."
            )
        missing = [name for name in report.new if name.startswith(ENCODER)]
        if missing:
            raise MiniBertError(
                f"{report.source} lacks {len(missing)} of the encoder's tensors "
                f"({', '.join(missing[:3])}, ...): it is incomplete, or its config.json belongs to "
                f"another model. Names that no BERT has: {checkpoint.names}."
            )
        own_layer = not any(name.startswith(SHARED) for name in report.wrong_shape)
        if report.wrong_shape and not (ignore_mismatched_sizes and own_layer):
            advice = (
                "it was trained for another number of labels: give the same num_labels, or "
                "ignore_mismatched_sizes=True to initialize that layer at random"
                if own_layer
                else "config.json and the weights are of different models, or an option changed a "
                "size (tables of words and positions grow with minibert.model.resize)"
            )
            shapes = "; ".join(list(report.wrong_shape.values())[:3])
            raise MiniBertError(f"{report.source} does not fit: {shapes}; {advice}.")
        return report
