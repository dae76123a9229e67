"""Read TensorFlow checkpoints (Google's BERT releases) without TensorFlow."""
