"""Refuse the `config.json` of a model that would compute something else than BERT.

A file that `transformers` loads is loaded here, too, unless the results would differ.
"""

from collections.abc import Mapping
from typing import Any

from minibert.errors import MiniBertError

# Fields of a file, and the only value with which they describe this model.
ONLY_ACCEPTED: dict[str, object] = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "quantization_config": None,
}
# Other models, some of whose tensors have the names of BERT's. By the start of a class's name, and
# by the prefix of the names of tensors.
OTHER_MODELS = (
    *("albert", "bigbird", "bridgetower", "camembert", "chineseclip", "convbert", "data2vec"),
    *("deberta", "distilbert", "electra", "ernie", "esm", "flaubert", "fnet", "funnel", "ibert"),
    *("layoutlm", "longformer", "luke", "lxmert", "markuplm", "megatronbert", "mobilebert"),
    *("modernbert", "mpnet", "nezha", "nystromformer", "qdqbert", "rembert", "roberta", "roformer"),
    *("splinter", "squeezebert", "tapas", "visualbert", "xlmroberta", "xmod"),
)


def other_model(name: str) -> str | None:
    """Return the model other than BERT to which a class or the prefix of a tensor belongs.

    Example:
        >>> other_model("RobertaForMaskedLM"), other_model("BertForMaskedLM")
        ('roberta', None)
    """
    plain = name.lower().replace("_", "").removesuffix(".")
    return next((other for other in OTHER_MODELS if plain.startswith(other)), None)


def check_is_bert(fields: Mapping[str, Any]) -> None:
    """Raise if the fields of a file describe a model that minibert does not support."""
    for name, accepted in ONLY_ACCEPTED.items():
        value = fields.get(name, accepted)
        if value != accepted and value is not None:  # null is the default
            quantized = name == "quantization_config"
            raise MiniBertError(
                f"the config has {name} {value!r:.100}, which minibert does not support (it must "
                f"be {accepted!r}); use the folder of "
                f"{'the unquantized model' if quantized else 'a BERT encoder'}."
            )
    for architecture in architectures(fields):
        if other_model(architecture):
            raise MiniBertError(
                f"the config names the class {architecture!r:.100}, which is not BERT; load that "
                "model with transformers."
            )


def architectures(fields: Mapping[str, Any]) -> list[str]:
    """Return the names of the classes that wrote a config; none if it does not say."""
    found = fields.get("architectures")
    names = found if isinstance(found, list) else []
    return [name for name in names if isinstance(name, str) and name.isidentifier()]
