"""Compute slowly and readably what the tests and the lessons compare with."""
