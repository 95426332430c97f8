"""Shared fixtures: both tasks, and small real data."""

import dataclasses
import gc
import gzip
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pytest

from shared_keras.processes import local_pool as workers

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As in a search: one process per core, with one thread. Without LLVM's optimizations and with
# XLA's older code generator, programs mean the same and compile in a fifth of the time.
os.environ |= workers.ONE_THREAD
os.environ.setdefault(
    "XLA_FLAGS",
    f"{workers.XLA_FLAGS} --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
)
# Tests repeat the same searches; compile each program once.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "jax-programs")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from fashion_keras.task import TASK as FASHION
from mnist_keras.task import TASK as MNIST
from shared_keras.data import datasets, idx
from tests import browser

pytest_plugins = ["tests.shares"]

# On a machine that others use, a test may take any time.
hypothesis_settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("busy")

TASKS = [FASHION, MNIST]
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
TRAIN, TEST = 1500, 600
# Searches write thousands of files and wait until the disk has them, a quarter of a run's time.
IN_MEMORY, OURS, ROOM = Path("/dev/shm"), "keras-tests-", 4e9
CHOSEN = {"PYTEST_DEBUG_TEMPROOT", "TMPDIR", "TEMP", "TMP"}  # who sets one of these says where

# What Rich turns into a style, if it is not told to print it as it is.
MARKUP = re.compile(r"\[/|\[(bold|dim|italic|underline|red|green|yellow|blue|cyan|magenta)\b")


def idx_bytes(array):
    """Write an array of bytes in the IDX format."""
    header = bytes([0, 0, 8, array.ndim])
    return header + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def write_idx(folder, train, test, compress=False):
    """Write the four files of a dataset."""
    for images, (x_name, y_name) in zip((train, test), datasets.FILES):
        for name, array in ((x_name, images.x), (y_name, images.y)):
            raw = idx_bytes(array)
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(raw, 1))
            else:
                (folder / name).write_bytes(raw)


def pytest_configure(config):
    """Keep each process of xdist to a core of its own, and folders of tests in memory.

    There a search has one worker, which is kept from test to test, unless a test asks for more.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        if CORES:
            number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
            os.sched_setaffinity(0, {CORES[number % len(CORES)]})
    elif not CHOSEN & os.environ.keys() and roomy(IN_MEMORY):
        for left in IN_MEMORY.glob(f"{OURS}[0-9]*-*"):  # by a run that was killed
            if not psutil.pid_exists(int(left.name.removeprefix(OURS).partition("-")[0])):
                shutil.rmtree(left, ignore_errors=True)
        own = tempfile.mkdtemp(prefix=f"{OURS}{os.getpid()}-", dir=IN_MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(own, ignore_errors=True))
        os.environ["PYTEST_DEBUG_TEMPROOT"] = own


def roomy(folder):
    """Whether one may write to a folder in memory, and both have room for what the tests write."""
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        return False
    return min(shutil.disk_usage(folder).free, psutil.virtual_memory().available) > ROOM


def pytest_collection_modifyitems(items):
    """Start the longest file first, so that no process waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_backends.py")


@pytest.fixture(autouse=True, scope="module")
def frozen():
    """Spare the garbage collector what was imported and what earlier files left in caches.

    Keras calls it often, and scanning that takes a fifth of a test.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(params=TASKS, ids=lambda task: task.name)
def task(request):
    """Each of the two tasks."""
    return request.param


@pytest.fixture(scope="session")
def full():
    """All images of both tasks: `full[name]` is (training, test)."""
    return {task.name: datasets.load(task) for task in TASKS}


@pytest.fixture(scope="session")
def chromium():
    """A browser: one for all tests of a process, as Playwright takes no second one beside it."""
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="session")
def small_dirs(full, tmp_path_factory):
    """Folders with the first images of both tasks, as a user's own data."""
    folders = {}
    for name, (train, test) in full.items():
        folders[name] = tmp_path_factory.mktemp(f"{name}-data")
        write_idx(
            folders[name],
            datasets.Images(train.x[:TRAIN], train.y[:TRAIN]),
            datasets.Images(test.x[:TEST], test.y[:TEST]),
        )
    return folders


def as_embedded(task, folder):
    """Return a task whose own images are those in a folder, not only a user's data."""
    names = [name for pair in datasets.FILES for name in pair]
    digests = {name: idx.digest(datasets.find(folder, name)) for name in names}
    return dataclasses.replace(task, digests=digests)


@pytest.fixture
def small(task, small_dirs):
    """The folder of small data of this test's task."""
    return small_dirs[task.name]
