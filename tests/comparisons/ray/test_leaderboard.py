"""compare --ray-results on folders of trained networks, intact and damaged."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared_keras.command_line import cli
from tests.conftest import FASHION, MNIST

torch = pytest.importorskip("torch")
from shared_keras.comparisons.ray import recompute  # noqa: E402
from tests import ray_folders  # noqa: E402
from tests.pytorch.test_weights import Hostile  # noqa: E402
from tests.ray_folders import CONFIG, OriginalMLP, trained, write_state, write_trial  # noqa: E402


@pytest.fixture(scope="module")
def experiment(small_dirs, tmp_path_factory):
    """Two good trials, one false claim, and every kind of damage; on Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("ray") / "my_tune_exp"
    split = ray_folders.small_split(FASHION, small_dirs["fashion"])
    state, claimed = trained(FASHION, split, CONFIG)
    write_trial(folder, "a1_00000", CONFIG, [50.0, claimed], state)
    wide = CONFIG | {"l1_size": 33, "batch_size": 100}
    wide_state, wide_claimed = trained(FASHION, split, wide, seed=1)
    write_trial(folder, "a1_00001", wide, [wide_claimed], wide_state)
    write_trial(folder, "a1_00002", CONFIG, [claimed + 5], state)  # claims too much
    write_trial(folder, "a1_00003", CONFIG, [61.0, 62.0])  # no checkpoint
    write_trial(folder, "a1_00004", wide, [70.0], state)  # another architecture
    cut = write_trial(folder, "a1_00005", CONFIG, [55.0, claimed], state)
    with open(cut / "result.json", "a") as file:
        file.write('{"accuracy": 99.9, "trial_')  # killed while writing
    write_trial(folder, "a1_00006", CONFIG, [70.0], {"x": Hostile()})
    broken = write_trial(folder, "a1_00007", CONFIG, [70.0], state)
    (broken / "checkpoint_000000" / "model.pt").write_bytes(b"half a file")
    bare = write_trial(folder, "a1_00008", CONFIG, [claimed], state)
    (bare / "result.json").unlink()
    (bare / "params.json").unlink()  # progress.csv alone lacks the sizes
    (folder / "a_folder_of_notes").mkdir()
    (folder / "basic-variant-state.json").write_text("{")
    write_state(folder, {"a1_00000": "TERMINATED", "a1_00003": "ERROR"})
    return folder, claimed / 100


@pytest.fixture
def user(small_dirs, tmp_path):
    def run(*words):
        places = ["--data-dir", small_dirs["fashion"], "--results-dir", tmp_path / "results"]
        return cli.main(FASHION, "compare", [str(word) for word in (*words, *places)])

    return run


@pytest.mark.long(only=True)
def test_leaderboard(experiment, user, capsys, tmp_path):
    folder, claimed = experiment
    assert user("--ray-results", folder, "--out", tmp_path / "out") == 0
    out, err = capsys.readouterr()
    table = pd.read_csv(tmp_path / "out" / "leaderboard.csv").set_index("trial")
    written = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert set(table.index) == {f"trial_a1_0000{i}" for i in (0, 1, 2, 5)}
    assert table.torch_val.is_monotonic_decreasing
    np.testing.assert_array_equal(table.torch_val, table.keras_val)
    np.testing.assert_array_equal(table.torch_test, table.keras_test)
    assert (table.max_logit_difference < 1e-5).all() and (table.disagreements == 0).all()
    assert table.claimed_val["trial_a1_00000"] == pytest.approx(claimed)
    assert table.torch_val["trial_a1_00000"] == pytest.approx(claimed, abs=0.02)
    assert list(table.index[table.warning.notna()]) == ["trial_a1_00002"]
    assert "warning: trial_a1_00002 claims" in out and err == ""
    assert "4 of 9 trials compared, 5 left out" in out
    for line in (
        "trial_a1_00005: an unfinished line in result.json",
        "left out: trial_a1_00003: no checkpoint; status ERROR",
        "left out: trial_a1_00004: state dict: 'layers.0.weight' has the shape (24, 784), expected",
        "left out: trial_a1_00006: ",
        "left out: trial_a1_00007: ",
        "left out: trial_a1_00008: config: 'l1_size' is None",
    ):
        assert line in out, line
    assert "could run code" in out
    assert {row["trial"] for row in written["left_out"]} == {
        f"trial_a1_0000{i}" for i in (3, 4, 6, 7, 8)
    }
    assert Image.open(tmp_path / "out" / "claimed.png").size[0] > 500


