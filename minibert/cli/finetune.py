"""Fine-tune BERT to classify texts: runs examples/finetune_cls.py as a command."""

import argparse
import runpy

from minibert.files import bundled

SCRIPT = "examples/finetune_cls.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the script, and describe the command as the script describes itself."""
    script = runpy.run_path(str(bundled(SCRIPT)))
    parser.description = script["__doc__"].replace(f"python {SCRIPT}", "minibert finetune")
    script["add_arguments"](parser)
    parser.set_defaults(main=script["main"])


def run(options: argparse.Namespace) -> None:
    """Call the main function of the script."""
    options.main(options)
