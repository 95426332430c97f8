"""What tells whether a search is the one that was started under its name."""
