"""compare --ray-results on networks of which no checkpoint says how they are built."""

import json

import numpy as np
import pandas as pd
import pytest

from shared_keras.command_line import cli
from tests.conftest import MNIST

torch = pytest.importorskip("torch")
from shared_keras.comparisons.ray.assumptions import Assumed, likely  # noqa: E402
from tests import ray_folders  # noqa: E402
from tests.ray_folders import CONFIG, trained, write_trial  # noqa: E402

TANH = Assumed("tanh", "after", 0.0, 1.0)
ODD = Assumed("gelu", "before", 0.21, 0.7)

FILE = """
import torch
from tests.ray_folders import OriginalMLP

def model(config):
    sizes, rates = ([config[f"l{{i}}_{{what}}"] for i in (1, 2, 3)] for what in ("size", "drop"))
    return OriginalMLP(sizes, rates, {activation}, "{norm}")

def preprocess(images):
    return ({pixels} - 0.21) / 0.7
"""
PIXELS = "torch.tensor(images / 255, dtype=torch.float32)"


def folder_of(tmp_path, data, assumed, off=0.0):
    """Write two trials of a network; return the folder and their accuracies."""
    split = ray_folders.small_split(MNIST, data)
    for i, width in enumerate((24, 40)):
        config = CONFIG | {"l1_size": width}
        state, claimed = trained(MNIST, split, config, seed=i, assumed=assumed)
        write_trial(tmp_path / "exp", f"t{i}", config, [claimed + off], state)
    return tmp_path / "exp"


def compare(tmp_path, data, *words):
    places = ["--data-dir", data, "--results-dir", tmp_path, "--out", tmp_path / "out"]
    code = cli.main(MNIST, "compare", [*map(str, (*words, *places))])
    written = tmp_path / "out" / "leaderboard.json"
    return code, json.loads(written.read_text())["trials"] if written.exists() else None


@pytest.mark.long(only=True)
def test_the_claimed_scores_say_how_a_network_is_built(small_dirs, tmp_path, capsys):
    folder = folder_of(tmp_path, small_dirs["mnist"], TANH)
    code, rows = compare(tmp_path, small_dirs["mnist"], "--ray-results", folder, "--import", "t0")
    assert code == 0
    assert f"networks: {TANH}, which reproduces 2 of 2 claimed scores" in capsys.readouterr().out
    for row in rows:
        assert row["warning"] == "" and row["disagreements"] == 0
        assert row["keras_val"] == pytest.approx(row["claimed_val"], abs=0.02)
    settings = json.loads(next((tmp_path / "mnist" / "runs").glob("*/settings.json")).read_text())
    assert {"kind": "Activation", "name": "tanh"} in settings["system"]["layers"]
    assert settings["system"]["std"] == 1.0


@pytest.mark.long(only=True)
def test_where_no_likely_network_fits_it_asks_for_the_model(small_dirs, tmp_path, capsys):
    data = small_dirs["mnist"]
    folder = folder_of(tmp_path, data, next(likely(MNIST.pixels)), off=30.0)
    code, rows = compare(tmp_path, data, "--ray-results", folder)
    out = capsys.readouterr().out
    assert code == 0 and all("claims" in row["warning"] for row in rows)
    assert "no likely network reproduces most of 2 claimed scores" in out
    assert "--model FILE.py" in out


@pytest.mark.parametrize(
    ("activation", "pixels", "ported"),
    [
        ("torch.nn.functional.gelu", PIXELS, True),
        ("torch.nn.functional.gelu", f"{PIXELS}.sqrt()", False),
        pytest.param("torch.nn.functional.softsign", PIXELS, False, marks=pytest.mark.long),
    ],
    ids=["a likely network", "other pixels", "another network"],
)
def test_the_file_says_what_the_network_is(
    small_dirs, tmp_path, capsys, activation, pixels, ported
):
    folder = folder_of(tmp_path, small_dirs["mnist"], ODD)
    text = FILE.format(activation=activation, norm="before", pixels=pixels)
    (tmp_path / "net.py").write_text(text)
    words = ["--ray-results", folder, "--model", tmp_path / "net.py"]
    code, rows = compare(tmp_path, small_dirs["mnist"], *words)
    assert code == 0, capsys.readouterr()
    as_claimed = [row["warning"] == "" for row in rows]
    assert all(as_claimed) == ported or activation.endswith("gelu")
    table = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    assert table.keras_val.notna().all() if ported else table.keras_val.isna().all()
    if ported:
        np.testing.assert_array_equal(table.keras_val, table.torch_val)
    else:
        assert all("only PyTorch's scores" in row["notes"] for row in rows)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def model(config): return 3\npreprocess = abs", "returned int, expected a torch.nn.Mo"),
        ("def model(config): return 3", "defines no preprocess(images), expected a function"),
        ("def model(config): return config['x']\npreprocess = abs", "line 1: KeyError: 'x'"),
        (
            "import torch\ndef model(config): return torch.nn.Linear(3, 2)\npreprocess = abs",
            "the weights do not fit",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(small_dirs, tmp_path, capsys, text, said):
    state = {"layers.0.weight": torch.zeros(10, 784)}
    write_trial(tmp_path / "exp", "t", CONFIG, [50.0], state)
    (tmp_path / "net.py").write_text(text)
    words = ["--ray-results", tmp_path / "exp", "--model", tmp_path / "net.py", "--import", "t"]
    assert compare(tmp_path, small_dirs["mnist"], *words)[0] == 2
    err = capsys.readouterr().err
    assert "argument --model: " in err and said in err and err.count("\n") == 1
