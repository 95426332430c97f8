"""Importing Keras without the libraries that it wraps."""

import os
import subprocess
import sys

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


@pytest.mark.long(every=8)
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
