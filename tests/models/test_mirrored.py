"""Outside training, a mirrored system answers with means over an image and its mirror image."""

import dataclasses

import keras
import numpy as np
import pytest

from shared_keras import training
from shared_keras.models import mirrored as mirrored_again
from shared_keras.models.build import keras_model
from shared_keras.models.layers import MeanOfMirrored, WithMirrored
from shared_keras.models.portable import portable
from shared_keras.systems.spec import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    MaxPool,
    Optimizer,
    System,
)
from shared_keras.training import known_means

EVERYWHERE = pytest.mark.every_backend
CHAIN = (Conv(4, kernel=5, stride=2, padded=False), BatchNorm(), Activation("relu"), MaxPool())
PLAIN = System((*CHAIN, Flatten(), Dense(10)), Optimizer("adam", 0.01))
MIRRORED = dataclasses.replace(PLAIN, mirrored=True)
X = np.random.default_rng(0).integers(0, 256, (70, 28, 28), dtype=np.uint8)
Y = np.arange(70) % 10


def pair():
    """Return a trained mirrored model, and one with the same weights that is not."""
    mirrored, plain = keras_model(MIRRORED), keras_model(PLAIN)
    training.fit(mirrored, X, Y, batch_size=16, epochs=2, verbose=0)
    plain.set_weights(mirrored.get_weights())
    return mirrored, plain


def outputs(model, x):
    return model.predict(x, batch_size=32, verbose=0)  # batches of 32, 32 and 6


def means(plain, x=X):
    return (outputs(plain, x) + outputs(plain, x[:, :, ::-1])) / 2


@EVERYWHERE
def test_it_answers_with_the_means():
    mirrored, plain = pair()
    assert abs(outputs(plain, X) - outputs(plain, X[:, :, ::-1])).max() > 0.01
    np.testing.assert_allclose(outputs(mirrored, X), means(plain), atol=1e-5)
    np.testing.assert_allclose(outputs(mirrored, X[:1]), means(plain, X[:1]), atol=1e-5)


@EVERYWHERE
def test_it_trains_as_if_it_were_not():
    """With the same weights and batches; validation then sees the means."""
    mirrored, plain = keras_model(MIRRORED), keras_model(PLAIN)
    plain.set_weights(mirrored.get_weights())
    given = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}
    histories = [
        training.fit(model, X, Y, validation_data=(X, Y), **given).history
        for model in (mirrored, plain)
    ]
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-4)
    for ours, others in zip(mirrored.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(ours, others, atol=1e-4)
    loss = mirrored.evaluate(X, Y, verbose=0)[0]
    np.testing.assert_allclose(histories[0]["val_loss"][-1], loss, rtol=1e-4)
    assert abs(histories[1]["val_loss"][-1] - loss) > 1e-4


@EVERYWHERE
def test_its_file_has_keras_own_parts_only(tmp_path):
    mirrored, plain = pair()
    portable(mirrored).save(tmp_path / "model.keras")
    saved = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert all(type(part).__module__.startswith("keras.") for part in saved.operations)
    assert saved.output_shape == (None, 10)
    np.testing.assert_allclose(outputs(saved, X), means(plain), atol=1e-5)
    loaded = mirrored_again.again(saved)
    assert known_means.samples_are_apart(loaded)
    np.testing.assert_allclose(outputs(loaded, X), means(plain), atol=1e-5)


def test_it_is_saved_whenever_its_layers_were_named(tmp_path):
    """Keras names layers and operations anew after `clear_session`, and in each process."""
    mirrored, plain = pair()
    keras.utils.clear_session()
    portable(mirrored).save(tmp_path / "model.keras")
    keras.utils.clear_session()
    loaded = mirrored_again.again(keras.saving.load_model(tmp_path / "model.keras"))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in mirrored.layers]
    loaded.compile("adam", "mse")
    portable(loaded).save(tmp_path / "again.keras")
    saved = keras.saving.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(outputs(saved, X), means(plain), atol=1e-5)


