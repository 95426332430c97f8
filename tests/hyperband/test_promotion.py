"""A promoted trial resumes, bit for bit, where an uninterrupted training would be."""

import csv
import itertools

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras import training
from shared_keras.hyperband.trials import job
from shared_keras.training import checkpoints
from tests.shares import dealt
from tests.small_model import BATCH, CLASSES, FEATURES, build, problem

ON_EVERY = pytest.mark.every_backend
SEED, RUNGS = 3, (0, 2, 3, 4)
X, Y = problem()
FIT = {"validation_data": (X[:70], Y[:70]), "batch_size": BATCH}


def sgd(**options):
    return keras.optimizers.SGD(0.1, momentum=0.9, **options)


def compiled(layers, optimizer=None):
    model = keras.Sequential(layers)
    model.compile(optimizer or sgd(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def nested():
    """Random layers in nested models."""
    noise = keras.Sequential([keras.layers.GaussianNoise(0.1), keras.layers.Dropout(0.2)])
    inner = keras.Sequential([noise, keras.layers.Dense(8, activation="relu")])
    output = keras.layers.Dense(CLASSES, activation="softmax")
    return compiled([keras.Input((FEATURES,)), keras.layers.Rescaling(1 / 255), inner, output])


def unbuilt():
    """Built by its first batch."""
    output = keras.layers.Dense(CLASSES, activation="softmax")
    return compiled([keras.layers.Rescaling(1 / 255), keras.layers.Dropout(0.2), output])


def scaled():
    """With a loss scale that grows and shrinks, as under mixed_float16."""
    inner = keras.optimizers.SGD(0.1)
    return build(keras.optimizers.LossScaleOptimizer(inner, dynamic_growth_steps=3))


MODELS = {
    "averages": lambda: build(sgd(use_ema=True, ema_momentum=0.9), dropout=0.2),
    "averages at times": lambda: build(sgd(use_ema=True, ema_overwrite_frequency=7)),
    "averages, scaled": lambda: build(keras.optimizers.LossScaleOptimizer(sgd(use_ema=True))),
    "scaled": scaled,
    "accumulated": lambda: build(sgd(gradient_accumulation_steps=4)),
    "nested": nested,
    "unbuilt": unbuilt,
    "restored": build,
}
# Restores the worst epoch at the end of each training.
WORST = keras.callbacks.EarlyStopping(patience=9, mode="max", restore_best_weights=True)
CALLBACKS = {"restored": [WORST]}


class Kind(keras_tuner.HyperModel):
    def build(self, hp):
        return MODELS[self.name]()


def rows_of(folder):
    with open(folder / "history.csv") as file:
        return list(csv.DictReader(file))


# Kinds of models, and whether a promoted one is still in memory.
OFTEN = [("restored", True), ("averages, scaled", False), ("nested", False), ("unbuilt", False)]
CASES = [pytest.param("averages", True, marks=ON_EVERY)]
CASES += dealt(list(itertools.product(MODELS, (True, False)))[1:], OFTEN)


@pytest.mark.long(only=True)
@pytest.mark.parametrize(("kind", "warm"), CASES)
def test_three_rungs_are_one_training(tmp_path, kind, warm):
    objective = keras_tuner.Objective("val_loss", "min")
    options = FIT | {"callbacks": CALLBACKS.get(kind, [])}
    search = job.Search(Kind(kind), objective, (X, Y), options)
    model = MODELS[kind]()
    model.build((None, FEATURES))
    rows, parent = [], None
    for first, last in itertools.pairwise(RUNGS):
        folder = tmp_path / str(last)
        folder.mkdir()
        values = keras_tuner.HyperParameters().get_config()
        trial = job.TrialJob(values, folder, parent, first, last, SEED, resumable=True)
        result = job.run(search, trial)
        assert result.failure is None, result.failure
        rows += rows_of(folder)
        # The checkpoint holds the weights that the best epoch was scored with.
        model.load_weights(folder / "checkpoint.weights.h5", skip_mismatch=True)
        loss, _ = model.evaluate(*FIT["validation_data"], verbose=0)
        assert loss == pytest.approx(result.history["val_loss"][result.best], rel=1e-4)
        parent = folder
        if not warm:
            search.warm.clear()
    training.seed_layers(SEED)
    expected = training.fit(MODELS[kind](), X, Y, epochs=4, seed=SEED, **FIT).history
    for name, values in expected.items():
        assert [float(row[name]) for row in rows] == values, name


def test_saving_leaves_the_loss_scale_alone(tmp_path):
    """Keras's LossScaleOptimizer resets itself whenever it is built."""
    model = scaled()
    training.fit(model, X, Y, epochs=2, batch_size=BATCH)
    before = [np.array(v) for v in model.optimizer.variables]
    checkpoints.save(tmp_path / "state.npz", model)
    for a, b in zip(model.optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(a), b)


class Drawn(keras_tuner.HyperModel):
    """Starts with weights from NumPy's global generator."""

    def build(self, hp):
        model = build()
        model.set_weights([np.random.normal(size=w.shape) for w in model.get_weights()])
        return model


def test_numpys_generator_is_seeded_before_a_model_is_built(tmp_path):
    objective = keras_tuner.Objective("val_loss", "min")
    search = job.Search(Drawn(), objective, (X, Y), FIT)
    losses = []
    for i, seed in enumerate((7, 7, 8)):
        folder = tmp_path / str(i)
        folder.mkdir()
        values = keras_tuner.HyperParameters().get_config()
        trial = job.TrialJob(values, folder, None, 0, 1, seed, resumable=False)
        losses.append(job.run(search, trial).history["loss"])
    assert losses[0] == losses[1] != losses[2]
