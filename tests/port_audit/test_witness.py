"""What only a training of both sides shows; and loops of the original's own."""

from dataclasses import replace

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import port_audit  # noqa: E402
from port_audit import KerasSide, TorchSide, witness  # noqa: E402
from port_audit.findings import Finding, Stage  # noqa: E402
from port_audit.pair import Pair  # noqa: E402
from port_audit.witness import plan as plans  # noqa: E402
from port_audit.witness.original import Original  # noqa: E402
from shared_keras.models.layers import BatchNorm  # noqa: E402
from shared_keras.models.optimizers import RMSprop  # noqa: E402
from tests.port_audit import missed, plain_pairs, shaped_pairs  # noqa: E402
from tests.port_audit.parts import (  # noqa: E402
    CROSS_ENTROPY,
    compiled,
    dense,
    rows,
    sequential,
    sgd,
)
from tests.shares import dealt  # noqa: E402


def seen(theirs, ours, x, y, stages=()):
    """Return what the witness says of a pair, and the pair; it is closed."""
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    pair = Pair(theirs, ours, x, y)
    try:
        return witness.watch(pair, stages, lambda other: True), pair
    finally:
        pair.close()


def mlp(**options):
    """Return a faithful perceptron, as a list of both sides and the data."""
    return list(plain_pairs.mlp(0, **options))


