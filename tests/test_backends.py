"""The tests marked `every_backend`, on the other installed backends, one process each.

Of the tests, each run takes a sixth; with WAYS=all, all of them.
"""

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
    environment = os.environ | {"KERAS_BACKEND": backend, "ONE_IN": "6"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]


@pytest.mark.long(only=True)
@pytest.mark.parametrize("first", ["keras", "shared_keras"])
def test_a_keras_that_was_imported_first_keeps_its_backend_and_one_line_says_so(tmp_path, first):
    """A second time, the variable says which backend it is to be."""
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    pytest.importorskip("torch")
    code = f"import {first}, keras, importlib, shared_keras; importlib.reload(shared_keras); "
    code += "print(keras.config.backend(), shared_keras.os.environ['KERAS_BACKEND'])"
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    del environment["KERAS_BACKEND"]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    if first == "keras":
        assert done.stdout.split() == ["torch", "torch"]
        assert len(said) == 1 and said[0].startswith("note: Keras was imported first, with the ba")
    else:
        assert done.stdout.split() == ["jax", "jax"] and not said
