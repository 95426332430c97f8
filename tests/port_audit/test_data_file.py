"""Inputs and targets from a .npz file."""

import io
import re

import numpy as np
import pytest

pytest.importorskip("torch")
from port_audit import UnusableInput
from port_audit.data_file import read_npz

X, Y = np.ones((4, 3), "float32"), np.arange(4)


def saved(tmp_path, **arrays):
    """Write arrays and return the file."""
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def test_one_array_each(tmp_path):
    x, y = read_npz(saved(tmp_path, y=Y, x=X))
    assert np.array_equal(x, X) and np.array_equal(y, Y) and x.dtype == "float32"


def test_several_arrays_keep_their_names_and_their_order(tmp_path):
    x, y = read_npz(saved(tmp_path, x_words=Y, x_image=X, y_b=Y, y_a=X))
    assert list(x) == ["words", "image"] and np.array_equal(x["image"], X)
    assert isinstance(y, tuple) and np.array_equal(y[0], Y) and np.array_equal(y[1], X)


@pytest.mark.parametrize(
    ("arrays", "got"),
    [
        ({"x": X}, "got x"),
        ({"y": Y}, "got y"),
        ({}, "got none"),
        ({"x": X, "x_more": X, "y": Y}, "got x, x_more, y"),
        ({"x": X, "y": Y, "weights": Y}, "got x, y, weights"),
        ({"x": X, "y": Y[:3]}, "as many samples in each array, got x 4, y 3"),
        ({"x_a": X, "x_b": X[:2], "y": Y}, "got x_a 4, x_b 2, y 4"),
        ({"x": X, "y": np.array(3)}, "got x 4, y 0"),
        ({"x": np.array([{}]), "y": Y}, "plain arrays"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, got):
    path = saved(tmp_path, **arrays)
    with pytest.raises(UnusableInput, match=re.escape(str(path))) as caught:
        read_npz(path)
    assert got in str(caught.value)


def single():
    """Return a file of a single array."""
    file = io.BytesIO()
    np.save(file, X)
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4 cut off", single()])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(UnusableInput, match="data.npz: expected"):
        read_npz(tmp_path / "data.npz")
