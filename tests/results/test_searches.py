"""Which search is taken where none is named."""

import os

import pytest

from shared_keras.results import folders, names, searches
from shared_keras.results.winner import Winner
from tests.conftest import MNIST


def won(folder):
    folder.mkdir(parents=True)
    values = {"name": folder.name}
    Winner(6, 6, "0001", 0.9, "val_accuracy", "dense", "holdout", 32, values).write(folder)
    os.utime(folder / names.BEST, (100, 100))


@pytest.mark.usefixtures("listed")
def test_of_two_that_were_written_at_once_it_is_the_same_whatever_the_disk_lists_first(tmp_path):
    for name in "ab":
        won(tmp_path / MNIST.name / "searches" / name)
    assert searches.best_of_space(MNIST, tmp_path, "dense", "mine") == {"name": "b"}


@pytest.mark.usefixtures("listed")
def test_of_two_committed_ones_too(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "reference", lambda task: tmp_path / "committed")
    for name in "ab":
        won(tmp_path / "committed" / name)
    assert searches.best_of_space(MNIST, tmp_path, "dense", "mine") == {"name": "a"}
