"""Compute metrics and the baselines they are compared with."""
