"""What the tests of results share: a disk that lists folders otherwise."""

from pathlib import Path

import pytest


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def listed(request, monkeypatch):
    """Disks that list folders in one order and in the other."""
    for name in ("glob", "rglob"):
        monkeypatch.setattr(Path, name, by_name(getattr(Path, name), request.param))


def by_name(listing, backwards):
    return lambda path, pattern: iter(sorted(listing(path, pattern), reverse=backwards))
