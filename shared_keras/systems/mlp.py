"""The multilayer perceptrons that the tasks search over."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from shared_keras.systems import spec
from shared_keras.systems.spec import (
    Activation,
    BatchNorm,
    Cosine,
    Dense,
    Dropout,
    Flatten,
    Noise,
    Optimizer,
    Shift,
    System,
)

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

N_CLASSES = 10


class Layer(NamedTuple):
    """A hidden layer: its width, the factor of its L2 penalty, and its dropout rate."""

    units: int
    l2: float = 0.0
    dropout: float = 0.0


def hidden_layers(
    hp: "HyperParameters", name: str, at_least: int, at_most: int, declare: Callable[[int], Layer]
) -> list[Layer]:
    """Declare the depth and the hyperparameters of every layer that may exist.

    A layer's hyperparameters are active only if the depth reaches it. All are
    declared at once, so that the whole space is known from the first trial on.

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


def perceptron(layers: Sequence[Layer], *, learning_rate: float) -> System:
    """Return the perceptron of the Keras originals.

    It has dense layers with ReLU, a softmax at the end, and Keras's Adam. The originals
    divided the pixels by 255 beforehand.

    Args:
        layers: The hidden layers.
        learning_rate: Adam's learning rate.
    """
    parts: list[spec.Layer] = [Flatten()]
    for units, l2, dropout in layers:
        parts += [Dense(units, init="keras", l2=l2), Activation("relu")]
        parts += [Dropout(dropout)] * (dropout > 0)
    parts += [Dense(N_CLASSES, init="keras"), Activation("softmax")]
    return System(tuple(parts), Optimizer("keras adam", learning_rate))


def normalized(
    units: Sequence[int],
    dropout: Sequence[float],
    optimizer: Optimizer,
    *,
    activation: str = "mish",
    **scaling_and_batch: Any,
) -> System:
    """Return the perceptron that Fashion-PyTorch ended up with.

    Each hidden layer consists of Dense, BatchNorm, activation and Dropout. Weights start
    with He initialization, and the outputs are logits.

    Args:
        units: Widths of the hidden layers.
        dropout: Their dropout rates.
        optimizer: The optimizer.
        activation: Name of the activation.
        scaling_and_batch: `mean`, `std` and `batch_size` of the `System`.
    """
    layers: list[spec.Layer] = [Flatten()]
    for width, rate in zip(units, dropout, strict=True):
        layers += [Dense(width, init="he"), BatchNorm(), Activation(activation)]
        layers += [Dropout(rate)] * (rate > 0)
    return System((*layers, Dense(N_CLASSES, init="he")), optimizer, **scaling_and_batch)


def shifted(epochs: int) -> System:
    """Return a perceptron of our own: images shifted by a pixel, 640-640-640 with dropout.

    Args:
        epochs: Number of epochs after which the learning rate reaches zero, as a cosine.
    """
    hidden = (Dense(640, init="he", bias=False), BatchNorm(), Activation("relu"), Dropout(0.2))
    return _ours((Shift(1), Flatten(), *hidden * 3), epochs)


def noisy(units: Sequence[int], deviation: float, epochs: int) -> System:
    """Return a perceptron of our own, with noise in place of dropout; the same schedule.

    Normal noise is added to the pixels and behind each BatchNorm, as in the network without a
    decoder that the Ladder network was compared with (Rasmus et al., 2015).

    Args:
        units: Widths of the hidden layers.
        deviation: Standard deviation of the noise; pixels are between 0 and 1.
        epochs: Number of epochs after which the learning rate reaches zero.
    """
    layers: list[spec.Layer] = [Flatten(), Noise(deviation)]
    for width in units:
        layers += [Dense(width, init="he", bias=False), BatchNorm()]
        layers += [Noise(deviation), Activation("relu")]
    return _ours(layers, epochs)


def _ours(layers: Sequence[spec.Layer], epochs: int) -> System:
    optimizer = Optimizer("adam", 2e-3, schedule=Cosine(epochs))
    return System((*layers, Dense(N_CLASSES, init="he")), optimizer)


def batchnorm(hp: "HyperParameters", *, mean: float, std: float) -> System:
    """Declare the space of Fashion-PyTorch's second session with Ray Tune.

    Its `tune.randint` excludes the upper end. The original configured 80 epochs; ASHA ended each
    trial after 50.

    Args:
        hp: `keras_tuner.HyperParameters`.
        mean: Mean of the pixels, as a fraction of 255.
        std: Standard deviation of the pixels, as a fraction of 255.
    """
    rate = hp.Float("base_lr", 5e-4, 5e-2, sampling="log")
    batch_size = hp.Choice("batch_size", [512, 1024])
    widths = {1: (250, 349), 2: (450, 649), 3: (450, 649)}
    rates = {1: (0.25, 0.35), 2: (0.05, 0.15), 3: (0.25, 0.35)}
    units = [hp.Int(f"l{i}_size", low, high) for i, (low, high) in widths.items()]
    dropout = [hp.Float(f"l{i}_drop", *ends, sampling="log") for i, ends in rates.items()]
    l2 = hp.Float("l2_rate", 5e-5, 5e-3, sampling="log")
    schedule = Cosine(hp.Int("t_max", 8, 14))
    return normalized(
        units,
        dropout,
        Optimizer("adam", rate, l2=l2, schedule=schedule),
        mean=mean,
        std=std,
        batch_size=batch_size,
    )
