"""What goes wrong around a search: workers, disks, trials."""

import functools
import os
import resource
import signal

import pytest

from shared_keras.errors import RunFailed
from shared_keras.hyperband import Hyperband
from tests.hyperband.healthy_search import build, healthy, make, outcome, search


def dies(hp, marker):
    """Kill the process, as the system does when memory runs out: once, or always."""
    if hp.values["tuner/bracket"] == 0 and not marker.exists():
        if "once" in marker.name:
            marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return healthy(hp)


@pytest.mark.long(only=True)
def test_a_worker_that_dies_is_replaced_and_its_trial_run_again(done, tmp_path):
    hypermodel = functools.partial(dies, marker=tmp_path / "once")
    tuner = make(tmp_path, healthy)
    tuner.hypermodel.build = hypermodel
    assert outcome(search(tuner)) == outcome(done)


@pytest.mark.long(only=True)
def test_a_trial_whose_worker_dies_twice_has_failed(tmp_path):
    tuner = Hyperband(healthy, max_epochs=1, factor=2, directory=tmp_path)
    tuner.hypermodel.build = functools.partial(dies, marker=tmp_path / "never")
    with pytest.raises(RunFailed, match="every trial of a first rung failed, .* died twice"):
        search(tuner)
    assert [t.status for t in tuner.oracle.trials.values()] == ["FAILED"]


def test_files_are_whole_or_absent_after_a_crash_while_writing(tmp_path, monkeypatch):
    tuner = make(tmp_path)
    tuner.save()
    before = (tuner.folder("x").parent / "oracle.json").read_text()
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        tuner.oracle.create_trial("t")
    monkeypatch.undo()
    assert (tuner.folder("x").parent / "oracle.json").read_text() == before
    assert not list(tmp_path.rglob("*tmp*"))
    assert outcome(make(tmp_path)) == []


@pytest.mark.long(only=True)
def test_failures_are_recorded_with_their_reason(tmp_path):
    tuner = search(make(tmp_path, build, seed=2))
    trials = tuner.oracle.trials.values()
    troubles = {t.hyperparameters.values["trouble"] for t in trials}
    assert troubles == {"none", "no", "raise", "nan"}
    for trial in trials:
        trouble = trial.hyperparameters.values["trouble"]
        assert (trial.status == "COMPLETED") == (trouble in ("none", "no"))
        if trouble == "raise":
            assert "out of luck" in trial.message
        if trouble == "nan":
            assert "became nan in epoch" in trial.message
    table = tuner.results()
    assert table.trial[0] == tuner.winner().trial_id
    assert set(table.reason[table.status == "FAILED"]) >= {"RuntimeError: out of luck"}


def full_disk(hp, marker):
    """From the third trial on, no file may grow beyond a kilobyte, until the marker is gone."""
    if marker.exists():
        marker.write_text(marker.read_text() + "x")
        if len(marker.read_text()) > 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    return healthy(hp)


@pytest.mark.long(only=True)
def test_a_full_disk_stops_the_search_and_nothing_is_lost(done, tmp_path):
    marker = tmp_path / "full"
    marker.touch()
    tuner = make(tmp_path, workers=1)
    tuner.hypermodel.build = functools.partial(full_disk, marker=marker)
    with pytest.raises(OSError, match="File too large"):
        search(tuner)
    ended = {i for i, t in tuner.oracle.trials.items() if t.status != "RUNNING"}
    assert len(ended) == 2
    marker.unlink()
    again = make(tmp_path, workers=1)
    again.hypermodel.build = tuner.hypermodel.build
    assert set(again.oracle.trials) == ended
    assert outcome(search(again)) == outcome(done)