def test_layers_put_together_again_are_a_model_of_their_own():
    mirrored, _ = pair()
    written = portable(mirrored)
    keras.config.set_dtype_policy("mixed_bfloat16")  # of the session, not of the file
    try:
        loaded = mirrored_again.again(written)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(outputs(loaded, X), outputs(mirrored, X), atol=1e-5)
    inner = keras.Model(loaded.inputs, loaded.layers[-2].output)
    assert inner.predict(X, verbose=0).shape == (2 * len(X), 10)
    loaded.set_weights([0 * each for each in loaded.get_weights()])
    assert outputs(written, X).any()
    copies = [type(each).from_config(each.get_config()) for each in loaded.layers]
    assert [copy.name for copy in copies] == [each.name for each in loaded.layers]


def test_what_only_looks_like_means_over_mirror_images_stays_as_it_is():
    """Each differs in one thing from what `portable` makes."""

    def model(flip=2, axis=0, halves=(2, -1, 10), mean=0, both=None, after=None):
        inputs = keras.Input((28, 28))
        x = keras.layers.Reshape((28, 28, 1))(inputs)
        given = [x, keras.ops.flip(x, flip)]
        y = keras.ops.concatenate(both(*given) if both else given, axis)
        y = keras.layers.Dense(10)(keras.layers.Flatten()(y))
        y = keras.ops.mean(keras.ops.reshape(y, halves), mean)
        return keras.Model(inputs, after(y, x) if after else y)

    assert type(mirrored_again.again(model())) is keras.Sequential
    dense = keras.layers.Dense(10)
    for wrong in (
        {"flip": 1},
        {"axis": 1, "halves": (2, -1, 10)},
        {"halves": (-1, 2, 10), "mean": 1},
        {"both": lambda x, flipped: [flipped, x]},
        {"both": lambda x, flipped: [flipped, flipped]},
        {"both": lambda x, flipped: [keras.layers.Rescaling(2.0)(x), flipped]},
        {"after": lambda y, x: keras.layers.Dense(10)(y)},
        {"after": lambda y, x: y + keras.layers.Dense(10)(keras.layers.Flatten()(x))},
        {"after": lambda y, x: dense(dense(y))},
    ):
        other = model(**wrong)
        assert mirrored_again.again(other) is other, wrong


def test_the_twin_answers_and_trains_alike():
    torch = pytest.importorskip("torch")
    from shared_keras.pytorch import twin, weights

    mirrored, plain = pair()
    network, other = twin.module(MIRRORED), twin.module(PLAIN)
    state = weights.state_dict(mirrored)
    network.load_state_dict(state)
    other.load_state_dict(state)
    np.testing.assert_allclose(twin.logits(MIRRORED, network, X), means(plain), atol=1e-5)
    x = twin.normalized(MIRRORED, X)
    assert torch.equal(network.train()(x), other.train()(x))
    assert abs(network.eval()(x) - other.eval()(x)).max() > 0.01


def test_only_the_pair_is_known_to_keep_samples_apart():
    """Then a batch of any size gives the same, and the convolutions may be quick."""

    def made(*parts):
        return keras.Sequential([keras.Input((28, 28, 1)), *parts])

    middle = keras.layers.Conv2D(2, 3)
    assert known_means.samples_are_apart(keras_model(MIRRORED))
    assert known_means.samples_are_apart(made(WithMirrored(), middle, MeanOfMirrored()))
    for parts in (
        [WithMirrored(), middle],
        [middle, MeanOfMirrored()],
        [MeanOfMirrored(), middle, WithMirrored()],
        [WithMirrored(), WithMirrored(), MeanOfMirrored(), MeanOfMirrored()],
    ):
        assert not known_means.samples_are_apart(made(*parts))
    inputs = keras.Input((28, 28, 1))
    branched = keras.Model(inputs, MeanOfMirrored()(WithMirrored()(inputs)))
    assert not known_means.samples_are_apart(branched)
    replaced = made(WithMirrored(), middle, MeanOfMirrored())
    replaced.layers[-1].call = lambda inputs, training=None: inputs - inputs[:1]
    assert not known_means.samples_are_apart(replaced)


def test_probabilities_are_not_averaged():
    with pytest.raises(ValueError, match="mirrored takes means of logits"):
        dataclasses.replace(MIRRORED, layers=(*MIRRORED.layers, Activation("softmax")))


def test_only_a_mirrored_system_says_so_in_a_file():
    assert MIRRORED.to_json()["mirrored"] is True
    assert "mirrored" not in PLAIN.to_json()
