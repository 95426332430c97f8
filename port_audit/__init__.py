"""Prove a port: where a Keras model first leaves its PyTorch original, and why.

import port_audit as audit
audit.compare(torch_side, keras_side, x, y).show()
"""

from port_audit.audit import compare
from port_audit.findings import Finding, Report, Stage
from port_audit.sides import KerasSide, TorchSide, read_file

__all__ = ["Finding", "KerasSide", "Report", "Stage", "TorchSide", "compare", "read_file"]
