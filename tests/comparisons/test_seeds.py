"""Two runs of several seeds, from folders that anybody may have."""

import json

import numpy as np
import pytest

from shared_keras.command_line import cli
from shared_keras.comparisons import verdicts
from tests.conftest import MNIST
from tests.results import made

DENSE = {"layers": [{"kind": "Dense", "l2": 0.0}]}


def write(folder, accuracies, curve=(0.5, 0.6), **settings):
    """A run of several seeds, without models."""
    for seed, accuracy in enumerate(accuracies):
        lines = [f"{i},0.5,{value + accuracy / 10},0.5" for i, value in enumerate(curve, 1)]
        history = "\n".join(["epoch,loss,val_accuracy,val_loss", *lines])
        its = {"system": DENSE, "seed": seed} | settings
        made.run(folder / f"seed-{seed}", accuracy, history=history, **its)
    return folder


@pytest.fixture
def compare(tmp_path, capsys):
    def run(a, b):
        out = tmp_path / "out"
        assert cli.main(MNIST, "compare", [str(a), str(b), "--out", str(out)]) == 0
        return capsys.readouterr().out, json.loads((out / "seeds.json").read_text()), out

    return run


def around(mean, spread):
    return [mean + spread * k for k in (-1, -0.5, 0, 0.5, 1)]


def test_a_difference_its_interval_and_a_verdict(tmp_path, compare):
    a = write(tmp_path / "ours", around(0.9, 0.001), curve=(0.5, 0.7))
    b = write(tmp_path / "theirs", around(0.88, 0.001), curve=(0.5, 0.6))
    out, result, folder = compare(a, b)
    assert result["verdict"] == "different" and result["difference"] == pytest.approx(0.02)
    assert result["ours"]["test_accuracy"] == around(0.9, 0.001)
    found = verdicts.difference(around(0.9, 0.001), around(0.88, 0.001))
    interval = f"95 % interval {100 * found.low:+.2f} to {100 * found.high:+.2f} (Welch)"
    assert f"difference +2.00 points, {interval}: different\n" in out
    sd = 100 * np.std(around(0.9, 0.001), ddof=1)
    assert f"ours: test accuracy 90.00 % ± {sd:.2f} (n = 5 seeds)" in out
    assert "mean curves: val_accuracy at most 10.20 points" in out and "(epoch 2)" in out
    assert (folder / "seeds.png").exists() and "hold no models" in out


def test_equal_runs(tmp_path, compare):
    a = write(tmp_path / "x" / "same", around(0.9, 0.001))
    b = write(tmp_path / "y" / "same", around(0.9, 0.001))
    out, result, _ = compare(a, b)
    assert result["verdict"] == "equal" and {"same (first)", "same (second)"} <= set(result)
    assert "equal within 0.5 points (two one-sided tests)" in out


def test_how_many_more_seeds_would_decide(tmp_path, compare):
    a = write(tmp_path / "a", around(0.9, 0.01))
    b = write(tmp_path / "b", [*around(0.9, 0.01), 0.9])
    out, result, _ = compare(a, b)
    n = verdicts.more_seeds(around(0.9, 0.01), [*around(0.9, 0.01), 0.9])
    assert result["verdict"] == "undecided" and result["more_seeds"] == {"a": n - 5, "b": n - 6}
    assert f"undecided; about {n - 5} and {n - 6} more seeds each would decide it" in out


def test_one_seed_without_a_model_is_compared_with_nothing(tmp_path, capsys):
    a = write(tmp_path / "a", around(0.9, 0.01))
    b = write(tmp_path / "b", [0.9])
    assert cli.main(MNIST, "compare", [str(a), str(b), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"the run '{a}' has no model, so that only its seeds could be compared" in error
    assert "at least two seeds each" in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split": "published"}, "other test images (splits holdout and published)"),
        ({"data": "others"}, "they were tested on other images"),
    ],
)
def test_seeds_on_other_test_images_are_not_compared(tmp_path, compare, settings, said):
    a = write(tmp_path / "a", around(0.9, 0.01))
    b = write(tmp_path / "b", around(0.9, 0.01), **settings)
    out, result, _ = compare(a, b)
    assert said in out and "verdict" not in result


def test_losses_with_and_without_penalty_are_not_compared(tmp_path, compare):
    penalty = {"layers": [{"kind": "Dense", "l2": 0.1}]}
    a = write(tmp_path / "a", around(0.9, 0.01), system=penalty)
    b = write(tmp_path / "b", around(0.9, 0.01))
    _, result, _ = compare(a, b)
    assert [curve["metric"] for curve in result["curves"]] == ["val_accuracy"]


def test_an_interrupted_seed_is_left_out_and_a_single_one_is_no_group(
    tmp_path, compare, capsys, monkeypatch
):
    a = write(tmp_path / "a", around(0.9, 0.01))
    b = write(tmp_path / "b", around(0.9, 0.01))
    (b / "seed-4" / "metrics.json").unlink()
    out, result, _ = compare(a, b)
    assert "left out: " in out and len(result["b"]["seeds"]) == 4
    single = write(tmp_path / "single", [0.9])
    monkeypatch.chdir(tmp_path)
    for place in (str(single), "single"):
        words = [str(a), place, "--out", str(tmp_path / "other")]
        assert cli.main(MNIST, "compare", words) == 2
        assert "has no model" in capsys.readouterr().err
