"""One-pass Adam, and ReLU with a derivative from its result: the same bits, fewer loops."""

import os

import keras
import numpy as np
import pytest

from shared_keras import training
from shared_keras.models import layers
from shared_keras.models.optimizers import OnePassAdam
from tests.shares import dealt
from tests.small_model import BATCH, CLASSES, FEATURES, problem

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="what is special to JAX")
if keras.backend.backend() == "jax":
    import jax

    from shared_keras.models import jax_ops
    from shared_keras.training import jax_epoch

OPTIONS = {
    "adam": lambda: {"learning_rate": 0.01, "weight_decay": 1e-3, "clipnorm": 1.0},
    "amsgrad": lambda: {"learning_rate": schedule(), "amsgrad": True},
    "accumulated": lambda: {"learning_rate": 0.01, "gradient_accumulation_steps": 2},
    "averages": lambda: {"learning_rate": 0.01, "use_ema": True},
}
KINDS = [(keras.optimizers.Adam, "relu"), (OnePassAdam, "relu"), (OnePassAdam, layers.relu)]


def schedule():
    return keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)


def network(optimizer, relu, dropout=0.2):
    """Return a compiled model with one ReLU."""
    training.seed_layers(1)
    parts = [
        keras.Input((FEATURES,)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Dense(16),
        keras.layers.Activation(relu),
        *[layers.Dropout(dropout)] * bool(dropout),
        keras.layers.Dense(CLASSES, activation="softmax"),
    ]
    model = keras.Sequential(parts)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(autouse=True)
def compiled_as_for_users(monkeypatch):
    """With XLA's newer code generator: the older one, which tests use, rounds otherwise."""
    newer = {"xla_cpu_use_fusion_emitters": True}
    scan = jax_epoch.over_batches
    monkeypatch.setattr(jax_epoch, "over_batches", lambda step, size, _: scan(step, size, newer))


@pytest.mark.long(only=True)
@pytest.mark.parametrize("kind", dealt(["Adam", "both"], ["both"]))
@pytest.mark.parametrize("name", OPTIONS)
def test_adam_and_relu_give_the_same(name, kind):
    """Bit for bit: weights, slots, history."""
    assert jax_ops.MULTI_OUTPUT in os.environ["XLA_FLAGS"]  # as workers have them
    x, y = problem()
    results = []
    for adam, relu in (KINDS[0], KINDS[1 if kind == "Adam" else 2]):
        model = network(adam(**OPTIONS[name]()), relu)
        history = training.fit(model, x, y, epochs=3, batch_size=BATCH).history
        arrays = [*model.get_weights(), *map(np.array, model.optimizer.variables)]
        results.append([*arrays, *history.values()])
    for theirs, *ours in zip(*results, strict=True):
        for values in ours:
            np.testing.assert_array_equal(values, theirs)


@pytest.mark.long(only=True)
def test_adam_and_relu_save_loops():
    """Adam one for each variable, ReLU the one that would store its argument."""
    models = [network(kind(0.01), relu, dropout=0) for kind, relu in KINDS]
    plain, adam, both = map(loops, models)
    variables = 4  # two kernels, two biases
    assert plain - adam >= variables and adam - both >= 1


def loops(model) -> int:
    """Return how many loops XLA makes for an epoch."""
    x, y = problem()
    model._symbolic_build(data_batch=(x[:BATCH], y[:BATCH]))
    variables = (model.trainable_variables, model.non_trainable_variables)
    state = jax_epoch.values_of((*variables, model.optimizer.variables, model.metrics_variables))
    program = jax_epoch.over_batches(jax_epoch.train_step(model), BATCH, None)
    order = np.arange(len(x), dtype=np.int32)
    compiled = program.lower(state, jax.device_put((x, y)), order).compile()
    return compiled.as_text().count(" fusion(")
