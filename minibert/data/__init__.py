"""Turn files into batches."""