class Nudge(keras.callbacks.Callback):
    """Moves a bias a little after the second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            bias = self.model.layers[-1].bias
            bias.assign(bias + 1e-3)


class Halved(keras.Model):
    """A model whose own loss is half of what was compiled."""

    def compute_loss(self, *args, **kwargs):
        return 0.5 * super().compute_loss(*args, **kwargs)


def of_class(cls):
    """Return the perceptron as a model of a class."""
    theirs, ours, x, y = mlp()

    def port():
        inputs = keras.Input((20,))
        return compiled(cls(inputs, dense(4, 16)(dense(16, 20, "relu")(inputs))))

    return theirs, replace(ours, model=port), x, y


@pytest.mark.every_backend
def test_both_sides_of_a_faithful_pair_stay_together():
    stage, _ = seen(*mlp())
    assert stage.verdict == "same" and "float64" in stage.compared, stage
    assert "21 steps in 3 epochs" in stage.compared  # with the short last batch of 213 samples
    assert stage.size <= stage.tolerance < 1e-6


@pytest.mark.every_backend
@pytest.mark.parametrize("finished", [False, True])
def test_rounding_of_what_adam_divides_by_is_no_difference(finished):
    theirs, ours, x, y = mlp(**missed.SLOW_ADAM)
    stage, _ = seen(theirs, replace(ours, model=ours.model()) if finished else ours, x, y)
    assert stage.verdict == "same" and stage.compared.endswith(("float64", "float32")[finished])
    assert finished or stage.size < 1e-6


@pytest.mark.every_backend
def test_all_of_a_port_is_float64_where_keras_would_make_float32_of_it():
    def original():
        return nn.Sequential(nn.Linear(20, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 4))

    def port():
        norm = keras.layers.LayerNormalization(epsilon=1e-5)
        inner = [dense(16, 20), norm, keras.layers.ReLU(), dense(4, 16)]
        return sequential((20,), inner, keras.optimizers.SGD(0.1))

    def plain(parameters):
        return torch.optim.SGD(parameters, 0.1)

    x, y = rows(0)
    combined = keras.backend.result_type("float64", "float32")
    theirs = TorchSide(original, CROSS_ENTROPY, plain, batch_size=32)
    stage, _ = seen(theirs, KerasSide(port), x, y)
    exact = {"jax": 1e-12, "torch": 1e-12, "tensorflow": 1e-6}[keras.backend.backend()]
    assert stage.verdict == "same" and stage.size < exact, stage
    assert keras.backend.result_type("float64", "float32") == combined


@pytest.mark.every_backend
def test_an_optimizer_that_multiplies_a_weight_by_a_number_trains_in_float64():
    def original(parameters):
        return torch.optim.RMSprop(parameters, 1e-3, weight_decay=1e-2)

    stage, _ = seen(*mlp(optimizer=lambda: RMSprop(1e-3, l2=1e-2), theirs={"optimizer": original}))
    assert stage.verdict == "same" and stage.compared.endswith("float64"), stage


@pytest.mark.parametrize("seed", dealt(range(5), [1]))
def test_a_running_mean_that_is_zero_but_for_rounding_is_no_difference(seed):
    def original():
        norms = [nn.BatchNorm1d(16, affine=False) for _ in range(2)]
        return nn.Sequential(nn.Linear(20, 16), *norms, nn.Linear(16, 4))

    def port():
        norms = [BatchNorm(0.9, 1e-5, scale=False, center=False) for _ in range(2)]
        optimizer = keras.optimizers.SGD(1e-4)
        return sequential((20,), [dense(16, 20), *norms, dense(4, 16)], optimizer)

    def slow(parameters):
        return torch.optim.SGD(parameters, 1e-4)

    x, y = rows(seed)
    theirs = TorchSide(original, CROSS_ENTROPY, slow, batch_size=32)
    stage, _ = seen(theirs, KerasSide(port()), 10 + x, y)
    assert stage.verdict == "same" and stage.compared.endswith("float32"), stage


@pytest.mark.long(only=True)
def test_a_port_whose_causes_are_undone_trains_in_float64():
    report = port_audit.compare(*mlp(hidden=lambda: [dense(16, 20, "tanh")]))
    assert report.causes == ("activation",)
    assert report.stages[-1].verdict == "same" and "float64" in report.stages[-1].compared


def test_a_callback_that_moves_a_weight_is_found_where_it_does():
    theirs, ours, x, y = mlp()
    stage, _ = seen(theirs, replace(ours, callbacks=lambda: [Nudge()]), x, y)
    (finding,) = stage.findings
    assert finding.where == "training, epoch 3, step 1" and not finding.explained
    assert "schedules and callbacks" in finding.cause
    assert 1e-4 < finding.size < 1e-2 and finding.tolerance < 1e-5


@pytest.mark.every_backend
def test_an_own_loss_is_found_in_the_first_step():
    stage, _ = seen(*of_class(Halved))
    (finding,) = stage.findings
    assert finding.where == "training, epoch 1, step 1" and "first step" in finding.cause
    assert "the loss is" in finding.cause


def test_class_weights_are_those_of_fit():
    weights = {0: 1.0, 1: 2.0, 2: 1.0, 3: 1.0}
    stage, _ = seen(*mlp(ours={"class_weight": weights}))
    assert stage.findings[0].where == "training, epoch 1, step 1"


def test_a_rate_that_moves_late_is_seen():

    def scheduler(optimizer):
        return torch.optim.lr_scheduler.MultiStepLR(optimizer, [9], 0.5)

    def late(epoch):
        return 0.1 * 0.5 ** (epoch >= 10)

    callbacks = {"callbacks": lambda: [keras.callbacks.LearningRateScheduler(late)]}
    stage, _ = seen(*mlp(theirs={"scheduler": scheduler}, ours=callbacks))
    (finding,) = stage.findings
    assert finding.where == "training, epoch 10, step 1"
    assert "the rate is 0.1, PyTorch's 0.05" in finding.cause


class Kept(nn.Module):
    """A model that keeps its batch norm in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.one, self.norm, self.end = nn.Linear(20, 16), nn.BatchNorm1d(16), nn.Linear(16, 4)

    def forward(self, x):
        return self.end(self.norm(self.one(x)).relu())

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


