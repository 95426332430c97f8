"""Guesses at causes, which stages prove or drop."""
