"""Turn raw text into a tokenized corpus on disk."""
