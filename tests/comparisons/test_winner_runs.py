"""Retrained trials of searches, read from their folders."""

import json
import os

from shared_keras.comparisons import winner_runs


def write(folder, when, **settings):
    folder.mkdir(parents=True)
    values = {"framework": "keras", "recipe": None, "space": "dense", "data": "these"}
    values |= {"source": "trial 0003 of your search a/b/mine", "hyperparameters": {"n": 1}}
    values |= {"epochs": 5, "patience": 2, "batch_size": 32, "split": "holdout"}
    values |= {"precision": "float32", "seed": 0}
    (folder / "settings.json").write_text(json.dumps(values | settings))
    part = {"loss": 0.5, "accuracy": when / 1000}
    metrics = {"validation": part, "test": part, "seconds_per_epoch": 1.0, "best_epoch": 1}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "history.csv").write_text("epoch,loss\n1,0.5\n")
    os.utime(folder / "metrics.json", (when, when))


def test_the_last_way_of_training_a_trial_counts(tmp_path):
    write(tmp_path / "a", 1, epochs=1)
    write(tmp_path / "b" / "seed-0", 2)
    write(tmp_path / "b" / "seed-1", 3, seed=1)
    write(tmp_path / "c", 4, seed=1)  # the same seed again
    write(tmp_path / "twin", 5, framework="pytorch")
    write(tmp_path / "other-trial", 6, source="trial 0001 of the committed reference search x")
    write(tmp_path / "other-images", 7, data="others")
    write(tmp_path / "recipe", 8, recipe="dense")
    write(tmp_path / "ray", 9, space=None)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "settings.json").write_text((tmp_path / "a/settings.json").read_text())
    recipes, runs = winner_runs.collect(tmp_path, "these")
    mine, other = "trial 0003 of your search mine", "trial 0001 of the committed reference search"
    assert set(recipes) == {mine, other} and recipes[mine].epochs == 5
    accuracies = {
        key: sorted(run["test"]["accuracy"] for run in found) for key, found in runs.found.items()
    }
    assert accuracies == {
        (mine, "ours"): [0.002, 0.004],
        (mine, "twin"): [0.005],
        (other, "ours"): [0.006],
    }
    assert runs.problems == [f"{tmp_path / 'cut'}: interrupted, or still running"]
