"""Verdicts on made scores with known answers."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shared_keras.comparisons import ladder_rows, verdicts
from shared_keras.comparisons.verdicts import DIFFERENT, EQUAL, UNDECIDED
from shared_keras.results.run_folders import Run
from shared_keras.systems.recipe import Recipe
from tests.conftest import MNIST
from tests.results import made

AROUND = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])  # sd 0.79


def scores(mean, spread, n=5):
    return mean + spread * np.resize(AROUND, n)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (scores(0.9, 0.001), scores(0.9, 0.001), EQUAL),
        (scores(0.903, 0.0005), scores(0.9, 0.0005), EQUAL),  # apart, but by less than matters
        (scores(0.91, 0.002), scores(0.9, 0.002), DIFFERENT),
        (scores(0.89, 0.002), scores(0.9, 0.002), DIFFERENT),
        (scores(0.9, 0.01), scores(0.9, 0.01), UNDECIDED),
        (scores(0.9, 0.01, 100), scores(0.9, 0.01, 100), EQUAL),  # more seeds decide it
        ([0.9, 0.9], [0.9, 0.9], EQUAL),
        ([0.9, 0.9], [0.8, 0.8], DIFFERENT),
    ],
)
def test_verdicts(first, second, expected):
    both = verdicts.difference(first, second), verdicts.difference(second, first)
    assert verdicts.decide(both[:1]) == [expected] == verdicts.decide(both[1:])
    assert both[0].low <= np.mean(first) - np.mean(second) <= both[0].high
    assert (both[0].n, both[0].m) == (len(first), len(second))


def test_the_interval_is_welchs():
    """Against its formula, for the first two rows of Lab 4 that were tried."""
    a, b = scores(0.8803, 0.0028), scores(0.8768, 0.0064)
    found = verdicts.difference(a, b)
    parts = [np.var(each, ddof=1) / 5 for each in (a, b)]
    freedom = sum(parts) ** 2 / sum(part**2 / 4 for part in parts)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert (found.low, found.high) == pytest.approx((0.0035 - half, 0.0035 + half))
    assert (found.p_different < 0.05) == (found.low > 0 or found.high < 0)
    # Two one-sided tests at 5 % pass where the 90 % interval lies within the margin.
    narrow = stats.t.ppf(0.95, freedom) * math.sqrt(sum(parts))
    assert (found.p_equal < 0.05) == (abs(found.difference) + narrow < verdicts.MARGIN)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm(p_values):
    """Against the definition: the k-th smallest times the number left, never decreasing."""
    expected, last = {}, 0.0
    for k, (p, i) in enumerate(sorted((p, i) for i, p in enumerate(p_values))):
        last = max(last, min(1.0, p * (len(p_values) - k)))
        expected[i] = last
    assert verdicts.holm(p_values) == pytest.approx([expected[i] for i in range(len(p_values))])


def test_many_rows_make_a_verdict_harder():
    close = verdicts.difference(scores(0.905, 0.004), scores(0.9, 0.004))
    assert 0.01 < close.p_different < 0.05
    assert verdicts.decide([close]) == [DIFFERENT]
    undecided = verdicts.difference(scores(0.9, 0.01), scores(0.9, 0.01))
    assert verdicts.decide([close] + 9 * [undecided]) == 10 * [UNDECIDED]


@pytest.mark.parametrize(("gap", "spread"), [(0.0, 0.01), (0.002, 0.006), (0.01, 0.02)])
def test_as_many_more_seeds_as_promised_decide(gap, spread):
    a, b = scores(0.9 + gap, spread), scores(0.9, spread)
    n = verdicts.more_seeds(a, b)
    sd = np.std(a, ddof=1)

    def decided(n):
        return verdicts.verdict(*verdicts.p_values(0.9 + gap, sd, n, 0.9, sd, n)) != UNDECIDED

    assert n > 5 and decided(n) and not decided(n - 1)


def test_no_number_of_seeds_decides_at_the_margin():
    a, b = scores(0.9 + verdicts.MARGIN, 0.3), scores(0.9, 0.3)
    assert verdicts.more_seeds(a, b) is None


def test_a_published_score_has_the_noise_of_seeds_and_images():
    ours = scores(0.9, 0.002)
    seeds, images = np.var(ours, ddof=1) * 1.2, 0.9 * 0.1 / 4000
    noise = math.sqrt(seeds + images)
    freedom = (seeds + images) ** 2 * 4 / seeds**2
    p = verdicts.published(0.9123, ours, 4000)
    assert p == pytest.approx(2 * stats.t.sf((0.0123 - 0.00005) / noise, freedom))
    assert verdicts.published(0.9123, ours, 4000) > verdicts.published(0.9123, ours, 10**9)
    assert verdicts.published(0.9001, ours, 4000) > 0.9


def test_a_published_score_stands_for_all_that_round_to_it():
    ours = scores(0.3466, 0.0011)
    assert verdicts.published(0.35, ours, None) == 1.0
    assert verdicts.published(0.3501, ours, None) < 0.1
    assert verdicts.published(0.36, ours, None) < 0.01


def task_with(**recipes):
    return MNIST.__class__(**(MNIST.__dict__ | {"recipes": recipes}))


def runs(accuracies):
    return [
        Run(Path(), made.run_settings(), made.metrics(a, 1 - a, 5000), {"loss": [1 - a]})
        for a in accuracies
    ]


def test_rows_of_the_ladder_are_judged():
    base = {"system": None, "epochs": 1, "batch_size": 1, "source": "made"}
    task = task_with(
        equal=Recipe(**base, published={"test_accuracy": 0.9}),
        different=Recipe(**base, published={"test_accuracy": 0.95}),
        known=Recipe(
            **base, published={"test_accuracy": 0.95}, explained={"test_accuracy": "a reason"}
        ),
        validation=Recipe(**base, published={"val_accuracy": 0.9}),
        fails=Recipe(**base, fails=True),
        single=Recipe(**base),
    )
    close, wide = scores(0.9, 0.001), scores(0.92, 0.001)
    found = {
        ("equal", "ours"): runs(close),
        ("equal", "twin"): runs(close),
        ("different", "ours"): runs(close),
        ("different", "twin"): runs(wide),
        ("known", "ours"): runs(close),
        ("validation", "ours"): runs(close),
        ("validation", "twin"): runs(close),
        ("fails", "ours"): runs([0.1, 0.4]),
        ("fails", "twin"): runs([0.1, 0.2]),
        ("single", "ours"): runs(close),
        ("single", "twin"): runs([0.9]),
    }
    rows = {(row["recipe"], row["score"]): row for row in ladder_rows.rows(task, found)}
    verdict = {key: row["verdict"] for key, row in rows.items() if row["verdict"]}
    assert verdict == {
        ("equal", "test_accuracy"): EQUAL,
        ("different", "test_accuracy"): DIFFERENT,
        ("validation", "val_accuracy"): EQUAL,
    }
    assert rows["different", "test_accuracy"]["difference"] == pytest.approx(-0.02)
    counted = ladder_rows.counted(rows.values())
    assert counted == {
        ladder_rows.WITHIN: ["equal", "validation"],
        ladder_rows.EXPLAINED: ["known"],
        ladder_rows.OPEN: ["different"],
    }


def test_the_order_of_the_seeds_does_not_matter_to_the_last_digit():
    random = np.random.default_rng(0)
    one, other = random.normal(0.87, 0.01, 20), random.normal(0.87, 0.01, 20)
    found = {
        verdicts.difference(random.permutation(one), random.permutation(other)) for _ in range(50)
    }
    assert len(found) == 1
