"""The IDX reader accepts valid files and names what is wrong with others."""

import contextlib
import gzip
import hashlib
import resource

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


@pytest.mark.parametrize("compress", [True, False])
@given(arrays, st.binary(max_size=5), st.integers(0, 4))
def test_a_file_is_read_as_its_bytes_are(tmp_path_factory, compress, array, extra, missing):
    raw = idx_bytes(array)
    raw = (raw[: len(raw) - missing] if missing else raw) + extra
    path = tmp_path_factory.mktemp("file") / ("labels.gz" if compress else "labels")
    path.write_bytes(gzip.compress(raw) if compress else raw)
    if not extra and not missing:
        np.testing.assert_array_equal(idx.read(path, array.ndim), array)
    elif len(extra) != missing and not (extra and missing > array.nbytes):  # another header
        with pytest.raises(BadInput, match="labels"):
            idx.read(path, array.ndim)


@pytest.mark.parametrize("shape", [3, 3 << 30, None])
def test_a_gzip_that_inflates_to_gigabytes_is_refused_in_little_memory(tmp_path, shape):
    """Whatever its header promises: less, as much, or nothing."""
    path = tmp_path / "bomb.gz"
    head = bytes([0, 0, 8, 1]) + np.array(shape, ">u4").tobytes() if shape else bytes(8)
    path.write_bytes(gzip.compress(head) + gzip.compress(bytes(16 << 20)) * 320)  # 5 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInput, match="bomb.gz: "):
        idx.read(path, 1)
    with pytest.raises(BadInput, match="bomb.gz: "):
        idx.read(path, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_a_header_that_promises_more_than_any_dataset_is_refused(tmp_path):
    header = bytes([0, 0, 8, 1]) + np.array(3 << 30, ">u4").tobytes()
    (tmp_path / "labels.gz").write_bytes(gzip.compress(header) + gzip.compress(bytes(9)))
    with pytest.raises(BadInput, match="takes 3,221,225,472 bytes, expected at most 1,073,741,824"):
        idx.digest(tmp_path / "labels.gz")
