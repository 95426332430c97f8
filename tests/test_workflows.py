"""What runs the Makefile for others: workflows, and the hook before a commit."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_workflows_run_only_what_anyone_can_run_here():
    """So that nothing is said twice; the nightly one runs the other with all tests."""
    texts = {path.stem: path.read_text() for path in WORKFLOWS}
    assert set(texts) == {"nightly", "tests"}
    ran = [line for text in texts.values() for line in re.findall(r"- run: (.*)", text)]
    assert ran == [".ci/run"] and os.access(ROOT / ".ci" / "run", os.X_OK)
    called = re.findall(r"uses: \./(\S+)", texts["nightly"])
    assert called and all((ROOT / path).exists() for path in called)
    assert re.search(r"^ +ways: all$", texts["nightly"], re.MULTILINE)
    assert "WAYS: ${{ inputs.ways }}" in texts["tests"]
    assert "fetch-depth: 0 " in texts["tests"]  # or it would always be the turn of the same share


def test_the_hook_before_a_commit_runs_the_linters_of_the_makefile():
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.*)", text) == ["local"]
    assert re.findall(r"entry: (.*)", text) == ["make lint"]
