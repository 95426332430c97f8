"""Prove a port: where a Keras model first leaves its PyTorch original, and why.

from shared_keras.pytorch import audit
audit.compare(torch_side, keras_side, x, y).show()
"""

from shared_keras.pytorch.audit.findings import Finding, Report, Stage
from shared_keras.pytorch.audit.run import compare
from shared_keras.pytorch.audit.sides import KerasSide, TorchSide, read_file

__all__ = ["Finding", "KerasSide", "Report", "Stage", "TorchSide", "compare", "read_file"]
