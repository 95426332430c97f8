"""Save and restore the state of a training."""

import errno
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from shared_keras.files import replacing
from shared_keras.models.initializers import assign

STATE = "state.npz"
OVERHEAD = 4096  # bytes that HDF5 adds to the values of a weight


def save(path: Path, model: keras.Model, **more: np.ndarray) -> None:
    """Write all variables of a training atomically.

    Keras's own weight files leave out the seeds of dropout layers, and loading
    them into a new model leaves out the optimizer.

    Args:
        path: The file.
        model: The model.
        more: Further arrays by name, which `load` returns.
    """
    arrays = [keras.ops.convert_to_numpy(v.value) for v in _variables(model)]
    with replacing(path) as temporary:
        named: dict[str, Any] = {str(i): array for i, array in enumerate(arrays)}
        np.savez(temporary, **named | more)


def load(path: Path, model: keras.Model) -> dict[str, np.ndarray]:
    """Read what `save` wrote into a model of the same architecture; return the further arrays.

    Raises:
        ValueError: if the file comes from another architecture.
    """
    with np.load(path, allow_pickle=False) as arrays:
        variables = _variables(model)
        more = {name: arrays[name] for name in arrays.files if not name.isdigit()}
        n = len(arrays) - len(more)
        if n != len(variables):
            raise ValueError(f"{path} holds {n} variables, but the model has {len(variables)}")
        assign(variables, [arrays[str(i)] for i in range(n)])
    return more


def save_weights(path: Path, model: keras.Model) -> None:
    """Write a `.weights.h5` file atomically.

    Raises:
        OSError: if the disk is full. HDF5 itself may end the process then, so the
            space is reserved first.
    """
    room = sum(weight.nbytes + OVERHEAD for weight in model.get_weights()) + OVERHEAD
    with replacing(path) as temporary:
        _ask_for(room, temporary)
        model.save_weights(temporary)


def _ask_for(room: int, path: Path) -> None:
    """Create a file of `room` bytes, where the system and the file system support that."""
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, room)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise


def optimizer_variables(model: keras.Model) -> list:
    """Return the variables of a model's optimizer; none if it has none of Keras's."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):  # a custom loop need not compile
        return []
    if not optimizer.built:  # building some again would reset them
        optimizer.build(model.trainable_variables)
    return optimizer.variables


def _variables(model: keras.Model) -> list:
    return [*model.trainable_variables, *model.non_trainable_variables, *optimizer_variables(model)]
