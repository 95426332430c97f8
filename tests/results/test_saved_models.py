"""Models from elsewhere: in which shapes they may take an image."""

import keras
import numpy as np
import pytest

from shared_keras.errors import BadInput
from shared_keras.results import saved_models
from tests.conftest import MNIST


def written(folder, *inputs):
    """Write a model of some inputs; return it and its path."""
    keras.utils.set_random_seed(0)
    model = keras.Model(
        inputs[0] if len(inputs) == 1 else inputs, keras.layers.Dense(10)(flat(inputs[0]))
    )
    model.save(folder / "theirs.keras")
    return model, folder / "theirs.keras"


def flat(x):
    """Return one row of values for each image, of whatever size."""
    if None in x.shape[1:]:
        return keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(8, 3)(x))
    return keras.layers.Flatten()(x) if len(x.shape) > 2 else x


@pytest.mark.parametrize(
    ("shape", "given"),
    [((28, 28, 1),) * 2, ((1, 28, 28),) * 2, ((784,),) * 2, ((None, None, 1), (28, 28, 1))],
)
def test_a_model_may_take_images_in_the_usual_shapes(tmp_path, shape, given):
    model, path = written(tmp_path, keras.Input(shape))
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype("float32")
    loaded = saved_models.load(MNIST, path)
    assert loaded.input_shape == (None, 28, 28)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(loaded(images)),
        keras.ops.convert_to_numpy(model(images.reshape(5, *given))),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "inputs",
    [
        lambda: [keras.Input((28, 28, 3))],
        lambda: [keras.Input((14, 56))],
        lambda: [keras.Input((28, 28, 1), batch_size=4)],
        lambda: [keras.Input((28, 28)), keras.Input((3,))],
    ],
)
def test_other_shapes_are_refused_with_those_that_are_taken(tmp_path, inputs):
    _, path = written(tmp_path, *inputs())
    taken = r"one from \(None, 28, 28\), .*\(None, 28, 28, 1\), .* or \(None, 784\) to \(None, 10\)"
    with pytest.raises(BadInput, match=taken):
        saved_models.load(MNIST, path)
