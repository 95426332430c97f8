"""What a user gets who installs the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import TASKS

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_code_and_data(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", tmp_path, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for task in TASKS:
        for name in task.digests:
            assert f"{task.package}/data/{name}.gz" in names
        assert f"{task.package}/search.py" in names
    assert not any(name.startswith(("tests/", "tuner_results/")) for name in names)
