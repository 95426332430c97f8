"""The tests marked `every_backend`, on the other installed backends, one process each."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from shared_keras.devices import BACKENDS

FILES = sorted(set(Path(__file__).parent.rglob("test_*.py")) - {Path(__file__)})


@pytest.mark.parametrize("backend", BACKENDS)
def test_marked_tests_pass(backend):
    if backend == keras.backend.backend():
        pytest.skip("this very run is on it")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    files = [path for path in FILES if "every_backend" in path.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "every_backend", *files]
    environment = os.environ | {"KERAS_BACKEND": backend}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
