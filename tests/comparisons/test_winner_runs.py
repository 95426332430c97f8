"""Retrained trials of searches, read from their folders."""

from shared_keras.comparisons import winner_runs
from tests.results import made


def write(folder, when, **settings):
    mine = {"space": "dense", "source": "trial 0003 of your search a/b/mine"}
    made.run(folder, when / 1000, when, **mine | {"hyperparameters": {"n": 1}} | settings)


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
    write(tmp_path / "cut", 10)
    (tmp_path / "cut" / "metrics.json").unlink()
    recipes, runs = winner_runs.collect(tmp_path, "these")
    mine, other = "trial 0003 of your search mine", "trial 0001 of the committed reference search"
    assert set(recipes) == {mine, other} and recipes[mine].epochs == 5
    accuracies = {
        key: sorted(run.metrics.test.accuracy for run in found) for key, found in runs.found.items()
    }
    assert accuracies == {
        (mine, "ours"): [0.002, 0.004],
        (mine, "twin"): [0.005],
        (other, "ours"): [0.006],
    }
    assert runs.problems == [f"{tmp_path / 'cut'}: interrupted after 1 epoch, or still running"]


def test_a_way_that_is_taken_again_has_all_its_runs(tmp_path):
    write(tmp_path / "a", 1)
    write(tmp_path / "b", 2, epochs=1)
    write(tmp_path / "c", 3, seed=1)
    ((name, recipe),) = winner_runs.collect(tmp_path, "these")[0].items()
    found = winner_runs.collect(tmp_path, "these")[1].found[name, "ours"]
    assert recipe.epochs == 5 and [run.settings.seed for run in found] == [0, 1]
