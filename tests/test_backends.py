"""The tests marked `every_backend`, on the other installed backends, one process each."""

import importlib.util
import os
import subprocess
import sys

import keras
import pytest

from shared_keras.devices import BACKENDS


@pytest.mark.parametrize("backend", BACKENDS)
def test_marked_tests_pass(backend):
    if backend == keras.backend.backend():
        pytest.skip("this very run is on it")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "every_backend",
        "-n",
        "0",
    ]
    environment = os.environ | {"KERAS_BACKEND": backend}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
