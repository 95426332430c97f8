"""Tables and figures as Markdown."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(values: Sequence[float]) -> str:
    """Format fractions as percent: mean, standard deviation, number."""
    mean = 100 * sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.2f} (n = 1)"
    sd = 100 * (sum((v - mean / 100) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    return f"{mean:.2f} ± {sd:.2f} (n = {len(values)})"
