"""Which search is taken where none is named."""

import os

import pytest

from shared_keras.results import names, searches
from shared_keras.results.winner import Winner
from tests.conftest import MNIST


@pytest.mark.parametrize("made", ["ab", "ba"])
def test_of_two_that_were_written_at_once_it_is_the_same_whatever_the_disk_lists_first(
    tmp_path, made
):
    for name in made:
        folder = tmp_path / MNIST.name / "searches" / name
        folder.mkdir(parents=True)
        values = {"name": name}
        Winner(6, 6, "0001", 0.9, "val_accuracy", "dense", "holdout", 32, values).write(folder)
        os.utime(folder / names.BEST, (100, 100))
    taken = searches.best_of_space(MNIST, tmp_path, "dense", "mine")
    assert taken == {"name": "b"}
