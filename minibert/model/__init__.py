"""Turn token ids into model outputs."""
