"""Planted differences are named, each and together; faithful pairs raise no alarm.

WAYS=all plants all of them, and tries each faithful pair with ten seeds.
"""

import os

import keras
import pytest

torch = pytest.importorskip("torch")
from shared_keras.pytorch import audit  # noqa: E402
from tests.pytorch.audit import faults, plain_pairs, shaped_pairs, usual_pairs  # noqa: E402

LONG = os.environ.get("WAYS") == "all"
PLANTED = {**faults.SINGLE, **faults.SEVERAL}
FAITHFUL = {
    name: function
    for module in (plain_pairs, shaped_pairs, usual_pairs)
    for name, function in vars(module).items()
    if getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
    if not isinstance(function, type)
}
SHORT_PLANTED = (
    "same with a stride",
    "activation, dropout, decay",
    "softmax twice and clipping",
    "eval forgotten, mean of batches",
)
SHORT_FAITHFUL = ("residual", "cnn")


def audited(pair, seed, **options):
    """Return the report on a pair that is made from a seed."""
    torch.manual_seed(seed)
    keras.utils.set_random_seed(seed)
    return audit.compare(*pair(seed, **options))


@pytest.mark.parametrize("name", PLANTED if LONG else SHORT_PLANTED)
def test_what_is_planted_is_named_and_nothing_else(name):
    pair, options, causes = PLANTED[name]
    report = audited(pair, 0, **options)
    assert set(report.causes) == causes, report.findings
    assert all(finding.write for finding in report.findings)


@pytest.mark.parametrize("seed", range(10 if LONG else 1))
@pytest.mark.parametrize("name", FAITHFUL if LONG else SHORT_FAITHFUL)
def test_a_faithful_pair_raises_no_alarm(name, seed):
    report = audited(FAITHFUL[name], seed)
    assert report.same, report.findings
    assert all(step.written <= step.tolerance for step in report.path)


def test_there_are_as_many_as_promised():
    assert len(PLANTED) >= 40 and len(FAITHFUL) >= 20
    assert len({pair for pair, _, _ in PLANTED.values()}) >= 10
