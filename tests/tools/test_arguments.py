"""Benchmarks and tools report bad arguments as the commands do."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shares import dealt

ROOT = Path(__file__).parents[2]
FILES = [path for folder in ("benchmarks", "tools") for path in (ROOT / folder).glob("*.py")]
MODULES = sorted(
    f"{path.parent.name}.{path.stem}" for path in FILES if "\ndef main(" in path.read_text()
)


@pytest.mark.parametrize("module", dealt(MODULES, ["benchmarks.twin", "tools.write_docs"]))
def test_bad_arguments_get_one_sentence(module):
    command = [sys.executable, "-m", module, "--nonsense"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and not result.stdout
    assert result.stderr.startswith(f"python -m {module}: error: the following arguments are ") or (
        result.stderr == f"python -m {module}: error: unrecognized arguments: --nonsense\n"
    )
    assert result.stderr.count("\n") == 1
