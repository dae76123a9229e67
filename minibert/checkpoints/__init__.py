"""Read and write weights: files to named tensors and back."""
