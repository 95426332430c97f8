"""Trials that are run again: with seeds of their own, and alike after an interruption."""

from pathlib import Path

import keras_tuner
import pytest

from tests.hyperband.small_search import build, make, outcome, search
from tests.shares import dealt


class FailsOnce(keras_tuner.HyperModel):
    """Every setting fails when it is trained for the first time.

    Args:
        folder: For files that tell what was trained.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        if not (marker := self.folder / str(hp.get("units"))).exists():
            marker.touch()
            hp.Int("only_at_first", 1, 1000)
            raise RuntimeError("out of luck")
        kwargs["batch_size"] = hp.Int("batch_size", 8, 64)
        return model.fit(*args, **kwargs)


def retrying(folder: Path, **options):
    (folder / "markers").mkdir(parents=True, exist_ok=True)
    hypermodel = FailsOnce(folder / "markers")
    options = {"workers": 1, "max_retries_per_trial": 1} | options
    return make(folder, hypermodel, "val_loss", max_consecutive_failed_trials=None, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return outcome(search(retrying(tmp_path_factory.mktemp("undisturbed"))))


@pytest.mark.long(only=True)
@pytest.mark.parametrize("trial_id", dealt(["0000", "0003"], ["0003"]))
def test_a_search_that_is_interrupted_in_a_retry_ends_alike(undisturbed, tmp_path, trial_id):
    """When nothing has ended yet, and later."""
    tuner = retrying(tmp_path)

    def stop():
        if trial_id in tuner.course.running and tuner.oracle._run_times[trial_id]:
            raise KeyboardInterrupt

    tuner.callback = stop
    with pytest.raises(KeyboardInterrupt):
        search(tuner)
    assert outcome(search(retrying(tmp_path))) == undisturbed
    assert {status for status, _, _ in undisturbed.values()} == {"COMPLETED"}
