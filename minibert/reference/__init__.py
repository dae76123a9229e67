"""Implement BERT slowly and readably, for the lessons and as a reference in the tests."""
