"""What a user gets from the wheel."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shared_keras.data import datasets, splits
from shared_keras.results import published
from tests.conftest import FASHION, MNIST, TASKS

ROOT = Path(__file__).parents[1]
PACKAGES = ("fashion_keras", "mnist_keras", "port_audit", "shared_keras")


ORIGINAL = """
from torch import nn

def model():
    return nn.Sequential(nn.Linear(6, 3), nn.Tanh())
"""
PORT = """
import keras

def model():
    uniform = keras.initializers.RandomUniform(-6**-0.5, 6**-0.5)
    start = {"kernel_initializer": uniform, "bias_initializer": uniform}
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "relu", **start)])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, because the build leaves a folder behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*PACKAGES, "tuner_results/reference"):
        shutil.copytree(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", folder, source], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.long(only=True)
def test_the_wheel_holds_code_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for task in TASKS:
        for name in task.digests:
            assert f"{task.package}/data/{name}.gz" in names
        assert f"{task.package}/data/{splits.HOLDOUT}" in names
        curves = {f"{task.package}/published/{name}.csv" for name in published.recipes(task)}
        assert curves and curves <= names
        results = ROOT / "tuner_results" / "reference" / task.name
        files = [path.relative_to(results) for path in results.rglob("*") if path.is_file()]
        assert len(files) > 100
        assert {f"{task.package}/reference/{path}" for path in files} <= names
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(modules) > 60
    assert {str(path.relative_to(ROOT)) for path in modules} <= names
    pages = ROOT / "shared_keras" / "reporting" / "pages" / "assets"
    assets = [path for path in pages.rglob("*") if path.is_file()]
    assert {path.suffix for path in assets} == {".html", ".css", ".js"}
    assert {str(path.relative_to(ROOT)) for path in assets} <= names
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert not any(name.startswith(("tests/", "tools/", "tuner_results/")) for name in names)
    assert datasets.FILES


@pytest.mark.long(only=True)
def test_the_audit_of_the_wheel_works_without_the_other_packages(wheel, tmp_path):
    pytest.importorskip("torch")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path, [n for n in packed.namelist() if n.startswith("port_audit/")])
    (tmp_path / "original.py").write_text(ORIGINAL)
    (tmp_path / "port.py").write_text(PORT)
    x = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(50) % 3)
    command = [sys.executable, "-m", "port_audit", "original.py", "port.py", "--data", "data.npz"]
    environment = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "1 difference: 1 explained." in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["port_audit"]


@pytest.mark.long(every=6)
def test_an_installed_wheel_works_in_an_empty_folder(wheel, tmp_path, small_dirs):
    """The committed model of one task and the committed search of the other are found."""
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(wheel).extractall(installed)
    environment = os.environ | {"PYTHONPATH": str(installed)}

    def run(task, command, *words):
        words = [*words, "--data-dir", small_dirs[task.name]]
        done = subprocess.run(
            [sys.executable, "-m", f"{task.package}.{command}", *words],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    out = run(FASHION, "predict", "--random", "2")
    assert f"the committed model, the recipe cnn with seed 0; {installed}" in out
    out = run(MNIST, "retrain", "--best", "--epochs", "1")
    assert f"of the committed reference search {installed}" in out
