"""Which of the long tests run: each run takes another share of them, so that in time all have run.

A test is `long` if it takes seconds and differs from another only in a detail. Long tests are dealt
out by name into as many shares as the time of a run allows. Whose turn it is, the number of commits
says; without git, the day does. SHARE=3/97 takes the third of 97, and WAYS=all takes all of them.
The only test of something that takes long is `long(only=True)`: every 24th run takes it; where many
users rely on it, it is `long(every=6)`, say. On each other backend a run repeats a sixth of what is
marked `every_backend` (ONE_IN=6).

Hypothesis's examples, too, are others with each commit, and the same for whoever repeats a run.
"""

import datetime
import os
import re
import subprocess
import zlib
from collections.abc import Collection, Iterable
from typing import NamedTuple

import pytest
from hypothesis import settings

SHARES = 97  # a prime, so that who runs the tests at every second commit comes round, too
ONLY = 24  # shares of what is the only test of something


class Share(NamedTuple):
    """One share of several; the first is number 1."""

    number: int
    of: int

    def __str__(self):
        return f"{self.number}/{self.of}"


def dealt(values: Iterable, always: Collection) -> list:
    """Return values for `parametrize`, of which all are long but those that always run.

    A tuple is for several parameters. If the function is `long(only=True)`, those run then only.
    """
    values = list(values)
    assert all(value in values for value in always)
    sets = [value if isinstance(value, tuple) else (value,) for value in values]
    marks = [() if value in always else (pytest.mark.long,) for value in values]
    return [pytest.param(*each, marks=mark) for each, mark in zip(sets, marks)]


def share_of(name: str, shares: int) -> Share:
    """Return the share that a test falls into: the same in every process, on every machine."""
    return Share(zlib.crc32(name.encode()) % shares + 1, shares)


def turn(folder: os.PathLike) -> tuple[Share, str]:
    """Return whose turn it is, and what says so."""
    count, source = counted(folder)
    return Share(count % SHARES + 1, SHARES), source


def counted(folder: os.PathLike) -> tuple[int, str]:
    """Return a number that grows with each commit, and what it counts.

    The count is that of the main line, to which a merge adds one. A shallow clone has none.
    """
    if _git(folder, "rev-parse", "--is-shallow-repository") == "false":
        commits = _git(folder, "rev-list", "--count", "--first-parent", "HEAD")
        if commits:
            return int(commits), "the number of commits"
    return datetime.date.today().toordinal(), "the day"


def _git(folder, *words) -> str:
    try:
        done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def wanted() -> Share | None:
    """Return the share that the environment names, or None for all."""
    ways, share = os.environ.get("WAYS", ""), os.environ.get("SHARE", "")
    if ways not in ("", "all"):
        raise pytest.UsageError(f"WAYS: expected all or nothing, got {ways!r}")
    if ways:
        return None
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", share)
    if not found or int(found[1]) > int(found[2]):
        raise pytest.UsageError(f"SHARE: expected a share such as 3/{SHARES}, got {share!r}")
    return Share(*map(int, found.groups()))


HEADER = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)  # before Hypothesis reads its option
def pytest_configure(config):
    """Decide whose turn it is, for all processes of this run."""
    marker = "long(every=97), long(only=True): takes seconds; each run takes another share"
    config.addinivalue_line("markers", marker)
    said = ""
    if not os.environ.get("SHARE"):
        share, source = turn(config.rootpath)
        os.environ["SHARE"], said = str(share), f", which {source} chose"
    share = wanted()
    config.stash[HEADER] = (
        f"long tests: share {share}{said}; again: SHARE={share} make test; all: WAYS=all make test"
        if share
        else "long tests: all"
    )
    if getattr(config.option, "hypothesis_seed", 0) is None:
        config.option.hypothesis_seed = str(counted(config.rootpath)[0])
        config.stash[HEADER] += f"; --hypothesis-seed={config.option.hypothesis_seed}"
    # Where it finds itself in CI, Hypothesis would ignore any seed and repeat itself for ever.
    settings.register_profile("seeded", settings(), derandomize=False)
    settings.load_profile("seeded")


def pytest_report_header(config):
    """Say how to repeat this run."""
    return config.stash[HEADER]


def pytest_collection_modifyitems(config, items):
    """Leave out the long tests of other shares, but for what is named on the command line."""
    share = wanted()
    if share is None or any("::" in argument for argument in config.args):
        return

    always = int(os.environ.get("ONE_IN", 1))

    def runs(item):
        options = [mark.kwargs for mark in item.iter_markers("long")]
        own = [ONLY if "only" in each else each.get("every", share.of) for each in options]
        shares = max(always, *own, 1)
        shares = min(shares, share.of)
        return share_of(item.nodeid, shares).number == (share.number - 1) % shares + 1

    left = [item for item in items if not runs(item)]
    items[:] = [item for item in items if runs(item)]
    config.hook.pytest_deselected(items=left)
