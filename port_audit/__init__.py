"""Prove a port: where a Keras model first leaves its PyTorch original, and why.

    import port_audit
    port_audit.compare(torch_side, keras_side, x, y).show()

    python -m port_audit ORIGINAL PORT --data FILE.npz

This package stands on its own: it knows no dataset and nothing of the packages beside it.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from port_audit.audit import compare, compare_files
    from port_audit.errors import UnusableInput
    from port_audit.findings import Finding, Stage
    from port_audit.report import Report
    from port_audit.sides import KerasSide, TorchSide
    from port_audit.user_files import read_file

__all__ = [
    "Finding",
    "KerasSide",
    "Report",
    "Stage",
    "TorchSide",
    "UnusableInput",
    "compare",
    "compare_files",
    "read_file",
]
HOMES = {
    "audit": ("compare", "compare_files"),
    "errors": ("UnusableInput",),
    "findings": ("Finding", "Stage"),
    "report": ("Report",),
    "sides": ("KerasSide", "TorchSide"),
    "user_files": ("read_file",),
}

# Keras reads this when it is first imported: a Keras that was imported before, and a user's own
# choice, are kept.
if "keras" not in sys.modules:
    os.environ.setdefault("KERAS_BACKEND", "jax")


def __getattr__(name: str) -> Any:
    """Import a name once it is used: Keras and PyTorch take seconds, and `--help` needs neither."""
    home = next((home for home, names in HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
