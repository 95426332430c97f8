"""Pairs made at random, new ones with each commit: faithful ones are quiet, faults are found.

A seed that fails is tried again by `python -m tests.port_audit.generator --first SEED --pairs 1`.
"""

import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from tests.port_audit import generated_faults, generated_pairs, generator  # noqa: E402
from tests.port_audit.generated_layers import Part  # noqa: E402
from tests.shares import counted, dealt  # noqa: E402

# Others with each commit, so that whoever repeats a run meets the same pairs.
NEW = 100 * counted(Path(__file__).parent)[0]
seeds = pytest.mark.parametrize("seed", dealt(range(NEW, NEW + 20), [NEW]))


@seeds
def test_a_faithful_pair_is_quiet_and_the_witness_sees_it(seed):
    pair = generated_pairs.of_seed(seed)
    report = generator.audited(pair)
    assert not report.findings, (pair, report.findings)
    assert report.stages[-1].name == "witness" and report.stages[-1].ran, report.stages[-1]


@seeds
def test_a_planted_fault_is_found(seed):
    pair = generated_pairs.of_seed(seed)
    faulty, right = generated_faults.planted(random.Random(-seed - 1).choice, pair)
    found = generator.outcome(faulty, generator.audited(faulty), right, pair)
    assert found.word != "silent", faulty


PLAIN = {"optimizer": "sgd", "rate": 0.1, "momentum": 0.0, "nesterov": False, "decay": 0.0}
PLAIN |= {"loss": "classes", "schedule": None, "clip": None, "limit": None, "batch_size": 32}
NORM = Part("batch norm", {"epsilon": 1e-5, "momentum": 0.1, "affine": True})
# What the generator found: faithful, and once accused.
ACCUSED = {
    "a batch norm of flattened maps": ("images", (Part("flatten"), NORM)),
    "a batch norm of values far from zero": (
        "rows",
        (Part("activation", {"name": "sigmoid"}), Part("activation", {"name": "sigmoid"}), NORM),
    ),
    "an activation of flattened maps without a layer before": (
        "images",
        (Part("flatten"), Part("activation", {"name": "tanh"})),
    ),
    "a norm and an activation of flattened maps": (
        "images",
        (
            Part("flatten"),
            NORM,
            Part("layer norm", {"epsilon": 1e-5}),
            Part("activation", {"name": "mish"}),
        ),
    ),
    "residuals around flattened maps": (
        "images",
        (Part("flatten"), Part("block", {"hidden": 8}), NORM, Part("block", {"hidden": 12})),
    ),
}


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", dealt(ACCUSED, ["residuals around flattened maps"]))
def test_what_was_once_accused_is_quiet(name):
    family, parts = ACCUSED[name]
    report = generator.audited(generated_pairs.Made(0, family, parts, PLAIN))
    assert not report.findings, report.findings


def test_pairs_are_of_many_kinds():
    pairs = [generated_pairs.of_seed(seed) for seed in range(400)]
    kinds = {part.kind for pair in pairs for part in pair.parts}
    assert len(kinds) >= 18, kinds
    assert {pair.training["optimizer"] for pair in pairs} == set(generated_pairs.PLAIN)
    assert {1, 7} <= {len(pair.parts) for pair in pairs}
    draws = [random.Random(seed).choice for seed in range(400)]
    names = {generated_faults.planted(draw, pair)[0].fault for draw, pair in zip(draws, pairs)}
    assert len(names) >= 60, sorted(names)


@pytest.mark.long(only=True)
def test_an_effect_is_measured_by_training_alone():
    pair = generated_pairs.of_seed(1)
    assert generator.effect(pair, pair) == 0
    planted = list(generated_faults.possible(random.Random(0).choice, pair))
    changed = next(pair for name, pair, _ in planted if name == "rate")
    assert generator.effect(changed, pair) > generator.SMALL


def test_a_summary_counts_what_was_found():
    lines = [
        {"alarms": "", "outcome": "named", "seconds": "2"},
        {"alarms": "", "outcome": "located", "seconds": "4"},
        {"alarms": "x", "outcome": "no effect", "seconds": "3"},
    ]
    text = generator.summary(lines)
    assert text.startswith("3 pairs: 1 faithful ones accused") and "50% of 2" in text
