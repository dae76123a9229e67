"""Turn a corpus into masked batches for pretraining."""
