"""What a user gets who installs the wheel."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from shared_keras import datasets
from tests.conftest import TASKS

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_code_and_data(tmp_path):
    source = tmp_path / "source"  # a copy, because building leaves a folder behind
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("fashion_keras", "mnist_keras", "shared_keras"):
        shutil.copytree(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", tmp_path, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for task in TASKS:
        for name in task.digests:
            assert f"{task.package}/data/{name}.gz" in names
        assert f"{task.package}/data/{datasets.HOLDOUT}" in names
        assert f"{task.package}/search.py" in names
    packages = ("fashion_keras", "mnist_keras", "shared_keras")
    modules = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    assert len(modules) > 60
    assert {str(path.relative_to(ROOT)) for path in modules} <= names
    assert not any(name.startswith(("tests/", "tuner_results/")) for name in names)
