"""The example of one recipe is the recipe: the same images, model and score."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from shared_keras.data import datasets, splits
from shared_keras.models.build import keras_model
from shared_keras.results.scores import predict_probabilities
from tests.conftest import FASHION, write_idx

EXAMPLE = Path(__file__).parents[2] / "examples" / "one_recipe.py"
RECIPE = FASHION.recipes["accuracy"]


@pytest.fixture(scope="module")
def few(full):
    """Fashion-MNIST's first training and test images."""
    train, test = full["fashion"]
    return datasets.Images(train.x[:640], train.y[:640]), datasets.Images(
        test.x[:500], test.y[:500]
    )


@pytest.fixture(scope="module")
def example(few, tmp_path_factory):
    """The names of the example after two epochs on a few images."""
    folder = tmp_path_factory.mktemp("images")
    write_idx(folder, *few, compress=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(EXAMPLE), "--data-dir", str(folder), "--epochs", "2"])
        return runpy.run_path(str(EXAMPLE), run_name="__main__")


@pytest.mark.long(only=True)
def test_its_images_are_those_of_the_recipe(example, few):
    split = splits.split(FASHION, *few, RECIPE.split)
    for part, x, y in (
        (split.train, "x", "y"),
        (split.validation, "val_x", "val_y"),
        (split.test, "test_x", "test_y"),
    ):
        np.testing.assert_array_equal(example[x], part.x)
        np.testing.assert_array_equal(example[y], part.y)


@pytest.mark.long(only=True)
def test_its_model_is_that_of_the_recipe(example):
    ours, theirs = keras_model(FASHION.system(RECIPE.system)), example["model"]
    ours.set_weights(theirs.get_weights())
    x = example["test_x"]
    np.testing.assert_allclose(predict_probabilities(ours, x), theirs.predict(x), atol=1e-6)
    for name in ("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay", "clipnorm"):
        assert ours.optimizer.get_config()[name] == theirs.optimizer.get_config()[name], name
    options = example["options"]
    assert example["parser"].get_default("epochs") == RECIPE.epochs
    assert (options["batch_size"], example["best"].patience) == (RECIPE.batch_size, RECIPE.patience)
    assert example["best"].monitor == RECIPE.monitor and example["best"].restore_best_weights


def test_it_scores_the_best_epoch_on_images_that_decided_nothing(example):
    model, scored = example["model"], max(example["history"].history["val_accuracy"])
    for x, y, score in (("val_x", "val_y", scored), ("test_x", "test_y", example["accuracy"])):
        right = predict_probabilities(model, example[x]).argmax(1) == example[y]
        assert right.mean() == pytest.approx(score, abs=1e-6)
    published = EXAMPLE.read_text()
    for score in RECIPE.published.values():
        assert f"published {score:.4f}" in published
