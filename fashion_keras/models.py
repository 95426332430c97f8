"""Search spaces for Fashion-MNIST: ordinary KerasTuner hypermodels.

Names and ranges are those of the original systems, so that their published
values can be replayed.
"""

from typing import TYPE_CHECKING

from fashion_keras.dataset import PIXELS
from shared_keras.hyperband.space import Space
from shared_keras.systems import mlp
from shared_keras.systems.mlp import Layer, hidden_layers, perceptron
from shared_keras.systems.spec import System

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@Space
def dense(hp: "HyperParameters") -> System:
    """The space of Fashion-Keras: depth, widths, learning rate."""
    layers = hidden_layers(
        hp,
        "n_hidden_layers",
        1,
        9,
        lambda i: Layer(units=hp.Int(f"layer_units_{i}", 24, 576, step=24)),
    )
    rates = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    return perceptron(layers, learning_rate=hp.Choice("learning_rate", rates))


@Space
def regularized(hp: "HyperParameters") -> System:
    """The last space of Fashion-Keras: `dense` with an L2 penalty and dropout for each layer."""
    layers = hidden_layers(
        hp,
        "n_hidden_layers",
        1,
        4,
        lambda i: Layer(
            units=hp.Int(f"layer_units_{i}", 24, 624, step=24),
            l2=hp.Choice(f"layer_regu_{i}", [1e-3, 1e-4, 1e-5, 1e-6]),
            dropout=hp.Float(f"layer_drop_{i}", 0.1, 0.3, sampling="log"),
        ),
    )
    rates = [1e-3, 1e-4, 1e-5, 1e-6]
    return perceptron(layers, learning_rate=hp.Choice("learning_rate", rates))


@Space
def batchnorm(hp: "HyperParameters") -> System:
    """Fashion-PyTorch's tuned perceptron, for this task's pixels."""
    return mlp.batchnorm(hp, **PIXELS)