def test_a_batch_norm_kept_in_evaluation_mode_is_found():
    from shared_keras.models.layers import BatchNorm

    def port():
        inputs = keras.Input((20,))
        x = keras.layers.ReLU()(BatchNorm()(dense(16, 20)(inputs)))
        return compiled(keras.Model(inputs, dense(4, 16)(x)))

    x, y = rows(0)
    stage, _ = seen(TorchSide(Kept, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y)
    assert stage.findings[0].where == "training, epoch 1, step 1"


def accumulating():
    """Return a step that updates every second time."""
    count = 0

    def train_step(model, batch, optimizer):
        nonlocal count
        x, y = batch
        loss = CROSS_ENTROPY(model(x), y)
        (loss / 2).backward()
        count += 1
        if count % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return train_step


def accumulated(steps):
    """Return the perceptron with gradients that Keras accumulates over steps."""
    sgd = lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps)  # noqa: E731
    theirs, ours, x, y = mlp(optimizer=sgd)
    return replace(theirs, loss=None), ours, x[:192], y[:192]


class Counting:
    """A step of the original's own, that counts for each model by itself."""

    def __init__(self):
        self.steps = {}

    def __call__(self, model, batch, optimizer):
        step = self.steps.setdefault(id(model), accumulating())
        return step(model, batch, optimizer)


@pytest.mark.parametrize(("steps", "same"), dealt([(2, True), (3, False)], [(2, True)]))
def test_an_original_brings_its_own_step(steps, same):
    theirs, ours, x, y = accumulated(steps)
    stage, _ = seen(replace(theirs, train_step=Counting()), ours, x, y)
    assert stage.ran and bool(stage.findings) != same, stage


def test_an_original_brings_its_own_epoch():
    """Weights are compared after each epoch then."""

    def train_epoch(model, batches, optimizer):
        for x, y in batches:
            optimizer.zero_grad()
            loss = CROSS_ENTROPY(model(x), y)
            loss.backward()
            optimizer.step()

    theirs, ours, x, y = mlp()
    stage, _ = seen(replace(theirs, loss=None, train_epoch=train_epoch), ours, x, y)
    assert stage.verdict == "same", stage
    changed = replace(ours, callbacks=lambda: [Nudge()])
    stage, _ = seen(replace(theirs, loss=None, train_epoch=train_epoch), changed, x, y)
    assert stage.findings[0].where == "training, epoch 2"  # whose end the callback changes


def test_a_loss_that_takes_no_float64_is_trained_with_in_float32():
    weights = torch.ones(4)

    def loss(outputs, y):
        return nn.functional.cross_entropy(outputs, y, weights)

    stage, _ = seen(*mlp(theirs={"loss": loss}))
    assert stage.verdict == "same" and "float32" in stage.compared, stage
    assert "in float32, because" in stage.notes[0]


def test_a_finished_model_is_left_as_it_was():
    theirs, ours, x, y = mlp()
    model = ours.model()
    before = [w.copy() for w in model.get_weights()]
    stage, _ = seen(theirs, replace(ours, model=model), x, y)
    assert stage.verdict == "same" and "float32" in stage.compared, stage
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
    assert int(model.optimizer.iterations) == 0


