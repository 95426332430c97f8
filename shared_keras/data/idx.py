"""A strict reader of the IDX format in which MNIST and its kin are published."""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from shared_keras.errors import BadInput

UINT8 = 0x08


def find(folder: Path, name: str) -> Path:
    """Return the path of `name`, plain or gzipped, in `folder`.

    Raises:
        BadInput: if neither file exists.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise BadInput(f"{folder / name}: no such file, neither plain nor with .gz")


def read(path: Path, ndim: int, sha256: str | None = None) -> np.ndarray:
    """Read an IDX file of unsigned bytes.

    Args:
        path: The file; it is decompressed if its name ends in `.gz`.
        ndim: Expected number of dimensions: 3 for images, 1 for labels.
        sha256: Expected digest of the uncompressed bytes, in hex; by default any.

    Returns:
        A read-only uint8 array with `ndim` dimensions.

    Raises:
        BadInput: naming the file, if it violates the format or its digest differs.
    """
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be read ({error})") from None
    if sha256 is not None and hashlib.sha256(raw).hexdigest() != sha256:
        raise BadInput(
            f"{path}: its SHA-256 digest is {hashlib.sha256(raw).hexdigest()}, "
            f"expected {sha256}; restore the file from the repository"
        )
    return parse(raw, ndim, str(path))


def parse(raw: bytes, ndim: int, name: str) -> np.ndarray:
    """Read IDX bytes; `name` is what errors call them. See `read`."""
    magic = bytes([0, 0, UINT8, ndim])
    if raw[:4] != magic:
        raise BadInput(
            f"{name}: the magic number is 0x{raw[:4].hex() or '(empty)'}, expected "
            f"0x{magic.hex()} (unsigned bytes, {ndim} dimension{'s' * (ndim > 1)})"
        )
    header = 4 + 4 * ndim
    if len(raw) < header:
        raise BadInput(f"{name}: {len(raw)} bytes, but the header alone takes {header}")
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", ndim, offset=4))
    expected = header + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise BadInput(
            f"{name}: {len(raw)} bytes, but its header says {shape}, which takes {expected}"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
