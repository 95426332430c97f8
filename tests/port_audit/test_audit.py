"""Planted differences are named, each and together; faithful pairs raise no alarm.

Most are long: they are dealt out over the runs. Each faithful pair is tried with ten seeds.
"""

import re

import keras
import pytest

torch = pytest.importorskip("torch")
import port_audit  # noqa: E402
from tests.conftest import TASKS  # noqa: E402
from tests.port_audit import (  # noqa: E402
    blocks,
    faults,
    missed,
    plain_pairs,
    recipe_pairs,
    shaped_pairs,
    strangers,
    usual_pairs,
)
from tests.port_audit import parts as parts_module  # noqa: E402
from tests.shares import dealt  # noqa: E402

PLANTED = {**faults.SINGLE, **faults.SEVERAL}
FAITHFUL = {
    name: function
    for module in (plain_pairs, shaped_pairs, usual_pairs)
    for name, function in vars(module).items()
    if getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
    if not isinstance(function, type)
}
SHORT_PLANTED = (
    "activation, dropout, decay",
    "softmax twice and clipping",
    "eval forgotten, mean of batches",
)
SHORT_FAITHFUL = ("cnn",)


def audited(pair, seed, **options):
    """Return the report on a pair that is made from a seed."""
    torch.manual_seed(seed)
    keras.utils.set_random_seed(seed)
    return port_audit.compare(*pair(seed, **options))


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", dealt(missed.MISSED, missed.SHORT))
def test_what_was_missed_is_named_and_nothing_else(name):
    pair, options, causes = missed.MISSED[name]
    report = audited(pair, 0, **options)
    assert set(report.causes) == causes, report.findings
    assert report.exit_code == 3


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", dealt(missed.ACCUSED, missed.SHORT_ACCUSED))
def test_what_was_accused_is_quiet(name):
    pair, options = missed.ACCUSED[name]
    report = audited(pair, 0, **options)
    assert report.exit_code == 0, [*report.findings, *map(str, report.not_compared)]


@pytest.mark.parametrize("name", dealt(missed.LEFT_OUT, ["own train_step"]))
def test_what_no_stage_measures_is_left_out_by_name(name):
    pair, left = missed.LEFT_OUT[name]
    report = audited(pair, 0)
    assert report.exit_code == 4, report.findings
    assert left <= set(map(str, report.not_compared))


@pytest.mark.parametrize("name", dealt(strangers.MISSED, strangers.SHORT))
def test_what_strangers_found_missing_is_named_and_nothing_else(name):
    pair, options, causes = strangers.MISSED[name]
    report = audited(pair, 0, **options)
    assert set(report.causes) == causes and report.exit_code == 3, report.findings


@pytest.mark.parametrize("name", dealt(strangers.ACCUSED, strangers.SHORT_ACCUSED))
def test_what_strangers_found_accused_is_quiet(name):
    pair, options = strangers.ACCUSED[name]
    report = audited(pair, 0, **options)
    assert report.exit_code == 0, [*report.findings, *map(str, report.not_compared)]


@pytest.mark.parametrize("name", dealt(strangers.LEFT_OUT, strangers.SHORT_LEFT_OUT))
def test_what_strangers_found_unmeasured_is_left_out_by_name(name):
    pair, options, left = strangers.LEFT_OUT[name]
    report = audited(pair, 0, **options)
    assert report.exit_code == 4, report.findings
    assert left <= set(map(str, report.not_compared))


@pytest.mark.parametrize("name", dealt(blocks.FAITHFUL, ["bare parameters"]))
def test_a_faithful_pair_with_layers_of_no_known_kind_is_quiet(name):
    report = audited(blocks.FAITHFUL[name], 0)
    assert report.exit_code == 0, [*report.findings, *map(str, report.not_compared)]


@pytest.mark.parametrize("name", dealt(blocks.DIFFERENT, ["weight norm by a hook"]))
def test_a_layer_of_no_known_kind_stops_nothing(name):
    pair, causes = blocks.DIFFERENT[name]
    report = audited(pair, 0)
    assert causes <= set(report.causes), report.findings
    assert not any("could not be compared" in finding.cause for finding in report.findings)


def expected(name):
    """Return the causes that a planted difference has on this backend."""
    causes = PLANTED[name][2]
    if keras.backend.backend() == "tensorflow":
        return causes - {"softmax twice"}  # no difference: Keras skips the first there
    return causes


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", dealt(PLANTED, SHORT_PLANTED))
def test_what_is_planted_is_named_and_nothing_else(name):
    pair, options, _ = PLANTED[name]
    report = audited(pair, 0, **options)
    assert set(report.causes) == expected(name), report.findings
    assert all(finding.write for finding in report.findings)


@pytest.mark.long(only=True)
@pytest.mark.parametrize("seed", dealt(range(10), [0]))
@pytest.mark.parametrize("name", dealt(FAITHFUL, SHORT_FAITHFUL))
def test_a_faithful_pair_raises_no_alarm(name, seed):
    report = audited(FAITHFUL[name], seed)
    assert report.same, report.findings
    assert all(step.written <= step.tolerance for step in report.path)


def test_what_is_planted_is_planted_in_faithful_pairs_and_each_cause_without_others():
    """So a cause that is named is the planted one, and none is known only beside another."""
    for pair, options, causes in PLANTED.values():
        assert pair in FAITHFUL.values() and options and causes
    alone, together = (
        {cause for _, _, causes in planted.values() for cause in causes}
        for planted in (faults.SINGLE, faults.SEVERAL)
    )
    assert together <= alone
    for _, _, causes in faults.SEVERAL.values():
        assert len(causes) > 1


RECIPES = {f"{task.name}-{name}": (task, name) for task in TASKS for name in task.recipes}


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", dealt(RECIPES, ["fashion-lab4-ffv1-32-0.1"]))
def test_the_twin_of_a_recipe_and_its_port_are_the_same(name, full):
    task, name = RECIPES[name]
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    train, _ = full[task.name]
    system = task.system(task.recipes[name].system)
    report = port_audit.compare(*recipe_pairs.sides(system), train.x[:5000], train.y[:5000])
    assert not report.findings
    # What both sides draw at random is not compared, and said to be so.
    named = {re.sub(r"_\d+$", "", entry.path.split(".")[1]) for entry in report.not_compared}
    assert named <= {"random_translation", "shift", "random_flip", "flip"}
    assert report.same == (not report.not_compared)
    assert all(stage.ran for stage in report.stages)


def test_what_cannot_be_explained_is_said_to_be_so():
    """A layer of the user's between two others, of which the audit knows nothing."""
    odd = keras.layers.Lambda(lambda x: x + keras.ops.sin(x))
    parts = [parts_module.dense(16, 20, "relu"), odd]
    report = audited(plain_pairs.mlp, 0, hidden=lambda: parts)
    first = report.findings[0]
    assert first.name == "unexplained" and first.write is None
    assert first.size > first.tolerance
