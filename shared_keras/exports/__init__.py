"""Trained models in the formats of other runtimes, and as a page for a browser."""