def test_dropout_and_noise_are_taken_out_on_both_sides():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x) if self.training else x

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.noise, self.end = nn.Linear(20, 16), Noisy(), nn.Linear(16, 4)

        def forward(self, x):
            return self.end(nn.functional.dropout(self.noise(self.one(x)), 0.5, self.training))

    def port():
        parts = [dense(16, 20), keras.layers.GaussianNoise(1.0), keras.layers.Dropout(0.5)]
        inputs = x = keras.Input((20,))
        for part in [*parts, dense(4, 16)]:
            x = part(x)
        return compiled(keras.Model(inputs, x))

    x, y = rows(0)
    stage, _ = seen(TorchSide(Net, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y)
    assert stage.verdict == "same", stage
    assert not stage.notes  # the noise is at its mean, and stays in training mode


def test_a_disturbed_training_is_disturbed():
    pair = Pair(*mlp())
    try:
        made = plans.plan(pair)
        both = [Original(pair, made, "float64", off) for off in (False, True)]
        for each in both:
            each.step(0)
        one, other = (each.values() for each in both)
    finally:
        pair.close()
    assert all(0 < np.abs(one[name] - other[name]).max() < 1e-6 for name in one)


@pytest.mark.parametrize(
    ("finding", "reason"),
    [
        (Finding("optimizer", "betas", ""), "betas"),
        (Finding("a", "missing layer", ""), "missing layer"),
        (Finding("a", "unexplained", ""), "unexplained"),
    ],
)
def test_it_waits_for_what_cannot_be_undone(finding, reason):
    stage, pair = seen(*mlp(), stages=(Stage("steps", "", findings=(finding,)),))
    assert not stage.ran and reason in stage.compared
    assert not any(entry.path == "training" for entry in pair.ledger)


class Drawing(keras.layers.Layer):
    """Draws whether it trains or not, as samplers do."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seed_generator)


def test_it_does_not_train_a_port_whose_chance_cannot_be_taken_out():
    theirs, ours, x, y = mlp(hidden=lambda: [dense(16, 20, "relu"), Drawing()])
    stage, pair = seen(theirs, ours, x, y)
    assert not stage.ran and "the port is random" in stage.compared
    assert [entry.path for entry in pair.ledger.open if entry.path == "training"] == ["training"]


def test_what_cannot_be_trained_is_an_entry_of_the_ledger():
    def loss(outputs, y):
        raise RuntimeError("no such loss")

    stage, pair = seen(*mlp(theirs={"loss": loss}))
    assert not stage.ran and "no such loss" in stage.compared
    assert [e.path for e in pair.ledger.open if e.path == "training"] == ["training"]


@pytest.mark.parametrize("seen_by", ["layers", "outputs", "initial values"])
def test_causes_that_are_undone_or_start_alone_do_not_stop_it(seen_by):
    name = "initial values" if seen_by == "initial values" else "epsilon"
    stage = Stage(seen_by, "", findings=(Finding("a", name, ""),))
    assert seen(*mlp(), stages=(stage,))[0].verdict == "same"


def cost(factory, **options):
    """Return the plan for a pair."""
    theirs, ours, x, y = factory(0, **options)
    pair = Pair(theirs, ours, x, y)
    try:
        return plans.plan(pair)
    finally:
        pair.close()


def test_a_model_that_costs_much_trains_less(monkeypatch):
    cheap = cost(shaped_pairs.cnn)
    monkeypatch.setattr(plans, "COST", 1e5)
    dear = cost(shaped_pairs.cnn)
    assert (cheap.batch, cheap.steps, cheap.epochs) == (32, 7, 3)
    assert (dear.batch, dear.steps, dear.epochs) == (4, 2, 3)
    assert len(dear.rows) % dear.batch  # the last batch is short there, too


def test_a_schedule_that_counts_steps_is_where_it_would_be_in_a_whole_training(monkeypatch):
    """PyTorch's moves after each epoch of seven steps; of which two are taken."""
    monkeypatch.setattr(plans, "COST", 1e5)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 7, 0.5, staircase=True)

    def scheduler(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    options = {"optimizer": lambda: keras.optimizers.SGD(rate)}
    stage, _ = seen(*mlp(theirs={"scheduler": scheduler}, **options))
    assert stage.verdict == "same", stage


@pytest.mark.long
def test_a_callback_that_works_on_no_backend_but_where_it_is_run_is_not_made_to_work():
    """The witness reads what `fit` has, and syncs nothing."""

    class Rate(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.01

    theirs, ours, x, y = mlp()
    stage, _ = seen(theirs, replace(ours, callbacks=lambda: [Rate()]), x, y)
    alone = ours.model()
    start = alone.get_weights()
    alone.fit(x, y, 32, 1, shuffle=False, verbose=0, callbacks=[Rate()])
    works = float(alone.optimizer.learning_rate) < 0.05
    assert bool(stage.findings) == works and len(start) == 4
