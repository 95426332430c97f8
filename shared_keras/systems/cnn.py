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


def sprint(
    moved: Flip | Shift,
    first: Conv,
    widths: tuple[int, int],
    *,
    hidden: int = 0,
    learning_rate: float,
    steps: int,
    mirrored: bool = False,
) -> System:
    """Return a network that is trained in seconds, of three narrow convolutions.

    The second and the third are not padded, which costs less. The learning rate falls from the
    first step on, so that a few epochs are a whole training.

    Args:
        moved: What is done to images in training.
        first: The first convolution.
        widths: Filters of the second and the third.
        hidden: Units of a hidden layer behind them; 0 for none.
        learning_rate: Adam's first learning rate.
        steps: Number of steps after which the learning rate reaches zero.
        mirrored: Whether it answers with means over an image and its mirror image.
    """
    second, third = widths
    return System(
        (
            moved,
            *_block(first),
            *_block(Conv(second, init="he", bias=False, padded=False)),
            MaxPool(),
            *_block(Conv(third, init="he", bias=False, padded=False)),
            Flatten(),
            *(_block(Dense(hidden, init="he", bias=False)) if hidden else ()),
            Dense(CLASSES, init="he"),
        ),
        Optimizer("adam", learning_rate, schedule=Cosine(steps, per="batch")),
        mirrored=mirrored,
    )


def _block(layer: Conv | Dense) -> tuple[Conv | Dense, BatchNorm, Activation]:
    return layer, BatchNorm(), Activation("relu")
