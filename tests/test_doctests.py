"""What you can rely on: every example in a docstring runs and prints what stands there."""

import doctest
import importlib

import numpy as np
import pytest
import torch
from test_layout import MODULES, ROOT

import minibert

# The names that examples use without importing them.
NAMES = {"minibert": minibert, "torch": torch, "np": np}
NAMES |= {name: getattr(minibert, name) for name in minibert.__all__}
NAMES["tokenizer"] = minibert.BertTokenizer.from_pretrained(ROOT / "weights" / "tiny")
WITH_EXAMPLES = [p for p in MODULES if ">>> " in p.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_examples_run(path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    torch.manual_seed(0)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, extraglobs=NAMES, optionflags=options)
    assert tried > 0
    assert failed == 0, "the output above shows the differences"
