"""The network of somebody else's trials, from the Python file that `--model` names."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import port_audit
from port_audit.user_files import blamed, read_file
from shared_keras.errors import BadInput
from shared_keras.pytorch.twin import VALIDATION_BATCH


class UserNetwork(NamedTuple):
    """A trained network.

    Attributes:
        logits: Raw images, uint8 (n, 28, 28), to logits (n, classes), in eval mode.
        pixels: `mean` and `std` by which it scales pixels as fractions of 255, or None if it
            does anything else to them.
    """

    logits: Callable[[np.ndarray], np.ndarray]
    pixels: Mapping[str, float] | None


def read(
    path: Path, config: Mapping, state: Mapping[str, torch.Tensor], images: np.ndarray
) -> UserNetwork:
    """Return the network of a trial, with its weights.

    Args:
        path: A file that defines `model(config)`, which returns the module, and
            `preprocess(images)`, which takes uint8 (n, 28, 28) and returns its inputs.
        config: Hyperparameters of the trial, under its own names.
        state: Its state dict.
        images: Some images, by which the scaling of pixels is recognized.

    Raises:
        BadInput: naming the file, if it cannot be used or its module has other weights.
    """
    with _is_bad_input(path):
        file = read_file(path)
        if not hasattr(file, "preprocess"):
            raise BadInput(
                f"argument --model: {path} defines no preprocess(images), expected a function "
                "that returns what the model takes"
            )
        network = file.model(dict(config))
    if not isinstance(network, torch.nn.Module):
        raise BadInput(
            f"argument --model: model(config) in {path} returned "
            f"{type(network).__name__}, expected a torch.nn.Module"
        )
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        raise BadInput(
            f"argument --model: the weights do not fit: {' '.join(str(error).split())[:200]}"
        ) from None
    network.eval()

    def outputs(images: np.ndarray) -> np.ndarray:
        parts = []
        with torch.no_grad(), _is_bad_input(path):
            for start in range(0, len(images), VALIDATION_BATCH):
                inputs = file.preprocess(images[start : start + VALIDATION_BATCH])
                parts.append(network(torch.as_tensor(inputs)))
        return torch.cat(parts).numpy()

    with _is_bad_input(path):
        return UserNetwork(outputs, _scaling(images, np.asarray(file.preprocess(images))))


def _scaling(images: np.ndarray, inputs: np.ndarray) -> dict[str, float] | None:
    if inputs.size != images.size:
        return None
    x, scaled = images.ravel().astype(np.float64), inputs.ravel().astype(np.float64)
    offset, slope = np.polynomial.polynomial.polyfit(x, scaled, 1)
    if slope <= 0 or np.abs(slope * x + offset - scaled).max() > 1e-5 * np.abs(scaled).max():
        return None
    return {"mean": -offset / slope / 255, "std": 1 / slope / 255}


@contextlib.contextmanager
def _is_bad_input(path: Path) -> Iterator[None]:
    """Within this context, what goes wrong in the user's file is bad input."""
    try:
        with blamed(path):
            yield
    except port_audit.UnusableInput as error:
        raise BadInput(f"argument --model: {error}") from error
