"""Systems: layers and an optimizer as plain values, independent of any framework.

`models.build.keras_model` makes a Keras model of a system, and `pytorch.twin.module` a PyTorch
module. Both are trained the same way.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

SIDE = 28  # height and width of an image, in pixels
Init = Literal["keras", "torch", "he"]
ACTIVATIONS = ("mish", "relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Flatten:
    """Turns images into vectors."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer.

    Attributes:
        units: Its width.
        init: "keras" for Glorot uniform and a bias of zero, "torch" for PyTorch's
            U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for both, "he" for the untruncated
            normal of `kaiming_normal_` and PyTorch's bias.
        l2: Factor c of a penalty c * sum(kernel**2) on the loss.
        bias: Whether it has a bias. Before a `BatchNorm`, a bias has no effect.
    """

    units: int
    init: Init = "torch"
    l2: float = 0.0
    bias: bool = True


@dataclass(frozen=True)
class Conv:
    """A convolution.

    Attributes:
        filters: Number of output channels.
        kernel: Height and width of the kernel. If it is padded, odd if the stride is odd, even if
            it is even, so that both frameworks pad all sides alike.
        stride: Step in both directions.
        init: As for `Dense`.
        bias: Whether it has a bias.
        padded: Whether the images are padded so that `stride` divides height and width. If not,
            the kernel stays inside them.
    """

    filters: int
    kernel: int = 3
    stride: int = 1
    init: Init = "torch"
    bias: bool = True
    padded: bool = True

    def __post_init__(self) -> None:
        if self.padded and (self.kernel - self.stride) % 2:
            raise ValueError(f"kernel and stride must be both odd or both even. Received: {self}")


@dataclass(frozen=True)
class MaxPool:
    """Max pooling over squares of `size` by `size`."""

    size: int = 2


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization as in PyTorch, with its default epsilon (1e-5) and momentum (0.1)."""


@dataclass(frozen=True)
class Flip:
    """Mirrors half of the images horizontally, in training only."""


@dataclass(frozen=True)
class Shift:
    """Moves each image by up to `pixels` vertically and horizontally, in training only.

    Shifts are drawn uniformly from the real numbers, then rounded. Edge pixels are repeated.
    """

    pixels: int


@dataclass(frozen=True)
class Activation:
    """One of `ACTIVATIONS` with PyTorch's defaults, or "softmax" at the end."""

    name: str


@dataclass(frozen=True)
class Dropout:
    """Sets a fraction `rate` of its inputs to zero, in training only."""

    rate: float


@dataclass(frozen=True)
class Noise:
    """Adds normal noise of a standard deviation to each of its inputs, in training only."""

    deviation: float


Layer = Flatten | Dense | Conv | MaxPool | BatchNorm | Flip | Shift | Activation | Dropout | Noise


@dataclass(frozen=True)
class Cosine:
    """PyTorch's `CosineAnnealingLR` down to zero: after `t_max` steps it rises again."""

    t_max: int
    per: Literal["batch", "epoch"] = "epoch"


@dataclass(frozen=True)
class Optimizer:
    """How the weights are updated.

    Attributes:
        name: "adam", "rmsprop" or "sgd" as PyTorch means them, or "keras adam",
            whose epsilon is 1e-7 and is added before the bias correction.
        learning_rate: The (first) learning rate.
        momentum: Momentum of RMSprop.
        l2: PyTorch's `weight_decay`: this times the parameter is added to the
            gradient of every parameter, biases and BatchNorm included.
        schedule: How the learning rate changes, if it does.
    """

    name: Literal["adam", "rmsprop", "sgd", "keras adam"]
    learning_rate: float
    momentum: float = 0.0
    l2: float = 0.0
    schedule: Cosine | None = None

    def __post_init__(self) -> None:
        if self.momentum and self.name != "rmsprop":
            raise ValueError(f"momentum is for rmsprop only. Received: {self}")
        if self.l2 and self.name not in ("adam", "rmsprop"):
            raise ValueError(f"l2 is for adam and rmsprop only. Received: {self}")


@dataclass(frozen=True)
class System:
    """A model and how it is trained.

    Attributes:
        layers: From images (28, 28) to a logit for each class, or to probabilities if the
            last is `Activation("softmax")`.
        optimizer: The optimizer; the loss is the cross-entropy.
        mean: Subtracted from the pixels, which are first divided by 255.
        std: What they are then divided by.
        batch_size: Images per step, if the system itself sets it.
        mirrored: Whether, outside training, its logits are means over an image and its mirror
            image.
    """

    layers: tuple[Layer, ...]
    optimizer: Optimizer
    mean: float = 0.0
    std: float = 1.0
    batch_size: int | None = None
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.mirrored and self.probabilities:
            raise ValueError("mirrored takes means of logits, so softmax must not be last.")

    @property
    def probabilities(self) -> bool:
        """Whether the last layer is a softmax."""
        return self.layers[-1] == Activation("softmax")

    @property
    def takes_a_channel(self) -> bool:
        """Whether its layers take images with a channel, not (28, 28)."""
        return self.mirrored or any(isinstance(layer, Conv | Flip | Shift) for layer in self.layers)

    def multiplications(self) -> int:
        """Return how many multiplications its layers need for an image: how it compares in cost."""
        side, channels, features, found = SIDE, 1, SIDE * SIDE, 0
        for layer in self.layers:
            match layer:
                case Conv(filters, kernel, stride):
                    side = side // stride if layer.padded else (side - kernel) // stride + 1
                    found += side * side * kernel * kernel * channels * filters
                    channels, features = filters, side * side * filters
                case MaxPool(size):
                    side //= size
                    features = side * side * channels
                case Dense(units):
                    found += features * units
                    features = units
        return found

    def with_outputs(self, n: int) -> "System":
        """Return the system for `n` classes: its last `Dense` layer has `n` units."""
        layers = list(self.layers)
        last, dense = [(i, layer) for i, layer in enumerate(layers) if isinstance(layer, Dense)][-1]
        layers[last] = replace(dense, units=n)
        return replace(self, layers=tuple(layers))

    def to_json(self) -> dict[str, Any]:
        """Return the system as plain values for JSON, each layer with its kind.

        What earlier versions did not know is said only where it is not as they did it: that a
        convolution is not padded, and that a system is mirrored.
        """
        layers = [{"kind": type(layer).__name__} | asdict(layer) for layer in self.layers]
        for layer in layers:
            if layer.get("padded"):
                del layer["padded"]
        values = asdict(self) | {"layers": layers}
        if not self.mirrored:
            del values["mirrored"]
        return values
