"""Numbers and their nouns in sentences."""

from collections.abc import Sequence


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 epoch", "2 epochs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def span(numbers: Sequence[int], noun: str) -> str:
    """Return the least and the most of some numbers with their noun: "2 to 9 epochs"."""
    low, high = min(numbers), max(numbers)
    return ("" if low == high else f"{low} to ") + count(high, noun)
