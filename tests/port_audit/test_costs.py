"""What an audit keeps in memory, and how much it measures, depends on what its model costs."""

import gc
import weakref
from dataclasses import replace

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from port_audit.costs import Cost  # noqa: E402
from port_audit.pair import Pair  # noqa: E402
from port_audit.stages.steps import places  # noqa: E402
from tests.port_audit import plain_pairs  # noqa: E402
from tests.port_audit.parts import dense  # noqa: E402
from tests.port_audit.test_audit import audited  # noqa: E402
from tests.shares import dealt  # noqa: E402

OPTIMIZERS = {
    "SGD": True,
    "Adam": True,
    "RMSprop": True,
    "Adagrad": True,
    "Adafactor": False,
    "Lamb": False,
}


def test_a_run_leaves_nothing_in_memory():
    pair = Pair(*plain_pairs.mlp(0))
    try:
        gc.disable()
        run = pair.force()
        matches = [weakref.ref(match) for match in run.matches]
        del run
        assert matches and not any(match() for match in matches)
    finally:
        gc.enable()
        pair.close()


def test_a_costly_model_gets_few_samples():
    cheap, dear = Cost(1e3, 1e2), Cost(1e9, 1e7)
    assert cheap.kept(5e9, 4, 32) == 32 and not cheap.large
    assert dear.kept(5e9, 4, 32) == 4 and dear.large
    assert dear.samples(5e10, 4, 1000) == 50


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_tried_whether_an_optimizer_treats_each_value_alone(name):
    assert places.each_alone(getattr(keras.optimizers, name)()) == OPTIMIZERS[name]


@pytest.fixture
def few(monkeypatch):
    """Let the steps look at few values of each weight, as for a large model."""
    monkeypatch.setattr(places, "ALL", 100)
    monkeypatch.setattr(places, "SOME", 100)
    monkeypatch.setattr(places, "LEAST", 16)


def excluded():
    """Return an optimizer whose decay leaves out the biases, which PyTorch's does not."""
    made = keras.optimizers.AdamW(1e-2, epsilon=1e-8, weight_decay=0.1)
    made.exclude_from_weight_decay(var_names=["bias"])
    return made


def adamw(parameters):
    """Return an optimizer of PyTorch that decays all weights."""
    return torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1)


@pytest.mark.long(only=True)
def test_some_values_of_each_weight_speak_for_all(few):
    assert audited(plain_pairs.mlp, 0).same
    report = audited(plain_pairs.mlp, 0, optimizer=excluded, theirs={"optimizer": adamw})
    assert set(report.causes) == {"epsilon place", "decay of biases"}, report.findings


def test_an_optimizer_that_looks_at_whole_weights_is_left_to_the_witness(few):
    report = audited(plain_pairs.mlp, 0, optimizer=lambda: keras.optimizers.Lamb(1e-3))
    notes = next(stage.notes for stage in report.stages if stage.name == "steps")
    assert any(note.startswith("the rule of Lamb is not compared") for note in notes), notes
    assert not report.same and report.stages[-1].findings


class Clips(keras.optimizers.SGD):
    """It scales the gradients of all weights together, so that some values do not show its rule."""

    def apply(self, grads, trainable_variables=None):
        norm = keras.ops.sqrt(sum(keras.ops.sum(keras.ops.square(g)) for g in grads))
        scale = keras.ops.minimum(1.0, 8.0 / norm)
        return super().apply([g * scale for g in grads], trainable_variables)


@pytest.mark.long(only=True)
def test_of_an_optimizer_of_ones_own_all_values_are_looked_at(few):
    theirs, ours, x, y = plain_pairs.mlp(0, optimizer=lambda: Clips(0.1))
    report = audited(lambda seed: (theirs, ours, 2.5 * x, y), 0)
    steps = next(stage for stage in report.stages if stage.name == "steps")
    assert steps.findings and "Clips" in steps.findings[0].cause, steps


class Still(keras.Model):
    """A model whose own step leaves the biases where they are."""

    def train_step(self, state, data):
        logs, new = super().train_step(state, data)
        moved = zip(self.trainable_variables, state[0], new[0], strict=True)
        kept = [old if variable.name == "bias" else now for variable, old, now in moved]
        return logs, (kept, *new[1:])


@pytest.mark.long(only=True)
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="a step in JAX's form")
def test_what_a_step_leaves_alone_does_not_follow_pytorch():
    """Run eagerly, JAX takes an array as it is; that of PyTorch's parameter moves."""

    def port():
        inputs = keras.Input((20,))
        model = Still(inputs, dense(4, 16)(dense(16, 20, "relu")(inputs)))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
        return model

    theirs, ours, x, y = plain_pairs.mlp(0)
    report = audited(lambda seed: (theirs, replace(ours, model=port), x, y), 0)
    assert report.exit_code == 3 and report.stages[-1].findings, report.stages[-1]


@pytest.mark.long(only=True)
def test_a_finished_model_keeps_its_weights_also_if_a_function_returns_it():
    theirs, ours, x, y = plain_pairs.mlp(0)
    model = ours.model()
    before = model.get_weights()
    audited(lambda seed: (theirs, replace(ours, model=lambda: model), x, y), 0)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


class Drops(torch.nn.Module):
    """A perceptron that drops by a draw of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(20, 16), torch.nn.Linear(16, 4)

    def forward(self, x):
        x = torch.relu(self.first(x))
        if self.training:
            x = x * (torch.rand_like(x) > 0.5) * 2
        return self.second(x)


@pytest.mark.parametrize("dropped", dealt([True, False], [True]))
def test_a_draw_in_forward_is_not_compared_by_name(dropped):
    layers = [dense(16, 20, "relu"), *([keras.layers.Dropout(0.5)] if dropped else [])]
    theirs, ours, x, y = plain_pairs.mlp(0, hidden=lambda: layers)
    report = audited(lambda seed: (replace(theirs, model=Drops), ours, x, y), 0)
    assert not report.findings, report.findings
    assert report.exit_code == 4
    named = [str(entry) for entry in report.not_compared]
    assert any("forward.training" in each and "torch.rand_like" in each for each in named), named


class Both(Drops):
    """It drops by a layer, and draws at random beside it."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        x = self.drop(torch.relu(self.first(x)))
        return self.second(x * (1 + 0.01 * torch.rand_like(x)) if self.training else x)


class Rarely(Drops):
    """It looks at a draw, and does something so seldom that a run does not show it."""

    def forward(self, x):
        x = torch.relu(self.first(x))
        if self.training and torch.rand(1).item() > 1:
            x = 0 * x
        return self.second(x)


@pytest.mark.long(only=True)
@pytest.mark.parametrize(("original", "rates"), [(Both, True), (Rarely, False)])
def test_what_a_draw_hides_is_not_compared_either(original, rates):
    layers = [dense(16, 20, "relu"), *([keras.layers.Dropout(0.1)] if rates else [])]
    theirs, ours, x, y = plain_pairs.mlp(0, hidden=lambda: layers)
    report = audited(lambda seed: (replace(theirs, model=original), ours, x, y), 0)
    assert report.exit_code == 4, report.findings
    named = [entry.path for entry in report.not_compared]
    assert "forward.training" in named and ("modules.drop.p" in named) == rates, named
    assert any(path.endswith(".rate") for path in named) == rates, named