@pytest.mark.long(only=True)
def test_import_makes_a_run(experiment, user, capsys, small_dirs, tmp_path):
    folder, _ = experiment
    assert user("--ray-results", folder, "--import", "a1_00001") == 0
    (run,) = (tmp_path / "results" / "fashion" / "runs").iterdir()
    places = ["--data-dir", str(small_dirs["fashion"]), "--results-dir", str(tmp_path / "results")]
    assert cli.main(FASHION, "evaluate", places) == 0
    assert cli.main(FASHION, "predict", ["--random", "2", *places]) == 0
    evaluated = next((tmp_path / "results" / "fashion" / "evaluations").iterdir())
    scores = json.loads((evaluated / "evaluation.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert scores["accuracy"] == metrics["test"]["accuracy"]
    original = folder / "trial_a1_00001" / "checkpoint_000000" / "model.pt"
    assert (run / "model.pt").read_bytes() == original.read_bytes()
    assert len(pd.read_csv(run / "reported.csv")) == 1
    capsys.readouterr()


@pytest.mark.long(only=True)
def test_other_names(small_dirs, tmp_path, capsys):
    """A folder that another project's code wrote, for MNIST, with a mapping."""
    split = ray_folders.small_split(MNIST, small_dirs["mnist"])
    state, claimed = trained(MNIST, split, CONFIG)
    modules = {f"layers.{i}": f"enc{i}" for i in range(3)} | {"out_layer": "a_head"}
    modules |= {f"bns.{i}": f"n{i}" for i in range(3)}
    state = {
        f"{modules[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor
        for key, tensor in reversed(state.items())
    }
    theirs = {f"l{i}_size": f"width_{i}" for i in (1, 2, 3)} | {"batch_size": "bs"}
    config = {theirs.get(key, key): value for key, value in CONFIG.items()}
    folder = tmp_path / "exp"
    path = write_trial(folder, "z", config, [claimed / 100], state)
    path.rename(folder / "train_z_lr=0.1")
    text = (folder / "train_z_lr=0.1" / "result.json").read_text()
    (folder / "train_z_lr=0.1" / "result.json").write_text(text.replace("accuracy", "val_acc"))
    ours = {f"enc{i}": f"dense_{i + 1}" for i in range(3)} | {"a_head": "dense_4"}
    ours |= {f"n{i}": f"norm_{i + 1}" for i in range(3)}
    mapping = {
        "config": {their: our for our, their in theirs.items()},
        "modules": ours,
        "metric": "val_acc",
    }
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    places = ["--data-dir", str(small_dirs["mnist"]), "--out", str(tmp_path / "out")]
    words = ["--ray-results", str(folder), "--mapping", str(tmp_path / "mapping.json"), *places]
    assert cli.main(MNIST, "compare", words) == 0, capsys.readouterr()
    (row,) = json.loads((tmp_path / "out" / "leaderboard.json").read_text())["trials"]
    assert row["warning"] == "" and row["disagreements"] == 0
    assert row["claimed_val"] == pytest.approx(claimed / 100)
    assert row["torch_val"] == pytest.approx(row["claimed_val"], abs=0.02)
    capsys.readouterr()


@settings(deadline=None, max_examples=50)
@given(
    n=st.integers(20, 400),
    batch_size=st.integers(1, 120),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_averaging_batches_is_explained_and_no_more(n, batch_size, share, seed):
    """Any shuffled pass lies in the interval, which is no wider than the last batch allows."""
    right = np.arange(n) < round(share * n)
    np.random.default_rng(seed).shuffle(right)
    batches = [right[i : i + batch_size] for i in range(0, n, batch_size)]
    claim = np.mean([batch.mean() for batch in batches])
    low, high = recompute.explainable(right.mean(), n, batch_size)
    assert low <= claim <= high
    if n % batch_size == 0 or batch_size > n:
        assert high - low < 4.1 / n
    assert high - low < 4.1 / n + 1 / len(batches)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--ray-results", "/nowhere"], "--ray-results: expected the folder of a Ray Tune"),
        (["--ray-results", "{empty}"], "holds no trials, expected folders with params.json"),
        (["--ray-results", "{exp}", "--import", "x9"], "--import: no trial 'x9', expected one of"),
        (["--ray-results", "{exp}", "--mapping", "{bad}"], "--mapping: {bad} holds [1], expected"),
        (["--ray-results", "{exp}", "--mapping", "/none"], "/none: cannot be read as JSON"),
        (["--ray-results", "{exp}", "--out", "{full}"], "--out: expected a new or empty folder"),
        (["--ray-results", "{exp}", "a", "b"], "argument RUN: expected two runs or none, and"),
        (["--import", "x"], "argument --import: only works with --ray-results, got 'x'"),
        (["--mapping", "x"], "argument --mapping: only works with --ray-results"),
        (["one"], "argument RUN: expected two runs or none, and none with --ray-results, got 1"),
    ],
)
def test_bad_input(experiment, user, capsys, tmp_path, words, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "bad").write_text("[1]")
    places = {name: tmp_path / name for name in ("empty", "full", "bad")} | {"exp": experiment[0]}
    assert user(*(word.format(**places) for word in words)) == 2
    out, err = capsys.readouterr()
    assert expected.format(**places) in err and err.count("\n") == 1 and out == ""
    assert not (tmp_path / "results").exists()


@pytest.mark.long(only=True)
def test_a_trial_that_cannot_be_imported_says_why(experiment, user, capsys):
    assert user("--ray-results", experiment[0], "--import", "trial_a1_00003") == 2
    assert "'trial_a1_00003' cannot be imported: no checkpoint" in capsys.readouterr().err


def test_the_original_is_what_the_folders_are_made_of():
    keys = list(OriginalMLP([3, 4, 5], [0.1] * 3).state_dict())
    assert keys[:2] == ["layers.0.weight", "layers.0.bias"] and keys[-1] == "out_layer.bias"
