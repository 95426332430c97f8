"""Logs for TensorBoard."""

import os
import subprocess
import sys

import pytest

CODE = """
import pathlib, sys
from shared_keras.reporting import tensorboard_logs
tensorboard_logs.write(pathlib.Path(sys.argv[1]), {"loss": [1.0]}, 1, {"kind": "a", "rate": 0.1})
assert "tensorflow" not in sys.modules
from tensorboard.compat import tf  # what Keras's own callback uses
assert tf.__version__ != "stub"
"""


@pytest.mark.long(only=True)
def test_tensorflow_is_not_needed_and_others_still_get_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "run").iterdir())) == 1
