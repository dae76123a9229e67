"""Turn labelled files into batches for fine-tuning."""
