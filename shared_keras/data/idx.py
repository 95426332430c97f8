"""A strict reader of the IDX format in which MNIST and its kin are published."""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from shared_keras import words
from shared_keras.errors import BadInput

UINT8 = 0x08
LARGEST = 1 << 30  # bytes; 70,000 images of 28x28 pixels take 0.05 of it


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
    raw = _uncompressed(path)
    if sha256 is not None and hashlib.sha256(raw).hexdigest() != sha256:
        raise BadInput(
            f"{path}: holds something else than the file that belongs there; restore the file "
            "from the repository"
        )
    return parse(raw, ndim, str(path))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's uncompressed bytes, in hex.

    Raises:
        BadInput: naming the file, if it cannot be read.
    """
    return hashlib.sha256(_uncompressed(path)).hexdigest()


def _uncompressed(path: Path) -> bytes:
    """Return the bytes that the header of a file promises; a small gzip may hold any number."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            head = file.read(4)
            ndim = head[3] if len(head) == 4 else 0
            head += file.read(4 * ndim)
            shape = tuple(int(size) for size in np.frombuffer(head[4:], ">u4", len(head) // 4 - 1))
            expected = int(np.prod(shape, dtype=object))
            if expected > LARGEST:
                raise BadInput(
                    f"{path}: its header says {shape}, which takes {expected:,} bytes, expected at "
                    f"most {LARGEST:,}"
                )
            raw = head + file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be read ({error})") from None
    if len(raw) > len(head) + expected and head[:3] == bytes([0, 0, UINT8]):
        raise BadInput(
            f"{path}: more bytes than its header says, {shape}, which takes {len(head) + expected}"
        )
    return raw


def parse(raw: bytes, ndim: int, name: str) -> np.ndarray:
    """Read IDX bytes; `name` is what errors call them. See `read`."""
    magic = bytes([0, 0, UINT8, ndim])
    if raw[:4] != magic:
        raise BadInput(
            f"{name}: the magic number is 0x{raw[:4].hex() or '(empty)'}, expected "
            f"0x{magic.hex()} (unsigned bytes, {words.count(ndim, 'dimension')})"
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
