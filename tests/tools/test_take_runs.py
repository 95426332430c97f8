"""Trained runs become committed ones."""

import json
import shutil

import pytest

from shared_keras.results import folders
from tests.conftest import MNIST
from tools import take_runs

COMMITTED = folders.reference(MNIST) / "runs"


@pytest.fixture
def reference(tmp_path):
    shutil.copytree(COMMITTED / "dense", tmp_path / "reference" / "dense")
    return tmp_path / "reference"


def trained(results, folder, seed, **settings):
    """A run that `retrain` left below a folder of results."""
    run = results / "mnist" / "runs" / folder
    shutil.copytree(COMMITTED / "dense" / "seed-0", run)
    for name, changes in {
        "settings.json": {"seed": seed} | settings,
        "metrics.json": {"seed": seed},
        "environment.json": {"command": "python -m x --runs 2 --results-dir /a/b --device cpu"},
    }.items():
        values = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps(values | changes))
    (run / "model.keras").write_bytes(b"weights")
    (run / "history.png").write_bytes(b"picture")
    return run


def test_finished_runs_of_the_recipe_as_it_is_are_taken_without_models(reference, tmp_path):
    results = tmp_path / "results"
    trained(results, "1-recipe-dense/seed-2", 2)
    trained(results, "1-recipe-dense/seed-7", 7)
    trained(results, "2-twin-recipe-dense", 0, framework="pytorch")
    trained(results, "3-recipe-dense", 8, epochs=1)
    (trained(results, "4-recipe-dense", 9) / "metrics.json").unlink()
    lines = take_runs.take(MNIST, results, reference)
    seeds = {path.name for path in (reference / "dense").iterdir()}
    before = {path.name for path in (COMMITTED / "dense").iterdir()}
    assert seeds == before | {"seed-2", "seed-7"}
    assert [path.name for path in (reference / "twin-dense").iterdir()] == ["seed-0"]
    for run in (reference / "dense" / "seed-7", reference / "twin-dense" / "seed-0"):
        assert {path.name for path in run.iterdir()} == set(take_runs.TAKEN)
        environment = json.loads((run / "environment.json").read_text())
        assert environment["command"] == "python -m x --runs 2 --device cpu"
    assert sum(line.startswith("left out: ") for line in lines) == 2
    assert any("epochs 1 instead of 10" in line for line in lines)


def test_committed_runs_of_an_older_recipe_are_deleted_once_there_are_new_ones(reference, tmp_path):
    for path in (reference / "dense").glob("seed-*/settings.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"epochs": 9}))
    before = sorted((reference / "dense").iterdir())
    take_runs.take(MNIST, tmp_path / "nothing", reference)
    assert sorted((reference / "dense").iterdir()) == before
    trained(tmp_path / "results", "1-recipe-dense", 0)
    take_runs.take(MNIST, tmp_path / "results", reference)
    assert [path.name for path in (reference / "dense").iterdir()] == ["seed-0"]


def test_a_committed_model_keeps_its_figures(reference, tmp_path):
    kept = reference / "dense" / "seed-0"
    (kept / "model.keras").write_bytes(b"committed")
    settings = (kept / "environment.json").read_bytes()
    trained(tmp_path / "results", "1-recipe-dense", 0)
    take_runs.take(MNIST, tmp_path / "results", reference)
    assert (kept / "environment.json").read_bytes() == settings


def test_a_folder_without_runs_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["take_runs", str(tmp_path)])
    with pytest.raises(SystemExit) as refused:
        take_runs.main()
    assert refused.value.code == 2
    assert capsys.readouterr().err == (
        "python -m tools.take_runs: error: argument RESULTS: expected a folder that holds "
        f"fashion/runs or mnist/runs, got '{tmp_path}'\n"
    )
