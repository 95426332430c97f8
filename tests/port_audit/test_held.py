"""What a stranger's functions keep from call to call, and what an audit makes of it."""

import contextlib
import functools
import itertools
import logging
from collections import deque

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


class Shared:
    calls = 0


def of_a_class(*args):
    Shared.calls += 1
    return Shared.calls


def made_late(*args):
    made_late.calls = getattr(made_late, "calls", 0) + 1
    return made_late.calls


class MadeLate:
    def __call__(self, *args):
        self.calls = getattr(self, "calls", 0) + 1
        return self.calls


class Derived(MadeLate):
    pass


class Default:
    calls = 0

    def __call__(self, *args):
        self.calls += 1
        return self.calls


class Slots:
    __slots__ = ("calls",)

    def __init__(self):
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        return self.calls


class Loss(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self._calls = 0

    def forward(self, *args):
        self._calls += 1
        return self._calls


numbers, latest, tensor = itertools.count(), deque([0]), torch.zeros(2, dtype=torch.int64)


def of_a_counter(*args):
    return next(numbers)


def of_a_deque(*args):
    latest.append(latest[-1] + 1)
    return latest[-1]


def of_a_tensor(*args):
    tensor.add_(1)
    return int(tensor[0])


KEEPING = {
    "global": of_a_global,
    "list": of_a_list,
    "attribute": of_an_attribute,
    "closure": in_a_closure(),
    "object": Object(),
    "method": Object().__call__,
    "partial": functools.partial(in_a_closure(), 1),
    "class": of_a_class,
    "counter": of_a_counter,
    "deque": of_a_deque,
    "tensor": of_a_tensor,
    "slots": Slots(),
    "module": Loss(),
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
    assert str(held.values()) == str(once)


@pytest.mark.parametrize("function", [made_late, MadeLate(), Derived(), Default()])
def test_what_is_made_late_is_found_and_taken_away_again(function):
    held, other = Held({"step": function}), Held({"step": function})
    assert function() == 1
    once = held.values()
    assert function() == 2 and held.counting(held.values())
    held.restore(held.start)
    assert function() == 1
    held.restore(once)
    assert function() == 2
    other.restore(other.start)  # of another original, which has made nothing yet
    assert function() == 1
    held.restore(held.start)


weights = torch.ones(3, requires_grad=True)


def strange():
    """Return functions that keep what cannot simply be copied or compared, and are no counters."""
    losses, averages, cyclic, gone = [], {}, [], 1
    cyclic.append(cyclic)
    log = logging.getLogger("of an audit")

    def of_a_graph():
        losses.append((2 * weights).sum())

    def of_tensors():
        averages["w"] = 0.9 * averages.get("w", 0) + 0.1 * weights.detach()

    def of_a_cycle():
        return len(cyclic)

    def of_a_log():
        log.info("a step")

    def deleting():
        nonlocal gone
        with contextlib.suppress(NameError):
            del gone

    return [of_a_graph, of_tensors, of_a_cycle, of_a_log, deleting]


@pytest.mark.parametrize("index", range(5))
def test_what_cannot_be_copied_or_compared_stops_nothing(index):
    function = strange()[index]
    held = Held({"step": function})
    state = held.start
    for _ in range(3):
        held.restore(state)
        function()
        state = held.values()
    assert bool(held.counting(state)) == (function.__name__ == "deleting")
    held.restore(held.start)


def test_an_original_goes_on_with_averages_of_its_own():
    averages = {}

    def step():
        averages.setdefault("w", torch.zeros(1)).add_(1)
        return float(averages["w"])

    held = Held({"step": step})
    step()
    once = held.values()
    held.restore(held.start)
    assert step() == 1.0
    held.restore(once)
    assert step() == 2.0 and float(once["step.averages"]["w"]) == 1.0


def test_a_function_of_no_module_is_looked_at():
    names = {"calls": 0}
    exec("def step():\n    global calls\n    calls += 1", names)
    held = Held({"step": names["step"]})
    names["step"]()
    assert held.counting(held.values()) == ["step.calls"]


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
