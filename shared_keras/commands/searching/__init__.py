"""What `search` does: start or resume a search, confirm its best trials, show how it ended."""
