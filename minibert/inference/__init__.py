"""Answer questions with a saved model folder."""
