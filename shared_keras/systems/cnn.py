"""Our own small convolutional network; both tasks have a recipe of it."""

from shared_keras.systems.spec import (
    Activation,
    BatchNorm,
    Conv,
    Cosine,
    Dense,
    Dropout,
    Flatten,
    Flip,
    MaxPool,
    Optimizer,
    Shift,
    System,
)

CLASSES = 10


def cnn(width: int, *, flip: bool, dropout: float, epochs: int) -> System:
    """Return a network of three convolutions and a hidden layer, trained on shifted images.

    The first convolution halves the images' height and width at once, which saves three
    quarters of the second's arithmetic.

    Args:
        width: Filters of the first convolution; the next have twice and four times as
            many, the hidden layer eight times.
        flip: Whether to mirror half of the images.
        dropout: Dropout rate before the last layer.
        epochs: Number of epochs after which the learning rate reaches zero.
    """
    return System(
        (
            *(Flip(),) * flip,
            Shift(2),
            *_block(Conv(width, kernel=4, stride=2, init="he", bias=False)),
            *_block(Conv(2 * width, init="he", bias=False)),
            MaxPool(),
            Dropout(0.1),
            *_block(Conv(4 * width, init="he", bias=False)),
            MaxPool(),
            Dropout(0.1),
            Flatten(),
            *_block(Dense(8 * width, init="he", bias=False)),
            Dropout(dropout),
            Dense(CLASSES, init="he"),
        ),
        Optimizer("adam", 3e-3, schedule=Cosine(epochs)),
    )


def sprint(widths: tuple[int, int, int], *, learning_rate: float, steps: int) -> System:
    """Return a network that is trained in seconds: three narrow convolutions, no hidden layer.

    Nothing is padded, as the edges of the images are empty: 28 pixels become 12, 10, 5 and 3. The
    learning rate falls from the first step on, so that a few epochs are a whole training.

    Args:
        widths: Filters of the convolutions.
        learning_rate: Adam's first learning rate.
        steps: Number of steps after which the learning rate reaches zero.
    """
    first, second, third = widths
    return System(
        (
            Shift(1),
            *_block(Conv(first, kernel=5, stride=2, init="he", bias=False, padded=False)),
            *_block(Conv(second, init="he", bias=False, padded=False)),
            MaxPool(),
            *_block(Conv(third, init="he", bias=False, padded=False)),
            Flatten(),
            Dense(CLASSES, init="he"),
        ),
        Optimizer("adam", learning_rate, schedule=Cosine(steps, per="batch")),
    )


def _block(layer: Conv | Dense) -> tuple[Conv | Dense, BatchNorm, Activation]:
    return layer, BatchNorm(), Activation("relu")
