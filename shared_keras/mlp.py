"""The multilayer perceptron that both tasks search over."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras


class Layer(NamedTuple):
    """A hidden layer: its width, the factor of its L2 penalty, its dropout rate."""

    units: int
    l2: float = 0.0
    dropout: float = 0.0


def hidden_layers(
    hp, name: str, at_least: int, at_most: int, declare: Callable[[int], Layer]
) -> list[Layer]:
    """Declare the depth and the hyperparameters of every layer that may exist.

    Those of a layer are active only if the depth reaches it. All are declared
    at once, so that the whole space is known from the first trial on.

    Args:
        hp: `keras_tuner.HyperParameters`.
        name: Name of the hyperparameter that holds the depth.
        at_least: Smallest depth.
        at_most: Largest depth.
        declare: Declares and returns the layer of a given index.

    Returns:
        The layers that exist.
    """
    depth = hp.Int(name, at_least, at_most)
    layers = []
    for i in range(at_most):
        with hp.conditional_scope(name, list(range(max(i + 1, at_least), at_most + 1))):
            layers.append(declare(i))
    return layers[:depth]


def mlp(layers: Sequence[Layer], *, learning_rate: float, n_classes: int = 10) -> keras.Model:
    """Build and compile the perceptron of the Keras originals.

    Dense layers with ReLU, a softmax at the end, Adam, sparse categorical
    cross-entropy. The originals divided the pixels by 255 beforehand; here the
    model does it, so that it takes raw images.

    Args:
        layers: The hidden layers.
        learning_rate: Adam's learning rate.
        n_classes: Width of the softmax.

    Returns:
        A compiled model from raw images, shape (n, 28, 28), 0...255, of any
        dtype, to probabilities, float32 (n, n_classes).
    """
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    )
    for units, l2, dropout in layers:
        penalty = keras.regularizers.L2(l2) if l2 else None
        model.add(keras.layers.Dense(units, activation="relu", kernel_regularizer=penalty))
        if dropout:
            model.add(keras.layers.Dropout(dropout))
    model.add(keras.layers.Dense(n_classes, activation="softmax", dtype="float32"))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
