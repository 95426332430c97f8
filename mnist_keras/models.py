"""Search spaces for MNIST: ordinary KerasTuner hypermodels.

Names and ranges are those of MNIST-Keras, so that its published values can be
replayed.
"""

from typing import TYPE_CHECKING

from mnist_keras.dataset import PIXELS
from shared_keras.hyperband.space import Space
from shared_keras.systems import mlp
from shared_keras.systems.mlp import Layer, hidden_layers, perceptron
from shared_keras.systems.spec import System

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

RATES = [1e-4, 1e-3, 1e-2]


@Space
def dense(hp: "HyperParameters") -> System:
    """The first space of the original: depth, widths, learning rate."""
    layers = hidden_layers(
        hp,
        "num_layers",
        2,
        5,
        lambda i: Layer(units=hp.Int(f"num_units_{i}", 15, 120, step=15)),
    )
    return perceptron(layers, learning_rate=hp.Choice("learning_rate", RATES))


@Space
def regularized(hp: "HyperParameters") -> System:
    """The second space of the original, with an L2 penalty and dropout for each layer.

    The original prints a dropout from 0.2 to 4 in steps of 0.5; its results, 0.2
    and 0.25, come from 0.2 to 0.35 in steps of 0.05, which is the range used here.
    """
    layers = hidden_layers(
        hp,
        "num_layers",
        2,
        5,
        lambda i: Layer(
            units=hp.Int(f"num_units_{i}", 15, 120, step=15),
            l2=hp.Choice(f"l2_{i}", [1e-4, 1e-3, 1e-2]),
            dropout=hp.Float(f"drop_{i}", 0.2, 0.35, step=0.05),
        ),
    )
    return perceptron(layers, learning_rate=hp.Choice("learning_rate", RATES))


@Space
def batchnorm(hp: "HyperParameters") -> System:
    """Fashion-PyTorch's tuned perceptron, for this task's pixels."""
    return mlp.batchnorm(hp, **PIXELS)
