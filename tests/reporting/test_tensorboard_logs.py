"""Logs for TensorBoard."""

from shared_keras.reporting import tensorboard_logs


def test_tensorboard_needs_no_tensorflow(tmp_path):
    tensorboard_logs.write(tmp_path / "run", {"loss": [1.0]}, 1, {"kind": "a", "rate": 0.1})
    assert len(list((tmp_path / "run").iterdir())) == 1
