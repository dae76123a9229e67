"""Train a model: the loop, the optimizer, checkpoints and resume."""
