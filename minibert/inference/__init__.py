"""Predict with a saved folder: classify texts, fill in masked words, embed sentences."""
