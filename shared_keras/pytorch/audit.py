"""The old name of `port_audit`; it goes with the next version."""

import warnings

from port_audit import Finding, KerasSide, Report, Stage, TorchSide, compare, read_file

__all__ = ["Finding", "KerasSide", "Report", "Stage", "TorchSide", "compare", "read_file"]

warnings.warn(
    "shared_keras.pytorch.audit is now port_audit, and this name goes with the next version; "
    "write `import port_audit`",
    DeprecationWarning,
    stacklevel=2,
)
