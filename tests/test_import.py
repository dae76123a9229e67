"""What you can rely on: `import minibert` costs nothing, and the names people know are there."""

import json
import subprocess
import sys

import pytest

import minibert

PUBLIC = [
    "BertConfig",
    "BertTokenizer",
    "BertModel",
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMultipleChoice",
]
HEAVY = {"torch", "transformers", "matplotlib", "numpy", "tokenizers", "huggingface_hub"}


def modules_after(code: str) -> set[str]:
    """The modules that a new Python has loaded after some code."""
    show = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(result.stderr.splitlines()[-1]))


def test_heavy_modules_would_be_seen():
    assert "numpy" in modules_after("import numpy")


@pytest.mark.parametrize("module", ["minibert", "minibert.cli.main", "minibert.cli.shared"])
def test_importing_the_package_or_its_command_line_loads_nothing_heavy(module):
    assert modules_after(f"import {module}") & HEAVY == set()


@pytest.mark.parametrize("arguments", ["['--help']", "['predict', '--help']", "['predct']"])
def test_help_and_misspellings_are_answered_without_torch(arguments):
    code = f"""
import sys
from minibert.cli.main import main
sys.argv[1:] = {arguments}
try:
    main()
except SystemExit:
    pass
"""
    assert modules_after(code) & HEAVY == set()


def test_a_config_needs_no_torch():
    assert "torch" not in modules_after("from minibert import BertConfig; BertConfig.tiny()")


def test_a_tokenizer_needs_no_torch():
    assert "torch" not in modules_after("from minibert import BertTokenizer")


@pytest.mark.parametrize("name", PUBLIC)
def test_the_names_people_know_are_there(name):
    found = getattr(minibert, name)
    assert isinstance(found, type)
    assert found.__name__ == name
    assert found.__doc__


def test_all_names_the_package_promises_can_be_imported():
    assert set(PUBLIC) <= set(minibert.__all__) == set(dir(minibert))
    for name in minibert.__all__:
        assert getattr(minibert, name).__module__.startswith("minibert.")


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no 'BertModle'; it has .*BertModel"):
        _ = minibert.BertModle


def test_the_one_error_is_a_value_error():
    assert issubclass(minibert.MiniBertError, ValueError)
