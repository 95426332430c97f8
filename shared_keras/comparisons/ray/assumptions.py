"""What no checkpoint says of a network, and what it is likely to be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

from shared_keras.systems.spec import ACTIVATIONS

Place = Literal["before", "after"]
PLACES: tuple[Place, ...] = get_args(Place)


@dataclass(frozen=True)
class Assumed:
    """How a network is built and fed.

    Attributes:
        activation: Name of the activation, as `spec.Activation` has it.
        norm: Whether BatchNorm, if there is one, comes before or after the activation.
        mean: Subtracted from the pixels, which are first divided by 255.
        std: What they are then divided by.
    """

    activation: str
    norm: Place
    mean: float
    std: float

    def __str__(self) -> str:
        pixels = f"(pixels / 255 - {self.mean:.4g}) / {self.std:.4g}"
        return f"{self.activation}, BatchNorm (if any) {self.norm} it, {pixels}"


def likely(pixels: Mapping[str, float]) -> Iterator[Assumed]:
    """Return what networks are likely to be, that of Fashion-PyTorch first.

    Args:
        pixels: `mean` and `std` of the images.
    """
    scalings = [(pixels["mean"], pixels["std"]), (0.0, 1.0), (0.5, 0.5), (0.0, 1 / 255)]
    for (mean, std), norm, activation in product(scalings, PLACES, ACTIVATIONS):
        yield Assumed(activation, norm, mean, std)
