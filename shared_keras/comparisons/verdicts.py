"""Equal, different or undecided: what the scores of several seeds say.

Two questions are answered. Are two ways of training, such as the port and its twin, equal? And
does a published score, which is a single run, lie within the noise of ours?
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from scipy import stats

MARGIN = 0.005  # accuracies closer than half a point are called equal
LEVEL = 0.95
EQUAL, DIFFERENT, UNDECIDED = "equal", "different", "undecided"
MOST_SEEDS = 1000  # more than anybody trains


class Difference(NamedTuple):
    """The difference of two means, over n and m seeds.

    Attributes:
        difference: The first mean minus the second.
        low: Lower end of its 95 % interval (Welch).
        high: Upper end.
        p_equal: Of the two one-sided tests that it lies within the margin; small means it does.
        p_different: Of Welch's test that it is not zero.
    """

    difference: float
    low: float
    high: float
    n: int
    m: int
    p_equal: float
    p_different: float


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compare the scores of two groups of seeds, at least two each, as fractions of one."""
    # Sorted, so that the last digit does not hang on the order in which runs are found.
    a, b = np.sort(np.asarray(first, float)), np.sort(np.asarray(second, float))
    apart = float(a.mean() - b.mean())
    sizes = (len(a), len(b))
    if np.ptp(a) == np.ptp(b) == 0:  # nothing varies: the difference is exact
        certain = float(abs(apart) >= MARGIN), float(apart == 0)
        return Difference(apart, apart, apart, *sizes, *certain)
    welch = stats.ttest_ind(a, b, equal_var=False)
    ends = welch.confidence_interval(LEVEL)
    return Difference(
        apart,
        float(ends.low),
        float(ends.high),
        *sizes,
        *p_values(a.mean(), a.std(ddof=1), len(a), b.mean(), b.std(ddof=1), len(b)),
    )


def p_values(
    mean: float, sd: float, n: int, other_mean: float, other_sd: float, m: int
) -> tuple[float, float]:
    """Return the p-values of equality (two one-sided tests) and of difference (Welch)."""

    def p(shift: float, alternative: str) -> float:
        return stats.ttest_ind_from_stats(
            mean + shift, sd, n, other_mean, other_sd, m, equal_var=False, alternative=alternative
        ).pvalue

    return float(max(p(MARGIN, "greater"), p(-MARGIN, "less"))), float(p(0.0, "two-sided"))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that hold for all of several tests together (Holm)."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else steps
    return adjusted.tolist()


def interval(mean: float, sd: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of n seeds (Student)."""
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / math.sqrt(n)
    return mean - half, mean + half


def decide(differences: Sequence[Difference]) -> list[str]:
    """Return the verdict on each of several differences, which hold for all of them together."""
    equal = holm([each.p_equal for each in differences])
    different = holm([each.p_different for each in differences])
    return [verdict(*both) for both in zip(equal, different)]


def verdict(p_equal: float, p_different: float) -> str:
    """Return "equal", or else "different", or else "undecided"."""
    if p_equal < 1 - LEVEL:
        return EQUAL
    return DIFFERENT if p_different < 1 - LEVEL else UNDECIDED


def more_seeds(first: Sequence[float], second: Sequence[float]) -> int | None:
    """Return how many seeds each group would have to have to decide between them.

    It is the number that would do if means and standard deviations stayed as they are; None if
    `MOST_SEEDS` would not.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    measured = (a.mean(), a.std(ddof=1), b.mean(), b.std(ddof=1))

    def decided(n: int) -> bool:
        mean, sd, other, its = measured
        return verdict(*p_values(mean, sd, n, other, its, n)) != UNDECIDED

    start = max(len(a), len(b)) + 1
    return next((n for n in range(start, MOST_SEEDS + 1) if decided(n)), None)


def published(value: float, ours: Sequence[float], images: int | None) -> float:
    """Return the p-value of a published score, if it were one more run of ours.

    Its noise is that of the seeds, and that of its images (binomial) for an accuracy. The published
    value stands for all that round to it.

    Args:
        value: The published score.
        ours: Ours, of at least two seeds.
        images: The number of images behind an accuracy; None for a loss.
    """
    n, mean = len(ours), float(np.mean(ours))
    seeds = float(np.var(ours, ddof=1)) * (1 + 1 / n)
    drawn = mean * (1 - mean) / images if images else 0.0
    half = 0.5 * 10.0 ** int(Decimal(repr(value)).as_tuple().exponent)
    apart = max(abs(value - mean) - half, 0.0)
    if seeds + drawn == 0:
        return float(apart == 0)
    freedom = (seeds + drawn) ** 2 * (n - 1) / seeds**2 if seeds else math.inf
    return float(2 * stats.t.sf(apart / math.sqrt(seeds + drawn), freedom))
