"""What `retrain` does: choose what to train, run it here or on workers, show how it ended."""
