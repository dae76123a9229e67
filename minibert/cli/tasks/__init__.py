"""The answers of models for tasks other than classification: one module per task."""
