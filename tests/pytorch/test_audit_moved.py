"""The old name of `port_audit` works for one more version."""

import importlib
import sys

import pytest

pytest.importorskip("torch")
import port_audit


def test_the_old_name_is_the_new_package_with_a_warning():
    sys.modules.pop("shared_keras.pytorch.audit", None)
    with pytest.warns(DeprecationWarning, match="is now port_audit"):
        old = importlib.import_module("shared_keras.pytorch.audit")
    assert {"compare", "KerasSide", "TorchSide", "read_file"} <= set(old.__all__)
    assert all(getattr(old, name) is getattr(port_audit, name) for name in old.__all__)
