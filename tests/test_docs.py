"""README and docs: every link, command, example and figure."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from fashion_keras.task import TASK as FASHION
from mnist_keras.task import TASK as MNIST
from shared_keras.command_line import flags
from tools import write_docs

ROOT = Path(__file__).parents[1]
NAMES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").glob("*.md"))]
TASKS = {task.package: task for task in (FASHION, MNIST)}
COMMAND = re.compile(
    r"python (?:-X dev )?-m ((?:\w+_keras|benchmarks|tools)\.\w+|port_audit\b)([^`\n#]*)"
)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)")


def commands():
    """Return every command of the pages that runs a module: module and arguments."""
    found = set()
    for page in PAGES:
        for module, rest in COMMAND.findall(page.read_text()):
            found.add((module, rest.split("|")[0].strip().rstrip(".,;:)")))
    assert len(found) > 30
    return sorted(found)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        path = (page.parent / target) if target else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, anchor


@pytest.mark.parametrize(("module", "rest"), commands())
def test_commands_can_be_typed(module, rest):
    """Placeholders in capitals get a value."""
    package, _, name = module.partition(".")
    if package not in TASKS:
        assert (ROOT / package / f"{name or '__main__'}.py").exists()
        return
    words = [VALUES.get(word, word) for word in shlex.split(rest) if word not in ("…", "...")]
    if name == "COMMAND":
        return
    try:
        flags.parser(TASKS[package], name).parse_args(words)
    except SystemExit as exit:
        assert exit.code == 0, f"{module} {words}"  # --help


VALUES = {"NAME": "dense", "N": "3", "RUN": "a-run", "DIR": "a", "FILE": "a", "TRIAL": "a"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_of_make_exist(page):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^ +|`)make (\w+)", page.read_text(), re.MULTILINE)) <= targets


def test_tables_are_what_the_committed_files_say():
    """No figure is typed by hand: `python -m tools.write_docs` writes them all."""
    for path, text in write_docs.pages().items():
        assert path.read_text() == text, path
    for page in write_docs.PAGES:
        assert "<!-- end -->" in (ROOT / page).read_text()


def test_what_is_measured_can_be_measured_again():
    """A receipt names a commit, and no file differed from it."""
    receipts = {path.stem: path for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    commits = {name: json.loads(path.read_text())["commit"] for name, path in receipts.items()}
    assert not [
        name for name, commit in commits.items() if not re.fullmatch("[0-9a-f]{40}", commit)
    ]


@pytest.mark.long(every=6)
def test_the_example_of_readme_runs(tmp_path):
    """Also in a notebook: its functions belong to no module, and no guard surrounds the search."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "max_epochs=4" in example  # 15 trials; two epochs are 5
    example = example.replace("max_epochs=4", "max_epochs=2")
    example += 'assert set(trials.status) == {"COMPLETED"} and len(trials) == 5\n'
    example += "assert trials.epochs[0] == 2\n"
    example += "assert tuner.get_best_models()[0].count_params() > 784 * 16\n"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mine: 5 trials, 7 epochs") and lines[5].startswith("5/5  trial ")
    assert len(lines) == 6 and (tmp_path / "mine" / "oracle.json").exists()
    assert "TF_ENABLE" not in done.stderr  # TensorFlow, which Keras imports, has no say here


def examples():
    """Return the Python blocks that import a package of ours, each with its page."""
    blocks = [
        (page.name, block)
        for page in PAGES
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        if re.search(r"^(?:from|import) \w+_keras", block, re.MULTILINE)
    ]
    assert len(blocks) >= 4
    return [pytest.param(block, id=f"{page}-{i}") for i, (page, block) in enumerate(blocks)]


@pytest.mark.parametrize("example", examples())
def test_examples_import_the_package_before_keras_and_linters_leave_them_so(example, tmp_path):
    """Otherwise Keras has the backend that the user's configuration file names."""
    modules = re.findall(r"^(?:from|import) (\w+)", example, re.MULTILINE)
    assert modules.index(next(m for m in modules if m.endswith("_keras"))) < (
        modules.index("keras") if "keras" in modules else len(modules)
    )
    path = tmp_path / "example.py"
    path.write_text(example)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "I,E402", path]
    command += ["--line-length", "100"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_pictures_runs():
    text = (ROOT / "docs" / "plots.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    x, y = np.random.default_rng(0).random((40, 3)), np.arange(40) % 2
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    other = {"loss": [1.0, 0.5], "accuracy": [0.4, 0.6]}
    known = {"model": model, "x": x, "y": y, "other": other}
    exec(compile(example, "docs/plots.md", "exec"), known)
    assert len(known["history"].history["val_accuracy"]) == 3


def test_the_example_of_weights_runs():
    pytest.importorskip("torch")
    text = (ROOT / "docs" / "pytorch.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example, "docs/pytorch.md", "exec"), {})
