"""Checkpoints on other systems and file systems."""

import errno
import os

import pytest

from shared_keras.training import checkpoints
from tests import small_model


def without(monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")


def refusing(code):
    def install(monkeypatch):
        def refuse(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "posix_fallocate", refuse)

    return install


@pytest.mark.parametrize("system", [without, refusing(errno.EOPNOTSUPP)], ids=["macOS", "ZFS"])
def test_weights_are_written_where_space_cannot_be_reserved(monkeypatch, tmp_path, system):
    system(monkeypatch)
    model = small_model.build()
    checkpoints.save_weights(tmp_path / "a.weights.h5", model)
    other = small_model.build(seed=2)
    other.load_weights(tmp_path / "a.weights.h5")
    assert all((a == b).all() for a, b in zip(model.get_weights(), other.get_weights()))


def test_a_full_disk_is_reported_before_hdf5_writes(monkeypatch, tmp_path):
    refusing(errno.ENOSPC)(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save_weights(tmp_path / "a.weights.h5", small_model.build())
    assert not list(tmp_path.iterdir())
