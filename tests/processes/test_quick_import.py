"""Importing Keras without the libraries that it wraps."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.shares import dealt

CODE = """
import gc, sys
if not COLLECTS: gc.disable()
from shared_keras.processes import quick_import
quick_import.keras()
print(*(name in sys.modules for name in ("keras_tuner", *quick_import.WRAPPED)))
assert gc.isenabled() == COLLECTS
from sklearn import metrics
import matplotlib.pyplot
import scipy.optimize
import keras
keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).compile("adam", "mse")
print(metrics.accuracy_score([1], [1]))
"""


@pytest.mark.long(only=True)
@pytest.mark.parametrize("collects", dealt([True, False], [True]))
def test_what_keras_wraps_is_left_out_and_can_be_imported_afterwards(collects):
    """And the garbage collector is left as it was."""
    done = subprocess.run(
        [sys.executable, "-c", f"COLLECTS = {collects}\n{CODE}"],
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["True", "False", "False", "False", "1.0"], done.stderr


SAVE = """
import sys
import shared_keras
from shared_keras.processes import quick_import
quick_import.keras()
quick_import.without_tensorflow()
import keras
model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.save(sys.argv[1])
print("tensorflow" in sys.modules)
import importlib.util
importlib.util.find_spec("tensorflow")  # as PyTorch's compiler asks when it is imported
"""


@pytest.mark.parametrize("backend", dealt(["jax", "tensorflow"], ["jax"]))
def test_a_model_is_saved_without_tensorflow_unless_that_is_the_backend(backend, tmp_path):
    """And what is saved is a whole model."""
    pytest.importorskip(backend)
    path = tmp_path / "model.keras"
    done = subprocess.run(
        [sys.executable, "-c", SAVE, path],
        env=os.environ | {"PYTHONPATH": os.getcwd(), "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(backend == "tensorflow")], done.stderr
    model = keras.saving.load_model(path)
    assert np.asarray(model(np.ones((1, 2)))).shape == (1, 1) and model.optimizer is not None


TRAIN = """
import sys
from shared_keras.processes import quick_import
quick_import.keras()
from shared_keras.commands.retraining import session
print(*(name in sys.modules for name in ("scipy.stats", "scipy.ndimage", "sklearn", "matplotlib")))
quick_import.ahead("no_such_module")
quick_import.ahead(*session.ONCE_TRAINED)
for thread in session.quick_import.threading.enumerate()[1:]:
    thread.join()
print(*(name in sys.modules for name in session.ONCE_TRAINED))
"""


@pytest.mark.long(only=True)
def test_a_training_waits_for_nothing_that_only_its_outputs_need():
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        env=os.environ | {"PYTHONPATH": os.getcwd(), "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["False"] * 4 + ["True"] * 3, done.stderr
    assert not done.stderr
