"""The IDX reader accepts valid files and names what is wrong with others."""

import contextlib
import gzip
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared_keras.data import idx
from shared_keras.errors import BadInput
from tests.conftest import idx_bytes

arrays = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6))


@given(arrays)
def test_reads_back_what_was_written(array):
    np.testing.assert_array_equal(idx.parse(idx_bytes(array), array.ndim, "f"), array)


@given(arrays, st.integers(1, 9))
def test_any_truncation_is_refused(array, missing):
    raw = idx_bytes(array)
    with pytest.raises(BadInput, match="f: "):
        idx.parse(raw[: max(len(raw) - missing, 0)], array.ndim, "f")


@given(arrays, st.binary(min_size=1, max_size=5))
def test_trailing_bytes_are_refused(array, extra):
    with pytest.raises(BadInput, match="its header says"):
        idx.parse(idx_bytes(array) + extra, array.ndim, "f")


@given(st.binary(max_size=40))
def test_arbitrary_bytes_never_crash(raw):
    with contextlib.suppress(BadInput):
        idx.parse(raw, 1, "f")


def test_wrong_magic_is_named(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(np.zeros((2, 3), np.uint8)))
    with pytest.raises(
        BadInput, match=r"labels: the magic number is 0x00000802, expected 0x00000801"
    ):
        idx.read(path, 1)


def test_header_that_promises_a_universe_is_refused():
    with pytest.raises(BadInput, match="its header says"):
        idx.parse(bytes([0, 0, 8, 3]) + b"\xff" * 12, 3, "f")


def test_gzip_cut_short_is_named(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8)))[:-20])
    with pytest.raises(BadInput, match="images.gz: cannot be read"):
        idx.read(path, 1)


def test_digest_is_of_the_uncompressed_bytes(tmp_path):
    raw = idx_bytes(np.arange(5, dtype=np.uint8))
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(raw))
    assert len(idx.read(path, 1, hashlib.sha256(raw).hexdigest())) == 5
    with pytest.raises(BadInput, match="labels.gz: holds something else"):
        idx.read(path, 1, "0" * 64)
