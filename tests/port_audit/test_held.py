"""What a stranger's functions keep from call to call, and what an audit makes of it."""

import functools

import keras
import pytest

torch = pytest.importorskip("torch")
from port_audit.nets.held import Held  # noqa: E402
from tests.port_audit import plain_pairs  # noqa: E402
from tests.port_audit.parts import CROSS_ENTROPY, sgd  # noqa: E402
from tests.port_audit.test_audit import audited  # noqa: E402

count, record = 0, []


def of_a_global(*args):
    global count
    count += 1
    return count


def of_a_list(*args):
    record.append(len(record))
    return len(record)


def of_an_attribute(*args):
    of_an_attribute.calls += 1
    return of_an_attribute.calls


of_an_attribute.calls = 0


def in_a_closure():
    calls = 0

    def step(*args):
        nonlocal calls
        calls += 1
        return calls

    return step


class Object:
    def __init__(self):
        self.calls = {"all": 0}

    def __call__(self, *args):
        self.calls["all"] += 1
        return self.calls["all"]


KEEPING = {
    "global": of_a_global,
    "list": of_a_list,
    "attribute": of_an_attribute,
    "closure": in_a_closure(),
    "object": Object(),
    "method": Object().__call__,
    "partial": functools.partial(in_a_closure(), 1),
    "another function": lambda own=None, inner=None: of_a_global(),
}


@pytest.mark.parametrize("name", KEEPING)
def test_it_is_found_and_put_back(name):
    function = KEEPING[name]
    held = Held({"step": function})
    first = function()
    once = held.values()
    assert held.counting(once) and not held.counting(held.start)
    second = function()
    held.restore(once)
    assert function() == second
    held.restore(held.start)
    assert function() == first
    with held.kept():
        function()
    assert held.values() == once


def test_a_record_of_losses_is_no_counter():
    losses, last = [], 0.0

    def step():
        nonlocal last
        last = last + 0.5
        losses.append(last)

    held = Held({"step": step, "none": None})
    step()
    assert held.values() != held.start and not held.counting(held.values())


def accumulating():
    """Return a step that takes two batches, as it counts."""
    batches = 0

    def step(model, batch, optimizer):
        nonlocal batches
        inputs, y = batch
        loss = CROSS_ENTROPY(model(inputs), y)
        (loss / 2).backward()
        batches += 1
        if batches % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return step


class Pulled(torch.optim.SGD):
    """It does more once it has taken many steps."""

    taken = 0

    def step(self, closure=None):
        super().step(closure)
        self.taken += 1
        if self.taken > 500:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.data.mul_(0.5)


LATE = {
    "a counter of a loop": {"train_step": accumulating()},
    "an optimizer": {"optimizer": lambda parameters: Pulled(parameters, 0.1)},
}


@pytest.mark.parametrize(
    "name", ["a counter of a loop", pytest.param("an optimizer", marks=pytest.mark.long)]
)
def test_what_may_act_late_is_not_compared_by_name(name):
    """The loop is also run for both of the witness's originals, each with a count of its own."""
    loop = name == "a counter of a loop"
    options = {"gradient_accumulation_steps": 2} if loop else {}
    theirs = {"optimizer": sgd} | LATE[name]
    report = audited(
        plain_pairs.mlp, 0, theirs=theirs, optimizer=lambda: keras.optimizers.SGD(0.1, **options)
    )
    (entry,) = report.not_compared
    assert not report.findings and report.exit_code == 4
    assert entry.path == ("train_step.batches" if loop else "optimizer")
