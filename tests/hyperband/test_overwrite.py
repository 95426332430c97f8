"""`overwrite=True` deletes an earlier search, once nothing else can go wrong."""

import shutil

import pytest

from shared_keras.errors import RunFailed
from tests.hyperband.small_search import build, make, outcome, search


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished search."""
    folder = tmp_path_factory.mktemp("done")
    search(make(folder, max_epochs=1))
    return folder


def unbuildable(hp):
    raise RuntimeError("a slip")


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"folds": 1},
        {"keep_checkpoints": -1},
        {"max_model_size": 0},
        {"executions_per_trial": 0},
        {"callback": "print"},
        {"unheard_of": 3},
        {"hypermodel": "build"},
        {"hypermodel": unbuildable},
        {"max_retries_per_trial": -1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_argument_costs_no_search(done, wrong):
    with pytest.raises((ValueError, RuntimeError), match=f"{next(iter(wrong))}|a slip"):
        make(done, **{"hypermodel": build, "overwrite": True} | wrong)
    assert len(make(done, max_epochs=1).oracle.trials) == 1


def test_nothing_is_left(tmp_path):
    before = search(make(tmp_path, max_epochs=1))
    (tmp_path / "p" / "tensorboard").mkdir()
    again = make(tmp_path, max_epochs=1, overwrite=True, optimizer="adam")
    assert [path.name for path in (tmp_path / "p").iterdir() if path.name != ".lock"] == []
    assert outcome(search(again)).keys() == outcome(before).keys()


def test_a_folder_that_cannot_be_deleted_is_reported(done, monkeypatch):
    def denied(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", denied)
    with pytest.raises(RunFailed, match="^overwrite: the search in .* cannot be deleted: .*denied"):
        make(done, max_epochs=1, overwrite=True)
